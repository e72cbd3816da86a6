//! Clients with a token in front of listeners that are not the Master.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use slapos_sys::Secret;

use crate::proof::ProofKey;
use crate::{SlapClient, SlapError};

const TOKEN: &str = "the-very-token";

/// Somebody on a port, who answers each request by a rule, one connection at a time, and records
/// what it receives. The rule gets the request and answers `None` to close the connection.
struct Listener {
    address: SocketAddr,
    requests: Receiver<String>,
}

impl Listener {
    fn new(rule: impl Fn(&str) -> Option<String> + Send + 'static) -> Listener {
        Listener::at("127.0.0.1:0".parse().unwrap(), usize::MAX, rule)
    }

    /// Gives up its connection and its port after that many requests.
    fn at(
        address: SocketAddr,
        most: usize,
        rule: impl Fn(&str) -> Option<String> + Send + 'static,
    ) -> Listener {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (record, requests) = channel();
        std::thread::spawn(move || {
            let mut served = 0;
            while served < most {
                let mut stream = listener.accept().unwrap().0;
                while served < most
                    && let Some(request) = read_head(&mut stream)
                {
                    served += 1;
                    let answer = rule(&request);
                    let _ = record.send(request);
                    let Some(answer) = answer else { break };
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
            drop(listener);
            drop(record);
        });
        Listener { address, requests }
    }

    fn client(&self) -> SlapClient {
        let url = format!("http://{}", self.address);
        SlapClient::new(&url, Some(Secret::new(TOKEN)), Duration::from_secs(20)).unwrap()
    }

    /// What was asked so far, and that the token never was in it.
    fn requests_without_token(&self) -> Vec<String> {
        let requests: Vec<String> = self.requests.try_iter().collect();
        for request in &requests {
            assert!(!request.to_lowercase().contains("authorization"), "{request}");
            assert!(!request.contains(TOKEN), "{request}");
        }
        requests
    }
}

fn read_head(stream: &mut impl std::io::Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    Some(String::from_utf8(head).unwrap())
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What the real Master answers.
fn master(request: &str) -> String {
    match request.split_once("?nonce=") {
        Some((route, rest)) => {
            assert_eq!(route, "GET /api/v1/proof");
            let nonce = rest.split(' ').next().unwrap();
            answer("200 OK", &ProofKey::new(&Secret::new(TOKEN)).prove(nonce))
        }
        None if request.contains(&format!("Bearer {TOKEN}\r\n")) => answer("200 OK", "run"),
        None => answer("401 Unauthorized", ""),
    }
}

fn reason(error: SlapError) -> String {
    assert!(!error.is_temporary(), "{error}");
    match error {
        SlapError::Impostor { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn whoever_cannot_prove_gets_nothing() {
    for (given, expected) in [
        (answer("200 OK", "0"), "its proof is wrong"),
        (answer("200 OK", &"0".repeat(64)), "its proof is wrong"),
        (answer("200 OK", &"0".repeat(100_000)), "its answer is not a proof"),
        (
            answer("401 Unauthorized", "Authorization: Bearer TOKEN, please"),
            "it answers 401 to /api/v1/proof",
        ),
        (answer("404 Not Found", ""), "it answers 404 to /api/v1/proof"),
        (
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "it answers 302 to /api/v1/proof",
        ),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), "its answer is not a proof"),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "its answer is not HTTP"),
        (format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(9_000)), "its answer is not HTTP"),
    ] {
        let rogue = Listener::new(move |_| Some(given.clone()));
        let client = rogue.client();
        assert_eq!(reason(client.ping().unwrap_err()), expected);
        // Being refused once does not make it more trustworthy, nor does posting.
        assert_eq!(reason(client.clone().ping().unwrap_err()), expected);
        let posted = client.supply(&"s".into(), &"c".into(), crate::SoftwareState::Available);
        assert_eq!(reason(posted.unwrap_err()), expected);
        let requests = rogue.requests_without_token();
        assert!(requests.iter().all(|request| request.starts_with("GET /api/v1/proof?nonce=")));
        assert_eq!(requests.len(), 3, "{requests:?}");
        let nonce = |at: usize| requests[at].split(['=', ' ']).nth(2).unwrap();
        assert!(nonce(0) != nonce(1) && crate::proof::is_nonce(nonce(0)));
    }
}

#[test]
fn a_proof_followed_by_more_is_none() {
    // The surplus would be taken for the answer to the next request.
    let rogue = Listener::new(|request| Some(master(request) + &answer("200 OK", "run")));
    assert_eq!(reason(rogue.client().ping().unwrap_err()), "it says more than it was asked");
    rogue.requests_without_token();
}

#[test]
fn the_error_says_what_to_do() {
    let rogue = Listener::new(|_| Some(answer("404 Not Found", "")));
    let error = rogue.client().ping().unwrap_err().to_string();
    let error = error.replace(&rogue.address.to_string(), "ADDRESS");
    insta::assert_snapshot!(error, @"something answers at http://ADDRESS/, but it is not our Master (it does not know the token): it answers 404 to /api/v1/proof; the token was not sent. If another program has that address, stop it and start the Master; if it is the Master, restart it, and give this configuration the token that it was started with; if it is another kind of Master, configure no token");
}

#[test]
fn a_master_that_is_starting_is_temporary() {
    let absent = Listener::new(|_| Some(answer("503 Service Unavailable", "soon")));
    let error = absent.client().ping().unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert!(error.to_string().ends_with("answers 503 to /api/v1/proof: soon"), "{error}");
    absent.requests_without_token();
    let closing = Listener::new(|_| None);
    let error = closing.client().ping().unwrap_err();
    assert!(matches!(error, SlapError::Unreachable { .. }) && error.is_temporary(), "{error}");
    closing.requests_without_token();
}

#[test]
fn one_proof_serves_a_client_and_its_clones() {
    let listener = Listener::new(|request| Some(master(request)));
    let client = listener.client();
    for _ in 0..3 {
        client.ping().unwrap();
        client.clone().ping().unwrap();
    }
    let requests: Vec<String> = listener.requests.try_iter().collect();
    let proofs = requests.iter().filter(|request| request.contains("/proof?")).count();
    assert_eq!((proofs, requests.len()), (1, 7), "{requests:?}");
    assert!(!requests[0].contains(TOKEN));
}

#[test]
fn who_takes_the_port_later_is_asked_again() {
    // The Master goes away after one proof and one answer, as if it had been killed.
    let real = Listener::at("127.0.0.1:0".parse().unwrap(), 2, |request| Some(master(request)));
    let client = real.client();
    client.ping().unwrap();
    // Ends when the port is free.
    assert_eq!(real.requests.iter().count(), 2);
    let rogue = Listener::at(real.address, usize::MAX, |_| Some(answer("200 OK", "run")));
    assert_eq!(reason(client.ping().unwrap_err()), "its proof is wrong");
    assert_eq!(rogue.requests_without_token().len(), 1);
}

#[test]
fn redirections_lead_the_token_to_nobody_else() {
    let rogue = Listener::new(|_| Some(answer("200 OK", "run")));
    let port = rogue.address.port();
    for host in ["127.0.0.1", "127.0.0.2", "localhost"] {
        let location = format!("Location: http://{host}:{port}/getRunId");
        let real = Listener::new(move |request| {
            let found = format!("HTTP/1.1 302 Found\r\n{location}\r\nContent-Length: 0\r\n\r\n");
            Some(if request.contains("/proof?") { master(request) } else { found })
        });
        let _ = real.client().ping();
        assert_eq!(real.requests.try_iter().count(), 2);
        rogue.requests_without_token();
    }
    assert_eq!(reason(rogue.client().ping().unwrap_err()), "its proof is wrong");
}
