//! Recognising a service by what it looks like, when its tag is gone: programs that write their
//! own title over their environment (nginx does) wipe the tag out, and others start with none.
//!
//! A process is taken for a program's when it leads its session, runs as the program's user with
//! all its user ids, and writes to the program's log file; without a log file, when it has the
//! program's working directory and executable and its output goes nowhere. Somebody can make a
//! process look so, but only as that same user: he deceives nobody but himself, and gains nothing
//! that he could not do to his own programs anyway. What fits two programs is left alone.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use slapos_sys::process::uids;

use super::table::{self, Entry};
use crate::spec::ProgramSpec;

/// How long the look may take: paths of programs may lead to file systems that do not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Device and inode: which file it is, whatever its name.
type FileId = (u64, u64);

/// A program whose process is not known.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    pub(crate) group: String,
    pub(crate) spec: ProgramSpec,
    /// The user that it runs as.
    pub(crate) uid: u32,
    /// Its process started later than this, in clock ticks since boot.
    pub(crate) after: u64,
}

/// What its process must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    /// It writes to one of these files.
    Log(Vec<FileId>),
    /// It has this working directory and executable, and writes nowhere.
    Place(FileId, FileId),
    /// Nothing is known to recognise it by.
    Unknown,
}

/// A process that may be somebody's.
#[derive(Clone, Debug)]
struct Candidate {
    entry: Entry,
    uid: u32,
    outputs: Vec<FileId>,
    /// Working directory and executable, if its output goes nowhere.
    place: Option<(FileId, FileId)>,
}

/// For each program the process that is surely its own, `None` for those that have none. Nothing
/// at all when the look takes too long. The process ids in `taken` are known to be others'.
pub(crate) fn find(missing: Vec<Missing>, taken: Vec<u32>) -> Option<Vec<Option<Entry>>> {
    if missing.is_empty() {
        return Some(Vec::new());
    }
    let (sender, receiver) = mpsc::channel();
    let look = move || {
        let candidates = candidates(&missing, &taken);
        if candidates.is_empty() {
            // Most often; then what they look like need not be known.
            let _ = sender.send(vec![None; missing.len()]);
            return;
        }
        let looks: Vec<Look> = missing.iter().map(|program| look_of(&program.spec)).collect();
        let wanted: Vec<_> = missing.iter().zip(looks).collect();
        let _ = sender.send(assign(&wanted, &candidates));
    };
    std::thread::Builder::new().name("likeness".to_owned()).spawn(look).ok()?;
    receiver.recv_timeout(PATIENCE).ok()
}

/// Gives each program the oldest process that fits it and no other program.
fn assign(wanted: &[(&Missing, Look)], candidates: &[Candidate]) -> Vec<Option<Entry>> {
    let fits = |(program, look): &(&Missing, Look), candidate: &Candidate| {
        let looks = match look {
            Look::Log(files) => candidate.outputs.iter().any(|file| files.contains(file)),
            Look::Place(directory, exe) => candidate.place == Some((*directory, *exe)),
            Look::Unknown => false,
        };
        looks && candidate.uid == program.uid && candidate.entry.start > program.after
    };
    let owned = |candidate: &&Candidate| wanted.iter().filter(|w| fits(w, candidate)).count() == 1;
    let sure: Vec<&Candidate> = candidates.iter().filter(owned).collect();
    let of = |program: &(&Missing, Look)| {
        let mine: Vec<_> = sure.iter().filter(|candidate| fits(program, candidate)).collect();
        // Who writes to the log belongs to the service, and the oldest leads it. That two look
        // alike otherwise means nothing.
        let sure = matches!(program.1, Look::Log(_)) || mine.len() == 1;
        let oldest = mine.into_iter().min_by_key(|candidate| candidate.entry.start);
        oldest.filter(|_| sure).map(|candidate| candidate.entry)
    };
    wanted.iter().map(of).collect()
}

fn look_of(spec: &ProgramSpec) -> Look {
    if let Some(log) = &spec.stdout_logfile {
        let backups = (1..=spec.stdout_logfile_backups).map(|n| super::logs::backup(log, n));
        // Programs open their log without following a link at its end.
        let found = std::iter::once(log.clone()).chain(backups);
        let files = found.filter_map(|path| std::fs::symlink_metadata(path).ok());
        return Look::Log(files.filter(std::fs::Metadata::is_file).map(|m| id(&m)).collect());
    }
    let program = spec.command.first().map(PathBuf::from).filter(|path| path.is_absolute());
    // Too many work in the root directory for that to say anything.
    let directory = spec.directory.as_deref().filter(|directory| *directory != Path::new("/"));
    match (directory.and_then(file_id), program.as_deref().and_then(file_id)) {
        (Some(directory), Some(exe)) => Look::Place(directory, exe),
        _ => Look::Unknown,
    }
}

/// The untagged session leaders of the programs' users.
fn candidates(missing: &[Missing], taken: &[u32]) -> Vec<Candidate> {
    let own = std::process::id();
    let leaders = table::list().into_iter().filter(|e| e.session == e.pid && e.pid != own);
    let leaders = leaders.filter(|entry| !taken.contains(&entry.pid));
    let untagged = leaders.filter(|entry| table::tag(entry.pid).is_none());
    let candidates = untagged.filter_map(|entry| {
        let uid = uids(entry.pid)?.only()?;
        missing.iter().any(|program| program.uid == uid).then(|| candidate(entry, uid))
    });
    candidates.collect()
}

fn candidate(entry: Entry, uid: u32) -> Candidate {
    let at = |name: &str| PathBuf::from(format!("/proc/{}/{name}", entry.pid));
    let nowhere = file_id(Path::new("/dev/null"));
    let outputs: Vec<FileId> =
        ["fd/1", "fd/2"].iter().filter_map(|name| file_id(&at(name))).collect();
    let silent = outputs.len() == 2 && outputs.iter().all(|file| Some(*file) == nowhere);
    let place = silent.then(|| Some((file_id(&at("cwd"))?, file_id(&at("exe"))?))).flatten();
    Candidate { entry, uid, outputs, place }
}

fn file_id(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().map(|metadata| id(&metadata))
}

fn id(metadata: &std::fs::Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str, uid: u32, after: u64) -> Missing {
        let spec = ProgramSpec::new(name, vec!["/bin/x".into()]);
        Missing { group: "g".into(), spec, uid, after }
    }

    fn candidate(pid: u32, uid: u32, output: FileId) -> Candidate {
        let start = u64::from(pid);
        let entry = Entry { pid, parent: 1, group: pid, session: pid, start, state: 'S' };
        Candidate { entry, uid, outputs: vec![output], place: Some(((1, 1), (1, 2))) }
    }

    fn found(wanted: &[(&Missing, Look)], candidates: &[Candidate]) -> Vec<Option<u32>> {
        assign(wanted, candidates).into_iter().map(|entry| entry.map(|e| e.pid)).collect()
    }

    #[test]
    fn the_oldest_writer_of_the_same_user_is_it() {
        let (a, b) = (program("a", 7, 10), program("b", 7, 0));
        let (log_a, log_b) = (Look::Log(vec![(1, 5), (1, 6)]), Look::Log(vec![(1, 9)]));
        let all = [
            candidate(5, 7, (1, 5)),
            candidate(30, 7, (1, 6)),
            candidate(20, 7, (1, 5)),
            candidate(15, 0, (1, 5)),
            candidate(16, 7, (2, 5)),
        ];
        assert_eq!(found(&[(&a, log_a), (&b, log_b)], &all), [Some(20), None]);
    }

    #[test]
    fn what_fits_two_programs_is_nobodys() {
        let (a, b) = (program("a", 7, 0), program("b", 7, 0));
        let log = Look::Log(vec![(1, 5)]);
        let all = [candidate(20, 7, (1, 5))];
        assert_eq!(found(&[(&a, log.clone()), (&b, log)], &all), [None, None]);
    }

    #[test]
    fn a_place_counts_only_for_one() {
        let a = program("a", 7, 0);
        let wanted = [(&a, Look::Place((1, 1), (1, 2)))];
        let (one, two) = (candidate(20, 7, (0, 0)), candidate(21, 7, (0, 0)));
        assert_eq!(found(&wanted, std::slice::from_ref(&one)), [Some(20)]);
        assert_eq!(found(&wanted, &[one, two]), [None]);
        assert_eq!(found(&[(&a, Look::Unknown)], &[candidate(20, 7, (0, 0))]), [None]);
    }
}
