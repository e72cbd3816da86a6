//! The words of the OpenAPI document about who may do what.

use super::super::identity::{NewComputer, NewName, NewToken};
use super::openapi::Operation;
use crate::store::{AuditTold, TokenInfo};
use crate::view::{MadeCertificate, MadeComputer, MadeToken, Person, Project, Revoked};

/// Routes of [`super::super::identity`].
pub(super) fn all() -> Vec<Operation> {
    let mut all = people();
    all.extend(projects());
    all.extend(computers());
    all.extend(tokens());
    all
}

fn one(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation::new(method, path, summary)
}

fn people() -> Vec<Operation> {
    vec![
        one("GET", "/api/v1/users", "The people who are known").pages::<Person>(),
        one("POST", "/api/v1/users", "Makes a person known")
            .takes::<NewName>()
            .gives::<Person>(201, "the person"),
        one("DELETE", "/api/v1/users/{name}", "Forgets a person, with his tokens")
            .done(204, "it is done"),
        one("GET", "/api/v1/audit", "Who changed what, and who was refused")
            .says("The newest first.")
            .pages::<AuditTold>(),
        one("GET", "/api/v1/authority", "The certificate of the Master's own authority")
            .says("409 where the Master has no TLS.")
            .gives_text("text/plain", "PEM"),
    ]
}

fn projects() -> Vec<Operation> {
    let member = "/api/v1/projects/{name}/members/{user}";
    vec![
        one("GET", "/api/v1/projects", "Projects, of a person his own").pages::<Project>(),
        one("POST", "/api/v1/projects", "Makes a project")
            .takes::<NewName>()
            .gives::<Project>(201, "the project"),
        one("DELETE", "/api/v1/projects/{name}", "Forgets a project")
            .says("Refused (409) while computers or instances are its own.")
            .done(204, "it is done"),
        one("PUT", member, "Makes a person a member").done(204, "he is one"),
        one("DELETE", member, "Takes a person out").done(204, "he is none"),
    ]
}

fn computers() -> Vec<Operation> {
    let certificate = "/api/v1/computers/{id}/certificate";
    vec![
        one("POST", "/api/v1/computers", "Makes a computer known before its node comes")
            .takes::<NewComputer>()
            .gives::<MadeComputer>(201, "the computer, and the token of its node"),
        one("POST", certificate, "A new certificate for a computer; former ones stay good")
            .gives::<MadeCertificate>(201, "the certificate and its key"),
        one("DELETE", certificate, "Revokes those of a computer and of its partitions")
            .gives::<Revoked>(200, "how many were valid"),
    ]
}

fn tokens() -> Vec<Operation> {
    let mut all = Vec::new();
    for path in ["/api/v1/users/{name}/tokens", "/api/v1/computers/{id}/token"] {
        all.push(one("GET", path, "Which tokens there are").listing::<TokenInfo>());
        all.push(given(path));
        all.push(revoked(path));
    }
    let part = "/api/v1/computers/{id}/partitions/{partition}/token";
    all.extend([given(part), revoked(part), revoked("/api/v1/users/{name}/tokens/{id}")]);
    all
}

fn given(path: &'static str) -> Operation {
    one("POST", path, "Makes a token")
        .takes::<NewToken>()
        .gives::<MadeToken>(201, "its name, and the token, which is told once")
}

fn revoked(path: &'static str) -> Operation {
    one("DELETE", path, "Revokes").gives::<Revoked>(200, "how many were valid")
}
