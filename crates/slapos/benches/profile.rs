//! What `slapos profile dump --stage expanded` costs, as a process, with a warm page cache.
//!
//! `cargo bench -p slapos --bench profile [-- PROFILE...]`. With `$SLAPOS_GIT`, a checkout of
//! slapos.git, its largest profiles are read (or PROFILE below it), else a generated one of the
//! same size. With `$ORACLE`, a script that does the same in Python (called as `ORACLE --algorithm
//! slapos --root CHECKOUT -j 1 --out DIRECTORY PROFILE`), and `$ORACLE_PYTHON`, an interpreter that
//! has zc.buildout 3.0.1, it is run in the same session and ratios are printed. CPU is user and
//! system time, medians.

#![allow(clippy::disallowed_methods, reason = "a benchmark runs programs directly")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use slapos_sys::process::children_cpu_seconds;

const RUNS: usize = 41;
const PEER_RUNS: usize = 5;
/// What is read when nothing is named.
const LARGE: [&str; 2] = ["software/nextcloud/software.cfg", "software/helloworld/software.cfg"];
/// The size of the generated profile, about that of software/nextcloud.
const FILES: usize = 266;
const SECTIONS_PER_FILE: usize = 3;
const OPTIONS_PER_SECTION: usize = 6;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let checkout = std::env::var_os("SLAPOS_GIT").map(PathBuf::from);
    let start = median(RUNS, || ours(&["--version".as_ref()]));
    println!("starting alone: {:.1} ms CPU", start * 1e3);
    println!("{:40}  {:>10}  {:>10}  {:>8}", "profile", "ours", "Python", "ratio");
    let Some(root) = checkout else {
        println!("$SLAPOS_GIT is not set: a generated profile is read.");
        match generated() {
            Ok(directory) => row(directory.path(), "main.cfg"),
            Err(error) => println!("the profile cannot be written: {error}"),
        }
        return;
    };
    let names: Vec<&str> = match named.is_empty() {
        true => LARGE.to_vec(),
        false => named.iter().map(String::as_str).collect(),
    };
    for name in names {
        row(&root, name);
    }
}

fn row(root: &Path, name: &str) {
    let path = root.join(name);
    let dump = ["profile".as_ref(), "dump".as_ref(), "--stage".as_ref(), "expanded".as_ref()];
    let arguments: Vec<&Path> = dump.into_iter().chain([path.as_path()]).collect();
    let mine = median(RUNS, || ours(&arguments));
    print!("{name:40}  {:7.1} ms", mine * 1e3);
    match peer(root, &path) {
        Some(theirs) => println!("  {:7.1} ms  {:7.0}x", theirs * 1e3, theirs / mine),
        None => println!("  (no $ORACLE and $ORACLE_PYTHON)"),
    }
}

fn ours(arguments: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slapos"));
    command.args(arguments);
    command
}

fn peer(root: &Path, profile: &Path) -> Option<f64> {
    let script = std::env::var_os("ORACLE")?;
    let python = std::env::var_os("ORACLE_PYTHON")?;
    let output = tempfile::tempdir().ok()?;
    let run = || {
        let mut command = Command::new(&python);
        command.arg(&script).args(["--algorithm", "slapos", "-j", "1", "--root"]).arg(root);
        command.arg("--out").arg(output.path()).arg(profile);
        command
    };
    Some(median(PEER_RUNS, run))
}

/// The median CPU time of a command and its children, in seconds; the first run is not counted.
fn median(runs: usize, command: impl Fn() -> Command) -> f64 {
    let mut costs = Vec::new();
    for run in 0..=runs {
        let before = children_cpu_seconds();
        let status = command().stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "{:?} fails", command());
        if run > 0 {
            costs.push(children_cpu_seconds() - before);
        }
    }
    costs.sort_by(f64::total_cmp);
    costs[costs.len() / 2]
}

/// Files that extend each other as components do, with macros, additions and references.
fn generated() -> std::io::Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    for file in 0..FILES {
        let mut text = String::from("[buildout]\nextends =\n");
        for extended in [file * 2 + 1, file * 2 + 2, file + 5].iter().filter(|e| **e < FILES) {
            text.push_str(&format!("  {extended}.cfg\n"));
        }
        text.push_str(&format!("parts = part-{file}-0\nfind-links +=\n  https://host/{file}\n"));
        for section in 0..SECTIONS_PER_FILE {
            text.push_str(&format!("\n# A comment above the section.\n[part-{file}-{section}]\n"));
            if section > 0 {
                text.push_str(&format!("<= part-{file}-0\nenvironment +=\n  X=${{:option-0}}\n"));
            }
            for option in 0..OPTIONS_PER_SECTION {
                text.push_str(&format!(
                    "option-{option} =\n  --prefix=${{part-{file}-0:location}}\n  --number={option}\n"
                ));
            }
        }
        std::fs::write(directory.path().join(format!("{file}.cfg")), text)?;
    }
    std::fs::rename(directory.path().join("0.cfg"), directory.path().join("main.cfg"))?;
    Ok(directory)
}
