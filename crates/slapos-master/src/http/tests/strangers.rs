//! What is told to whom nobody knows, and for how long he is listened to.

use axum::http::Method;

use super::world::{OWN, Proof, World};
use super::*;
use crate::Rate;
use crate::store::Holder;

#[test]
fn nothing_but_health_without_the_token() {
    let running = Running::new();
    for token in [None, Some("")] {
        let error = running.client_with(token).full_computer_information(&home()).unwrap_err();
        assert!(matches!(error, SlapError::Unauthorised { .. }), "{error}");
        let error = running.client_with(token).overview().unwrap_err();
        assert!(matches!(error, SlapError::Unauthorised { .. }), "{error}");
    }
    // Our client does not even show a token that the Master does not know; others may.
    let error = running.client_with(Some("wrong")).overview().unwrap_err();
    assert!(matches!(error, SlapError::Impostor { .. }) && !error.is_temporary(), "{error}");
    let mut stream = TcpStream::connect(running.address).unwrap();
    let head = "GET /getRunId HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer wrong\r\n";
    write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("the token is not the token"));
    let mut stream = TcpStream::connect(running.address).unwrap();
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nok"), "{answer}");
    let mut stream = TcpStream::connect(running.address).unwrap();
    write!(stream, "GET /nowhere HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "routes are not told apart: {answer}");
}

#[test]
fn the_proof_needs_no_token_but_a_nonce() {
    let running = Running::new();
    let ask = |query: &str| {
        let mut stream = TcpStream::connect(running.address).unwrap();
        let head = format!("GET /api/v1/proof{query} HTTP/1.1\r\nHost: m\r\n");
        write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        format!("{} {body}", head.split(' ').nth(1).unwrap())
    };
    let nonce = "0123456789abcdef0123456789abcdef";
    // As `printf slapos-master-proof:NONCE | openssl dgst -sha256 -hmac "the token"` has it.
    insta::assert_snapshot!(ask(&format!("?nonce={nonce}")), @"200 0fd9621732c0206f472449a0b405fce476de41d6dc3f804b88ffdaebf2c2bcb8");
    for query in ["", "?nonce=", "?nonce=0", &format!("?nonce={}", "g".repeat(32))] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(ask(query), @"400 the nonce must be 32 to 128 hex digits");
        }
    }
    let twice = ask(&format!("?nonce={nonce}&nonce={nonce}"));
    assert!(twice.starts_with("400 "), "{twice}");
}

/// True when the other side has ended the connection; waits for it.
fn is_ended(stream: &mut TcpStream) -> bool {
    // A connection that is closed with something unread is reset.
    matches!(stream.read(&mut [0; 16]), Ok(0) | Err(_))
}

#[test]
fn idle_strangers_keep_nobody_out() {
    let patient = std::time::Duration::from_secs(600);
    let running = Running::with(Limits { connections: 4, stranger: patient, idle: patient });
    let mut keeper = TcpStream::connect(running.address).unwrap();
    let mut ask = || {
        let head = "GET /getRunId HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer the token\r\n\r\n";
        keeper.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 1024];
        let length = keeper.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    };
    ask();
    let mut strangers: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(running.address).unwrap()).collect();
    running.client().ping().unwrap();
    assert!(is_ended(&mut strangers[0]), "the oldest has to go");
    // Whoever had the token stays: its connection is still good.
    ask();
}

/// Asks, and leaves the connection open, of which it is told whether it was answered.
fn keep(world: &World, token: &Proof) -> Option<TcpStream> {
    let Proof::Token(token) = token else { panic!("{token:?}") };
    let mut stream = TcpStream::connect(world.running.address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let head = "GET /api/v1/me HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer";
    write!(stream, "{head} {token}\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    (stream.read_exact(&mut answer).is_ok() && answer.ends_with(b" 200")).then_some(stream)
}

#[test]
fn one_caller_keeps_nobody_out() {
    let world = World::arranged(|config| config.access.connections = Some(8), |_| {});
    let instance = world.token(&Holder::Partition(OWN.into(), "slappart0".into()), None);
    let node = world.token(&Holder::Computer(OWN.into()), None);
    let mut greedy: Vec<_> = (0..8).map(|_| keep(&world, &instance).unwrap()).collect();
    let stays = keep(&world, &node);
    assert!(stays.is_some(), "there is no room for a node");
    let ask = |who: &Proof, path: &str| world.status(who, &Method::GET, path, "");
    assert_eq!(ask(&Proof::Nothing, "/readyz"), Some(200));
    assert_eq!(ask(&Proof::Token("the token".to_owned()), "/api/v1/me"), Some(200));
    let end = greedy[0].read_to_end(&mut Vec::new()).map_err(|error| error.kind());
    let is_ended = matches!(end, Ok(_) | Err(std::io::ErrorKind::ConnectionReset));
    assert!(is_ended, "what is idle longest has to go: {end:?}");
    // However many more it asks for.
    greedy.extend((0..16).map(|_| keep(&world, &instance).unwrap()));
    let mut stays = stays.unwrap();
    stays.set_nonblocking(true).unwrap();
    let mut left = Vec::new();
    let error = stays.read_to_end(&mut left).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "the node had to go for it");
}

#[test]
fn a_stranger_has_little_time_however_slowly_it_talks() {
    let stranger = std::time::Duration::from_secs(1);
    let running = Running::with(Limits { stranger, ..Limits::default() });
    let client = running.client();
    client.ping().unwrap();
    let mut silent = TcpStream::connect(running.address).unwrap();
    let mut slow = TcpStream::connect(running.address).unwrap();
    write!(slow, "GET /healthz HTTP/1.1\r\nHost: m\r\n").unwrap();
    let mut said = 0;
    // Each write gives the Master something to read; in the end there is nobody to write to.
    while write!(slow, "X-{said}: a\r\n").is_ok() {
        said += 1;
        std::thread::sleep(stranger / 20);
        assert!(said < 10_000, "it may talk for ever");
    }
    assert!(is_ended(&mut slow) && is_ended(&mut silent));
    client.ping().unwrap();
}

#[test]
fn which_methods_a_route_has_is_told_to_who_is_known_and_others_do_not_ask_for_ever() {
    let few = Rate { per_second: 1e-6, burst: 2.0 };
    let world = World::arranged(|config| config.access.failures = few, |_| {});
    let ask = |who: &Proof, method: Method, path: &str| world.told(who, &method, path, "").unwrap();
    for path in ["/api/v1/me", "/supplySupply", "/slapos.post.v0.software_instance", "/healthz"] {
        let told = ask(&Proof::Nothing, Method::DELETE, path);
        assert_eq!(told.status, 401, "{path}");
        assert!(!told.head.contains("\nallow: "), "{path}: {}", told.head);
    }
    let node = world.token(&Holder::Computer(OWN.into()), None);
    let told = ask(&node, Method::DELETE, "/api/v1/me");
    assert_eq!(told.status, 405);
    assert!(told.head.contains("\nallow: get,head\n"), "{}", told.head);
    let wrong = Proof::Token("wrong".to_owned());
    let statuses = [401, 401, 429].map(|_| ask(&wrong, Method::DELETE, "/api/v1/me").status);
    assert_eq!(statuses, [401, 401, 429]);
}
