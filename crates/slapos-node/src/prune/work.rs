//! The part of pruning that workers do, as the owner of the software root and as the partitions'
//! users.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use slapos_engine::{SharedStore, StoredPart, StoredState};
use slapos_sys::{fs, user};

use super::eggs;
use super::mentions::{Search, Unreadable};
use super::plan::{Observation, Observed, Verdict, decide};
use crate::worker::pruned::{Reason, Removal, Report};
use crate::worker::{Done, Failure, MentionsJob, PruneJob};

/// Which of the hashes occur in a partition.
pub(crate) fn mentions(job: &MentionsJob) -> Result<Done, Failure> {
    let mut search = Search::new(&job.hashes);
    search.below(&job.directory, Path::new("")).map_err(unreadable)?;
    Ok(Done::Mentions { hashes: search.found().into_keys().collect() })
}

/// Something of the shared parts and eggs in `lists` that what is in `directory` refers to, if it does.
pub(crate) fn shared_by(directory: &Path, lists: &[PathBuf]) -> Result<Option<String>, Failure> {
    let mut stored = Vec::new();
    for list in lists.iter().filter(|list| list.exists()) {
        let words = |error: io::Error| Failure::io("list what is shared in", list, &error);
        stored.extend(SharedStore::list(list).map_err(words)?);
        stored.extend(eggs::list(list).map_err(words)?);
    }
    let mut search = Search::new(stored.iter().map(|part| &part.hash));
    search.below(directory, Path::new("")).map_err(unreadable)?;
    let found = search.found();
    let part = stored.iter().find(|part| found.contains_key(&part.hash));
    Ok(part.map(|part| part.location.display().to_string()))
}

/// Decides, and unless it is a dry run, removes.
pub(crate) fn prune(job: PruneJob) -> Result<Done, Failure> {
    let directory = own_list(&job.shared_part_list)?;
    let dry_run = job.dry_run;
    let mut report =
        Report { directory, dry_run, removed: Vec::new(), kept: Vec::new(), failed: Vec::new() };
    if !report.directory.exists() {
        return Ok(Done::Pruned { report: Some(report) });
    }
    if dry_run {
        let (go, kept) = decide(observe(job, &report.directory)?);
        report.kept = kept;
        for verdict in go {
            report.removed.push(removal(&verdict)?);
        }
        return Ok(Done::Pruned { report: Some(report) });
    }
    let alone = SharedStore::try_alone(&report.directory);
    let alone = alone.map_err(|error| Failure::io("lock", &report.directory, &error))?;
    let Some(store) = alone else {
        return Ok(Done::Pruned { report: None });
    };
    let (go, kept) = decide(observe(job, &report.directory)?);
    report.kept = kept;
    execute(store, go, &mut report);
    Ok(Done::Pruned { report: Some(report) })
}

/// The list that this user's builds make parts in.
fn own_list(lists: &[PathBuf]) -> Result<PathBuf, Failure> {
    let Some(list) = SharedStore::of_this_user(lists) else {
        return Err(Failure::new(
            "no directory of `shared_part_list` can be written by the builder",
        )
        .hint("nothing is shared from here; where the parts were made they can be pruned"));
    };
    let words = |error: io::Error| Failure::io("examine", list, &error);
    let this_user = user::current().map_err(words)?;
    match list.symlink_metadata() {
        Ok(meta) if meta.is_dir() && meta.uid() == this_user.uid => Ok(list.to_owned()),
        Ok(_) => Err(Failure::new(format!(
            "{} is no directory that belongs to {}",
            list.display(),
            this_user.name
        ))
        .hint("prune it with the node that it belongs to")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(list.to_owned()),
        Err(error) => Err(words(error)),
    }
}

fn observe(job: PruneJob, directory: &Path) -> Result<Observation, Failure> {
    let mut stored = SharedStore::list(directory)
        .map_err(|error| Failure::io("list the shared parts in", directory, &error))?;
    let eggs = eggs::list(directory);
    stored.extend(eggs.map_err(|error| Failure::io("list the eggs in", directory, &error))?);
    let hashes: Vec<String> = stored.iter().map(|part| part.hash.clone()).collect();
    let mut parts = Vec::with_capacity(stored.len());
    for part in stored {
        let names = names(&part, &hashes).map_err(unreadable)?;
        parts.push(Observed { part, names });
    }
    let used = used(&job, directory, &hashes)?;
    Ok(Observation { parts, used, asked: job.asked })
}

/// The hashes of other parts that the seal of `part` names.
fn names(part: &StoredPart, hashes: &[String]) -> Result<Vec<String>, Unreadable> {
    if part.state != StoredState::Whole || eggs::is_egg(part) {
        return Ok(Vec::new());
    }
    let mut search = Search::new(hashes);
    for seal in part.seals().map_err(|error| (part.location.clone(), error))? {
        search.file(&seal).map_err(|error| (seal, error))?;
    }
    let mut names: Vec<String> = search.found().into_keys().collect();
    names.sort();
    Ok(names)
}

/// Hash → the directory whose content refers to it.
fn used(
    job: &PruneJob,
    directory: &Path,
    hashes: &[String],
) -> Result<HashMap<String, String>, Failure> {
    let mut used = HashMap::new();
    let mut look = |root: &Path| {
        let left = hashes.iter().filter(|hash| !used.contains_key(*hash));
        let mut search = Search::new(left);
        search.below(root, &job.download_cache).map_err(unreadable)?;
        let who = root.display().to_string();
        used.extend(search.found().into_keys().map(|hash| (hash, who.clone())));
        Ok::<(), Failure>(())
    };
    for root in software(&job.software_root)?.iter().chain(&job.additional) {
        if *root != job.download_cache && !directory.starts_with(root) {
            look(root)?;
        }
    }
    let mut seals = HashMap::new();
    for list in job.shared_part_list.iter().filter(|list| *list != directory) {
        seals.extend(used_by_list(list, hashes)?);
    }
    used.extend(seals);
    Ok(used)
}

/// What the parts of another list refer to.
fn used_by_list(list: &Path, hashes: &[String]) -> Result<HashMap<String, String>, Failure> {
    let parts = SharedStore::list(list)
        .map_err(|error| Failure::io("list the shared parts in", list, &error))?;
    let mut used = HashMap::new();
    for part in parts {
        let named = names(&part, hashes).map_err(unreadable)?;
        used.extend(named.into_iter().map(|hash| (hash, part.location.display().to_string())));
    }
    Ok(used)
}

/// The Software Releases that are there; links to directories elsewhere count.
fn software(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let words = |error: io::Error| Failure::io("list", root, &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).map_err(words)? {
        let path = entry.map_err(words)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// First all that goes is put aside, while no build looks; then it is removed, while they may.
fn execute(store: SharedStore, go: Vec<Verdict>, report: &mut Report) {
    let directory = report.directory.clone();
    let mut aside = Vec::new();
    for (mut part, reason) in go {
        let location = part.location.clone();
        let put = match eggs::is_egg(&part) {
            true => eggs::put_aside(&mut part).map(|()| true).map_err(|error| error.to_string()),
            false => store.put_aside(&mut part).map_err(|error| error.to_string()),
        };
        match put {
            Ok(true) => aside.push((part, reason, location)),
            Ok(false) => report.failed.push((location, "a build began it".to_owned())),
            Err(error) => report.failed.push((location, error)),
        }
    }
    drop(store);
    let mut gone = Vec::new();
    for (part, reason, location) in aside {
        // What cannot be measured goes all the same.
        let removal = removal_of(&part, reason, location, part.bytes().unwrap_or(0));
        let discarded = match eggs::is_egg(&part) {
            true => fs::remove_tree(&part.location).map_err(|error| error.to_string()),
            false => SharedStore::discard(&part).map_err(|error| error.to_string()),
        };
        match discarded {
            Ok(()) => {
                gone.push(part);
                report.removed.push(removal);
            }
            Err(error) => report.failed.push((removal.location, error)),
        }
    }
    // Whoever builds now leaves empty directories to the next run.
    if let Ok(Some(store)) = SharedStore::try_alone(&directory) {
        let parts = gone.iter().filter(|part| !eggs::is_egg(part));
        parts.for_each(|part| store.drop_empty_parent(part));
    }
}

fn removal((part, reason): &Verdict) -> Result<Removal, Failure> {
    let bytes = part.bytes().map_err(|error| Failure::io("measure", &part.location, &error))?;
    Ok(removal_of(part, reason.clone(), part.location.clone(), bytes))
}

fn removal_of(part: &StoredPart, reason: Reason, location: PathBuf, bytes: u64) -> Removal {
    Removal { location, name: part.name.clone(), hash: part.hash.clone(), reason, bytes }
}

fn unreadable((path, error): Unreadable) -> Failure {
    Failure::io("look for shared parts in", &path, &error)
        .hint("make it readable, or remove it if nobody needs it; nothing was removed")
}
