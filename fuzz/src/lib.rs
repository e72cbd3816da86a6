//! What is done with hostile input. Each function takes any bytes and may only return: a panic, a
//! hang or much memory is a finding.
//!
//! A new target is a function here, its three lines in `fuzz_targets/`, a `[[bin]]`, and a directory
//! of small inputs in `seeds/`; `.ci/run` runs all that `cargo fuzz list` names.

use std::collections::BTreeMap;
use std::path::Path;

use slapos_cookbook::Literal;
use slapos_engine::Installed;
use slapos_profile::inspect::{self, Stage, Values};
use slapos_profile::{
    Environment, Files, Host, Location, Profile, ProfileError, ReadError, Resolver,
};
use slapos_sources::Silent;
use slapos_sources::archive::{Limits, Strip, extract};

/// The main file of a profile.
const MAIN: &str = "/p/main.cfg";

/// Files in memory: a line `--- PATH` begins a new one, the first is [`MAIN`].
struct Memory(BTreeMap<String, String>);

impl Memory {
    fn new(text: &str) -> Self {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let mut current = MAIN.to_owned();
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("--- ") {
                Some(path) => current = path.trim().to_owned(),
                None => files.entry(current.clone()).or_default().push_str(line),
            }
        }
        Self(files)
    }
}

impl Files for Memory {
    fn read(&self, at: &Location) -> Result<String, ReadError> {
        self.0.get(&at.to_string()).cloned().ok_or(ReadError::NotFound)
    }

    fn environment(&self) -> Environment {
        let release = [("ID", "debian"), ("VERSION_ID", "12")];
        let release = release.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Environment {
            os_release: Some(release.into_iter().collect()),
            release: Some("6.1.0".to_owned()),
            home: Some("/home/me".to_owned()),
            ..Environment::host()
        }
    }
}

/// Recipes that do nothing.
struct NoRecipes;

impl Host for NoRecipes {
    fn initialise(&mut self, _: &mut Resolver<'_>, _: &str) -> Result<(), ProfileError> {
        Ok(())
    }
}

/// Scanner, loader, macros, substitution, and everything that looks at a profile.
pub fn profile(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(main) = Location::parse(MAIN) else { return };
    let profile = match Profile::load(&main, &Memory::new(&text), &[]) {
        Ok(profile) => profile,
        Err(error) => return drop(error.render(false)),
    };
    for stage in [Stage::Merged, Stage::Expanded, Stage::Resolved] {
        let dump = inspect::dump(&profile, stage);
        dump.failures.iter().take(5).for_each(|error| drop(error.render(false)));
    }
    let values = Values::new(&profile);
    let _ = inspect::lint(&values);
    let _ = inspect::graph(&values).dot();
    resolve(&profile);
}

fn resolve(profile: &Profile) {
    let mut resolver = Resolver::new(profile);
    for section in profile.sections().keys() {
        if let Err(error) = resolver.section(&mut NoRecipes, section) {
            let _ = error.render(false);
        }
    }
}

/// The expression of a conditional section.
pub fn condition(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace(['\n', '\r'], " ");
    profile(format!("[s:{text}]\nx = 1\n").as_bytes());
}

/// Typed values of options: what is read is printed, and reads as the same again.
pub fn literal(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(literal) = Literal::parse(&text) else { return };
    let option = literal.to_option();
    let again = Literal::of_option(&option);
    assert_eq!(again.to_text(), literal.to_text(), "from {option}");
}

/// `.installed.cfg`: what was written once is written the same again.
pub fn installed(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read = match Installed::parse("fuzz", &text) {
        Ok(read) => read,
        Err(error) => return drop(error.render(false)),
    };
    // What no writer writes may not survive, but it must become something that does.
    let written = read.to_text();
    let Ok(again) = Installed::parse("fuzz", &written) else { return };
    let twice = again.to_text();
    let thrice = Installed::parse("fuzz", &twice).map(|last| last.to_text());
    assert_eq!(thrice.ok().as_deref(), Some(twice.as_str()), "from {written}");
}

/// Archives: nothing comes out beside the directory that one is unpacked to, and no more than the
/// limits allow.
pub fn archive(data: &[u8]) {
    const LIMITS: Limits =
        Limits { total_bytes: 1 << 20, entries: 200, path_bytes: 300, blow_up: 500 };
    let room = tempfile::tempdir().expect("a temporary directory can be made");
    let file = room.path().join("archive");
    std::fs::write(&file, data).expect("there is space");
    let into = room.path().join("out");
    let unpacked = extract(&file, &into, &LIMITS, Strip::Auto, &Silent);
    let names = std::fs::read_dir(room.path()).expect("it is there");
    let names: Vec<_> = names.flatten().map(|entry| entry.file_name()).collect();
    let expected = if unpacked.is_ok() { 2 } else { 1 };
    assert_eq!(names.len(), expected, "{names:?} after {unpacked:?}");
    if unpacked.is_ok() {
        check_links(&into, &into);
    }
}

/// No link leads out of the tree.
fn check_links(root: &Path, directory: &Path) {
    for entry in std::fs::read_dir(directory).expect("it was just made").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("it is there");
        assert!(kind.is_dir() || kind.is_file() || kind.is_symlink(), "{path:?} is {kind:?}");
        if kind.is_dir() {
            check_links(root, &path);
        } else if kind.is_symlink()
            && let Ok(real) = path.canonicalize()
        {
            let root = root.canonicalize().expect("it is there");
            assert!(real.starts_with(root), "{path:?} leads to {real:?}");
        }
    }
}
