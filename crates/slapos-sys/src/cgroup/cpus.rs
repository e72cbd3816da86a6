//! Processors for single processes by way of control groups, of version 1 and of version 2.
//!
//! - Version 1, as in the original: one group `cpuN` for each processor, which has it exclusively;
//!   what is not told otherwise is moved to that of the first processor.
//! - Version 2: a group `slapos-cpuN` is made when a process gets processor N, as the root of a
//!   partition of processors, which takes N away from everybody else, and goes when it is empty.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::fs;

/// Control files hold less, bytes.
const LONGEST: u64 = 4 << 20;

/// The processors of this machine and who has one for himself.
#[derive(Debug)]
pub struct Cpus {
    root: PathBuf,
    version: Version,
    /// Where the kernel tells about processors, usually `/sys/devices/system/cpu`.
    processors: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Cpus {
    /// The control groups mounted at `root`, if they can govern processors.
    pub fn at(root: &Path, processors: &Path) -> Option<Self> {
        let known = fs::read_to_string(&root.join("cgroup.controllers")).ok();
        let version = match known {
            Some(known) if known.split_whitespace().any(|name| name == "cpuset") => Version::Two,
            Some(_) => return None,
            None if root.join("cpuset.cpus").exists() => Version::One,
            None => return None,
        };
        Some(Self { root: root.to_owned(), version, processors: processors.to_owned() })
    }

    /// Where they are mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a process that gets a processor stays in its control group, with the limits of that.
    /// In version 2 only a group directly below a root of processors can be one.
    pub fn keeps_limits(&self) -> bool {
        self.version == Version::One
    }

    /// Has processors ready to be given away, once for a machine.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn format(&self) -> io::Result<()> {
        match self.version {
            Version::Two => {
                let path = self.root.join("cgroup.subtree_control");
                let on = read(&path)?.split_whitespace().any(|name| name == "cpuset");
                if on { Ok(()) } else { put(&path, "+cpuset") }
            }
            Version::One => self.all()?.iter().try_for_each(|cpu| self.prepare(*cpu)),
        }
    }

    /// Whether [`format`](Self::format) was done.
    pub fn is_formatted(&self) -> bool {
        match self.version {
            Version::Two => read(&self.root.join("cgroup.subtree_control"))
                .is_ok_and(|text| text.split_whitespace().any(|name| name == "cpuset")),
            Version::One => self.all().is_ok_and(|all| {
                all.first().is_some_and(|first| self.group(*first).join("tasks").exists())
            }),
        }
    }

    fn prepare(&self, cpu: u32) -> io::Result<()> {
        let group = self.group(cpu);
        fs::create_dir_all(&group, 0o755)?;
        put_if_other(&group.join("cpuset.cpus"), &cpu.to_string())?;
        put_if_other(&group.join("cpuset.cpu_exclusive"), "1")?;
        put_if_other(&group.join("cpuset.mems"), "0")
    }

    /// All processors.
    fn all(&self) -> io::Result<Vec<u32>> {
        let path = match self.version {
            Version::One => self.root.join("cpuset.cpus"),
            Version::Two => self.processors.join("online"),
        };
        let text = read(&path)?;
        parse_list(&text).ok_or_else(|| {
            let message = format!("{} is no list of processors: {text:?}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    /// The processors that a process can have for itself (all but the first), and which processes
    /// have them.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn exclusive(&self) -> io::Result<BTreeMap<u32, Vec<u32>>> {
        let all = self.all()?.into_iter().skip(1);
        all.map(|cpu| Ok((cpu, members(&self.members(cpu))?))).collect()
    }

    /// Moves every process that may be moved and has no processor for itself to the first one. Only
    /// version 1 needs it.
    ///
    /// # Errors
    /// When the kernel does not tell which there are.
    pub fn clear_pool(&self) -> io::Result<()> {
        let (Version::One, Some(first)) = (self.version, self.all()?.first().copied()) else {
            return Ok(());
        };
        for pid in members(&self.root.join("tasks"))? {
            // The kernel's own processes refuse, and others may have ended.
            let _ = put(&self.members(first), &pid.to_string());
        }
        self.speed_up(first);
        Ok(())
    }

    /// Gives the processor `cpu` to the process `pid`.
    ///
    /// # Errors
    /// When the kernel does not take it, or cannot take the processor from others.
    pub fn give(&self, cpu: u32, pid: u32) -> io::Result<()> {
        if self.version == Version::Two {
            let group = self.group(cpu);
            fs::create_dir_all(&group, 0o755)?;
            put_if_other(&group.join("cpuset.cpus"), &cpu.to_string())?;
            let kind = group.join("cpuset.cpus.partition");
            put_if_other(&kind, "root")?;
            let said = read(&kind)?;
            if said.trim() != "root" {
                let message = format!("processor {cpu} cannot be exclusive: {}", said.trim());
                return Err(io::Error::other(message));
            }
        }
        put(&self.members(cpu), &pid.to_string())?;
        self.speed_up(cpu);
        Ok(())
    }

    /// Gives processors back that nobody has for himself any more.
    ///
    /// # Errors
    /// When the kernel does not tell who has one.
    pub fn tidy(&self) -> io::Result<()> {
        if self.version == Version::One {
            return Ok(());
        }
        for (cpu, pids) in self.exclusive()? {
            let group = self.group(cpu);
            if pids.is_empty() && group.exists() {
                // A process that came in between keeps it.
                let _ = std::fs::remove_dir(&group);
            }
        }
        Ok(())
    }

    fn group(&self, cpu: u32) -> PathBuf {
        match self.version {
            Version::One => self.root.join(format!("cpu{cpu}")),
            Version::Two => self.root.join(format!("slapos-cpu{cpu}")),
        }
    }

    fn members(&self, cpu: u32) -> PathBuf {
        match self.version {
            Version::One => self.group(cpu).join("tasks"),
            Version::Two => self.group(cpu).join("cgroup.procs"),
        }
    }

    /// Where the machine can, the processor runs as fast as it can.
    fn speed_up(&self, cpu: u32) {
        let governor = self.processors.join(format!("cpu{cpu}/cpufreq/scaling_governor"));
        if governor.exists() {
            // Some machines leave no choice; the processor is exclusive all the same.
            let _ = put_if_other(&governor, "performance");
        }
    }
}

/// `0-2,5` as numbers; `None` if it is something else.
fn parse_list(text: &str) -> Option<Vec<u32>> {
    /// More than any machine has.
    const MOST: u32 = 1 << 16;
    let mut found = Vec::new();
    for piece in text.trim().split(',') {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found)
}

fn members(path: &Path) -> io::Result<Vec<u32>> {
    match read(path) {
        Ok(text) => Ok(text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string_limited(path, LONGEST)
}

fn put_if_other(path: &Path, text: &str) -> io::Result<()> {
    match read(path) {
        Ok(found) if found.trim() == text => Ok(()),
        _ => put(path, text),
    }
}

/// Tells the kernel something: one line, in one piece. These are no files that could be replaced.
fn put(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like a mounted control group; writing to it moves nothing.
    fn fake(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn text(dir: &tempfile::TempDir, name: &str) -> String {
        std::fs::read_to_string(dir.path().join(name)).unwrap().trim().to_owned()
    }

    #[test]
    fn lists_of_processors() {
        assert_eq!(parse_list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_list("3"), Some(vec![3]));
        for odd in ["", "a", "1-", "0-99999999"] {
            assert_eq!(parse_list(odd), None, "{odd}");
        }
    }

    #[test]
    fn version_1_has_a_group_for_each_processor() {
        let dir = fake(&[
            ("cpuset.cpus", "0-1"),
            ("tasks", "10 11"),
            ("cpu0/cpuset.cpus", ""),
            ("cpu0/cpuset.cpu_exclusive", "0"),
            ("cpu0/cpuset.mems", ""),
            ("cpu0/tasks", ""),
            ("cpu1/cpuset.cpus", ""),
            ("cpu1/cpuset.cpu_exclusive", "0"),
            ("cpu1/cpuset.mems", ""),
            ("cpu1/tasks", ""),
        ]);
        let cpus = Cpus::at(dir.path(), dir.path()).unwrap();
        cpus.format().unwrap();
        assert!(cpus.is_formatted());
        assert_eq!(text(&dir, "cpu1/cpuset.cpus"), "1");
        assert_eq!(text(&dir, "cpu1/cpuset.cpu_exclusive"), "1");
        cpus.clear_pool().unwrap();
        assert_eq!(text(&dir, "cpu0/tasks"), "11", "the last of those that were moved");
        cpus.give(1, 11).unwrap();
        assert_eq!(cpus.exclusive().unwrap(), BTreeMap::from([(1, vec![11])]));
    }

    #[test]
    fn version_2_takes_a_processor_from_everybody_when_it_is_given() {
        let dir = fake(&[
            ("cgroup.controllers", "cpu cpuset io"),
            ("cgroup.subtree_control", ""),
            ("online", "0-2"),
            ("cpu2/cpufreq/scaling_governor", "powersave"),
            ("slapos-cpu2/cpuset.cpus", ""),
            ("slapos-cpu2/cpuset.cpus.partition", "member"),
            ("slapos-cpu2/cgroup.procs", ""),
        ]);
        let cpus = Cpus::at(dir.path(), dir.path()).unwrap();
        assert!(!cpus.is_formatted() && !cpus.keeps_limits());
        cpus.format().unwrap();
        assert_eq!(text(&dir, "cgroup.subtree_control"), "+cpuset");
        cpus.give(2, 77).unwrap();
        assert_eq!(text(&dir, "slapos-cpu2/cpuset.cpus.partition"), "root");
        assert_eq!(text(&dir, "cpu2/cpufreq/scaling_governor"), "performance");
        assert_eq!(cpus.exclusive().unwrap(), BTreeMap::from([(1, vec![]), (2, vec![77])]));
    }

    #[test]
    fn what_cannot_govern_processors_is_none() {
        let empty = fake(&[]);
        assert!(Cpus::at(empty.path(), empty.path()).is_none());
        let other = fake(&[("cgroup.controllers", "memory"), ("cpuset.cpus", "0")]);
        assert!(Cpus::at(other.path(), other.path()).is_none());
    }

    /// A control group of the kernel, below the usual place, with one process in it.
    struct Real {
        root: PathBuf,
        child: std::process::Child,
    }

    impl Real {
        fn new() -> Result<Self, String> {
            let usual = Path::new("/sys/fs/cgroup/cpuset");
            let root = usual.join(format!("slapos-test-{}", std::process::id()));
            std::fs::create_dir(&root).map_err(|error| error.to_string())?;
            let child = crate::process::Command::new("/bin/sleep").arg("600").spawn();
            let real = Self { root, child: child.unwrap() };
            for name in ["cpuset.cpus", "cpuset.mems"] {
                let text = read(&usual.join(name)).map_err(|error| error.to_string())?;
                put(&real.root.join(name), text.trim()).map_err(|error| error.to_string())?;
            }
            put(&real.root.join("cpuset.cpu_exclusive"), "1").map_err(|error| error.to_string())?;
            let pid = real.child.id().to_string();
            put(&real.root.join("tasks"), &pid).map_err(|error| error.to_string())?;
            Ok(real)
        }
    }

    impl Drop for Real {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            for entry in std::fs::read_dir(&self.root).unwrap().flatten() {
                // Control files cannot be removed, and go with their group.
                let _ = std::fs::remove_dir(entry.path());
            }
            std::fs::remove_dir(&self.root).unwrap();
        }
    }

    #[test]
    fn the_kernel_takes_what_version_1_is_told() {
        let skip = |why: &str| {
            crate::skipped("the_kernel_takes_what_version_1_is_told", why);
        };
        let real = match Real::new() {
            Ok(real) => real,
            Err(why) => return skip(&why),
        };
        let none = tempfile::tempdir().unwrap();
        let cpus = Cpus::at(&real.root, none.path()).unwrap();
        let Some(cpu) = cpus.all().unwrap().get(1).copied() else {
            return skip("needs two processors");
        };
        assert!(!cpus.is_formatted());
        cpus.format().unwrap();
        cpus.format().unwrap();
        assert!(cpus.is_formatted());
        let pid = real.child.id();
        cpus.clear_pool().unwrap();
        assert_eq!(members(&real.root.join("tasks")).unwrap(), Vec::<u32>::new());
        cpus.give(cpu, pid).unwrap();
        assert_eq!(cpus.exclusive().unwrap().get(&cpu), Some(&vec![pid]));
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains(&format!("Cpus_allowed_list:\t{cpu}\n")), "{status}");
    }
}
