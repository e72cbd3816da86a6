//! A Python with the originals installed, for comparisons with them.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use slapos_sys::lock::FileLock;

/// What builds the packages: the newest that the originals work with.
const TOOLS: [&str; 2] = ["setuptools==67.8.0", "wheel"];
/// How long one step of the installation may take, in seconds.
const PATIENCE: &str = "75";

/// A virtual environment at `place` with `packages` (`name==version`), made once and kept. Its
/// `bin` directory is returned.
///
/// # Errors
/// Why there is none: no Python, no package index.
///
/// # Panics
/// When `place` cannot be written.
pub fn python_with(place: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    python_between(9..=12, place, packages)
}

/// The same with a Python 3 of one of those minor versions.
///
/// # Errors
/// As [`python_with`].
///
/// # Panics
/// As [`python_with`].
pub fn python_between(
    minors: RangeInclusive<u32>,
    place: &Path,
    packages: &[&str],
) -> Result<PathBuf, String> {
    std::fs::create_dir_all(place).expect("the place can be made");
    let _lock = FileLock::acquire(&place.join("lock")).expect("the place can be locked");
    let venv = place.join("venv");
    let complete = venv.join(".complete");
    let text = packages.join("\n");
    if std::fs::read_to_string(&complete).is_ok_and(|made| made == text) {
        return Ok(venv.join("bin"));
    }
    let missing = || format!("no Python from 3.{} to 3.{}", minors.start(), minors.end());
    let python = python(&minors).ok_or_else(missing)?;
    let _ = std::fs::remove_dir_all(&venv);
    run(&python, &["-m", "venv", &venv.to_string_lossy()])?;
    let pip = venv.join("bin/pip");
    let install = ["install", "-q", "--retries=1", "--timeout=10", "--no-build-isolation"];
    run(&pip, &[&install[..], &TOOLS].concat())?;
    run(&pip, &[&install[..], packages].concat())?;
    std::fs::write(complete, text).expect("the place can be written");
    Ok(venv.join("bin"))
}

/// A Python that the originals run on: one that is found by name, the most tried first, or one of
/// those that pyenv keeps.
fn python(minors: &RangeInclusive<u32>) -> Option<PathBuf> {
    let (least, most) = (minors.start(), minors.end());
    let check = format!(
        "import sys, venv, ensurepip; sys.exit(not (3, {least}) <= sys.version_info < (3, {most} + 1))"
    );
    let mut minors: Vec<u32> = minors.clone().collect();
    // The comparisons were first made with that one.
    minors.sort_by_key(|minor| minor.abs_diff(11));
    let named = minors.into_iter().map(|minor| PathBuf::from(format!("python3.{minor}")));
    named.chain([PathBuf::from("python3")]).chain(kept_by_pyenv()).find(|python| {
        let output = Command::new(python).args(["-c", &check]).output();
        output.is_ok_and(|output| output.status.success())
    })
}

fn kept_by_pyenv() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(Path::new(&home).join(".pyenv/versions"));
    let versions = versions.into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|version| version.path().join("bin/python3")).collect();
    found.sort();
    found
}

fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("timeout").arg(PATIENCE).arg(program).args(arguments).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let last = told.lines().rev().find(|line| line.contains("ERROR"));
            let last = last.map_or_else(|| output.status.to_string(), str::to_owned);
            Err(format!("the originals cannot be installed: {last}"))
        }
        Err(error) => Err(format!("cannot run {}: {error}", program.display())),
    }
}
