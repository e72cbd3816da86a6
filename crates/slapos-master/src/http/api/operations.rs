//! The words of the OpenAPI document: one entry for each route of the API.

use slapos_slap::{BuildProgress, ComputerSettings, NodeMetrics, PromiseReport, SetComputer};

use super::change::{Change, Supply, Wish};
use super::openapi::Operation;
use super::places::{Described, Orphans, Outlook};
use crate::store::FeedEntry;
use crate::view::{
    Computer, ComputerDetail, Elsewhere, Forwarded, Found, Instance, InstanceDetail, Me, Promises,
    Software, Summary, Tree, TreeDetail, Usage,
};

/// All of them.
pub(super) fn all() -> Vec<Operation> {
    let mut all = Vec::new();
    all.extend(about_the_master());
    all.extend(computers());
    all.extend(software());
    all.extend(instances());
    all.extend(places());
    all.extend(nodes());
    all.extend(super::access_words::all());
    all
}

fn get(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("GET", path, summary)
}

fn post(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("POST", path, summary)
}

fn about_the_master() -> Vec<Operation> {
    vec![
        get("/api/v1/me", "Who asks, and whom").gives::<Me>(200, "the caller and the Master"),
        get("/api/v1/proof", "Proves that the Master knows the token")
            .needs("nonce", "32 to 128 hex digits")
            .gives_text("text/plain", "the proof, in hex"),
        get("/api/v1/overview", "Everything in one document")
            .says("For small Masters; lists are the better way.")
            .gives_object("what `slapos proxy show` shows"),
        get("/api/v1/openapi.json", "This document").gives_object("OpenAPI 3.1"),
        get("/api/v1/search", "Looks for a text everywhere")
            .needs("q", "the text; the case of ASCII letters does not matter")
            .gives::<Found>(200, "at most ten of each kind"),
        get("/api/v1/summary", "How all is, in numbers, and what fails")
            .says("Of what the caller sees. Numbers come from indices; of each kind that fails, the \
                first twenty are named.")
            .gives::<Summary>(200, "counts, and the first of what fails"),
        get("/api/v1/events", "What changes, the moment it does (server-sent events)")
            .says(
                "An event `change` has as data one line of JSON, an `Event`, that says what changed and \
                 where, never to what; `resync` says to look at everything. A line that begins with a \
                 colon says that the connection lives. The `id` of an event is sent back as \
                 `Last-Event-ID`, or as `since`, to go on there: nothing is left out. With `computer` \
                 only what its node has to know of is told, from `request` to `settings` in the list of \
                 kinds, and without `computer`, `tree` and `about`. A later Master may tell other kinds.",
            )
            .may("computer", "only what its node has to know of; everything visible if left out")
            .may("since", "the `id` of the last event that was heard")
            .streams::<FeedEntry>("events, without end"),
        get("/metrics", "The Master and its nodes in numbers")
            .gives_text("application/openmetrics-text", "for Prometheus"),
    ]
}

fn computers() -> Vec<Operation> {
    vec![
        get("/api/v1/computers", "Computers, by reference")
            .may("state", "`ok`, `silent` or `never` heard of")
            .lists::<Computer>(),
        get("/api/v1/computers/{id}", "A computer with all that is on it")
            .gives::<ComputerDetail>(200, "the computer"),
        get(
            "/api/v1/computers/{id}/usage",
            "What was used on a computer, as its node reported last",
        )
        .says("For whose the computer is, because it tells of all instances there.")
        .gives::<Usage>(200, "by whom, and by resource"),
        Operation::new("DELETE", "/api/v1/computers/{id}", "Forgets a computer")
            .says("Refused (409) while it has instances, and for the Master's own computer.")
            .done(204, "it is forgotten"),
        post("/api/v1/computers/{id}/bang", "Has every instance of a computer processed again")
            .done(204, "its node is told"),
    ]
}

fn software() -> Vec<Operation> {
    vec![
        get("/api/v1/software", "Software Releases on computers, by computer and URL")
            .may("computer", "only those on it")
            .may("state", "as reported: `available`, `building`, `error`; or `wanted` before that")
            .lists::<Software>(),
        Operation::new("PUT", "/api/v1/software", "Wants a Software Release, or no longer")
            .says("Asked for again, it has the node look at it again, and changes nothing else.")
            .takes::<Supply>()
            .done(204, "it is wanted so"),
        get("/api/v1/software/log", "The end of the log of the last build")
            .needs("computer", "where")
            .needs("url", "the Software Release")
            .gives_text("text/plain", "the log; empty when there is none"),
    ]
}

fn instances() -> Vec<Operation> {
    vec![
        get("/api/v1/instances", "Instances, shared ones last")
            .may("project", "only those of the project")
            .may("tree", "only those of the trees of that title")
            .may("computer", "only those on it")
            .may(
                "state",
                "as wanted: `started`, `stopped`, `destroyed`; or `error` as reported, of a shared one \
                 by its host",
            )
            .may("software", "only those of the Software Release")
            .lists::<Instance>(),
        post("/api/v1/instances", "Asks for an instance, or changes it")
            .says(
                "The title names the instance in its project: asked for again it is changed, and \
                 left alone if nothing is different. It has the `project` that is named, here or as \
                 `project_guid` of its `sla`. 404 says why there is no place; 409 refuses another \
                 state of a shared instance than `started` and `destroyed`, which only what serves \
                 it can have.",
            )
            .takes::<Wish>()
            .gives::<InstanceDetail>(201, "it was made")
            .gives::<InstanceDetail>(200, "it was there")
            .gives::<Elsewhere>(202, "it is granted, and not served here but by another Master")
            .done(204, "a shared one was destroyed"),
        get("/api/v1/instances/{guid}", "An instance with all that belongs to it")
            .gives::<InstanceDetail>(200, "the instance"),
        Operation::new("PATCH", "/api/v1/instances/{guid}", "Changes an instance")
            .says(
                "What is left out stays. Asked for again it changes nothing. An instance is not \
                 moved, whatever its `sla` says later, and waits for a Software Release that nobody \
                 supplies to its computer. Destroyed, it takes along the shared instances that it \
                 serves, whoever asked for them. `remarks` of the answer tell all three.",
            )
            .takes::<Change>()
            .gives::<InstanceDetail>(200, "as it is wanted now")
            .done(204, "a shared one was destroyed"),
        post("/api/v1/instances/{guid}/bang", "Has the whole tree processed again")
            .done(204, "the nodes are told"),
        get("/api/v1/instances/{guid}/promises", "The promises of an instance over time")
            .may("since", "only the past after that time")
            .gives::<Promises>(200, "by name"),
        get("/api/v1/instances/{guid}/usage", "What an instance used, as its node reported last")
            .gives::<Usage>(200, "by resource"),
        get("/api/v1/forwarded", "What other Masters serve, by project, tree and title")
            .may("project", "only those of the project")
            .lists::<Forwarded>(),
        get("/api/v1/trees", "Instance trees, by project and title")
            .may("project", "only those of the project")
            .lists::<Tree>(),
        get("/api/v1/trees/{guid}", "A tree with its members, by the guid of its root")
            .gives::<TreeDetail>(200, "the root first"),
    ]
}

fn places() -> Vec<Operation> {
    vec![
        Operation::new("PATCH", "/api/v1/computers/{id}", "Says what a computer may be used for")
            .says(
                "What is left out stays. Instances that are there stay, too; of a computer that is \
                 to become empty (`drain`), those that remain are told. A person may give his \
                 computer to another `project` of his, the operator to anyone's or, with an empty \
                 one, to all; 409 while it has instances of other projects. Its tokens and \
                 certificates stay what they are.",
            )
            .takes::<SetComputer>()
            .gives::<ComputerSettings>(200, "as it is now"),
        post("/api/v1/instances/{guid}/restart", "Has the services of an instance start anew")
            .says("Each time that it is asked for. 409 when the instance is not wanted started.")
            .done(204, "its node is told"),
        post("/api/v1/instances/{guid}/orphans/destroy", "Destroys what a tree forgot")
            .says(
                "Instances of the tree that the instance which asked for them does not ask for any \
                 more. They are kept until somebody says this.",
            )
            .gives::<Orphans>(200, "what is wanted destroyed now"),
        post("/api/v1/requests/check", "What a request would do, without doing it")
            .says(
                "`remarks` are sentences: what of it would not be followed, and what else it does.",
            )
            .takes::<Wish>()
            .gives::<Outlook>(200, "what would be done, where, and what the schema says"),
        get("/api/v1/schema", "What a Software Release says of its parameters, for forms")
            .needs("software_release", "its URL, or absolute path")
            .may("project", "the project of the instance that is to be asked for")
            .gives::<Described>(200, "its types with their schemas"),
    ]
}

fn nodes() -> Vec<Operation> {
    vec![
        post("/api/v1/computers/{id}/progress", "A node tells how far a build is")
            .takes::<BuildProgress>()
            .done(204, "noted, or dropped if that Software Release is not supplied"),
        post("/api/v1/computers/{id}/promises", "A node tells what came of promises")
            .says("One report for all partitions of a run. Told again it changes nothing.")
            .takes::<PromiseReport>()
            .done(204, "noted; what concerns partitions without instance is dropped"),
        post("/api/v1/computers/{id}/metrics", "A node tells how its machine is")
            .takes::<NodeMetrics>()
            .done(204, "noted"),
    ]
}
