//! What only a Master of ours can be asked about instances: what a request would do, restarts,
//! orphans.

use serde_json::json;
use slapos_node::NodeError;
use slapos_slap::{
    InstanceRequest, InstanceState, InstanceSummary, ListedForwarded, ListedInstance, Outlook,
    SlapClient, SlapError,
};

use super::client::absent;
use crate::cli::Global;
use crate::output::{Table, plain, say, say_json};

/// The word of a request for when a change of it is taken back.
const ROLLBACK: &str = "rollback";

/// What a Master says it would do with a request that another one has to grant.
const FORWARD: &str = "forward";

/// Exits with 1 when the request would be refused, or its parameters do not fit; else `ends` is the rollback
/// that it would end.
pub(super) fn check(
    global: &Global,
    master: &SlapClient,
    wanted: &InstanceRequest,
    ends: Option<&str>,
) -> Result<u8, NodeError> {
    let outlook = master.check_request(wanted)?;
    match global.json {
        true => say_json(&json!(outlook)),
        false => described(&outlook).iter().for_each(|line| say(&plain(line))),
    }
    let refused = outlook.place.is_none() && outlook.would != FORWARD;
    if let Some(former) = ends.filter(|_| !refused) {
        tracing::warn!("{}", it_ends(wanted.title.as_str(), former, "would end"));
    }
    Ok(u8::from(refused || !outlook.schema.errors.is_empty()))
}

/// The rollback of its own with which an instance was asked for, where `wanted` asks for none: each request
/// says anew where an instance may live and how it is kept. `None` also where it is not known.
pub(super) fn rollback_that_ends(master: &SlapClient, wanted: &InstanceRequest) -> Option<String> {
    let goes = wanted.state == Some(InstanceState::Destroyed);
    if goes || wanted.shared || wanted.sla.contains_key(ROLLBACK) {
        return None;
    }
    let mut roots = master.list_roots(wanted.title.as_str()).ok()?;
    roots.retain(|root| !root.shared);
    let [root] = roots.as_slice() else { return None };
    master.instance_sla(&root.guid).ok()?.swap_remove(ROLLBACK)
}

/// That the rollback `former` of `title` ends (or, in the words of `ends`, would end), and how to keep it.
pub(super) fn it_ends(title: &str, former: &str, ends: &str) -> String {
    format!(
        "{title} was asked for with {ROLLBACK}={former}, which {ends} with this request: \
         `--node {ROLLBACK}={former}` asks for it again"
    )
}

/// What a request would do, in lines for people.
fn described(outlook: &Outlook) -> Vec<String> {
    let Outlook { would, place, why, remarks, schema } = outlook;
    let mut lines = match place {
        None if would == FORWARD => vec![format!("It is not for this Master: {why}.")],
        None => vec![format!("It would not be granted: {why}.")],
        Some(place) => {
            let place = format!("{}/{}", place.computer, place.partition);
            vec![match would.as_str() {
                "create" => format!("It would be made on {place}: {why}."),
                "change" => format!("It is on {place}, and would be changed: {why}."),
                _ => format!("It is on {place}, and nothing would be changed: {why}."),
            }]
        }
    };
    lines.extend(remarks.iter().map(|remark| format!("{remark}.")));
    match (schema.readable, schema.errors.as_slice()) {
        (false, _) => lines.push(format!("Its parameters cannot be judged: {}.", schema.why)),
        (true, []) => lines.push("Its parameters are what the Software Release takes.".to_owned()),
        (true, errors) => {
            lines.push("Its parameters are not what the Software Release takes:".to_owned());
            lines.extend(errors.iter().map(|error| format!("  {}: {}", error.path, error.message)));
        }
    }
    lines
}

/// What other Masters serve; nothing where the Master is of another kind, which does not tell.
pub(super) fn served_elsewhere(master: &SlapClient) -> Result<Vec<ListedForwarded>, NodeError> {
    match master.list_forwarded() {
        Err(SlapError::NotFound { .. }) => Ok(Vec::new()),
        listed => Ok(listed?),
    }
}

/// The Software Releases of the roots here, and of those that other Masters serve. What is here goes before
/// what is called the same there, as it does where one is asked about.
pub(super) fn all_roots(
    here: Vec<InstanceSummary>,
    elsewhere: Vec<ListedForwarded>,
) -> serde_json::Map<String, serde_json::Value> {
    let mut all: serde_json::Map<_, _> =
        here.into_iter().map(|one| (one.title, json!(one.software))).collect();
    for one in elsewhere.into_iter().filter(|one| one.root) {
        all.entry(one.title).or_insert_with(|| json!(one.software_release));
    }
    all
}

/// Shows what other Masters serve, if there is anything.
pub(super) fn elsewhere(forwarded: &[ListedForwarded]) {
    if forwarded.is_empty() {
        return;
    }
    let mut table = Table::new(&["served by other Masters", "software release", "master"]);
    for one in forwarded {
        let in_tree = if one.tree.title == one.title {
            one.title.clone()
        } else {
            format!("{} (tree {})", one.title, one.tree.title)
        };
        table.row([in_tree, one.software_release.to_string(), one.master_url.clone()]);
    }
    say(&table.to_string());
}

/// The root of that title that another Master serves.
pub(super) fn root_elsewhere(
    master: &SlapClient,
    title: &str,
) -> Result<Option<ListedForwarded>, NodeError> {
    let all = served_elsewhere(master)?;
    Ok(all.into_iter().find(|one| one.root && one.title == title))
}

/// What is not done here with such a one.
fn served_by(one: &ListedForwarded) -> NodeError {
    let ListedForwarded { title, master_url, title_there, .. } = one;
    NodeError::user(format!("`{title}` is served by the Master {master_url}"))
        .hint(format!("ask there for `{title_there}`"))
}

/// Shows what is known here of such a one.
pub(super) fn show_elsewhere(global: &Global, one: &ListedForwarded) {
    if global.json {
        return say_json(&json!({
            "name": one.title,
            "software-url": one.software_release,
            "software-type": one.software_type,
            "shared": one.shared,
            "forwarded-to": one.master_url,
            "forwarded-name": one.title_there,
            "forwarded-at": one.asked_at,
        }));
    }
    let mut table = Table::new(&[&one.title, ""]);
    table.row(["served by the Master".into(), one.master_url.clone()]);
    table.row(["name there".into(), one.title_there.clone()]);
    table.row(["asked there last".into(), one.asked_at.clone()]);
    table.row(["software release".into(), one.software_release.to_string()]);
    table.row(["software type".into(), one.software_type.clone()]);
    say(&table.to_string());
}

pub(super) fn restart(
    global: &Global,
    master: &SlapClient,
    name: &str,
    tree: bool,
) -> Result<u8, NodeError> {
    let members = master.list_instances(Some(name))?;
    let roots = members.iter().filter(|member| member.root && !member.shared).count();
    if roots > 1 {
        return Err(NodeError::user(format!("several projects have an instance `{name}`"))
            .hint("ask as somebody who is in one of them only"));
    }
    let mut chosen = members.into_iter().filter(|member| !member.shared);
    let chosen: Vec<ListedInstance> = match tree {
        true => chosen.filter(|member| member.root || member.state == "started").collect(),
        false => chosen.find(|member| member.root).into_iter().collect(),
    };
    if chosen.is_empty() {
        return Err(match root_elsewhere(master, name)? {
            Some(one) => served_by(&one),
            None => absent(name),
        });
    }
    for member in &chosen {
        master.restart_instance(&member.guid)?;
    }
    match global.json {
        true => say_json(&json!({ "restarted": chosen })),
        false => chosen.iter().for_each(|member| {
            say(&plain(&format!(
                "The services of {} start anew; `slapos node instance` on {} does it.",
                member.title, member.computer
            )));
        }),
    }
    Ok(0)
}

pub(super) fn orphans(
    global: &Global,
    master: &SlapClient,
    destroy: bool,
    tree: Option<&str>,
) -> Result<u8, NodeError> {
    let all = master.list_instances(tree)?;
    let orphans: Vec<_> = all.iter().filter(|one| one.orphan_since.is_some()).collect();
    let mut destroyed = Vec::new();
    if destroy {
        // Through one instance of each tree, which takes all orphans of that.
        let mut trees: Vec<_> = orphans.iter().map(|one| &one.tree).collect();
        trees.dedup();
        for tree in trees {
            let member = all.iter().find(|one| one.tree == *tree && !one.shared);
            if let Some(member) = member {
                destroyed.extend(master.destroy_orphans(&member.guid)?);
            }
        }
    }
    if global.json {
        say_json(&json!({ "orphans": orphans, "destroyed": destroyed }));
        return Ok(0);
    }
    if orphans.is_empty() {
        say("There is no orphan.");
        return Ok(0);
    }
    let mut table =
        Table::new(&["instance", "tree", "computer", "partition", "wanted", "orphan since"]);
    let stays = orphans.iter().any(|one| one.state != "destroyed");
    for one in orphans {
        let since = one.orphan_since.clone().unwrap_or_default();
        let (computer, partition) = (one.computer.clone(), one.partition.clone());
        let (title, tree) = (one.title.clone(), one.tree.title.clone());
        table.row([title, tree, computer, partition, one.state.clone(), since]);
    }
    say(&table.to_string());
    match (destroy, destroyed.as_slice()) {
        (false, _) if stays => {
            say("They stay as they are; --destroy has them destroyed, with their data.");
        }
        (false, _) => say("Their nodes destroy them when they report next."),
        (true, titles) => say(&plain(&format!("To be destroyed: {}.", titles.join(", ")))),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener};
    use std::time::Duration;

    use super::*;

    /// What a Master that answers so is taken to say of other Masters.
    fn heard(status: u16) -> Result<Vec<ListedForwarded>, NodeError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
            write!(stream, "{head}Content-Length: 0\r\n\r\n").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            // Until the other end has heard it.
            while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
        });
        let master = SlapClient::new(&url, None, Duration::from_secs(60)).unwrap();
        let heard = served_elsewhere(&master);
        drop(master);
        server.join().unwrap();
        heard
    }

    #[test]
    fn only_another_kind_of_master_has_nothing_to_tell() {
        assert_eq!(heard(404).unwrap(), []);
        for status in [200, 403, 500, 503] {
            assert!(heard(status).is_err(), "{status} is taken for none");
        }
    }

    #[test]
    fn what_is_here_goes_before_what_is_called_the_same_elsewhere() {
        let there = |title: &str, root: bool| -> ListedForwarded {
            let tree = json!({ "project": "p", "title": title });
            serde_json::from_value(json!({
                "project": "p", "title": title, "tree": tree, "root": root, "shared": false,
                "software_release": "there", "software_type": "", "master_url": "http://m",
                "title_there": "t", "asked_at": "",
            }))
            .unwrap()
        };
        let here = vec![InstanceSummary { title: "a".to_owned(), software: "here".into() }];
        let all = all_roots(here, vec![there("a", true), there("b", true), there("c", false)]);
        assert_eq!(json!(all), json!({ "a": "here", "b": "there" }));
    }

    fn outlook(would: &str, place: &serde_json::Value, schema: &serde_json::Value) -> String {
        let text = json!({ "would": would, "place": place, "why": "so it is", "schema": schema });
        described(&serde_json::from_value(text).unwrap()).join("\n")
    }

    #[test]
    fn what_a_request_would_do_is_said_with_its_reason() {
        let place = json!({ "computer": "c", "partition": "p" });
        let fits = json!({ "readable": true, "errors": [] });
        let unknown = json!({ "readable": false, "why": "no schema", "errors": [] });
        let wrong = json!({ "path": "$.a", "message": "it is no number" });
        let wrong = json!({ "readable": true, "errors": [wrong] });
        insta::assert_snapshot!(outlook("create", &place, &fits), @r"
        It would be made on c/p: so it is.
        Its parameters are what the Software Release takes.
        ");
        insta::assert_snapshot!(outlook("change", &place, &wrong), @r"
        It is on c/p, and would be changed: so it is.
        Its parameters are not what the Software Release takes:
          $.a: it is no number
        ");
        insta::assert_snapshot!(outlook("nothing", &place, &unknown), @r"
        It is on c/p, and nothing would be changed: so it is.
        Its parameters cannot be judged: no schema.
        ");
        insta::assert_snapshot!(outlook("nothing", &json!(null), &unknown), @r"
        It would not be granted: so it is.
        Its parameters cannot be judged: no schema.
        ");
        let text = json!({ "would": "change", "place": place, "why": "so it is",
            "remarks": ["It stays there"], "schema": fits });
        insta::assert_snapshot!(described(&serde_json::from_value(text).unwrap()).join("\n"), @r"
        It is on c/p, and would be changed: so it is.
        It stays there.
        Its parameters are what the Software Release takes.
        ");
    }
}
