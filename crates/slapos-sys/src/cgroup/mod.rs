//! Control groups: directories in which the kernel limits and accounts for processes (version 2),
//! and in which it gives processors away (both versions, [`Cpus`]).
//!
//! Everything is a file below one root, so that tests can use an ordinary directory. A group that
//! processes are in has no subgroups of its own controllers, as the kernel wants it.

mod cpus;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use cpus::Cpus;

/// What is asked for; where a controller is missing, its files are.
const CONTROLLERS: [&str; 4] = ["+memory", "+pids", "+cpu", "+io"];

/// The tree of control groups of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroups {
    root: PathBuf,
}

/// What a group's processes use, as far as the kernel tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Bytes of memory, its page cache included.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Processor time since the group was made, in seconds.
    pub cpu_seconds: Option<f64>,
}

impl Cgroups {
    /// The tree, if version 2 is mounted, has the controllers that limit, and this process may make
    /// groups at its top.
    pub fn find() -> Option<Self> {
        let found = Self::mounted()?;
        // Where both versions are mounted, the other one may have them.
        let controllers = std::fs::read_to_string(found.root.join("cgroup.controllers")).ok()?;
        let has = |name: &str| controllers.split_whitespace().any(|other| other == name);
        (has("memory") && has("pids") && has("cpu")).then_some(found)
    }

    fn mounted() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let root = mount_point(&mounts)?;
        crate::fs::may_change_entries(&root).then(|| Self::at(root))
    }

    /// The tree at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Makes the group `names` (one below the other) and gives its directory.
    ///
    /// # Errors
    /// Those of `mkdir`; `InvalidInput` for a name that is none.
    pub fn make(&self, names: &[&str]) -> io::Result<PathBuf> {
        let mut path = self.root.clone();
        for name in names {
            if name.contains('/') || matches!(*name, "" | "." | "..") {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("no name: {name:?}"),
                ));
            }
            for controller in CONTROLLERS {
                // One that is missing, or enabled already.
                let _ = set(&path, "cgroup.subtree_control", controller);
            }
            path.push(name);
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(path)
    }

    /// The directory of the group `names`, whether it is there or not.
    pub fn path(&self, names: &[&str]) -> PathBuf {
        names.iter().fold(self.root.clone(), |path, name| path.join(name))
    }
}

/// Writes `value` to a file of a group.
///
/// # Errors
/// When the kernel does not have that file, or does not take the value.
pub fn set(group: &Path, file: &str, value: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(group.join(file))?
        .write_all(value.as_bytes())
}

/// What the processes of a group, and of those below it, use.
pub fn usage(group: &Path) -> Usage {
    let read = |file: &str| std::fs::read_to_string(group.join(file)).ok();
    let number = |file: &str| read(file)?.trim().parse().ok();
    let micros = read("cpu.stat").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        line?.trim().parse::<u64>().ok()
    });
    #[allow(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    let cpu_seconds = micros.map(|micros| micros as f64 / 1e6);
    Usage { memory: number("memory.current"), tasks: number("pids.current"), cpu_seconds }
}

/// Removes a group and those below it, as far as no process is in them.
pub fn remove(group: &Path) {
    let below = std::fs::read_dir(group).into_iter().flatten().filter_map(Result::ok);
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(&entry.path());
    }
    let _ = std::fs::remove_dir(group);
}

/// Where the first tree of version 2 is mounted.
fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let is_it = file_system.split(' ').next() == Some("cgroup2");
        is_it.then(|| mount.split(' ').nth(4)).flatten().map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_among_others() {
        let text = "24 30 0:22 / /proc rw - proc proc rw\n\
                    31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(text), Some(PathBuf::from("/sys/fs/cgroup")));
        assert_eq!(mount_point("24 30 0:22 / /sys/fs/cgroup/memory rw - cgroup cgroup rw\n"), None);
    }

    #[test]
    fn groups_are_made_below_each_other_with_controllers() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Cgroups::at(dir.path());
        let group = tree.make(&["slapos", "p.group"]).unwrap();
        assert_eq!(group, tree.path(&["slapos", "p.group"]));
        assert_eq!(tree.make(&["slapos", "p.group"]).unwrap(), group);
        for parent in [dir.path(), &dir.path().join("slapos")] {
            assert!(parent.join("cgroup.subtree_control").exists());
        }
        assert!(!group.join("cgroup.subtree_control").exists());
        assert!(tree.make(&["..", "x"]).is_err() && tree.make(&["a/b"]).is_err());
    }

    #[test]
    fn what_the_kernel_tells_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(usage(dir.path()), Usage::default());
        set(dir.path(), "memory.current", "4096\n").unwrap();
        set(dir.path(), "pids.current", "3\n").unwrap();
        set(dir.path(), "cpu.stat", "usage_usec 1500000\nuser_usec 1\n").unwrap();
        let wanted = Usage { memory: Some(4096), tasks: Some(3), cpu_seconds: Some(1.5) };
        assert_eq!(usage(dir.path()), wanted);
    }

    #[test]
    fn the_kernel_has_a_program_where_it_was_started() {
        let Some(tree) = Cgroups::mounted() else {
            let why = "no control groups of version 2 that this process may change";
            crate::skipped("the_kernel_has_a_program_where_it_was_started", why);
            return;
        };
        let name = format!("slapos-test-{}-place", std::process::id());
        let group = tree.make(&[&name, "below"]).unwrap();
        let mut command = crate::process::Command::new("/bin/cat");
        command.arg("/proc/self/cgroup").control_group(&group).unwrap();
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.lines().any(|line| line.ends_with(&format!("{name}/below"))), "{text}");
        assert!(usage(&group).cpu_seconds.is_some());
        remove(&tree.path(&[&name]));
        assert!(!group.exists() && !tree.path(&[&name]).exists());
    }

    #[test]
    fn the_kernel_holds_a_program_to_its_limits() {
        let Some(tree) = Cgroups::find() else {
            let why = "no control groups of version 2 with controllers that this process may use";
            crate::skipped("the_kernel_holds_a_program_to_its_limits", why);
            return;
        };
        let name = format!("slapos-test-{}", std::process::id());
        let group = tree.make(&[&name]).unwrap();
        set(&group, "pids.max", "1").unwrap();
        let mut command = crate::process::Command::new("/bin/sh");
        command.args(["-c", "/bin/true & wait $!"]).control_group(&group).unwrap();
        assert!(!command.status().unwrap().success(), "a second process was allowed");
        assert!(usage(&group).memory.is_some());
        remove(&group);
        assert!(!group.exists());
    }
}
