//! How long, how much and how often: what is said, by each face, to who is too slow, sends too much or
//! asks too often; and who is refused before he can say anything.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use axum::http::Method;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::world::{OWN, Proof, World};
use crate::Rate;
use crate::authority::CLIENT_LIFE;
use crate::store::Holder;

/// A route of each face.
const FACES: [&str; 3] =
    ["/supplySupply", "/slapos.post.v0.software_installation", "/api/v1/instances"];

fn kind(path: &str) -> &str {
    if path == FACES[0] { "application/x-www-form-urlencoded" } else { "application/json" }
}

/// The answer to a request that says that its body is so long.
fn answer(world: &World, path: &str, length: usize, body: &[u8], more: &str) -> String {
    let mut stream = TcpStream::connect(world.running.address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer the token\r\n\
         Content-Type: {}\r\nContent-Length: {length}\r\n{more}\r\n",
        kind(path)
    );
    stream.write_all(head.as_bytes()).unwrap();
    // It may be refused before it is there.
    let _ = stream.write_all(body);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    String::from_utf8(heard).unwrap()
}

/// Head and body, without what is the same in all.
fn parts(answer: &str) -> (String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn a_body_that_stays_away_is_the_clients_fault_in_the_words_of_each_face() {
    let world = World::arranged(|_| {}, |app| app.patience = Duration::from_millis(300));
    let [classic, rpc, own] = FACES.map(|path| {
        let (head, body) = parts(&answer(&world, path, 100, b"u", ""));
        assert!(head.starts_with("http/1.1 408 "), "{head}");
        assert!(head.contains("connection: close") && !head.contains("retry-after"), "{head}");
        (head, body)
    });
    insta::assert_snapshot!(classic.1, @"the body of POST /supplySupply did not come within 0 s: ask again, and send all of it");
    assert!(classic.0.contains("text/plain"));
    insta::assert_snapshot!(rpc.1, @r#"{"status": 408, "type": "Request Timeout", "title": "the body of POST /slapos.post.v0.software_installation did not come within 0 s: ask again, and send all of it"}"#);
    assert!(rpc.0.contains("content-type: application/json"));
    insta::assert_snapshot!(own.1, @r#"{"status":408,"title":"the body of POST /api/v1/instances did not come within 0 s: ask again, and send all of it"}"#);
    assert!(own.0.contains("application/problem+json"));
}

#[test]
fn a_body_that_is_too_large_is_told_how_large_it_may_be_in_the_words_of_each_face() {
    let world = World::new();
    let body = vec![b'x'; (4 << 20) + 1];
    let [classic, rpc, own] = FACES.map(|path| {
        let (head, text) = parts(&answer(&world, path, body.len(), &body, "Connection: close\r\n"));
        assert!(head.starts_with("http/1.1 413 "), "{head}");
        (head, text)
    });
    insta::assert_snapshot!(classic.1, @"POST /supplySupply takes a body of at most 4194304 bytes, and this one is larger");
    insta::assert_snapshot!(rpc.1, @r#"{"status": 413, "type": "Payload Too Large", "title": "POST /slapos.post.v0.software_installation takes a body of at most 4194304 bytes, and this one is larger"}"#);
    insta::assert_snapshot!(own.1, @r#"{"status":413,"title":"POST /api/v1/instances takes a body of at most 4194304 bytes, and this one is larger"}"#);
    assert!(own.0.contains("application/problem+json"));
}

#[test]
fn who_is_not_known_is_told_so_in_the_words_of_each_face() {
    let world = World::new();
    let [classic, rpc, own] = FACES.map(|path| {
        let wrong = Proof::Token("wrong".to_owned());
        let answer = world.ask(&wrong, &Method::POST, path, "").unwrap().rest();
        let (head, text) = parts(&answer);
        assert!(head.starts_with("http/1.1 401 ") && head.contains("www-authenticate"), "{head}");
        text
    });
    insta::assert_snapshot!(classic, @"the token is not one of this Master's, or not any more");
    insta::assert_snapshot!(rpc, @r#"{"status": 401, "type": "Unauthorized", "title": "the token is not one of this Master's, or not any more"}"#);
    insta::assert_snapshot!(own, @r#"{"status":401,"title":"the token is not one of this Master's, or not any more"}"#);
}

#[test]
fn who_asks_as_nobody_asks_only_so_often() {
    let few = Rate { per_second: 1e-6, burst: 3.0 };
    let world = World::arranged(|config| config.access.strangers = few, |_| {});
    let nonce = "0123456789abcdef0123456789abcdef";
    let proof = format!("/api/v1/proof?nonce={nonce}&token=0123456789abcdef");
    let ask = |who: &Proof, path: &str| world.status(who, &Method::GET, path, "").unwrap();
    let nobody = Proof::Nothing;
    let statuses = [&proof, &proof, &proof, &proof].map(|path| ask(&nobody, path));
    assert_eq!(statuses, [401, 401, 401, 429]);
    for path in ["/readyz", "/api/v1/authority", "/ui/"] {
        assert_eq!(ask(&nobody, path), 429, "{path}");
    }
    // Who is known is not a stranger, whatever else his address does.
    let node = world.token(&Holder::Computer(OWN.into()), None);
    assert_eq!((ask(&node, "/readyz"), ask(&node, "/api/v1/me")), (200, 200));
}

#[test]
fn who_makes_what_proves_who_he_is_is_told_of() {
    let world = World::new();
    let node = Holder::Computer(OWN.into());
    let proof = world.token(&node, None);
    let ask = |method: &Method, path: &str| world.status(&proof, method, path, "{}").unwrap();
    let (certificate, token) =
        ["certificate", "token"].map(|what| format!("/api/v1/computers/{OWN}/{what}")).into();
    let part = format!("/api/v1/computers/{OWN}/partitions/slappart0/token");
    for path in [&certificate, &token, &part] {
        assert_eq!(ask(&Method::POST, path), 201, "{path}");
    }
    // What it reports is not.
    assert_eq!(ask(&Method::POST, &format!("/api/v1/computers/{OWN}/promises")), 400);
    assert_eq!(ask(&Method::DELETE, &certificate), 200);
    let mut told = world.audit();
    told.reverse();
    let told: Vec<_> = told.iter().map(|entry| entry.join(" ")).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    computer c-ann /api/v1/computers/{id}/certificate c-ann
    computer c-ann /api/v1/computers/{id}/token c-ann
    computer c-ann /api/v1/computers/{id}/partitions/{partition}/token c-ann/slappart0
    computer c-ann /api/v1/computers/{id}/certificate c-ann
    ");
}

/// Nothing is looked up without end for who presents one token after the other.
#[test]
fn who_goes_on_failing_is_not_even_looked_up() {
    let few = Rate { per_second: 1e-6, burst: 2.0 };
    let configure = |config: &mut crate::MasterConfig| {
        config.access.failures = few;
        config.access.strangers = few;
    };
    let world = World::arranged(configure, |_| {});
    let wrong = Proof::Token(format!("slapos_u_{}", "0".repeat(64)));
    let ask = |who: &Proof| world.status(who, &Method::GET, "/api/v1/me", "").unwrap();
    let good = world.token(&Holder::Computer(OWN.into()), None);
    assert_eq!([&wrong, &wrong, &wrong, &good].map(ask), [401, 401, 429, 200]);
    // Now all that comes from there, but the operator.
    assert_eq!(ask(&good), 429);
    assert_eq!(ask(&Proof::Token("the token".to_owned())), 200);
}

#[test]
fn who_is_refused_in_the_handshake_is_told_of_once_a_minute() {
    let world = World::new();
    let ask = |proof: &Proof| world.status(proof, &Method::GET, "/api/v1/me", "");
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, OWN);
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap().pem();
    let forged = Proof::Certificate(own, key.serialize_pem());
    let told = |world: &World| {
        let entries = world.audit().into_iter().filter(|[_, route, _]| route == "handshake");
        entries.map(|[caller, _, about]| format!("{caller}: {about}")).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        assert_eq!(ask(&forged), None);
    }
    slapos_testkit::wait_for("an entry", 60, || (!told(&world).is_empty()).then_some(()));
    insta::assert_snapshot!(told(&world).join("\n"), @"stranger at 127.0.0.1: the certificate of CN=c-ann: this Master's authority did not sign it");
    // One of ours that has expired.
    let world = World::new();
    let past = world.app.store.time() - 2 * i64::try_from(CLIENT_LIFE).unwrap() * 1_000_000;
    let old = world.certificate(&Holder::Computer(OWN.into()), past);
    assert_eq!(world.status(&old, &Method::GET, "/api/v1/me", ""), None);
    slapos_testkit::wait_for("an entry", 60, || (!told(&world).is_empty()).then_some(()));
    insta::assert_snapshot!(told(&world).join("\n"), @"stranger at 127.0.0.1: the certificate of CN=c-ann: it has expired");
}
