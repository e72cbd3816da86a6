//! Whatever is wrong with a request of the API is told as a problem, whoever finds it: a handler, what
//! reads the request for it, or what looks for the route.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::Running;

const JSON: &str = "application/json";

/// Head in lower case and body of the answer to a request of the operator's.
fn answer(running: &Running, request: &str, kind: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(running.address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer the token\r\n\
         Connection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

/// The words of a problem with that status.
fn problem(running: &Running, request: &str, kind: &str, body: &str, status: u16) -> String {
    let (head, text) = answer(running, request, kind, body);
    assert!(head.starts_with(&format!("http/1.1 {status} ")), "{request}: {head}");
    assert!(head.contains("\r\ncontent-type: application/problem+json"), "{request}: {head}");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["status"], status, "{request}: {text}");
    told["title"].as_str().unwrap().to_owned()
}

#[test]
fn whoever_refuses_a_request_says_it_as_a_problem() {
    let running = Running::new();
    let form = "application/x-www-form-urlencoded";
    for (request, kind, body, status) in [
        // There is no such route, or none with that method.
        ("GET /api/v1/nothing", JSON, "", 404),
        ("GET /api/v1/", JSON, "", 404),
        ("GET /api/v1", JSON, "", 404),
        ("DELETE /api/v1/me", JSON, "", 405),
        ("BREW /api/v1/instances", JSON, "", 405),
        // The body.
        ("POST /api/v1/instances", form, "title=a", 415),
        ("POST /api/v1/instances", JSON, "{", 400),
        ("POST /api/v1/instances", JSON, "[]", 400),
        ("POST /api/v1/users", JSON, r#"{"name": 1}"#, 400),
        // The address.
        ("GET /api/v1/instances?limit=x", JSON, "", 400),
        ("GET /api/v1/instances?other=x", JSON, "", 400),
        ("GET /api/v1/events?since=1&since=2", JSON, "", 400),
        ("GET /api/v1/events?since=%00", JSON, "", 400),
        ("GET /api/v1/instances/%ff", JSON, "", 400),
        ("PUT /api/v1/projects/%ff/members/ann", JSON, "", 400),
        ("DELETE /api/v1/users/ann/tokens/%ff", JSON, "", 400),
        ("DELETE /api/v1/computers/%ff/partitions/p/token", JSON, "", 400),
    ] {
        assert!(!problem(&running, request, kind, body, status).is_empty());
    }
}

#[test]
fn a_method_that_there_is_not_is_told_of_those_that_there_are_in_the_words_of_each_face() {
    let running = Running::new();
    let told = problem(&running, "DELETE /api/v1/me", JSON, "", 405);
    insta::assert_snapshot!(told, @"/api/v1/me does not take DELETE: see `Allow`");
    for (request, allowed, body) in [
        ("DELETE /api/v1/me", "get,head", r#"{"status":405,"#),
        ("PATCH /api/v1/instances", "get,head,post", r#"{"status":405,"#),
        ("GET /slapos.post.v0.software_installation", "post", r#"{"status": 405, "#),
        ("GET /supplySupply", "post", "/supplySupply does not take GET: see `Allow`"),
    ] {
        let (head, text) = answer(&running, request, JSON, "");
        assert!(head.contains(&format!("\r\nallow: {allowed}\r\n")), "{request}: {head}");
        assert!(text.starts_with(body), "{request}: {text}");
    }
}
