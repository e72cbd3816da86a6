//! The words about people, projects, tokens, certificates and the audit log.

use serde_json::{Value, json};

use super::super::openapi::Operation;
use super::{get, post};

fn delete(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("DELETE", path, summary)
}

pub(super) fn all() -> Vec<Operation> {
    let mut all = people();
    all.extend(projects());
    all.extend(computers());
    all.push(
        get("/api/v1/authority", "The certificate of the Master's own authority")
            .gives_text("application/x-pem-file", "by which others recognise the Master"),
    );
    all.push(
        get("/api/v1/audit", "What was changed, by whom, and what came of it; the newest first")
            .may("after", "the `next` of the part before")
            .may("limit", "how many at most; 100 if left out")
            .gives_json(
                200,
                "a part of the log",
                list(&json!({
                    "id": text(), "at": text(), "caller": text(), "method": text(), "route": text(),
                    "about": text(), "outcome": {"type": "integer"},
                })),
            ),
    );
    all
}

fn text() -> Value {
    json!({"type": "string"})
}

fn object(members: &Value) -> Value {
    json!({"type": "object", "properties": members})
}

/// A part of a list of such things.
fn list(members: &Value) -> Value {
    object(&json!({
        "items": {"type": "array", "items": object(members)},
        "next": {"type": ["string", "null"]},
    }))
}

/// Something that is given a name.
fn name() -> Value {
    json!({
        "type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {"name": text()},
    })
}

fn named(with: &str) -> Value {
    json!({"name": text(), "created_at": text(), with: {"type": "array", "items": text()}})
}

/// What a new token may be told.
fn token_wish() -> Value {
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "label": text(),
            "expires_in": {"type": "integer", "minimum": 1, "description": "seconds"},
        },
    })
}

fn token() -> Value {
    object(&json!({"id": text(), "label": text(), "token": text()}))
}

fn tokens() -> Value {
    list(&json!({"id": text(), "label": text(), "created_at": text()}))
}

fn revoked() -> Value {
    object(&json!({"revoked": {"type": "integer"}}))
}

fn paged(operation: Operation) -> Operation {
    operation
        .may("after", "the `next` of the part before")
        .may("limit", "how many at most; 100 if left out")
}

const SHOWN_ONCE: &str = "the token, which is shown this once";

fn people() -> Vec<Operation> {
    let tokens_path = "/api/v1/users/{name}/tokens";
    vec![
        paged(get("/api/v1/users", "People, with their projects")).gives_json(
            200,
            "by name",
            list(&named("projects")),
        ),
        post("/api/v1/users", "Makes a person known").takes_json(name()).gives_json(
            201,
            "the person",
            object(&named("projects")),
        ),
        delete("/api/v1/users/{name}", "Forgets a person and his tokens")
            .done(204, "he is forgotten; what his projects own stays"),
        get(tokens_path, "The tokens of a person, without what they are").gives_json(
            200,
            "all",
            tokens(),
        ),
        post(tokens_path, "Gives a person a token").takes_json(token_wish()).gives_json(
            201,
            SHOWN_ONCE,
            token(),
        ),
        delete(tokens_path, "Revokes all tokens of a person").gives_json(
            200,
            "how many there were",
            revoked(),
        ),
        delete("/api/v1/users/{name}/tokens/{id}", "Revokes a token").gives_json(
            200,
            "how many there were",
            revoked(),
        ),
    ]
}

fn projects() -> Vec<Operation> {
    let member = "/api/v1/projects/{name}/members/{user}";
    vec![
        paged(get("/api/v1/projects", "Projects that the caller is a member of")).gives_json(
            200,
            "by name",
            list(&named("members")),
        ),
        post("/api/v1/projects", "Makes a project").takes_json(name()).gives_json(
            201,
            "the project",
            object(&named("members")),
        ),
        delete("/api/v1/projects/{name}", "Forgets a project that owns nothing")
            .done(204, "it is forgotten"),
        Operation::new("PUT", member, "Makes a person a member").done(204, "he is one"),
        delete(member, "Takes a person out of a project").done(204, "he is none"),
    ]
}

fn computers() -> Vec<Operation> {
    let token_path = "/api/v1/computers/{id}/token";
    let certificate = "/api/v1/computers/{id}/certificate";
    let part = "/api/v1/computers/{id}/partitions/{partition}/token";
    let wish = json!({
        "type": "object", "required": ["title"], "additionalProperties": false,
        "properties": {"title": text(), "project": text()},
    });
    let made = json!({"id": text(), "title": text(), "project": text(), "token": text()});
    let pair = json!({"certificate": text(), "key": text()});
    vec![
        post("/api/v1/computers", "Makes a computer known before its node comes")
            .takes_json(wish)
            .gives_json(201, SHOWN_ONCE, object(&made)),
        get(token_path, "The tokens of a computer, without what they are").gives_json(
            200,
            "all",
            tokens(),
        ),
        post(token_path, "Gives a computer a token").takes_json(token_wish()).gives_json(
            201,
            SHOWN_ONCE,
            token(),
        ),
        delete(token_path, "Revokes all tokens of a computer").gives_json(
            200,
            "how many there were",
            revoked(),
        ),
        post(certificate, "Signs a certificate for a computer").gives_json(
            201,
            "the certificate, and the key, which is shown this once",
            object(&pair),
        ),
        delete(certificate, "Revokes all certificates of a computer and of its partitions")
            .gives_json(200, "how many there were", revoked()),
        post(part, "Gives a partition a token").takes_json(token_wish()).gives_json(
            201,
            SHOWN_ONCE,
            token(),
        ),
        delete(part, "Revokes all tokens of a partition").gives_json(
            200,
            "how many there were",
            revoked(),
        ),
    ]
}
