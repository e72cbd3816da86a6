//! A Python with the originals installed, for comparisons with them.

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
    std::fs::create_dir_all(place).expect("the place can be made");
    let _lock = FileLock::acquire(&place.join("lock")).expect("the place can be locked");
    let venv = place.join("venv");
    let complete = venv.join(".complete");
    let text = packages.join("\n");
    if std::fs::read_to_string(&complete).is_ok_and(|made| made == text) {
        return Ok(venv.join("bin"));
    }
    let python = python().ok_or("no Python from 3.9 to 3.12")?;
    let _ = std::fs::remove_dir_all(&venv);
    run(Path::new(python), &["-m", "venv", &venv.to_string_lossy()])?;
    let pip = venv.join("bin/pip");
    let install = ["install", "-q", "--retries=1", "--timeout=10", "--no-build-isolation"];
    run(&pip, &[&install[..], &TOOLS].concat())?;
    run(&pip, &[&install[..], packages].concat())?;
    std::fs::write(complete, text).expect("the place can be written");
    Ok(venv.join("bin"))
}

/// A Python that the originals run on.
fn python() -> Option<&'static str> {
    let check = "import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info < (3, 13))";
    ["python3.11", "python3.12", "python3.10", "python3.9", "python3"].into_iter().find(|name| {
        let output = Command::new(name).args(["-c", check]).output();
        output.is_ok_and(|output| output.status.success())
    })
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
