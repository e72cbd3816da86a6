//! Where the node keeps the histories: one file for each partition, beside its records.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_sys::fs;

use super::history::History;
use crate::error::{IoContext, NodeError};

/// Version of the file's form that this program writes.
const VERSION: u32 = 1;
/// A history longer than this is not ours.
const MAX_HISTORY: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    #[serde(flatten)]
    history: History,
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

/// The histories of a node.
#[derive(Clone, Debug)]
pub(crate) struct Histories {
    directory: PathBuf,
}

impl Histories {
    /// Those below `instance_root`; the directory is made when something is written.
    pub(crate) fn new(instance_root: &Path) -> Self {
        Self { directory: instance_root.join("var/slapgrid/generations") }
    }

    /// The history of `partition`; empty where there is none. One that cannot be understood counts
    /// as none and is put beside: a node needs nobody to come back to work.
    ///
    /// # Errors
    /// When the file cannot be read, or is of a later version of this program.
    pub(crate) fn load(&self, partition: &str) -> Result<History, NodeError> {
        let path = self.path(partition);
        use std::io::ErrorKind::{FileTooLarge, InvalidData, NotFound};
        let text = match fs::read_to_string_limited(&path, MAX_HISTORY) {
            Ok(text) => text,
            Err(error) if error.kind() == NotFound => return Ok(History::default()),
            Err(error) if matches!(error.kind(), InvalidData | FileTooLarge) => String::new(),
            Err(error) => return Err(error).context("read", &path),
        };
        match serde_json::from_str::<Header>(&text) {
            Ok(header) if header.version > VERSION => Err(NodeError::user(format!(
                "{} has version {}, and this program knows up to version {VERSION}",
                path.display(),
                header.version
            ))
            .hint(
                "use the program that wrote it; or remove it, and former generations are forgotten",
            )),
            _ => match serde_json::from_str::<Document>(&text) {
                Ok(document) => Ok(document.history),
                Err(_) => {
                    let beside = path.with_extension("json.corrupt");
                    fs::rename(&path, &beside).context("rename", &path)?;
                    Ok(History::default())
                }
            },
        }
    }

    /// Writes the history of `partition`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn store(&self, partition: &str, history: &History) -> Result<(), NodeError> {
        fs::create_dir_all(&self.directory, 0o700).context("create", &self.directory)?;
        let path = self.path(partition);
        let document = Document { version: VERSION, history: history.clone() };
        let text = serde_json::to_string(&document)
            .map_err(|error| NodeError::user(format!("cannot word the history: {error}")))?;
        fs::write_atomic(&path, text.as_bytes(), 0o600).context("write", &path)
    }

    /// Forgets the generations of `partition`, whose content goes with its directory.
    ///
    /// # Errors
    /// When the file exists and cannot be removed.
    pub(crate) fn forget(&self, partition: &str) -> Result<(), NodeError> {
        let path = self.path(partition);
        fs::remove_tree(&path).context("remove", &path)
    }

    fn path(&self, partition: &str) -> PathBuf {
        self.directory.join(format!("{partition}.json"))
    }
}
