//! What profiles may ask about the machine that they are read on.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use slapos_profile::{Disk, Environment, FileKind};
use slapos_sources::LocalFiles;

use crate::common::environment::PATH;

/// This machine as conditions of sections and `~/` see it.
pub fn this_machine() -> Environment {
    Environment {
        home: std::env::var("HOME").ok(),
        os_release: os_release(&LocalFiles::new()),
        release: release(),
        disk: DISK,
        ..Environment::host()
    }
}

/// The machine's own Python, where there is one: what `${buildout:executable}` is by default.
pub fn machine_python() -> Option<PathBuf> {
    let mut directories = PATH.split(':').map(|directory| Path::new(directory).join("python3"));
    directories.find(|python| python.is_file())
}

/// The files of this machine, for conditions that ask.
const DISK: Disk = Disk {
    kind: |path| {
        let meta = path.metadata().ok()?;
        Some(match () {
            () if meta.is_dir() => FileKind::Directory,
            () if meta.is_file() => FileKind::File,
            () => FileKind::Other,
        })
    },
    access: |path, mode| {
        let wanted = nix::unistd::AccessFlags::from_bits_truncate(mode.into());
        nix::unistd::access(path, wanted).is_ok()
    },
    read: |path| LocalFiles::new().read_to_string(path).map_err(|error| error.to_string()),
};

/// What `platform.release()` answers.
fn release() -> Option<String> {
    let text = LocalFiles::new().read_to_string("/proc/sys/kernel/osrelease".as_ref()).ok()?;
    Some(text.trim().to_owned())
}

/// What `platform.freedesktop_os_release()` answers.
fn os_release(local: &LocalFiles) -> Option<IndexMap<String, String>> {
    let places = ["/etc/os-release", "/usr/lib/os-release"];
    let text = places.iter().find_map(|path| local.read_to_string(path.as_ref()).ok())?;
    let defaults = [("NAME", "Linux"), ("ID", "linux"), ("PRETTY_NAME", "Linux")];
    let mut fields: IndexMap<String, String> =
        defaults.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = line.split_once('=') {
            let value = value.trim().trim_matches(['"', '\'']);
            fields.insert(name.trim().to_owned(), value.to_owned());
        }
    }
    Some(fields)
}
