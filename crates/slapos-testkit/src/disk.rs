//! A disk that is soon full.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system in the place of a directory, unmounted when dropped. Only root can have one.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of so many mebibytes at `at`, which is whose it was before.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount(at: &Path, mebibytes: u32) -> Self {
        let was = std::fs::metadata(at).expect("the directory is there");
        let (mode, uid, gid) = (was.mode() & 0o7777, was.uid(), was.gid());
        let options = format!("size={mebibytes}m,mode={mode:o},uid={uid},gid={gid}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at);
        assert!(mount.status().expect("mount can be run").success(), "{}", at.display());
        Self(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
