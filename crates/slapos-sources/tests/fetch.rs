//! Fetching over the network as it is: cut, wrong, gone, and wanted by several at once.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use slapos_sources::{
    Alternate, Digest, FetchError, Fetched, Fetcher, Progress, PythonPlaces, Silent, Source,
};
use support::{Reply, Server, config, fetcher, source};

fn body() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

fn with_digest(url: &str, bytes: &[u8]) -> Source {
    source(url).with_digest(Digest::sha256_of(bytes))
}

fn content(fetched: &Fetched) -> Vec<u8> {
    std::fs::read(&fetched.path).unwrap()
}

/// Leaves what an interrupted download of it would.
fn begun(cache: &Path, wanted: &Source, text: &str) {
    let digest = wanted.digest.as_ref().unwrap();
    std::fs::create_dir(cache.join("partial")).unwrap();
    std::fs::write(cache.join(format!("partial/sha256-{}", digest.hex())), text).unwrap();
}

fn left_over(cache: &Path) -> usize {
    std::fs::read_dir(cache.join("partial")).unwrap().count()
}

#[test]
fn a_cut_download_is_resumed_where_it_broke() {
    let body = body();
    let served = body.clone();
    let server = Server::start(move |number, request| match request.range_start() {
        None => Reply::new("200 OK", &served).header("ETag: \"v1\"").cut(500_000),
        Some(start) if number < 3 => Reply::partial(&served, start).cut(200_000),
        Some(start) => Reply::partial(&served, start),
    });
    let cache = tempfile::tempdir().unwrap();
    let wanted = with_digest(&format!("{}/a.tar.gz", server.base), &body);
    let fetched = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap();
    assert_eq!(content(&fetched), body);
    let starts: Vec<_> = server.requests().iter().map(support::Request::range_start).collect();
    assert_eq!(starts, [None, Some(500_000), Some(700_000), Some(900_000)]);
    assert_eq!(server.requests()[1].headers["if-range"], "\"v1\"");
    assert_eq!(left_over(cache.path()), 0);
}

#[test]
fn another_run_resumes_what_an_earlier_one_left() {
    let body = body();
    let served = body.clone();
    let server = Server::start(move |number, request| match request.range_start() {
        None => Reply::new("200 OK", &served).cut(500_000),
        Some(_) if number < 3 => Reply::new("503 Service Unavailable", b""),
        Some(start) => Reply::partial(&served, start),
    });
    let cache = tempfile::tempdir().unwrap();
    let wanted = with_digest(&format!("{}/a", server.base), &body);
    let error = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap_err();
    assert!(error.to_string().contains("503 Service Unavailable"), "{error}");
    let fetched = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap();
    assert_eq!(content(&fetched), body);
    assert_eq!(server.requests().last().unwrap().range_start(), Some(500_000));
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let body = body();
    let served = body.clone();
    let server = Server::start(move |number, _| {
        let reply = Reply::new("200 OK", &served);
        if number == 0 { reply.cut(100) } else { reply }
    });
    let cache = tempfile::tempdir().unwrap();
    let wanted = with_digest(&server.base, &body);
    let fetched = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap();
    assert_eq!(content(&fetched), body);
}

#[test]
fn a_range_that_cannot_be_satisfied_starts_over() {
    let body = b"short".to_vec();
    let served = body.clone();
    let server = Server::start(move |_, request| match request.range_start() {
        Some(_) => Reply::new("416 Range Not Satisfiable", b""),
        None => Reply::new("200 OK", &served),
    });
    let cache = tempfile::tempdir().unwrap();
    let wanted = with_digest(&server.base, &body);
    begun(cache.path(), &wanted, "longer than it is");
    let fetched = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap();
    assert_eq!(content(&fetched), body);
}

#[test]
fn a_complete_partial_file_needs_no_more_bytes() {
    let server = Server::start(|_, request| {
        assert_eq!(request.range_start(), Some(5));
        Reply::new("416 Range Not Satisfiable", b"").header("Content-Range: bytes */5")
    });
    let cache = tempfile::tempdir().unwrap();
    let wanted = with_digest(&server.base, b"whole");
    begun(cache.path(), &wanted, "whole");
    let fetched = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap();
    assert_eq!(content(&fetched), b"whole");
}

#[test]
fn a_resumed_file_that_turns_out_wrong_is_downloaded_afresh() {
    let body = body();
    let served = body.clone();
    let server = Server::start(move |_, request| match request.range_start() {
        Some(start) => Reply::partial(&served, start),
        None => Reply::new("200 OK", &served),
    });
    let cache = tempfile::tempdir().unwrap();
    let wanted = with_digest(&server.base, &body);
    begun(cache.path(), &wanted, "bytes of something else");
    let fetched = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap();
    assert_eq!(content(&fetched), body);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn wrong_bytes_are_not_kept_and_the_next_place_is_asked() {
    let server = Server::start(|_, request| match request.path.as_str() {
        "/wrong" => Reply::new("200 OK", b"evil"),
        "/good" => Reply::new("200 OK", b"good"),
        _ => Reply::new("404 Not Found", b"gone"),
    });
    let cache = tempfile::tempdir().unwrap();
    let url = |path: &str| format!("{}/{path}", server.base);
    let alternate = |path: &str| url(path).parse::<Alternate>().unwrap();
    let wanted = with_digest(&url("gone"), b"good").with_alternate(alternate("wrong"));
    let error = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap_err();
    let text = error.to_string().replace(&server.base, "http://h");
    insta::assert_snapshot!(text, @"
    http://h/gone could not be fetched
      http://h/gone: the server answered 404 Not Found
      http://h/wrong: wrong digest: expected sha256:770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c, got sha256:b5c1fb2efc6d6b4674c2fdcc48ce01b43a3b7c03763c0c3355de0099ee0f8c73
      help: find out which digest upstream published: either the one in the profile is wrong, or the place no longer holds the file that was released
    ");
    assert_eq!(left_over(cache.path()), 0);
    let wanted = wanted.with_alternate(alternate("good"));
    let fetched = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap();
    assert_eq!(content(&fetched), b"good");
    assert_eq!(fetched.from.as_deref(), Some(url("good").as_str()));
}

#[test]
fn an_alternate_may_be_other_bytes_with_a_digest_of_its_own() {
    let server = Server::start(|_, request| match request.path.as_str() {
        "/repacked" => Reply::new("200 OK", b"repacked"),
        _ => Reply::new("404 Not Found", b""),
    });
    let cache = tempfile::tempdir().unwrap();
    let hex = Digest::sha256_of(b"repacked").hex();
    let other = format!("{}/repacked#sha256={hex}", server.base);
    let wanted = with_digest(&format!("{}/gone", server.base), b"original")
        .with_alternate(other.parse().unwrap());
    let fetched = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap();
    assert_eq!(content(&fetched), b"repacked");
    // Found at once the second time, without asking the dead place again.
    let asked = server.requests().len();
    let again = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap();
    assert_eq!((again.path, again.from), (fetched.path, None));
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn two_builds_that_want_the_same_download_it_once() {
    let body = body();
    let served = body.clone();
    let server = Server::start(move |_, _| Reply::new("200 OK", &served));
    let cache = tempfile::tempdir().unwrap();
    let wanted = Arc::new(with_digest(&server.base, &body));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let one = fetcher(cache.path());
            let wanted = Arc::clone(&wanted);
            scope.spawn(move || one.fetch(&wanted, &Silent).unwrap());
        }
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn too_large_files_are_refused_announced_or_not() {
    let server = Server::start(|_, _| Reply::new("200 OK", &[0; 1000]));
    let cache = tempfile::tempdir().unwrap();
    let mut config = config(cache.path());
    config.max_bytes = 999;
    let wanted = with_digest(&server.base, &[0; 1000]);
    let error = slapos_sources::Fetcher::new(config).fetch(&wanted, &Silent).unwrap_err();
    assert!(error.to_string().contains("limit of 999 bytes"), "{error}");
}

#[test]
fn without_a_digest_only_what_the_caller_allows_is_fetched() {
    let server = Server::start(|_, _| Reply::new("200 OK", b"profile"));
    let cache = tempfile::tempdir().unwrap();
    let fetcher = fetcher(cache.path());
    let url = format!("{}/p.cfg", server.base);
    let refused = fetcher.fetch(&source(&url), &Silent);
    assert!(matches!(refused, Err(FetchError::NoDigest { .. })));
    let crate_source = source("crate:itoa=1.0.4").allow_unverified();
    let refused = fetcher.fetch(&crate_source, &Silent);
    assert!(matches!(refused, Err(FetchError::NoDigest { .. })));
    let allowed = source(&url).allow_unverified();
    let fetched = fetcher.fetch(&allowed, &Silent).unwrap();
    assert_eq!(content(&fetched), b"profile");
    assert_eq!(fetched.digest, Digest::sha256_of(b"profile"));
    // Asked again every time, but the last answer serves a machine that is offline.
    fetcher.fetch(&allowed, &Silent).unwrap();
    assert_eq!(server.requests().len(), 2);
    let mut offline = config(cache.path());
    offline.offline = true;
    let offline = slapos_sources::Fetcher::new(offline);
    assert_eq!(content(&offline.fetch(&allowed, &Silent).unwrap()), b"profile");
    assert_eq!(content(&fetcher.fetch_as(&allowed, true, &Silent).unwrap()), b"profile");
    let other = source(&format!("{}/other", server.base)).allow_unverified();
    let refused = fetcher.fetch_as(&other, true, &Silent).unwrap_err().to_string();
    assert!(refused.contains("the fetcher is offline"), "{refused}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn offline_asks_nobody_and_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let mut offline = config(cache.path());
    offline.offline = true;
    offline.by_hash = true;
    let wanted = with_digest("http://h/a", b"x").with_alternate("/missing/file".parse().unwrap());
    let error = slapos_sources::Fetcher::new(offline).fetch(&wanted, &Silent).unwrap_err();
    insta::assert_snapshot!(error, @r#"
    http://h/a could not be fetched
      http://h/a: not asked, because the fetcher is offline
      file:///missing/file: cannot read "/missing/file": No such file or directory (os error 2)
      Debian's source archive, by sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881: not asked, because the fetcher is offline
      help: run once with access to the network, or put the file into the download cache as sha256/HEX
    "#);
}

#[test]
fn files_of_this_machine_are_copied_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a b.txt");
    std::fs::write(&file, "local").unwrap();
    let cache = dir.path().join("cache");
    let wanted = source(file.to_str().unwrap());
    let fetched = fetcher(&cache).fetch(&wanted, &Silent).unwrap();
    assert_eq!(content(&fetched), b"local");
    let wrong = wanted.with_digest(Digest::sha256_of(b"other"));
    let error = fetcher(&cache).fetch(&wrong, &Silent).unwrap_err();
    assert!(error.to_string().contains("wrong digest"), "{error}");
    assert_eq!(left_over(&cache), 0);
}

#[test]
fn cancelling_stops_and_keeps_what_arrived() {
    struct Stop;
    impl Progress for Stop {
        fn cancelled(&self) -> bool {
            true
        }
    }
    let server = Server::start(|_, _| Reply::new("200 OK", b"body"));
    let cache = tempfile::tempdir().unwrap();
    let wanted = with_digest(&server.base, b"body");
    let result = fetcher(cache.path()).fetch(&wanted, &Stop);
    assert!(matches!(result, Err(FetchError::Cancelled)));
}

#[test]
fn a_dead_server_is_given_up_after_the_retries() {
    let cache = tempfile::tempdir().unwrap();
    // Bound and closed again: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let wanted = with_digest(&format!("http://{address}/a"), b"x");
    let error = fetcher(cache.path()).fetch(&wanted, &Silent).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("the connection failed"), "{text}");
    assert!(text.contains("help: check the network"), "{text}");
}

#[test]
fn a_page_of_links_that_is_silent_does_not_hide_what_the_index_has() {
    let room = tempfile::tempdir().unwrap();
    let index = room.path().join("index");
    fs::create_dir_all(&index).unwrap();
    fs::write(index.join("demo-1.0.tar.gz"), "x").unwrap();
    let fetcher = Fetcher::new(support::config(&room.path().join("cache")));
    // Nothing listens on the first port.
    let links = vec!["http://127.0.0.1:1/links".to_owned()];
    let places = |index: &Path| PythonPlaces {
        index: Some(index.display().to_string()),
        links: links.clone(),
    };
    let found = fetcher.python_files("demo", &places(&index), &Silent).unwrap();
    assert_eq!(found.len(), 1);
    let nowhere = room.path().join("nowhere");
    let error = fetcher.python_files("demo", &places(&nowhere), &Silent).unwrap_err();
    assert!(error.to_string().starts_with("http://127.0.0.1:1/links: "), "{error}");
}

#[test]
fn what_an_ftp_server_had_is_found_elsewhere_by_its_hash() {
    let room = tempfile::tempdir().unwrap();
    let copy = room.path().join("copy");
    fs::write(&copy, "bytes").unwrap();
    let fetcher = Fetcher::new(support::config(&room.path().join("cache")));
    let digest = Digest::sha256_of(b"bytes");
    let alternate = format!("file://{}", copy.display()).parse().unwrap();
    let mut wanted = support::source("ftp://h/x.tar.gz").with_digest(digest);
    wanted.alternates.push(alternate);
    assert_eq!(fs::read(fetcher.fetch(&wanted, &Silent).unwrap().path).unwrap(), b"bytes");
    wanted.alternates.clear();
    let other = Fetcher::new(support::config(&room.path().join("other")));
    let error = other.fetch(&wanted, &Silent).unwrap_err().to_string();
    assert!(error.contains("FTP is not spoken here"), "{error}");
}
