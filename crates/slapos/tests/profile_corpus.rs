//! The corpus of small profiles: what we say of each, and whether zc.buildout says the same.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Map, Value};
use slapos_testkit::skipped;

const CORPUS: &str = include_str!("profile_corpus/corpus.txt");
/// What is compared with; the setuptools that it was made for comes with it.
const ORIGINAL: [&str; 2] = ["zc.buildout==3.0.1", "setuptools==67.8.0"];

/// A profile of the corpus.
struct Case {
    name: String,
    kind: String,
    files: Vec<(String, String)>,
}

fn corpus() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in CORPUS.split_inclusive('\n') {
        if let Some(title) = line.strip_prefix("=== ") {
            let (name, kind) = title.trim().rsplit_once(' ').unwrap();
            cases.push(Case { name: name.to_owned(), kind: kind.to_owned(), files: Vec::new() });
        } else if let Some(case) = cases.last_mut() {
            match line.strip_prefix("--- ") {
                Some(file) => case.files.push((file.trim().to_owned(), String::new())),
                None => case.files.last_mut().unwrap().1.push_str(line),
            }
        }
    }
    cases
}

/// Writes the cases into directories of their names.
fn write(root: &Path, cases: &[Case]) {
    for case in cases {
        for (file, text) in &case.files {
            let path = root.join(&case.name).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
}

fn dump(root: &Path, case: &Case, stage: &str) -> Output {
    let main = root.join(&case.name).join("main.cfg");
    let mut command = Command::new(env!("CARGO_BIN_EXE_slapos"));
    command.args(["profile", "dump", "--stage", stage]).arg(main).output().unwrap()
}

fn sections(output: &Output) -> Map<String, Value> {
    let dump: Value = serde_json::from_slice(&output.stdout).unwrap();
    dump["sections"].as_object().unwrap().clone()
}

/// Without the defaults, which have a test of their own.
fn shown(root: &Path, output: &Output) -> String {
    let Ok(mut dump) = serde_json::from_slice::<Value>(&output.stdout) else {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return text.lines().next().unwrap_or("").replace(root.to_str().unwrap(), "");
    };
    let source = dump["source"].clone();
    for (name, section) in dump["sections"].as_object_mut().unwrap() {
        let written = |option: &str| {
            source[name][option].as_str().is_some_and(|place| !place.starts_with('<'))
        };
        section.as_object_mut().unwrap().retain(|option, _| written(option));
    }
    let mut text = format!("{}", dump["sections"]);
    for more in ["unresolved", "errors"] {
        if let Some(value) = dump.get(more) {
            text.push_str(&format!("\n  {more} {value}"));
        }
    }
    text.replace(root.to_str().unwrap(), "")
}

#[test]
fn what_we_say() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let cases = corpus();
    write(&root, &cases);
    let mut text = String::new();
    for case in &cases {
        text.push_str(&format!("{}\n", case.name));
        for stage in ["merged", "resolved"] {
            let output = dump(&root, case, stage);
            text.push_str(&format!("  {stage} {}\n", shown(&root, &output)));
            if case.kind == "error" {
                assert_eq!(output.status.code(), Some(1), "{}: {text}", case.name);
            }
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_original_says_the_same() {
    let Some(python) = original() else { return };
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let cases: Vec<Case> = corpus().into_iter().filter(|case| case.kind != "fork").collect();
    write(&root, &cases);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/profile_corpus/original.py");
    let output = Command::new(python).arg(script).arg(&root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
    for case in &cases {
        compare(&root, case, &theirs[&case.name]);
    }
}

fn compare(root: &Path, case: &Case, theirs: &Value) {
    let name = &case.name;
    let failed = |stage: &str| theirs[stage].get("failed").is_some_and(Value::is_string);
    let refused = match case.kind.as_str() {
        "error" => Some("merged"),
        "dead" => Some("resolved"),
        _ => None,
    };
    if let Some(stage) = refused {
        assert!(failed(stage), "{name}: the original accepts it: {theirs}");
        let output = dump(root, case, stage);
        // What a recipe or a node might still set is no error of a dump, but it is marked.
        let marked = String::from_utf8_lossy(&output.stdout).contains("\"unresolved\"");
        assert!(!output.status.success() || marked, "{name}: we accept it");
        return;
    }
    for stage in ["merged", "resolved"] {
        let theirs = theirs[stage].as_object().unwrap();
        let mut ours = sections(&dump(root, case, stage));
        let defaults = ours.remove("buildout").unwrap();
        for (section, options) in theirs {
            match section.as_str() {
                // Our defaults are always there.
                "buildout" => {
                    for (option, value) in options.as_object().unwrap() {
                        assert_eq!(&defaults[option], value, "{name}, {stage}: buildout:{option}");
                    }
                }
                _ => {
                    assert_eq!(
                        ours.remove(section).as_ref(),
                        Some(options),
                        "{name}, {stage}: {section}"
                    );
                }
            }
        }
        assert!(ours.is_empty(), "{name}, {stage}: the original does not have {ours:?}");
    }
}

/// The Python of a virtual environment with zc.buildout, made once below `target`.
fn original() -> Option<PathBuf> {
    const NAME: &str = "the_original_says_the_same";
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zc.buildout-3.0.1");
    let python = venv.join("bin/python");
    let complete = venv.join("complete");
    if complete.exists() {
        return Some(python);
    }
    let run = |command: &mut Command| -> Result<(), String> {
        let output = command.output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let told = [output.stdout, output.stderr].concat();
                let told = String::from_utf8_lossy(&told).into_owned();
                Err(told.lines().last().unwrap_or("it failed").to_owned())
            }
        }
    };
    if let Err(why) = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv)) {
        skipped(NAME, &format!("no virtual environment can be made: {why}"));
        return None;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"];
    if let Err(why) = run(Command::new(&python).args(pip).args(ORIGINAL)) {
        skipped(NAME, &format!("zc.buildout cannot be installed: {why}"));
        return None;
    }
    std::fs::write(complete, "").unwrap();
    Some(python)
}
