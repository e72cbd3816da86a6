//! The originals, for comparisons: zc.buildout and recipe eggs, installed once below the target
//! directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use slapos_sys::lock::FileLock;

/// What builds the originals, and the originals.
const TOOLS: [&str; 2] = ["setuptools==67.8.0", "wheel"];
const PEERS: [&str; 11] = [
    "setuptools==67.8.0",
    "zc.buildout==3.0.1",
    "zc.recipe.egg==2.0.7",
    "slapos.core==1.26.1",
    "slapos.cookbook==1.0.514",
    "slapos.libnetworkcache==0.30",
    "slapos.recipe.build==0.66",
    "slapos.recipe.template==5.1",
    "collective.recipe.template==2.2",
    // The last of its kind: slapos.cookbook is written for it.
    "jsonschema==4.17.3",
    // Later ones have a name of their files that this setuptools does not find.
    "zope.interface==7.2",
];

/// How long the installation may take, in seconds.
const PATIENCE: &str = "75";

/// A Python that the originals run on.
fn python() -> Option<&'static str> {
    let check = "import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info < (3, 13))";
    ["python3.11", "python3.12", "python3.10", "python3.9", "python3"].into_iter().find(|name| {
        let output = Command::new(name).args(["-c", check]).output();
        output.is_ok_and(|output| output.status.success())
    })
}

/// The original's `buildout`, installed if it is not there yet.
pub(crate) fn original() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cookbook-peer");
    std::fs::create_dir_all(&place).unwrap();
    let _lock = FileLock::acquire(&place.join("lock")).unwrap();
    let venv = place.join("venv");
    let complete = venv.join(".complete");
    let text = PEERS.join("\n");
    if std::fs::read_to_string(&complete).is_ok_and(|made| made == text) {
        return Ok(venv.join("bin/buildout"));
    }
    let python = python().ok_or("no Python from 3.9 to 3.12")?;
    let _ = std::fs::remove_dir_all(&venv);
    let run = |program: &Path, arguments: &[&str]| {
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
    };
    run(Path::new(python), &["-m", "venv", &venv.to_string_lossy()])?;
    let pip = venv.join("bin/pip");
    let install = ["install", "-q", "--retries=1", "--timeout=10", "--no-build-isolation"];
    run(&pip, &[&install[..], &TOOLS].concat())?;
    run(&pip, &[&install[..], &PEERS].concat())?;
    std::fs::write(complete, text).unwrap();
    Ok(venv.join("bin/buildout"))
}
