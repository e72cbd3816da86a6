//! Unpacking archives that nobody vouches for.
//!
//! Invariants: nothing is written outside the target; no link of an archive is ever followed while
//! it is unpacked, and none leads out of the tree when it is done; no device, pipe, set-id bit or
//! ownership comes out of an archive; sizes and counts are bounded; the target appears complete,
//! or not at all.

mod format;
mod links;
mod meter;
mod tar;
mod tree;
mod zip;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::Progress;
use format::Format;
use meter::Meter;
use tree::Tree;

/// How much an archive may unpack to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, headers of the archive included.
    pub total_bytes: u64,
    /// Files, directories and links together.
    pub entries: u64,
    /// Bytes in the name of one entry.
    pub path_bytes: usize,
    /// How many bytes one byte of the archive may unpack to, counted over the whole archive once
    /// it has unpacked to more than 64 MiB.
    pub blow_up: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total_bytes: 8 << 30, entries: 500_000, path_bytes: 4096, blow_up: 500 }
    }
}

/// What to do with the directory that source archives put everything into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strip {
    /// Take it away if everything is in one directory.
    #[default]
    Auto,
    /// Take it away; it is an error when there is more than one thing at the top.
    Always,
    /// Keep it.
    Never,
}

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The directory it was unpacked to.
    pub path: PathBuf,
    /// Files, directories and links.
    pub entries: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// The name of the top directory that was taken away.
    pub stripped: Option<String>,
}

/// An archive that was not unpacked; nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is not of a kind that can be unpacked.
    #[error("{archive:?} cannot be unpacked: {reason}")]
    Format {
        /// The archive.
        archive: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// An entry is not allowed.
    #[error("{archive:?} was refused: its entry {entry:?} {reason}; nothing of it was kept")]
    Hostile {
        /// The archive.
        archive: PathBuf,
        /// The name in the archive.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is larger than allowed.
    #[error("{archive:?} was refused: {what}; nothing of it was kept")]
    TooLarge {
        /// The archive.
        archive: PathBuf,
        /// Which limit was exceeded.
        what: String,
    },
    /// It ends too early or is damaged.
    #[error("{archive:?} is damaged: {reason}; remove it and fetch it again")]
    Damaged {
        /// The archive.
        archive: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The disk is full.
    #[error(
        "no space left in {directory:?} to unpack {archive:?}: it needs {needed} bytes, {free} are \
         free; nothing of it was kept"
    )]
    NoSpace {
        /// The archive.
        archive: PathBuf,
        /// Where it was unpacked.
        directory: PathBuf,
        /// Bytes that all of it takes.
        needed: u64,
        /// Bytes that were free for this user when the unpacking began.
        free: u64,
    },
    /// The target is there already.
    #[error("{path:?} exists and is not empty: remove it to unpack there")]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path:?}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The watcher asked to stop.
    #[error("unpacking was cancelled")]
    Cancelled,
}

/// Unpacks the archive `file` to the directory `into`, which must not exist or be empty; its
/// parent must exist. The format (tar, plain or compressed with gzip, bzip2, xz, lzip or zstd; zip) is
/// told by the content. Permission to execute and times of change are kept.
///
/// # Errors
/// See [`ArchiveError`]; nothing is left behind then.
pub fn extract(
    file: &Path,
    into: &Path,
    limits: &Limits,
    strip: Strip,
    progress: &dyn Progress,
) -> Result<Extracted, ArchiveError> {
    let opened = File::open(file).map_err(failed("read", file))?;
    let size = opened.metadata().map_err(failed("read", file))?.len();
    let format = Format::of(&opened, file)?;
    refuse_occupied(into)?;
    let parent = match into.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let free = slapos_sys::fs::free_space(parent).map_err(failed("look at", parent))?;
    let fresh =
        slapos_sys::fs::temp_dir_in(parent, ".unpack-").map_err(failed("create in", parent))?;
    let result = unpack(opened, size, format, fresh.path(), limits, progress);
    let job = Job { archive: file, into, parent, free };
    let finished = result
        .map_err(|stop| job.explain(stop))
        .and_then(|tree| job.publish(tree, fresh.path(), strip));
    if finished.is_err() {
        let _ = slapos_sys::fs::remove_tree(fresh.path());
    }
    finished
}

/// Why unpacking stopped, before the archive and target are known to the message.
#[derive(Debug)]
enum Stop {
    Hostile {
        entry: String,
        reason: String,
    },
    TooLarge(String),
    Damaged(String),
    /// The disk is full; the archive unpacks to this many bytes.
    Full {
        needed: u64,
    },
    Write(PathBuf, io::Error),
    Cancelled,
}

impl Stop {
    fn hostile(entry: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Hostile { entry: entry.into(), reason: reason.into() }
    }
}

fn unpack(
    file: File,
    size: u64,
    format: Format,
    fresh: &Path,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Tree, Stop> {
    let directory = fresh.join("tree");
    slapos_sys::fs::create_dir_all(&directory, 0o755)
        .map_err(|error| Stop::Write(directory.clone(), error))?;
    let mut tree = Tree::open(&directory, limits)?;
    let meter = Meter::new(limits, size, progress);
    match format {
        Format::Zip => zip::unpack(file, &mut tree, &meter)?,
        other => tar::unpack(other.decoder(file)?, &mut tree, &meter)?,
    }
    if tree.is_empty() {
        return Err(Stop::Damaged("it holds nothing".into()));
    }
    Ok(tree)
}

/// What an extraction needs to finish or to explain itself.
struct Job<'a> {
    archive: &'a Path,
    into: &'a Path,
    parent: &'a Path,
    free: u64,
}

impl Job<'_> {
    fn publish(&self, tree: Tree, fresh: &Path, strip: Strip) -> Result<Extracted, ArchiveError> {
        let top = self.top_to_strip(&tree, strip)?;
        let root = top.as_deref().unwrap_or(Path::new(""));
        let (entries, bytes) = (tree.entries(), tree.bytes());
        tree.finish(root).map_err(|stop| self.explain(stop))?;
        // Joining an empty path would add a slash, which rename does not take for every kind.
        let from = match &top {
            Some(top) => fresh.join("tree").join(top),
            None => fresh.join("tree"),
        };
        slapos_sys::fs::rename(&from, self.into).map_err(failed("publish", self.into))?;
        Ok(Extracted {
            path: self.into.to_owned(),
            entries,
            bytes,
            stripped: top.map(|top| top.to_string_lossy().into_owned()),
        })
    }

    fn top_to_strip(&self, tree: &Tree, strip: Strip) -> Result<Option<PathBuf>, ArchiveError> {
        match (strip, tree.single_directory()) {
            (Strip::Never, _) | (Strip::Auto, None) => Ok(None),
            (_, Some(top)) => Ok(Some(top)),
            (Strip::Always, None) => Err(ArchiveError::Format {
                archive: self.archive.to_owned(),
                reason: "it does not have exactly one directory at the top, which was to be \
                         taken away"
                    .into(),
            }),
        }
    }

    fn explain(&self, stop: Stop) -> ArchiveError {
        let archive = self.archive.to_owned();
        match stop {
            Stop::Hostile { entry, reason } => ArchiveError::Hostile { archive, entry, reason },
            Stop::TooLarge(what) => ArchiveError::TooLarge { archive, what },
            Stop::Damaged(reason) => ArchiveError::Damaged { archive, reason },
            Stop::Full { needed } => ArchiveError::NoSpace {
                archive,
                directory: self.parent.to_owned(),
                needed,
                free: self.free,
            },
            Stop::Write(path, error) => failed("write", &path)(error),
            Stop::Cancelled => ArchiveError::Cancelled,
        }
    }
}

fn refuse_occupied(into: &Path) -> Result<(), ArchiveError> {
    let occupied = match std::fs::symlink_metadata(into) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed("look at", into)(error)),
        Ok(meta) if !meta.is_dir() => true,
        Ok(_) => std::fs::read_dir(into).map_err(failed("look at", into))?.next().is_some(),
    };
    if occupied {
        return Err(ArchiveError::TargetExists { path: into.to_owned() });
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |error| ArchiveError::Io { action, path, error }
}
