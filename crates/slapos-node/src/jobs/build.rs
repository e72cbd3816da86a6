//! Builds a Software Release, as the owner of the software root.
//!
//! Invariant: `.completed` is written last, so a directory that has it is whole.

use std::path::Path;
use std::sync::Arc;

use slapos_cookbook::{Ports, ProfileFiles, load_profile, machine_python, registry};
use slapos_engine::{Buildout, Cancellation, Observer, Plan, Settings};
use slapos_profile::{Assignment, Location};
use slapos_sources::{Fetcher, FetcherConfig, LocalFiles};
use slapos_sys::clock::{Clock, SystemClock};
use slapos_sys::{fs, process, random};

use super::Channel;
use super::keeper::LogKeeper;
use super::log::RunLog;
use super::netrc::Netrc;
use crate::binary::BinaryCache;
use crate::python;
use crate::software::COMPLETED;
use crate::worker::{Done, Failure, SoftwareJob};

pub(super) fn build(
    job: &SoftwareJob,
    channel: &Arc<Channel>,
    cancellation: &Cancellation,
) -> Result<Done, Failure> {
    let notes = match &job.binary {
        // What was begun here is gone on with.
        Some(cache) if cache.forced || !job.directory.exists() => match fetch_built(job, cache)? {
            Fetch::Whole(note) => {
                return Ok(Done::Software { plan: None, built: false, notes: vec![note] });
            }
            Fetch::Build(note) => vec![note],
        },
        _ => Vec::new(),
    };
    let _netrc = if job.dry_run { None } else { Some(prepare(job)?) };
    let mut buildout = assemble(job, cancellation)?;
    let plan = buildout.plan()?;
    if job.dry_run {
        return Ok(Done::Software { plan: Some(plan.to_string()), built: false, notes });
    }
    let built = !plan.is_noop() || !job.directory.join(COMPLETED).exists();
    if built {
        make(job, &mut buildout, &plan, &**channel)?;
    }
    Ok(Done::Software { plan: None, built, notes })
}

/// What came of looking for it in a cache, for people.
enum Fetch {
    /// It is there.
    Whole(String),
    /// It is to be built.
    Build(String),
}

/// Takes a whole Software Release from `cache`, if there is one for this machine.
fn fetch_built(job: &SoftwareJob, cache: &BinaryCache) -> Result<Fetch, Failure> {
    let from = crate::told::without_passwords(&cache.directory_url);
    if job.dry_run {
        return Ok(Fetch::Build(format!("looked for at {from} first; else:")));
    }
    let there = job.directory.exists();
    let brought = match there {
        true => Err(format!("{} is there already", job.directory.display())),
        false => {
            check_free_space(job.directory.parent().unwrap_or(&job.directory), job.min_free_space)
                .map_err(|failure| failure.message)
                .and_then(|()| cache.bring(&job.url, &job.directory, &job.download_cache))
        }
    };
    match brought {
        Ok(()) => {
            complete(&job.directory)?;
            Ok(Fetch::Whole(format!("taken as built from {from}")))
        }
        Err(why) if cache.forced => Err(Failure::new(format!("it does not come from {from}: {why}"))
            .hint("it is not built: download-from-binary-cache-force-url-list names it; if its directory is there already, remove that")),
        Err(why) => Ok(Fetch::Build(format!("not taken from {from}, but built: {why}"))),
    }
}

/// What must be there before anything is built.
fn prepare(job: &SoftwareJob) -> Result<Netrc, Failure> {
    fs::create_dir_all(&job.directory, 0o755)
        .map_err(|error| Failure::io("create", &job.directory, &error))?;
    slapos_engine::remove_unnamed(&job.directory)
        .map_err(|error| Failure::new(error.to_string()))?;
    check_free_space(&job.directory, job.min_free_space)?;
    name_profile(job)?;
    netrc(job)
}

fn assemble(job: &SoftwareJob, cancellation: &Cancellation) -> Result<Buildout, Failure> {
    let fetcher = fetcher(&job.download_cache, local_files(job)?);
    let url = Location::parse(job.url.as_str())?;
    let profile = load_profile(&url, ProfileFiles::new(&fetcher), &assignments(job))?;
    let recipes = registry(Ports { fetcher, slap: None, python: None });
    let mut settings = Settings::new(&job.directory);
    settings.cancellation = cancellation.clone();
    settings.executable = machine_python();
    settings.jobs = job.parallel.max(1);
    settings.keep_going = job.keep_going;
    settings.shared_part_list.clone_from(&job.shared_part_list);
    Ok(Buildout::new(profile, Arc::new(recipes), settings))
}

fn make(
    job: &SoftwareJob,
    buildout: &mut Buildout,
    plan: &Plan,
    observer: &dyn Observer,
) -> Result<(), Failure> {
    forget_completion(&job.directory)?;
    let log = RunLog::open(&job.directory, SOFTWARE_LOG, job.verbose);
    log.line("INFO", &format!("builds {}", shown(job)));
    let keeper = LogKeeper::start(&job.directory);
    buildout.execute(plan, &log.watching(observer))?;
    drop(keeper);
    python::record(&job.directory, buildout.profile(), &buildout.settings().ledger_path())
        .map_err(|error| Failure::new(error.to_string()))?;
    complete(&job.directory)?;
    log.line("INFO", "built");
    Ok(())
}

/// The log of a Software Release's builds.
const SOFTWARE_LOG: &str = "software.log";

/// What is built, without passwords that its URL may have.
fn shown(job: &SoftwareJob) -> String {
    crate::told::without_passwords(job.url.as_str())
}

/// Leaves a `buildout.cfg`, by which people and the original's tools see what is built here. It is
/// not read: what is said by the job counts.
fn name_profile(job: &SoftwareJob) -> Result<(), Failure> {
    let path = job.directory.join("buildout.cfg");
    let url = job.url.as_str();
    let mut text = format!("[buildout]\nextends = {url}\n");
    for (option, paths) in [
        ("shared-part-list", &job.shared_part_list),
        ("build-time-part-list", &job.build_time_part_list),
    ] {
        if !paths.is_empty() {
            text.push_str(&format!("{option} =\n"));
            paths.iter().for_each(|path| text.push_str(&format!("  {}\n", path.display())));
        }
    }
    // An URL may have a password in it.
    let mode = if shown(job) == url { 0o644 } else { 0o600 };
    fs::write_atomic_if_changed(&path, text.as_bytes(), mode)
        .map(drop)
        .map_err(|error| Failure::io("write", &path, &error))
}

fn netrc(job: &SoftwareJob) -> Result<Netrc, Failure> {
    let home = std::env::var_os("HOME").unwrap_or_default();
    Netrc::lend(Path::new(&home), &job.directory)
        .map_err(|error| Failure::io("lend the .netrc of the builder to", &job.directory, &error))
}

/// The node's answers to what a profile leaves open.
fn assignments(job: &SoftwareJob) -> Vec<Assignment> {
    let lines = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n")
    };
    let set =
        |option: &str, value: String| Assignment::new("buildout", option, value, "<slapos node>");
    let mut set_here = vec![
        set("directory", job.directory.display().to_string()),
        set("shared-part-list", lines(&job.shared_part_list)),
    ];
    if !job.build_time_part_list.is_empty() {
        set_here.push(set("build-time-part-list", lines(&job.build_time_part_list)));
    }
    set_here
}

fn local_files(job: &SoftwareJob) -> Result<LocalFiles, Failure> {
    let Some(tree) = &job.tree else {
        return Ok(LocalFiles::new());
    };
    let directory = process::inherited_fd(tree.fd)
        .map_err(|error| Failure::io("use the opened tree of", &tree.prefix, &error))?;
    Ok(LocalFiles::new().with_alias(&tree.prefix, directory))
}

pub(super) fn fetcher(cache: &Path, local: LocalFiles) -> Arc<Fetcher> {
    Arc::new(Fetcher::new(FetcherConfig { local, ..FetcherConfig::new(cache) }))
}

pub(super) fn check_free_space(directory: &Path, wanted: u64) -> Result<(), Failure> {
    let free = fs::free_space(directory)
        .map_err(|error| Failure::io("measure the free space of", directory, &error))?;
    if free >= wanted {
        return Ok(());
    }
    let mebi = |bytes: u64| bytes >> 20;
    Err(Failure::new(format!(
        "only {} MiB are free at {}, and {} MiB must be",
        mebi(free),
        directory.display(),
        mebi(wanted)
    ))
    .hint(
        "free some space, or lower software_min_free_space / instance_min_free_space in slapos.cfg",
    ))
}

/// What is about to change is not whole any more, whatever happens in between.
pub(super) fn forget_completion(directory: &Path) -> Result<(), Failure> {
    let path = directory.join(COMPLETED);
    if !path.exists() {
        return Ok(());
    }
    let removed = fs::remove_tree(&path).and_then(|()| fs::sync_dir(directory));
    removed.map_err(|error| Failure::io("remove", &path, &error))
}

/// The stamp names this build: an instance made of another one is processed again.
fn complete(directory: &Path) -> Result<(), Failure> {
    let path = directory.join(COMPLETED);
    let built = fs::sync_filesystem(directory);
    built.map_err(|error| Failure::io("bring to disk", directory, &error))?;
    let words = |error: std::io::Error| Failure::io("write", &path, &error);
    let stamp = format!("{} {}\n", SystemClock.now(), random::hex(8).map_err(words)?);
    fs::write_atomic(&path, stamp.as_bytes(), 0o644).map_err(words)
}
