//! The network cache: as the original serves it, in front of another one, and for the original's
//! client.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use slapos_testkit::wait_for;

use crate::master::{Answer, Master, TOKEN, original};

const OPTIONS: &str =
    "shacache_content_directory = HERE/content\nshacache_metadata_directory = HERE/dir\n";

/// SHA-512 of `hello`.
const HELLO: &str = "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043";
/// SHA-512 of 300000 times `x`.
const MANY_X: &str = "e240c84c0f708ae449f2d8aa60133667f5527a8505259afec061a98be44c2f78b3c3c7acfa0fdf15beef3c1dae7873fe790bb5a4a67bca792c3a88224269e891";
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn status(answer: &Answer) -> (u16, &str) {
    (answer.status, if answer.status < 400 { &answer.body } else { "" })
}

#[test]
fn a_cache_is_served_alike() {
    let Some(theirs) = original("a_cache_is_served_alike") else { return };
    let (theirs, ours) = (Master::original(&theirs, OPTIONS), Master::ours(OPTIONS));
    // The original does not make this one.
    let _ = std::fs::create_dir(theirs.path("content"));
    slapos_testkit::Person::ordinary(std::path::Path::new("/bin/true"))
        .unwrap()
        .give(&theirs.path("content"));
    let alike = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let send = |master: &Master| master.send(method, path, headers, body.as_bytes());
        let (ours, theirs) = (send(&ours), send(&theirs));
        assert_eq!(status(&ours), status(&theirs), "{method} {path}\n{ours:?}\n{theirs:?}");
        ours
    };
    let hello = format!("/shacache/cache/{HELLO}");
    alike("GET", &hello, &[], "");
    let made = alike("POST", "/shacache/cache", &[], "hello");
    assert_eq!(status(&made), (201, HELLO));
    alike("POST", "/shacache/cache/", &[], "other");
    let got = alike("GET", &hello, &[], "");
    assert_eq!((got.body.as_str(), got.kind.as_str()), ("hello", "application/octet-stream"));
    let part = alike("GET", &hello, &[("Range", "bytes=3-")], "");
    assert_eq!(status(&part), (206, "lo"));
    alike("GET", &hello, &[("Range", "bytes=9-")], "");
    alike("PUT", &hello, &[], "hello");
    alike("PUT", &hello, &[], "hullo");
    let information = format!("{{\"sha512\": \"{HELLO}\", \"x\": \"\\u00e9\"}}");
    let entry = serde_json::json!([information, "a signature"]).to_string();
    let key = "/shacache/dir/pypi:a=1";
    alike("GET", key, &[], "");
    alike("PUT", key, &[JSON], "[1]");
    alike("PUT", key, &[JSON], &entry);
    let entries =
        |answer: &Answer| serde_json::from_str::<serde_json::Value>(&answer.body).unwrap();
    let (one, two) = (ours.send("GET", key, &[], b""), theirs.send("GET", key, &[], b""));
    assert_eq!(entries(&one), entries(&two));
    let lost = entry.replace(HELLO, &"0".repeat(128));
    alike("PUT", "/shacache/dir/lost", &[JSON], &lost);
    let update = |master: &Master| entries(&master.send("POST", "/shacache/update", &[], b""));
    assert_eq!(update(&ours), serde_json::json!({"removed": ["lost"], "updated": []}));
    assert_eq!(update(&theirs), serde_json::json!({"removed": ["lost"], "updated": []}));
    alike("GET", "/shacache/dir/lost", &[], "");
    assert_eq!(entries(&ours.send("GET", key, &[], b"")), entries(&one));
}

#[test]
fn no_name_leads_out_of_the_cache() {
    let ours = Master::ours(OPTIONS);
    for path in
        ["cache/..%2fproxy.db", "dir/..%2fproxy.db", "dir/%2e%2e%2fmaster.token", "dir/a%00"]
    {
        let answer = ours.send("GET", &format!("/shacache/{path}"), &[], b"");
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        let entry = br#"["{}", ""]"#;
        let answer = ours.send("PUT", &format!("/shacache/{path}"), &[JSON], entry);
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
}

#[test]
fn without_directories_there_is_no_cache() {
    let Some(theirs) = original("without_directories_there_is_no_cache") else { return };
    let (theirs, ours) = (Master::original(&theirs, ""), Master::ours(""));
    for (method, path) in
        [("GET", "/shacache/dir/a"), ("POST", "/shacache/cache"), ("POST", "/shacache/update")]
    {
        let answers = [&theirs, &ours].map(|master| master.send(method, path, &[], b"x"));
        assert_eq!(answers[0].status, 503, "{path}");
        assert_eq!(answers[1].status, 503, "{path}");
        assert_eq!(answers[1].body, "Shacache not configured");
    }
}

#[test]
fn what_is_not_here_is_taken_from_another_cache_and_verified() {
    let Some(theirs) = original("what_is_not_here_is_taken_from_another_cache_and_verified") else {
        return;
    };
    let python = theirs.clone();
    let open = format!("{OPTIONS}shacache_anonymous_download = true\n");
    // Two of ours: the one in front asks as somebody without a token.
    let behind = Master::ours(&open);
    let front = Master::ours(&format!(
        "{open}shacache-upstream-cache-url = {0}/shacache/cache\n\
         shacache-upstream-dir-url = {0}/shacache/dir/\n",
        behind.url()
    ));
    let hello = format!("/shacache/cache/{HELLO}");
    assert_eq!(behind.send("POST", "/shacache/cache", &[], b"hello").status, 201);
    let entry = serde_json::json!([format!("{{\"sha512\": \"{HELLO}\"}}"), "sig"]).to_string();
    assert_eq!(behind.send("PUT", "/shacache/dir/key", &[JSON], entry.as_bytes()).status, 201);
    assert_eq!(front.send("GET", &hello, &[], b"").body, "hello");
    let told = front.send("GET", "/shacache/dir/key", &[], b"").body;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told[0], serde_json::from_str::<serde_json::Value>(&entry).unwrap());
    let missing = format!("/shacache/cache/{}", "0".repeat(128));
    assert_eq!(front.send("GET", &missing, &[], b"").status, 404);
    // A content that is not what its name says goes no further.
    std::fs::write(behind.path("content").join("1".repeat(128)), "bad").unwrap();
    let bad = front.send("GET", &format!("/shacache/cache/{}", "1".repeat(128)), &[], b"");
    assert_eq!((bad.status, bad.body.as_str()), (502, "Upstream error: Checksum mismatch"));
    assert!(!front.path("content").join("1".repeat(128)).exists());
    assert_eq!(behind.send("PUT", "/shacache/dir/key2", &[JSON], entry.as_bytes()).status, 201);
    assert_eq!(
        front.send("POST", "/shacache/update", &[], b"").body,
        r#"{"removed":[],"updated":["key"]}"#
    );

    // The original's client, which has no token to show.
    let script = "
import sys
from slapos.libnetworkcache import NetworkcacheClient
url, digest = sys.argv[1:]
client = NetworkcacheClient(url + '/shacache/cache', url + '/shacache/dir')
assert client.download(digest).read() == b'hello'
(information, signature), = client.select_generic('key', filter=False)
assert digest in information and signature == 'sig'
print('all is well')
";
    let output =
        python.command("python").args(["-c", script, &front.url(), HELLO]).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(said, "all is well\n");
}

/// Takes one question on a port, and answers it with the beginning of `whole`.
fn begin_to_answer(listener: &TcpListener, whole: &[u8], first: usize) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let mut question = [0; 4096];
    assert!(stream.read(&mut question).unwrap() > 0);
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len()).unwrap();
    stream.write_all(&whole[..first]).unwrap();
    stream
}

#[test]
fn a_content_is_given_while_it_comes_and_a_killed_master_keeps_no_half() {
    let (content, first) = (vec![b'x'; 300_000], 200_000);
    let behind = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = behind.local_addr().unwrap();
    let mut front =
        Master::ours(&format!("{OPTIONS}shacache_upstream_cache_url = http://{at}/cache\n"));
    let get = format!(
        "GET /shacache/cache/{MANY_X} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let ask = |front: &Master| {
        let mut client = TcpStream::connect(("127.0.0.1", front.port)).unwrap();
        client.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        client.write_all(get.as_bytes()).unwrap();
        client
    };
    let mut clients = [ask(&front), ask(&front)];
    let half = begin_to_answer(&behind, &content, first);
    // Both have the beginning of the one download, which does not end.
    for client in &mut clients {
        let mut begun = vec![0; 150_000];
        client.read_exact(&mut begun).unwrap();
        let head = String::from_utf8_lossy(&begun[..200]).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
    }
    front.kill();
    for client in &mut clients {
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert!(rest.len() < content.len() - 150_000, "a whole answer");
    }
    drop(half);
    let left = || std::fs::read_dir(front.path("content")).unwrap().count();
    assert!(!front.path("content").join(MANY_X).exists());
    assert_eq!(left(), 1, "what was written so far");
    front.again();
    let left = || std::fs::read_dir(front.path("content")).unwrap().count();
    wait_for("what was left to be tidied up", 60, || (left() == 0).then_some(()));
    let mut client = ask(&front);
    drop(begin_to_answer(&behind, &content, content.len()));
    let mut told = vec![0; content.len()];
    client.read_exact(&mut told).unwrap();
    wait_for("the content", 60, || front.path("content").join(MANY_X).exists().then_some(()));
}

#[test]
fn without_a_token_nothing_is_read_unless_it_is_allowed() {
    let ours = Master::ours(OPTIONS);
    let url = format!("{}/shacache/dir/a", ours.url());
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent: ureq::Agent = agent.into();
    assert_eq!(agent.get(&url).call().unwrap().status(), 401);
    assert_eq!(agent.put(&url).send("x").unwrap().status(), 401);
}
