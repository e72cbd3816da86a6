//! What it costs that a token is somebody's own: it is looked up for each request, which the operator's is
//! not. A computer and a user ask what they usually ask, beside the operator.

use serde_json::{Value, json};

use crate::Target;
use crate::http::{Connection, Request};
use crate::load::Measure;
use crate::ours::Master;
use crate::ratios::{BUSY, CONNECTIONS, PARTITIONS, asked, fill, prepare, repeated, run_all};
use crate::words::Words;

/// The computer that has a token, of a project that the user is a member of.
const OWN: &str = "own";

type Question = fn(&Words, &str) -> Vec<Request>;

/// Asks, and prints.
pub(crate) fn compare(master: &Master) {
    let operator = Target::of(master);
    let [computer, user] = holders(&operator);
    prepare(&operator, 0);
    run_all(&operator, 1, {
        let words = operator.words.clone();
        move |turn| (turn == 0).then(|| words.format(OWN, PARTITIONS))
    });
    fill(&user, OWN);
    println!(
        "{:36} {:10} {:>7} | {:>10} {:>7} | {:>9} {:>8} {:>8} {:>7} | ratio",
        "question",
        "token of",
        "clients",
        "operator/s",
        "cpu us",
        "own/s",
        "p50 ms",
        "p99 ms",
        "cpu us"
    );
    let full: Question = |words, computer| vec![words.full(computer)];
    for (question, name, holder, requests) in [
        ("full information of 50 partitions", "a computer", &computer, full),
        ("request, repeated", "a user", &user, repeated),
    ] {
        for connections in CONNECTIONS {
            let former = asked(&operator, connections, requests(&operator.words, BUSY));
            let Measure { rate, p50, p99, cpu } =
                asked(holder, connections, requests(&holder.words, OWN));
            let ratio = rate / former.rate;
            println!(
                "{question:36} {name:10} {connections:>7} | {:>10.0} {:>7.0} | {rate:>9.0} {p50:>8.3} \
                 {p99:>8.3} {cpu:>7.0} | {ratio:.2}",
                former.rate, former.cpu
            );
        }
    }
    println!();
}

/// The Master as a computer and as a user have it, who become known.
fn holders(operator: &Target) -> [Target; 2] {
    let made = |method: &str, path: &str, body: Value| made(operator, method, path, &body);
    made("POST", "/api/v1/users", json!({ "name": "ann" }));
    made("POST", "/api/v1/projects", json!({ "name": "alpha" }));
    made("PUT", "/api/v1/projects/alpha/members/ann", Value::Null);
    let computer = json!({ "title": OWN, "project": "alpha" });
    let tokens = [
        made("POST", "/api/v1/computers", computer),
        made("POST", "/api/v1/users/ann/tokens", json!({})),
    ];
    tokens.map(|told| {
        let token = told["token"].as_str().expect("a token is given").to_owned();
        Target { words: Words { token }, ..operator.clone() }
    })
}

/// What the Master answers to the operator; null where it says nothing.
fn made(operator: &Target, method: &str, path: &str, body: &Value) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let request = Request::json(method, path, &operator.words.token, body);
    runtime.expect("a runtime can be made").block_on(async {
        let mut connection = Connection::new(operator.address);
        let told = connection.exchange(&request).await;
        let told = told.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        serde_json::from_slice(told).unwrap_or_default()
    })
}
