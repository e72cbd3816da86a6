//! What the kernel tells about any process in `/proc/PID`: the one room that knows how it is written.
//!
//! A process may go at any time while it is looked at, which reads as if there were none.

use std::path::{Path, PathBuf};

/// A process. Pid and start together name one for as long as the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub pid: u32,
    /// The number of its parent.
    pub parent: u32,
    /// The number of its group's leader.
    pub group: u32,
    /// The number of its session's leader.
    pub session: u32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
    /// What it does, as proc(5) abbreviates it.
    pub state: char,
}

impl Entry {
    /// Whether it runs: one that has ended and is not waited for yet (a zombie) does not.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// All processes, those that have ended and are not waited for included.
pub fn list() -> impl Iterator<Item = Entry> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|found| entry(found.file_name().to_str()?.parse().ok()?))
}

/// The process `pid`.
pub fn entry(pid: u32) -> Option<Entry> {
    let stat = Stat::read(&directory(pid))?;
    let number = |field| u32::try_from(stat.number(field)?).ok();
    Some(Entry {
        pid,
        parent: number(4)?,
        group: number(5)?,
        session: number(6)?,
        start: stat.number(22)?,
        state: stat.state()?,
    })
}

/// When process `pid` started, in clock ticks since boot.
pub fn start_time(pid: u32) -> Option<u64> {
    entry(pid).map(|entry| entry.start)
}

/// True while the process `pid` that started at `start` runs (a zombie does not).
pub fn alive(pid: u32, start: u64) -> bool {
    entry(pid).is_some_and(|entry| entry.is_alive() && entry.start == start)
}

/// The numbers of a process: `stat` in its directory.
#[derive(Debug)]
pub struct Stat {
    name: String,
    /// The fields from the third on.
    rest: String,
}

impl Stat {
    /// That of the process whose directory this is.
    pub fn read(directory: &Path) -> Option<Self> {
        let bytes = std::fs::read(directory.join("stat")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        // The second field, the name in parentheses, can hold anything: it ends with the last one.
        let (head, rest) = text.rsplit_once(')')?;
        let name = head.split_once('(').map_or("", |(_, name)| name);
        Some(Self { name: name.to_owned(), rest: rest.to_owned() })
    }

    /// The name of the program, as far as the kernel keeps it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the process does.
    pub fn state(&self) -> Option<char> {
        self.field(3)?.chars().next()
    }

    /// The number in a field, as proc(5) counts them (from 1).
    pub fn number(&self, field: usize) -> Option<u64> {
        self.field(field)?.parse().ok()
    }

    fn field(&self, number: usize) -> Option<&str> {
        self.rest.split_whitespace().nth(number.checked_sub(3)?)
    }
}

/// The user ids of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uids {
    /// Who started it.
    pub real: u32,
    /// With whose rights it acts.
    pub effective: u32,
    /// Whose rights it may take back.
    pub saved: u32,
    /// With whose rights it opens files.
    pub files: u32,
}

impl Uids {
    /// Those that the text of a process's file `status` tells.
    pub fn parse(status: &str) -> Option<Self> {
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let mut ids = line.split_whitespace().map(|id| id.parse().ok());
        let mut next = || ids.next().flatten();
        Some(Self { real: next()?, effective: next()?, saved: next()?, files: next()? })
    }

    /// The user, if the process acts as nobody else.
    pub fn only(&self) -> Option<u32> {
        let Self { real, effective, saved, files } = *self;
        [effective, saved, files].iter().all(|id| *id == real).then_some(real)
    }
}

/// The user ids of process `pid`.
pub fn uids(pid: u32) -> Option<Uids> {
    let status = std::fs::read(directory(pid).join("status")).ok()?;
    Uids::parse(&String::from_utf8_lossy(&status))
}

/// How many processes of this user there are, threads included: what his limit of them counts, but for
/// those that keep others from looking at them.
pub fn threads_of(uid: u32) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = entries.filter(|found| found.metadata().is_ok_and(|metadata| metadata.uid() == uid));
    let stats = own.filter_map(|found| Stat::read(&found.path()));
    stats.filter_map(|stat| stat.number(20)).sum()
}

/// The environment that a process was started with.
#[derive(Debug)]
pub struct Environment(Vec<u8>);

impl Environment {
    /// The value of the variable `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut all = self.0.split(|&byte| byte == 0);
        all.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }
}

impl From<Vec<u8>> for Environment {
    /// Made of what the kernel shows: each variable ends with a zero.
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// The environment of process `pid`, if this user may look into it.
pub fn environment(pid: u32) -> Option<Environment> {
    std::fs::read(directory(pid).join("environ")).ok().map(Environment)
}

fn directory(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Command, Signal, kill};

    #[test]
    fn a_process_has_the_user_it_was_started_by() {
        let own = crate::user::current().unwrap().uid;
        let uids = |pid| super::uids(pid).map(|uids| (uids.real, uids.only()));
        assert_eq!(uids(std::process::id()), Some((own, Some(own))));
        assert_eq!(uids(u32::MAX), None);
        let text = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\n";
        let mixed = Uids { real: 1, effective: 2, saved: 3, files: 4 };
        assert_eq!((Uids::parse(text), mixed.only()), (Some(mixed), None));
        assert_eq!(Uids::parse("Uid:\t1\t2\n"), None);
    }

    #[test]
    fn this_very_process_is_listed() {
        let own = entry(std::process::id()).unwrap();
        assert!(own.is_alive() && own.parent != 0);
        assert!(list().any(|entry| entry.pid == own.pid && entry.start == own.start));
    }

    #[test]
    fn a_process_is_named_by_pid_and_start_time() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let start = start_time(child.id()).unwrap();
        assert!(alive(child.id(), start));
        assert!(!alive(child.id(), start + 1));
        kill(child.id(), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(!alive(child.id(), start));
    }

    #[test]
    fn numbers_are_found_whatever_the_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("stat"), "7 (a) b) S 1 2 3 0 -1 0\n").unwrap();
        let stat = Stat::read(dir.path()).unwrap();
        assert_eq!((stat.name(), stat.state(), stat.number(6)), ("a) b", Some('S'), Some(3)));
        assert_eq!((stat.number(2), stat.number(8), stat.number(22)), (None, None, None));
    }

    #[test]
    fn a_variable_is_found_among_others() {
        let environment = Environment::from(b"XA=no\0A=1=2\0B=\xff\0".to_vec());
        assert_eq!(environment.get("A"), Some(&b"1=2"[..]));
        assert_eq!(environment.get("B"), Some(&b"\xff"[..]));
        assert_eq!(environment.get("C"), None);
    }
}
