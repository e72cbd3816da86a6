//! Binary Software Releases that our node uploads to our Master, as a node of the original finds them.

use std::path::Path;
use std::process::Command;

use slapos_testkit::{Entry, Original, TestNode, skipped, tar_gz};

use crate::master::{Master, TOKEN, original};

const OPTIONS: &str = "shacache_content_directory = HERE/content\n\
     shacache_metadata_directory = HERE/dir\nshacache_anonymous_download = true\n";

/// Parts that others do not have.
const SHARING: &str = r"
[buildout]
parts = made

[made]
recipe = slapos.recipe.cmmi
url = ${:_profile_base_location_}/made.tar.gz
configure-command = true
make-binary = true
shared = true
";

/// A node that uploads to `master`, by a key of its own.
fn node(master: &Master) -> Option<TestNode> {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up", "--partitions", "1"]);
    for name in ["signer", "other"] {
        let mut request = Command::new("openssl");
        request.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=signer"]);
        request.arg("-keyout").arg(node.path(&format!("{name}.key")));
        request.arg("-out").arg(node.path(&format!("{name}.pem")));
        assert!(request.output().ok()?.status.success());
    }
    let certificate = std::fs::read_to_string(node.path("signer.pem")).unwrap();
    let (url, key) = (master.url(), node.path("signer.key"));
    let section = format!(
        "[networkcache]\nupload-binary-cache-url = {url}/token/{TOKEN}/shacache/cache\n\
         upload-binary-dir-url = {url}/token/{TOKEN}/shacache/dir/\n\
         signature-private-key-file = {}\nsignature-certificate-list =\n  {}\n\n[slapformat]",
        key.display(),
        certificate.trim().replace('\n', "\n  ")
    );
    node.configure("[slapformat]", &section);
    Some(node)
}

/// Has it built, and what was said.
fn build(node: &TestNode, profile: &Path) -> String {
    node.ok(&["supply", &profile.display().to_string(), "local"]);
    node.ok(&["node", "software"]).told()
}

/// What the original has to say to a piece of Python with these arguments.
fn python(original: &Original, script: &str, words: &[&str]) -> String {
    let output = original.command("python").args(["-c", script]).args(words).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// As the original's node does it before it builds.
const FETCH: &str = "
import hashlib, logging, sys, tarfile, tempfile
from slapos.grid.networkcache import download_network_cached
cache, url, root, certificate = sys.argv[1:]
key = hashlib.md5(url.encode()).hexdigest()
archive = tempfile.mktemp()
certificate = open(certificate).read()
fetch = lambda certificates: download_network_cached(
    cache + '/shacache/cache', cache + '/shacache/dir', url, root, key, archive,
    logging.getLogger(), certificates, [])
assert fetch([certificate]), 'it is not there'
names = tarfile.open(archive).getnames()
assert key + '/instance.cfg' in names and key + '/.completed' not in names, names
print('all is well')
";

#[test]
fn what_our_node_uploads_is_found_by_the_original_and_by_ours() {
    const NAME: &str = "what_our_node_uploads_is_found_by_the_original_and_by_ours";
    let Some(original) = original(NAME) else { return };
    let master = Master::ours(OPTIONS);
    let Some(node) = node(&master) else {
        return skipped(NAME, "there is no openssl to sign with");
    };
    let profile = node.tree.add_service();
    let url = profile.display().to_string();
    let told = build(&node, &profile);
    assert!(told.contains(&format!("uploaded to {}/token/", master.url())), "{told}");
    assert!(!told.contains(TOKEN), "{told}");

    let root = node.root().join("software").display().to_string();
    let certificates = ["signer.pem", "other.pem"].map(|name| node.path(name));
    let fetched = certificates.map(|certificate| {
        let certificate = certificate.display().to_string();
        python(&original, FETCH, &[&master.url(), &url, &root, &certificate])
    });
    assert_eq!(fetched[0], "all is well\n");
    assert!(fetched[1].contains("it is not there"), "nobody else's signature: {}", fetched[1]);

    // Taken away, and taken from there.
    node.ok(&["remove", &url, "local"]);
    node.ok(&["node", "software"]);
    let download = format!(
        "[networkcache]\ndownload-binary-cache-url = {0}/shacache/cache\n\
         download-binary-dir-url = {0}/shacache/dir",
        master.url()
    );
    node.configure("[networkcache]", &download);
    let told = build(&node, &profile);
    assert!(told.contains("taken as built from"), "{told}");
    assert!(!told.contains("uploaded"), "what came from there is not brought there: {told}");
    node.ok(&["up", &url]);
}

#[test]
fn what_nobody_could_use_or_may_have_is_not_uploaded() {
    const NAME: &str = "what_nobody_could_use_or_may_have_is_not_uploaded";
    let master = Master::ours(OPTIONS);
    let Some(node) = node(&master) else {
        return skipped(NAME, "there is no openssl to sign with");
    };
    let archive = tar_gz(&[Entry::file("made-1/file", 0o644, "x")]);
    node.tree.write("software/sharing/made.tar.gz", archive);
    let told = build(&node, &node.tree.add_software("sharing", SHARING));
    assert!(told.contains("which others do not have: only what was built without"), "{told}");
    let empty = |name: &str| node.tree.add_software(name, "[buildout]\nparts =\n");
    node.configure(
        "[networkcache]",
        &format!(
            "[networkcache]\nupload-to-binary-cache-url-blacklist =\n  {}",
            node.tree.root().join("software/own").display()
        ),
    );
    let told = build(&node, &empty("own"));
    assert!(told.contains("upload-to-binary-cache-url-blacklist names it"), "{told}");
    node.configure("signer.key", "other.key");
    let told = build(&node, &empty("unsigned"));
    assert!(told.contains("has no certificate of") && told.contains("other.key"), "{told}");
    node.configure("other.key", "no.key");
    let told = build(&node, &empty("keyless"));
    assert!(told.contains("no.key cannot sign: "), "{told}");
    node.configure("no.key", "signer.key");
    let due = node.root().join("instance/var/slapgrid/uploads");
    let noted = || std::fs::read_dir(&due).map_or(0, Iterator::count);
    assert_eq!(noted(), 0, "what cannot be uploaded is not due");
    let right = format!("/token/{TOKEN}/shacache/dir");
    node.configure(&right, "/token/wrong/shacache/dir");
    let told = build(&node, &empty("stranger"));
    assert!(told.contains("the entry was answered by 401"), "{told}");
    assert_eq!(std::fs::read_dir(master.path("dir")).map_or(0, Iterator::count), 0);

    // What the cache did not take is taken up by a later run, which builds nothing.
    node.configure("/token/wrong/shacache/dir", &right);
    let told = node.ok(&["node", "software"]).told();
    assert!(!told.contains("uploaded"), "not before an hour is over: {told}");
    let note = std::fs::read_dir(&due).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&note, r#"{"tries": 1, "next": "2026-01-01T00:00:00Z"}"#).unwrap();
    let told = node.ok(&["node", "software"]).told();
    assert!(told.contains("stranger: uploaded to "), "{told}");
    assert_eq!(noted(), 0);
}
