//! The machine's own apt, pip, cargo and npm, for real. Each test is skipped, visibly, where the
//! client or the network is missing.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod support;

use slapos_sources::{Attempt, Failure, FetchError, Fetcher, Silent, Source};
use support::source;

const NGINX: &str = "9ebb333a9e82b952acd3e2b4aeb1d4ff6406f72491bab6cd9fe69f0dea737f31";

fn skip(what: &str, why: impl std::fmt::Display) {
    // Straight to the terminal: the harness would swallow it.
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}: {why}");
}

fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// The plainest use of a client, by which a machine that reaches its registry is known: what we ask
/// of the client may be wrong, this is not.
fn plain(client: &str) -> (&'static str, &'static [&'static str]) {
    match client {
        "apt-get" => ("apt-get", &["download", "hostname"]),
        "python3" => ("python3", &["-m", "pip", "download", "--no-deps", "six==1.16.0"]),
        "cargo" => ("cargo", &["info", "--quiet", "itoa"]),
        _ => ("npm", &["view", "is-number", "version"]),
    }
}

/// Whether the machine, and not our code, is why nothing came: its own client gets nothing either.
fn is_the_machines_fault(client: &str, error: &FetchError) -> bool {
    let of_clients =
        |attempt: &Attempt| matches!(attempt.failure, Failure::Transport(_) | Failure::Registry(_));
    let FetchError::Failed(attempts) = error else {
        return false;
    };
    if !attempts.attempts.iter().any(of_clients) {
        return false;
    }
    let (program, words) = plain(client);
    let there = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(program).args(words).current_dir(&there).output();
    !output.is_ok_and(|output| output.status.success())
}

fn fetch(what: &str, client: &str, wanted: &Source, by_hash: bool) {
    if !have(client) {
        return skip(what, format!("{client} is not installed"));
    }
    let cache = tempfile::tempdir().unwrap();
    let mut config = support::config(cache.path());
    config.by_hash = by_hash;
    match Fetcher::new(config).fetch(wanted, &Silent) {
        Ok(fetched) => {
            let bytes = std::fs::read(&fetched.path).unwrap();
            println!("{what}: {} bytes from {:?}", bytes.len(), fetched.from);
        }
        Err(error) if is_the_machines_fault(client, &error) => skip(what, error),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn debian_by_name() {
    let wanted = format!("debian:nginx=1.22.1-9+deb12u3/nginx_1.22.1.orig.tar.gz#sha256={NGINX}");
    fetch("debian:nginx", "apt-get", &source(&wanted), false);
}

#[test]
fn debian_by_hash_when_the_place_is_dead() {
    let wanted = format!("file:///no/such/nginx-1.22.1.tar.gz#sha256={NGINX}");
    fetch("Debian by SHA-256", "apt-get", &source(&wanted), true);
}

#[test]
fn debian_by_md5_in_a_later_suite() {
    // autoconf 2.72 is in trixie, not in bookworm.
    let wanted = "file:///no/such/a.tar.xz#md5=1be79f7106ab6767f18391c5e22be701";
    fetch("Debian by MD5", "apt-get", &source(wanted), true);
}

#[test]
fn a_python_release() {
    let wanted = "pypi:six=1.16.0/six-1.16.0.tar.gz\
        #sha256=1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c60c4c926";
    fetch("pypi:six", "python3", &source(wanted), false);
}

#[test]
fn a_crate() {
    let wanted = "crate:itoa=1.0.4\
        #sha256=4217ad341ebadf8d8e724e264f13e593e0648f5b3e94b3896a5df283be015ecc";
    fetch("crate:itoa", "cargo", &source(wanted), false);
}

#[test]
fn a_javascript_package() {
    let wanted = "npm:is-number=7.0.0\
        #sha256=7b75c1057198cf97696909a9bee176c9c5e9bcb5b03bf3ecef2f484defadd51e";
    fetch("npm:is-number", "npm", &source(wanted), false);
}

#[test]
fn a_javascript_package_with_a_scope() {
    let wanted = "npm:@types/node=20.1.0\
        #sha256=026b70f838ecf2d7d2f00ccc8a6ffa8d19bb415c9edc1811bb857b5849e7e8e4";
    fetch("npm:@types/node", "npm", &source(wanted), false);
}

#[test]
fn what_a_registry_does_not_have_is_said() {
    let zero = "0".repeat(64);
    for (client, text) in [
        ("apt-get", "debian:nginx=0.0.1-1/nginx_0.0.1.orig.tar.gz"),
        ("python3", "pypi:six=0.0.1/six-0.0.1-none.tar.gz"),
        ("cargo", "crate:itoa=0.0.999"),
        ("npm", "npm:is-number=0.0.999"),
    ] {
        if !have(client) {
            skip(text, format!("{client} is not installed"));
            continue;
        }
        let cache = tempfile::tempdir().unwrap();
        let wanted = source(&format!("{text}#sha256={zero}"));
        let error = support::fetcher(cache.path()).fetch(&wanted, &Silent).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(client) || text.matches(&wanted.primary.to_string()).count() > 1);
        println!("{text}\n");
    }
}
