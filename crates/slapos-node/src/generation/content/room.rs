//! Where the content of a partition's generations lies.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use slapos_sources::Digest;
use slapos_sys::fs;

use super::manifest::{Manifest, VERSION};

/// More than any instance's manifest has, bytes.
const MAX_MANIFEST: u64 = 64 << 20;

/// The directory, and the partition it belongs to.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) partition: PathBuf,
    directory: PathBuf,
}

impl Room {
    pub(super) fn of(partition: &Path) -> Self {
        let directory = partition.join(".slapos/generations");
        Self { partition: partition.to_owned(), directory }
    }

    /// Makes the directory, closed to everybody else: configuration holds secrets.
    pub(super) fn create(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory.join("objects"), 0o700)?;
        fs::set_mode(&self.directory, 0o700)
    }

    /// Keeps `bytes`, and says under what name.
    pub(super) fn keep(&self, bytes: &[u8]) -> io::Result<String> {
        let name = Digest::sha256_of(bytes).hex();
        let path = self.object(&name);
        // A name is given to what is whole and on disk only.
        let whole = path.symlink_metadata().is_ok_and(|meta| meta.len() == bytes.len() as u64);
        if !whole {
            fs::write_atomic(&path, bytes, 0o600)?;
        }
        Ok(name)
    }

    /// What was kept under `name`, if it still is what it was.
    pub(super) fn bytes(&self, name: &str) -> io::Result<Vec<u8>> {
        let bytes = fs::read(&self.object(name))?;
        if Digest::sha256_of(&bytes).hex() == name {
            return Ok(bytes);
        }
        let message = format!("{} is damaged", self.object(name).display());
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    /// Writes the manifest of generation `number`, once what it names is on disk.
    pub(super) fn write(&self, number: u32, manifest: &Manifest) -> io::Result<()> {
        let bytes = serde_json::to_vec(manifest)?;
        fs::write_atomic(&self.manifest(number), &bytes, 0o600)
    }

    /// The manifest of generation `number`.
    pub(super) fn read(&self, number: u32) -> io::Result<Manifest> {
        let text = fs::read_to_string_limited(&self.manifest(number), MAX_MANIFEST)?;
        let manifest: Manifest = serde_json::from_str(&text)?;
        if manifest.version == VERSION {
            return Ok(manifest);
        }
        let message = format!("it has version {}, this program knows {VERSION}", manifest.version);
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    /// Removes the manifests that are not in `kept`, and the objects that none of those needs. What
    /// cannot be read of those kept keeps all objects.
    pub(super) fn tidy(&self, kept: &[u32]) -> io::Result<()> {
        let mut needed = BTreeSet::new();
        for number in kept {
            match self.read(*number) {
                Ok(manifest) => needed.extend(manifest.objects().cloned()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => return Ok(()),
            }
        }
        let kept: BTreeSet<_> = kept.iter().map(|number| format!("{number}.json")).collect();
        remove_unless(&self.directory, |name| kept.contains(name) || name == "objects")?;
        remove_unless(&self.directory.join("objects"), |name| needed.contains(name))
    }

    fn object(&self, name: &str) -> PathBuf {
        self.directory.join("objects").join(name)
    }

    fn manifest(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{number}.json"))
    }
}

fn remove_unless(directory: &Path, keep: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(|name| !keep(name)) {
            fs::remove_tree(&entry.path())?;
        }
    }
    Ok(())
}
