//! Puts a backup in the place of a file that is damaged: nothing can be emptied in it.
//!
//! The backup becomes a file beside it, which takes its name when it is whole and on disk. What was
//! damaged is kept under another name. Killed at any moment, the damaged file is there, or the whole one.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use slapos_sys::clock::Clock;
use slapos_sys::fs::{remove_tree, rename};

use super::database::Database;
use super::{presence, restore};
use crate::error::StoreError;

/// What SQLite, and [`presence`], have beside a file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];
const LOCK: &str = ".lock";

/// As [`restore::restore`], for a damaged file.
///
/// # Errors
/// The same, and failures of the file system.
pub(super) async fn damaged(
    path: &Path,
    from: &mut dyn BufRead,
    clock: &dyn Clock,
) -> Result<u64, StoreError> {
    let _alone = presence::alone(&Database::File(path.to_owned())).await?;
    let failed = |source| StoreError::File { path: path.to_owned(), source };
    let fresh = named(path, ".restored");
    forget(&fresh).map_err(failed)?;
    let rows = restore::into(&Database::File(fresh.clone()), from, false, clock).await;
    let done = rows.and_then(|rows| exchange(path, &fresh).map(|()| rows).map_err(failed));
    forget(&fresh).map_err(failed)?;
    done
}

/// Has the whole file take the name of the damaged one, which is kept.
fn exchange(path: &Path, fresh: &Path) -> io::Result<()> {
    let mut number = 1;
    let kept = loop {
        let kept = named(path, &format!(".damaged-{number}"));
        match fs::hard_link(path, &kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            other => break other.map(|()| kept)?,
        }
    };
    // They say nothing of the other file.
    for suffix in BESIDE {
        match rename(&named(path, suffix), &named(&kept, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    rename(fresh, path)
}

/// Removes a file, and all that is beside it.
fn forget(path: &Path) -> io::Result<()> {
    let mut all = BESIDE.into_iter().chain([LOCK, ""]);
    all.try_for_each(|suffix| remove_tree(&named(path, suffix)))
}

fn named(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
