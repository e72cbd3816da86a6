//! Software Releases from a cache that a signature vouches for, against a cache in this process.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use slapos_testkit::{Entry, TestNode, skipped, tar_gz};

/// What openssl says to `words`, with `input`; nothing if there is no openssl.
fn openssl(words: &[&str], directory: &Path) -> Option<()> {
    let output = Command::new("openssl").args(words).current_dir(directory).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

/// Answers with what it has under a path, for as long as the test runs.
fn serve(content: BTreeMap<String, Vec<u8>>, listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            reader.read_line(&mut line).unwrap();
            let mut header = String::new();
            while reader.read_line(&mut header).unwrap() > 2 {
                header.clear();
            }
            let path = line.split(' ').nth(1).unwrap_or_default();
            let (status, body) = match content.get(path) {
                Some(body) => ("200 OK", body.clone()),
                None => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
}

/// The part of `/etc/os-release` that an entry tells.
fn system() -> [String; 3] {
    let text = std::fs::read_to_string("/etc/os-release").unwrap();
    ["ID", "VERSION_ID", "VERSION_CODENAME"].map(|key| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_default().trim_matches('"').to_owned()
    })
}

struct Cache {
    node: TestNode,
    base: String,
    url: String,
    listener: TcpListener,
    content: BTreeMap<String, Vec<u8>>,
}

impl Cache {
    /// A node that asks a cache, which has a Software Release that a key signed; nothing of it can be
    /// built here.
    fn new(test: &str) -> Option<Self> {
        let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
        node.ok(&["up", "--partitions", "1"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let url = format!("{base}/software.cfg");
        let md5 = format!("{:032x}", md5(&url, node.tree.root()));
        let profile = "[buildout]\nparts =\n";
        let archive = tar_gz(&[
            Entry::file(&format!("{md5}/instance.cfg"), 0o644, profile),
            Entry::file(&format!("{md5}/bin/tool"), 0o755, "#!/bin/sh\n"),
        ]);
        let directory = node.tree.root();
        std::fs::write(directory.join("archive"), &archive).unwrap();
        let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem"];
        let request = [&request[..], &["-out", "signer.pem", "-subj", "/CN=signer"]].concat();
        if openssl(&request, directory).is_none() {
            skipped(test, "there is no openssl to sign with");
            return None;
        }
        openssl(&["dgst", "-sha512", "-r", "-out", "sha512", "archive"], directory)?;
        let sha512 = std::fs::read_to_string(directory.join("sha512")).unwrap();
        let sha512 = sha512.split(' ').next().unwrap().to_owned();
        let architecture = Command::new("gcc").arg("-dumpmachine").output().unwrap().stdout;
        let information = serde_json::json!({
            "multiarch": String::from_utf8(architecture).unwrap().trim(),
            "os": system(), "sha512": sha512, "software_url": url, "software_root": node.root().join("software"),
        });
        std::fs::write(directory.join("information"), information.to_string()).unwrap();
        let sign = ["dgst", "-sha1", "-sign", "key.pem", "-out", "signature", "information"];
        openssl(&sign, directory)?;
        openssl(&["base64", "-A", "-in", "signature", "-out", "base64"], directory)?;
        let signature = std::fs::read_to_string(directory.join("base64")).unwrap();
        let list = serde_json::json!([["{}", ""], [information.to_string(), signature]]);
        let content = BTreeMap::from([
            (format!("/dir/{md5}"), list.to_string().into_bytes()),
            (format!("/cache/{sha512}"), archive),
        ]);
        Some(Self { node, base, url, listener, content })
    }

    /// Has the node ask the cache, with `more` in its section.
    fn configure(&self, more: &str) {
        let signer = std::fs::read_to_string(self.node.tree.root().join("signer.pem")).unwrap();
        let signer = signer.replace('\n', "\n  ");
        let base = &self.base;
        let section = format!(
            "[networkcache]\ndownload-binary-dir-url = {base}/dir\n\
             download-binary-cache-url = {base}/cache/\n{more}\n\
             signature-certificate-list =\n  {}\n\n[slapformat]",
            signer.trim()
        );
        self.node.configure("[slapformat]", &section);
        self.node.ok(&["supply", &self.url, "local"]);
    }
}

/// The MD5 of a text, as openssl makes it.
fn md5(text: &str, directory: &Path) -> u128 {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("text"), text).unwrap();
    let mut command = Command::new("openssl");
    let output = output_in(command.args(["dgst", "-md5", "-r", "text"]), directory);
    u128::from_str_radix(output.split(' ').next().unwrap_or_default(), 16).unwrap_or(0)
}

fn output_in(command: &mut Command, directory: &Path) -> String {
    let output = command.current_dir(directory).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_software_release_comes_from_the_cache_and_is_whole() {
    let Some(cache) = Cache::new("a_software_release_comes_from_the_cache_and_is_whole") else {
        return;
    };
    cache.configure("");
    let Cache { node, listener, content, url, .. } = cache;
    serve(content, listener);
    let told = node.ok(&["node", "software"]).told();
    assert!(told.contains("taken as built from http://127.0.0.1:"), "{told}");
    node.ok(&["request", "one", &url]);
    node.ok(&["node", "instance"]);
    let told = node.ok(&["node", "software"]).told();
    assert!(told.contains("it is built and frozen"), "{told}");
    let release = std::fs::read_link(node.partition(0).join("software_release")).unwrap();
    assert!(release.join("bin/tool").exists());
}

#[test]
fn what_is_not_to_be_trusted_is_built() {
    let Some(mut cache) = Cache::new("what_is_not_to_be_trusted_is_built") else { return };
    cache.configure("");
    // Another archive than the entry names.
    for (path, body) in &mut cache.content {
        if path.starts_with("/cache/") {
            body.push(0);
        }
    }
    let profile = "[buildout]\nparts =\n".to_owned().into_bytes();
    cache.content.insert("/software.cfg".to_owned(), profile);
    let Cache { node, listener, content, .. } = cache;
    serve(content, listener);
    let told = node.ok(&["node", "software"]).told();
    assert!(told.contains(", but built: "), "{told}");
}

#[test]
fn what_must_come_from_the_cache_is_not_built() {
    let Some(cache) = Cache::new("what_must_come_from_the_cache_is_not_built") else { return };
    cache.configure("download-from-binary-cache-force-url-list =\n  http://127.0.0.1");
    let Cache { node, listener, mut content, .. } = cache;
    content.retain(|path, _| path.starts_with("/cache/"));
    content.insert("/software.cfg".to_owned(), b"[buildout]\nparts =\n".to_vec());
    serve(content, listener);
    let told = node.fails(1, &["node", "software"]).told();
    assert!(told.contains("it does not come from http://127.0.0.1:"), "{told}");
    let left = std::fs::read_dir(node.root().join("software")).unwrap();
    let left = left.filter(|entry| entry.as_ref().unwrap().file_name().len() == 32);
    assert_eq!(left.count(), 0, "nothing is there");
}
