//! The same profile deployed by the original recipes, run by zc.buildout, and by ours: files, their
//! modes, links, and the options that recipes set (a file of the profile holds them) are the same.
//!
//! The originals are installed once, below the target directory; without them (no Python, no
//! package index) the test says that it is skipped.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly, and fail by panicking"
)]

#[path = "peer/request.rs"]
mod request;
#[path = "peer/schema.rs"]
mod schema;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use slapos_cookbook::{Ports, ProfileFiles, registry};
use slapos_engine::{Buildout, NoObserver, Profile, Settings};
use slapos_profile::Location;
use slapos_sources::{Fetcher, FetcherConfig};
use slapos_testkit::{Run, skipped};

mod support;
use support::original;

const NAME: &str = "recipes_make_what_the_originals_make";
const PROFILE: &str = include_str!("peer/profile.cfg");

/// What only Jinja2 itself renders.
const PYTHON_TEMPLATE: &str = "\
{% set found = [] -%}
{% for name, value in values.items() -%}{% do found.append('%s=%-5s|' % (name, value)) -%}{% endfor -%}
{{ found }} {{ json_module.dumps({'b': [1.0, none], 'a': found}, sort_keys=true) }}
{{ urlparse.urlparse(url).port }} {{ 'a-b'.encode() }} {{ {'x': 1}.keys() | list }} {{ 7 // 2 ** 2 }}
{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, b=3) }} {{ values | dictsort }}
";

/// A directory with the inputs of the profile.
fn arrange(directory: &Path) {
    let input = directory.join("in");
    std::fs::create_dir_all(&input).unwrap();
    let write = |name: &str, text: &str| std::fs::write(input.join(name), text).unwrap();
    write("text.in", "word=${values:word} ${:own} $${kept} $x\n");
    let looped = "{% for i in range(3) %}{{ i }},{% endfor %}";
    write(
        "text.jinja",
        &format!("{{{{ word }}}} {{{{ path }}}} {{{{ many[1].k }}}}\n{looped}\n\n"),
    );
    write("python.jinja", PYTHON_TEMPLATE);
    write("collective.in", "  ${own} ${values}\n");
    write("tool", "first\nsecond\n");
    write("known", "[one]\nA = 1%%\n[two]\nb: 2\nc = x\n  y\n");
    let executable = std::fs::Permissions::from_mode(0o750);
    std::fs::set_permissions(input.join("tool"), executable).unwrap();
    let git = |arguments: &[&str]| {
        let status = Command::new("git")
            .args(["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(&input)
            .status();
        assert!(status.unwrap().success(), "{arguments:?}");
    };
    git(&["init", "-q", "repository"]);
    write("repository/file", "content\n");
    git(&["-C", "repository", "add", "file"]);
    git(&["-C", "repository", "commit", "-q", "-m", "one"]);
}

fn deploy_original(buildout: &Path, directory: &Path, profile: &str) {
    std::fs::write(directory.join("peer.cfg"), profile).unwrap();
    let mut original = Command::new(buildout);
    Run::well(original.args(["-o", "-c", "peer.cfg"]).current_dir(directory));
}

fn deploy_ours(directory: &Path, profile: &str) {
    let fetcher_config = FetcherConfig::new(directory.with_extension("cache"));
    let fetcher = Arc::new(Fetcher::new(fetcher_config));
    let name = directory.join("peer.cfg").display().to_string();
    let base = Location::from_path(directory).unwrap();
    let files = ProfileFiles::new(&fetcher);
    let profile = Profile::load_text(&name, profile, &base, &files, &[]).unwrap();
    let recipes = Arc::new(registry(Ports { fetcher: fetcher.clone(), slap: None, python: None }));
    let mut buildout = Buildout::new(profile, recipes, Settings::new(directory));
    let plan = buildout.plan().unwrap();
    buildout.execute(&plan, &NoObserver).unwrap();
    assert!(buildout.plan().unwrap().is_noop());
}

/// Path → mode and content, or target, of all that was made, without the directory's own path.
fn made(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.join("out"), directory.join("parts")];
    while let Some(path) = pending.pop() {
        let name = path.strip_prefix(directory).unwrap().display().to_string();
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        let what = if metadata.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).unwrap().display())
        } else if metadata.is_dir() {
            let inside = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            pending.extend(inside.filter(|path| !path.ends_with(".git")));
            format!("{mode:o}")
        } else {
            format!("{mode:o}\n{}", std::fs::read_to_string(&path).unwrap())
        };
        found.insert(name, what.replace(&*directory.to_string_lossy(), "ROOT"));
    }
    found
}

/// Takes out what is different on purpose, having compared what must not be.
fn reconcile(theirs: &mut BTreeMap<String, String>, ours: &mut BTreeMap<String, String>) {
    // The original leaves the password readable by whom the umask lets.
    let password = "out/etc/passwd";
    assert_eq!(ours.remove(password).unwrap(), "600\n{\"\": \"given1\"}");
    assert!(theirs.remove(password).unwrap().ends_with("\n{\"\": \"given1\"}"));
    // So it does other files that may hold secrets.
    for path in ["out/etc/knowledge", "out/etc/a/b/.ssh/authorized_keys"] {
        let (ours, theirs) = (ours.remove(path).unwrap(), theirs.remove(path).unwrap());
        assert_eq!(ours.strip_prefix("600\n"), theirs.split_once('\n').map(|(_, text)| text));
    }
    // A promise in Python there, in shell here: its status and words are the same.
    let check = "out/bin/check";
    assert!(theirs.remove(check).unwrap().starts_with("700\n"));
    assert!(ours.remove(check).unwrap().starts_with("700\n#!/bin/sh\n"));
}

#[test]
fn recipes_make_what_the_originals_make() {
    let buildout = match original() {
        Ok(buildout) => buildout,
        Err(why) => return skipped(NAME, &why),
    };
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    // Paths of one length: the original folds long lines.
    let (theirs, ours) = (root.join("peer"), root.join("ours"));
    arrange(&theirs);
    arrange(&ours);
    deploy_original(&buildout, &theirs, PROFILE);
    deploy_ours(&ours, PROFILE);
    let run = |directory: &Path| {
        let output = Command::new(directory.join("out/bin/check")).output().unwrap();
        (output.status.code(), output.stdout)
    };
    assert_eq!(run(&theirs), run(&ours));
    let (mut their_files, mut our_files) = (made(&theirs), made(&ours));
    reconcile(&mut their_files, &mut our_files);
    assert!(our_files.len() > 20, "{our_files:?}");
    for (path, what) in &their_files {
        assert_eq!(our_files.get(path), Some(what), "{path}");
    }
    assert_eq!(their_files, our_files);

    // What is no longer wanted goes in the same way.
    let less = PROFILE.replacen("parts = ", "parts = text jinja\nnot-any-more = ", 1);
    deploy_original(&buildout, &theirs, &less);
    deploy_ours(&ours, &less);
    let names = |directory: &Path| made(directory).into_keys().collect::<Vec<_>>();
    let mut left = names(&theirs);
    // The original forgets to remove links that lead nowhere.
    left.retain(|name| name != "out/bin/a");
    assert_eq!(left, names(&ours));
}
