//! The guard: the only way from an archive to the disk.
//!
//! Two fences, either of which is enough: what was put into the tree is remembered, and nothing
//! is put below or through a link; and every path is opened relative to the tree's descriptor by
//! cap-std, which lets none resolve outside of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::FileTimes;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions, OpenOptionsExt};

use super::links::{self, Links};
use super::meter::Meter;
use super::{Limits, Stop};

/// What an archive says of an entry besides its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) modified: u64,
}

/// A fresh directory that is being filled.
pub(super) struct Tree {
    dir: Dir,
    path: PathBuf,
    limits: Limits,
    links: Links,
    files: HashSet<PathBuf>,
    /// Times to set at the end, because filling a directory changes its time.
    directories: BTreeMap<PathBuf, Option<u64>>,
    top: BTreeSet<PathBuf>,
    entries: u64,
    bytes: u64,
    /// Original names, where they differ from the paths in the tree.
    names: HashMap<PathBuf, String>,
}

impl Tree {
    /// The tree in the empty directory `path`.
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Self, Stop> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .map_err(|error| Stop::Write(path.to_owned(), error))?;
        Ok(Self {
            dir,
            path: path.to_owned(),
            limits: limits.clone(),
            links: Links::new(),
            files: HashSet::new(),
            directories: BTreeMap::new(),
            top: BTreeSet::new(),
            entries: 0,
            bytes: 0,
            names: HashMap::new(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.top.is_empty()
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The directory that everything is in, if there is one.
    pub(super) fn single_directory(&self) -> Option<PathBuf> {
        let only = self.top.first().filter(|_| self.top.len() == 1)?;
        self.directories.contains_key(only).then(|| only.clone())
    }

    /// Puts a directory, which may be there already.
    pub(super) fn add_directory(&mut self, name: &[u8], has: Attributes) -> Result<(), Stop> {
        let path = self.admit(name)?;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        self.make_parents(&path, name)?;
        self.make_directory(&path)?;
        self.directories.insert(path, Some(has.modified));
        Ok(())
    }

    /// Puts a file with the content of `reader`. A file of that name is replaced, as tar does.
    pub(super) fn add_file(
        &mut self,
        name: &[u8],
        has: Attributes,
        reader: &mut dyn Read,
        meter: &Meter<'_>,
    ) -> Result<(), Stop> {
        let path = self.admit_leaf(name)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = self
            .dir
            .open_with(&path, &options)
            .map_err(|error| self.write_failed(&path, error))?
            .into_std();
        self.files.insert(path.clone());
        self.bytes += copy(reader, &mut file).map_err(|error| match error {
            Copy::Read(error) => meter.explain(&error),
            Copy::Write(error) => self.write_failed(&path, error),
        })?;
        // No set-id bits, nothing for others to write, always readable to us.
        let mode = has.mode & 0o755 | 0o600;
        set_mode(&file, mode)
            .and_then(|()| file.set_times(FileTimes::new().set_modified(time(has.modified))))
            .map_err(|error| self.write_failed(&path, error))
    }

    /// Puts a symbolic link; where it leads is checked when the tree is complete.
    pub(super) fn add_symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), Stop> {
        let target = PathBuf::from(std::ffi::OsStr::from_bytes(target));
        let hostile = |reason: String| Stop::hostile(shown(name), reason);
        if target.as_os_str().is_empty() || target.as_os_str().as_bytes().contains(&0) {
            return Err(hostile("is a link to nothing".into()));
        }
        if target.as_os_str().len() > self.limits.path_bytes {
            return Err(hostile("is a link to an overlong path".into()));
        }
        if target.is_absolute() {
            let shown = target.display();
            return Err(hostile(format!("is a link to an absolute path ({shown})")));
        }
        let path = self.admit_leaf(name)?;
        self.dir
            .symlink_contents(&target, &path)
            .map_err(|error| self.write_failed(&path, error))?;
        self.links.insert(path, target);
        Ok(())
    }

    /// Puts another name for a file that was put before.
    pub(super) fn add_hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), Stop> {
        let to = self.clean(target)?;
        if let Some(symlink) = self.links.get(&to) {
            // Elsewhere the same words may lead elsewhere: it is checked as a link of its own.
            let target = symlink.as_os_str().as_bytes().to_owned();
            return self.add_symlink(name, &target);
        }
        if !self.files.contains(&to) {
            let reason =
                format!("is a hard link to {:?}, which is no file of this archive", shown(target));
            return Err(Stop::hostile(shown(name), reason));
        }
        if self.clean(name)? == to {
            return Ok(());
        }
        let path = self.admit_leaf(name)?;
        self.dir
            .hard_link(&to, &self.dir, &path)
            .map_err(|error| self.write_failed(&path, error))?;
        self.files.insert(path);
        Ok(())
    }

    /// Checks the links below `root`, which is what will remain, and sets the directories' times.
    pub(super) fn finish(self, root: &Path) -> Result<(), Stop> {
        for path in self.links.keys() {
            links::check(&self.links, root, path)
                .map_err(|reason| Stop::hostile(self.original(path), reason))?;
        }
        for (path, modified) in self.directories.iter().rev() {
            let Some(modified) = modified else { continue };
            let directory = self.dir.open(path).map_err(|error| self.write_failed(path, error))?;
            // Only a convenience, so a file system without times is no obstacle.
            let times = FileTimes::new().set_modified(time(*modified));
            let _ = directory.into_std().set_times(times);
        }
        Ok(())
    }

    /// Counts an entry that becomes a file or link and clears the way for it.
    fn admit_leaf(&mut self, name: &[u8]) -> Result<PathBuf, Stop> {
        let path = self.admit(name)?;
        let hostile = |reason: &str| Err(Stop::hostile(shown(name), reason));
        if path.as_os_str().is_empty() {
            return hostile("would replace the directory that is unpacked to");
        }
        if self.directories.contains_key(&path) {
            return hostile("would replace a directory by something else");
        }
        self.make_parents(&path, name)?;
        if self.files.remove(&path) | self.links.remove(&path).is_some() {
            self.dir.remove_file(&path).map_err(|error| self.write_failed(&path, error))?;
        }
        Ok(path)
    }

    fn admit(&mut self, name: &[u8]) -> Result<PathBuf, Stop> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            let limit = self.limits.entries;
            return Err(Stop::TooLarge(format!("it has more than {limit} entries")));
        }
        let path = self.clean(name)?;
        if path.as_os_str().as_bytes() != name {
            self.names.insert(path.clone(), shown(name));
        }
        if let Some(first) = path.components().next() {
            self.top.insert(PathBuf::from(first.as_os_str()));
        }
        Ok(path)
    }

    /// The path in the tree that a name of the archive means.
    fn clean(&self, name: &[u8]) -> Result<PathBuf, Stop> {
        let hostile = |reason: &str| Err(Stop::hostile(shown(name), reason));
        if name.len() > self.limits.path_bytes {
            return hostile("has an overlong name");
        }
        if name.contains(&0) {
            return hostile("has a NUL in its name");
        }
        let mut path = PathBuf::new();
        for component in Path::new(std::ffi::OsStr::from_bytes(name)).components() {
            match component {
                Component::Normal(part) if part.len() > 255 => {
                    return hostile("has an overlong name");
                }
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir => return hostile("leads out of the tree by .."),
                _ => return hostile("has an absolute path"),
            }
        }
        Ok(path)
    }

    fn make_parents(&mut self, path: &Path, name: &[u8]) -> Result<(), Stop> {
        let parents: Vec<&Path> =
            path.ancestors().skip(1).take_while(|parent| !parent.as_os_str().is_empty()).collect();
        for parent in parents.into_iter().rev() {
            if self.links.contains_key(parent) {
                let reason = format!("would be written through the link {:?}", parent.display());
                return Err(Stop::hostile(shown(name), reason));
            }
            if self.files.contains(parent) {
                return Err(Stop::hostile(shown(name), "is below a file"));
            }
            self.make_directory(parent)?;
        }
        Ok(())
    }

    fn make_directory(&mut self, path: &Path) -> Result<(), Stop> {
        if self.directories.contains_key(path) {
            return Ok(());
        }
        if self.links.contains_key(path) || self.files.contains(path) {
            let shown = path.display().to_string();
            return Err(Stop::hostile(shown, "is a directory and something else too"));
        }
        let mut builder = DirBuilder::new();
        builder.mode(0o755);
        self.dir.create_dir_with(path, &builder).map_err(|error| self.write_failed(path, error))?;
        self.directories.insert(path.to_owned(), None);
        Ok(())
    }

    fn original(&self, path: &Path) -> String {
        match self.names.get(path) {
            Some(name) => name.clone(),
            None => path.display().to_string(),
        }
    }

    fn write_failed(&self, path: &Path, error: io::Error) -> Stop {
        match error.kind() {
            // How much is needed is found out by who reads the archive.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Stop::Full { needed: 0 },
            _ => Stop::Write(self.path.join(path), error),
        }
    }
}

enum Copy {
    Read(io::Error),
    Write(io::Error),
}

fn copy(from: &mut dyn Read, to: &mut impl Write) -> Result<u64, Copy> {
    let mut buffer = [0; 32 * 1024];
    let mut copied = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(read) => {
                to.write_all(&buffer[..read]).map_err(Copy::Write)?;
                copied += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Copy::Read(error)),
        }
    }
}

fn set_mode(file: &std::fs::File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

/// A time that no file system can hold becomes 1970.
fn time(seconds: u64) -> SystemTime {
    i64::try_from(seconds)
        .ok()
        .and_then(|_| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .filter(|_| seconds < 1 << 40)
        .unwrap_or(UNIX_EPOCH)
}

/// A name of the archive, for messages.
pub(super) fn shown(name: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(name).chars().take(200).collect();
    text
}
