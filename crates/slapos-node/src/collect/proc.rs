//! What the kernel tells about processes and the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use slapos_sys::fs;
use slapos_sys::process::{Stat, Uids};

/// Where it tells it.
pub(crate) const ROOT: &str = "/proc";
/// The unit of times in `/proc`: 1/100 s on every machine that this runs on.
const TICKS: f64 = 100.0;

/// Bytes kept of a command line: a process may make its own as long as its memory.
const MOST_COMMAND: u64 = 4096;
/// Processes of one user that are told.
pub(super) const MOST_PROCESSES: usize = 1000;

/// A process as found, and what it uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) name: String,
    pub(super) command: Vec<String>,
    /// When it started, seconds since 1970.
    pub(super) created: f64,
    /// Its own time on processors, seconds.
    pub(super) own_time: f64,
    /// That, and that of its children that have ended, seconds.
    pub(super) cpu_time: f64,
    /// Of one processor, while measured.
    pub(super) cpu_percent: f64,
    pub(super) threads: u64,
    /// Memory in use, bytes.
    pub(super) rss: u64,
    /// Bytes read and written.
    pub(super) io_bytes: u64,
    /// Calls of reading and writing.
    pub(super) io_calls: u64,
}

/// The machine as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Machine {
    pub(crate) load: f64,
    pub(super) processors: u64,
    /// Memory, bytes.
    pub(crate) memory: u64,
    pub(crate) memory_available: u64,
    /// Of all processors, while measured.
    pub(super) cpu_percent: f64,
    /// Received bytes, errors, dropped packets; the same for what was sent. Of all interfaces.
    pub(super) network: [u64; 6],
    /// Device, mount point, room.
    pub(super) disks: Vec<(String, String, fs::Room)>,
    /// Ticks of all processors, at rest and altogether.
    pub(super) idle: u64,
    pub(super) all: u64,
}

impl Machine {
    /// Takes the use of processors between this and a `later` look.
    pub(super) fn measure(&mut self, later: &Self) {
        let all = later.all.saturating_sub(self.all);
        let idle = later.idle.saturating_sub(self.idle);
        self.cpu_percent = if all == 0 { 0.0 } else { 100.0 * (1.0 - float(idle) / float(all)) };
    }
}

#[allow(clippy::cast_precision_loss, reason = "counters, which need no more than 53 bits")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

/// The processes of these users, [`MOST_PROCESSES`] of each; which ones then is not defined. One
/// that ends meanwhile is left out.
pub(super) fn processes(root: &Path, uids: &BTreeSet<u32>) -> io::Result<Vec<Process>> {
    let boot = boot_time(&read(&root.join("stat"))?);
    let mut found = Vec::new();
    let mut left: BTreeMap<u32, usize> = uids.iter().map(|uid| (*uid, MOST_PROCESSES)).collect();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Some(process) = process(&entry.path(), pid, boot, uids) else { continue };
        match left.get_mut(&process.uid) {
            Some(left) if *left > 0 => *left -= 1,
            _ => continue,
        }
        found.push(process);
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

fn process(directory: &Path, pid: u32, boot: f64, uids: &BTreeSet<u32>) -> Option<Process> {
    let status = read(&directory.join("status")).ok()?;
    // Whose it is, whatever rights it has for now.
    let uid = Uids::parse(&status).map(|uids| uids.real).filter(|uid| uids.contains(uid))?;
    let memory = fields(&status).get("VmRSS").and_then(|text| number(text));
    let stat = Stat::read(directory)?;
    let field = |number: usize| stat.number(number).unwrap_or(0);
    let io = fields(&read(&directory.join("io")).unwrap_or_default());
    let sum =
        |names: [&str; 2]| names.iter().filter_map(|name| io.get(*name)?.parse::<u64>().ok()).sum();
    let own = field(14) + field(15);
    let mut command = Vec::new();
    // What cannot be read has no words.
    let _ = std::fs::File::open(directory.join("cmdline"))
        .and_then(|file| file.take(MOST_COMMAND).read_to_end(&mut command));
    let words = command.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Some(Process {
        pid,
        uid,
        name: stat.name().to_owned(),
        command: words.map(|word| String::from_utf8_lossy(word).into_owned()).collect(),
        created: boot + float(field(22)) / TICKS,
        own_time: float(own) / TICKS,
        cpu_time: float(own + field(16) + field(17)) / TICKS,
        cpu_percent: 0.0,
        threads: field(20),
        rss: memory.unwrap_or(0) << 10,
        io_bytes: sum(["read_bytes", "write_bytes"]),
        io_calls: sum(["syscr", "syscw"]),
    })
}

/// The processes of the later look with what they used of a processor since the earlier one.
pub(super) fn usage(before: &[Process], after: Vec<Process>, seconds: f64) -> Vec<Process> {
    let known: BTreeMap<_, _> = before.iter().map(|one| (one.pid, one)).collect();
    let used = |process: &Process| {
        let former = known.get(&process.pid).filter(|one| one.created == process.created);
        former.map_or(0.0, |former| (process.own_time - former.own_time).max(0.0))
    };
    let measured = after.into_iter().map(|process| {
        let cpu_percent = if seconds > 0.0 { 100.0 * used(&process) / seconds } else { 0.0 };
        Process { cpu_percent, ..process }
    });
    measured.collect()
}

/// Looks at the machine.
pub(crate) fn machine(root: &Path) -> io::Result<Machine> {
    let memory = fields(&read(&root.join("meminfo"))?);
    let bytes = |name: &str| memory.get(name).and_then(|text| number(text)).unwrap_or(0) << 10;
    let stat = read(&root.join("stat"))?;
    let (idle, all) = processor_time(&stat);
    let load = read(&root.join("loadavg"))?;
    Ok(Machine {
        load: load.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
        processors: stat.lines().filter(|line| is_processor(line)).count() as u64,
        memory: bytes("MemTotal"),
        memory_available: bytes("MemAvailable"),
        cpu_percent: 0.0,
        network: network(&read(&root.join("net/dev")).unwrap_or_default()),
        disks: disks(&read(&root.join("mounts")).unwrap_or_default()),
        idle,
        all,
    })
}

fn is_processor(line: &str) -> bool {
    line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Idle and all time of all processors together. Guests' time is in that of their hosts already.
fn processor_time(stat: &str) -> (u64, u64) {
    const KINDS: usize = 8;
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let times: Vec<u64> =
        line.split_whitespace().take(KINDS).map(|time| time.parse().unwrap_or(0)).collect();
    (times.get(3).copied().unwrap_or(0), times.iter().sum())
}

fn boot_time(stat: &str) -> f64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0.0)
}

fn network(dev: &str) -> [u64; 6] {
    let mut sums = [0_u64; 6];
    for line in dev.lines() {
        let Some((_, counters)) = line.split_once(':') else { continue };
        let counters: Vec<u64> =
            counters.split_whitespace().map(|number| number.parse().unwrap_or(0)).collect();
        for (sum, column) in sums.iter_mut().zip([0, 2, 3, 8, 10, 11]) {
            *sum += counters.get(column).copied().unwrap_or(0);
        }
    }
    sums
}

/// What is mounted of devices, each device once.
fn disks(mounts: &str) -> Vec<(String, String, fs::Room)> {
    let mut found: Vec<(String, String, fs::Room)> = Vec::new();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(mount)) = (words.next(), words.next()) else { continue };
        let is_new =
            device.starts_with("/dev/") && !found.iter().any(|(known, ..)| known == device);
        // Unusual names are escaped there, and such a place is not found.
        if let Some(room) = is_new.then(|| fs::room(Path::new(mount)).ok()).flatten() {
            found.push((device.to_owned(), mount.to_owned(), room));
        }
    }
    found
}

/// The number that a value begins with; a unit may follow.
fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Lines `name: value` by name.
fn fields(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// Names of processes can be of any bytes.
fn read(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;

    fn fake() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("stat", "cpu  10 0 10 70 10 0 0 0 5 0\ncpu0 1\ncpu1 1\nbtime 1000\n");
        put("loadavg", "1.50 1 1 1/1 1\n");
        put("meminfo", "MemTotal:  2000 kB\nMemAvailable:  500 kB\n");
        put(
            "net/dev",
            "Inter-|\n face |bytes\n  lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\neth0: 100 0 0 0 0 0 0 0 200 0 0 0 0 0 0 0\n",
        );
        put("7/status", "Name:\tx\nUid:\t1001\t1001\t1001\t1001\nVmRSS:\t  2048 kB\n");
        put("7/stat", "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 300 100 20 10 20 0 3 0 5000 0 0\n");
        put("7/io", "rchar: 9\nsyscr: 4\nsyscw: 5\nread_bytes: 1000\nwrite_bytes: 24\n");
        put("7/cmdline", "/bin/x\0-y\0");
        let long = "x".repeat(10_000);
        put("9/status", "Uid:\t1003\t1003\t1003\t1003\n");
        put("9/stat", "9 (z) S\n");
        put("9/cmdline", &long);
        put("8/status", "Uid:\t1002\t1002\t1002\t1002\n");
        put("8/stat", "8 (z) S\n");
        dir
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let dir = fake();
        let found = processes(dir.path(), &BTreeSet::from([1001])).unwrap();
        let expected = Process {
            pid: 7,
            uid: 1001,
            name: "a) b".into(),
            command: vec!["/bin/x".into(), "-y".into()],
            created: 1050.0,
            own_time: 4.0,
            cpu_time: 4.3,
            cpu_percent: 0.0,
            threads: 3,
            rss: 2 << 20,
            io_bytes: 1024,
            io_calls: 9,
        };
        assert_eq!(found, std::slice::from_ref(&expected));
        let later = Process { own_time: 4.5, ..expected.clone() };
        let another = Process { own_time: 9.0, created: 1.0, ..expected.clone() };
        assert_eq!(usage(&found, vec![later], 2.0)[0].cpu_percent, 25.0);
        assert_eq!(usage(&found, vec![another], 2.0)[0].cpu_percent, 0.0, "another of its number");
    }

    #[test]
    fn of_many_processes_and_long_commands_only_so_much_is_kept() {
        let dir = fake();
        let found = processes(dir.path(), &BTreeSet::from([1003])).unwrap();
        assert_eq!(found[0].command, ["x".repeat(4096)]);
        for pid in 1000..1000 + MOST_PROCESSES + 5 {
            let process = dir.path().join(pid.to_string());
            std::fs::create_dir(&process).unwrap();
            std::fs::write(process.join("status"), "Uid:\t1003\t1003\t1003\t1003\n").unwrap();
            std::fs::write(process.join("stat"), "1 (z) S\n").unwrap();
        }
        let found = processes(dir.path(), &BTreeSet::from([1001, 1003])).unwrap();
        assert_eq!(found.iter().filter(|one| one.uid == 1003).count(), MOST_PROCESSES);
        assert_eq!(found.iter().filter(|one| one.uid == 1001).count(), 1, "others are told");
    }

    #[test]
    fn the_machine_is_read() {
        let dir = fake();
        let mut machine = machine(dir.path()).unwrap();
        assert_eq!((machine.load, machine.processors), (1.5, 2));
        assert_eq!((machine.memory, machine.memory_available), (2000 << 10, 500 << 10));
        assert_eq!(machine.network, [101, 3, 4, 209, 11, 12]);
        let later = Machine { idle: machine.idle + 30, all: machine.all + 40, ..machine.clone() };
        machine.measure(&later);
        assert_eq!(machine.cpu_percent, 25.0);
    }

    #[test]
    fn this_machine_can_be_read() {
        let uid = slapos_sys::user::current().unwrap().uid;
        let own = processes(Path::new(ROOT), &BTreeSet::from([uid])).unwrap();
        let this = own.iter().find(|process| process.pid == std::process::id()).unwrap();
        assert!(this.rss > 0 && this.threads > 0, "{this:?}");
        assert!(machine(Path::new(ROOT)).unwrap().memory > 0);
    }
}
