//! Rust's crate registry, or the mirror that this machine's cargo has in its place.
//!
//! `cargo info` downloads exactly one crate, and none of its dependencies, into cargo's own cache.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Found, client};
use crate::{Failure, Progress};

/// Finds the packed sources of `name` in exactly `version`.
pub(super) fn resolve(
    name: &str,
    version: &str,
    progress: &dyn Progress,
) -> Result<Vec<Found>, Failure> {
    let file = format!("{name}-{version}.crate");
    let cache = cargo_home()?.join("registry/cache");
    let known = in_cache(&cache, &file);
    if !known.is_empty() {
        return Ok(known);
    }
    let mut cargo = client::command("cargo");
    cargo.args(["info", "--quiet", "--color=never"]);
    let result = client::output("cargo", cargo.arg(format!("{name}@{version}")), progress);
    match (result, in_cache(&cache, &file)) {
        (_, found) if !found.is_empty() => Ok(found),
        (Err(failure), _) => Err(failure),
        (Ok(_), _) => Err(Failure::Registry(format!(
            "cargo knows {name} {version} but left no {file} below {}; cargo 1.82 or newer is \
             needed",
            cache.display()
        ))),
    }
}

fn cargo_home() -> Result<PathBuf, Failure> {
    if let Some(home) = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()) {
        return Ok(home.into());
    }
    let home = match std::env::var_os("HOME") {
        Some(home) => PathBuf::from(home),
        None => {
            slapos_sys::user::current()
                .map_err(|error| Failure::Registry(format!("who am I? {error}")))?
                .home
        }
    };
    Ok(home.join(".cargo"))
}

/// The file in the cache of any registry; the digest tells whether it is the right one.
fn in_cache(cache: &Path, file: &str) -> Vec<Found> {
    let Ok(registries) = fs::read_dir(cache) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = registries
        .flatten()
        .map(|registry| registry.path().join(file))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.into_iter().map(Found::File).collect()
}
