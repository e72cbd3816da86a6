//! `node software`: builds the Software Releases that the Master wants here and removes those it
//! no longer wants.

mod due;
mod garbage;
mod named;

use std::fmt;
use std::path::{Path, PathBuf};

use slapos_slap::{
    InstanceAnswer, InstanceRequest, RequestError, SlapClient, SlapError, SoftwareRelease,
    SoftwareState, SoftwareUrl,
};
use slapos_sys::lock::FileLock;
use slapos_sys::{fs, user};

use crate::error::{IoContext, NodeError};
use crate::journal::Deed;
use crate::node::Node;
use crate::progress::Progress;
use crate::services;
use crate::told;
use crate::worker::{
    Done, Job, Listener, Purpose, RemoveJob, SoftwareJob, Tree, TreeAlias, Worker,
};

/// Marks a Software Release as whole; written last, removed first.
pub(crate) const COMPLETED: &str = ".completed";

/// More than a stamp or a periodicity has, bytes.
pub(crate) const SMALL: u64 = 4096;

/// Which Software Releases to look at, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these, by URL or by the MD5 of it, or by a path from where one is; empty for all.
    pub only: Vec<String>,
    /// Also those that are built already.
    pub all: bool,
    /// Print the plan and do nothing.
    pub dry_run: bool,
    /// How many processes may build at once; 0 for as many as there are processors.
    pub parallel: usize,
    /// After a part failed, others that do not need it are still built.
    pub keep_going: bool,
    /// Remove what the Master does not list here and no instance uses.
    pub garbage_collect: bool,
}

/// What is to be done with one Software Release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Build it: the reason.
    Build(&'static str),
    /// Remove it: the reason.
    Remove(&'static str),
    /// Nothing: the reason.
    Nothing(&'static str),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(why) => write!(f, "build: {why}"),
            Self::Remove(why) => write!(f, "remove: {why}"),
            Self::Nothing(why) => write!(f, "nothing: {why}"),
        }
    }
}

/// Decides about one Software Release; a pure function.
pub fn decide(wanted: SoftwareState, present: bool, completed: bool, all: bool) -> Action {
    match (wanted, completed) {
        (SoftwareState::Available, true) if all => Action::Build("asked for (--all)"),
        (SoftwareState::Available, true) => Action::Nothing("it is built and frozen"),
        (SoftwareState::Available, false) if present => Action::Build("its build did not end"),
        (SoftwareState::Available, false) => Action::Build("it is not there"),
        (SoftwareState::Destroyed, _) if present => Action::Remove("the Master wants it destroyed"),
        (SoftwareState::Destroyed, _) => Action::Nothing("it is destroyed"),
    }
}

/// Where the Software Release at `url` is built.
pub fn directory(software_root: &Path, url: &SoftwareUrl) -> PathBuf {
    software_root.join(url.md5_hex())
}

/// Whether a Software Release may have a directory of this name.
pub(crate) fn is_directory_name(name: &str) -> bool {
    const MD5_DIGITS: usize = 32;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.len() == MD5_DIGITS && name.bytes().all(is_digit)
}

/// The stamp of a whole Software Release; `None` if it is not built.
pub(crate) fn stamp(software_root: &Path, url: &SoftwareUrl) -> Option<String> {
    let path = directory(software_root, url).join(COMPLETED);
    fs::read_untrusted(&path, SMALL).ok().map(|text| text.trim().to_owned())
}

/// A short name for people: the directory of the profile, and the profile unless it is the usual.
pub fn short_name(url: &SoftwareUrl) -> String {
    let mut words = url.as_str().rsplit('/');
    let file = words.next().unwrap_or_default();
    match words.next() {
        Some(folder) if file == "software.cfg" && !folder.is_empty() => folder.to_owned(),
        Some(folder) if !folder.is_empty() => format!("{folder}/{file}"),
        _ => file.to_owned(),
    }
}

/// Makes the software root as the Master wants it.
///
/// # Errors
/// When the Master does not answer, another run is under way, or any Software Release failed
/// (the others are still looked at).
pub fn run(node: &Node<'_>, options: &Options) -> Result<(), NodeError> {
    let config = node.config;
    if node.is_down() {
        return Ok(());
    }
    if !config.software_root.is_dir() {
        return Err(NodeError::user(format!("there is no {}", config.software_root.display()))
            .hint("`slapos node format` makes it"));
    }
    let _lock =
        node.lock_unless(options.dry_run, "slapos node software", &config.pidfile_software)?;
    if !options.dry_run {
        services::describe(node)?;
    }
    let master = node.master()?;
    let computer = node.computer(&master)?;
    let chosen = named::chosen(&options.only, &computer.software)?;
    let mut failed = Vec::new();
    for release in chosen {
        if let Err(error) = reconcile(node, &master, release, options) {
            let name = short_name(&release.url);
            node.reporter.failed(&name, &error);
            failed.push(name);
        }
    }
    if options.garbage_collect
        && let Err(error) = garbage::collect(node, &computer, options.dry_run)
    {
        node.reporter.failed("node", &error);
        failed.push("--garbage-collect".to_owned());
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(NodeError::user(format!("failed: {}", names.join(", ")))
            .hint("what is not wanted any more, `slapos remove SOFTWARE` takes from the list")),
    }
}

fn reconcile(
    node: &Node<'_>,
    master: &SlapClient,
    release: &SoftwareRelease,
    options: &Options,
) -> Result<(), NodeError> {
    let name = short_name(&release.url);
    let directory = directory(&node.config.software_root, &release.url);
    let completed = directory.join(COMPLETED).exists();
    let action = decide(release.state, directory.exists(), completed, options.all);
    let action = match action {
        Action::Build(_) if options.dry_run && !completed && is_at_work(node) => {
            Action::Nothing("another `slapos node software` is running, which builds it")
        }
        other => other,
    };
    node.reporter.note(&name, &action.to_string());
    match action {
        Action::Nothing(_) if release.state == SoftwareState::Destroyed && !options.dry_run => {
            Ok(master.software_destroyed(&release.url, &node.config.computer_id)?)
        }
        Action::Nothing(_) => {
            if !options.dry_run {
                due::take_up(node, &release.url, &directory, &name);
            }
            Ok(())
        }
        Action::Remove(_) => {
            warn_users(node, &release.url, &name)?;
            if options.dry_run {
                return Ok(());
            }
            let removed = remove(node, master, &release.url, &name, directory);
            removed.inspect_err(|error| tell_error(node, master, &release.url, &name, error))
        }
        Action::Build(_) if options.dry_run => {
            build(node, master, &release.url, &name, &directory, options)
        }
        Action::Build(reason) => {
            let subject = release.url.md5_hex();
            node.did(&subject, Deed::begun(&format!("build {}", release.url), &reason));
            let result = build(node, master, &release.url, &name, &directory, options);
            node.did(&subject, Deed::ended(&result));
            result
        }
    }
}

/// Whether another process builds at this moment, as far as this one may know.
fn is_at_work(node: &Node<'_>) -> bool {
    FileLock::is_held(&node.config.pidfile_software).unwrap_or(false)
}

fn build(
    node: &Node<'_>,
    master: &SlapClient,
    url: &SoftwareUrl,
    name: &str,
    directory: &Path,
    options: &Options,
) -> Result<(), NodeError> {
    let computer = &node.config.computer_id;
    let mut newly_due = false;
    if !options.dry_run {
        newly_due = due::note(node, url, name);
        match master.software_building(url, computer) {
            // As the original does: a Master may not know that report.
            Ok(()) | Err(SlapError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match build_in_worker(node, url, name, directory.to_owned(), options) {
        Ok(Outcome::Planned(plan)) => {
            plan.lines().for_each(|line| node.reporter.note(name, line));
            Ok(())
        }
        Ok(Outcome::There { built }) => {
            let told = master.software_available(url, computer);
            node.reporter.note(name, "built");
            match built {
                true => due::bring(node, url, directory, name),
                // Others built it.
                false if newly_due => due::forget(node, &url.md5_hex(), name),
                false => due::take_up(node, url, directory, name),
            }
            Ok(told?)
        }
        Err(error) => {
            if !options.dry_run {
                tell_error(node, master, url, name, &error);
            }
            Err(error)
        }
    }
}

/// What the Master wants is done, even where instances still need what goes.
fn warn_users(node: &Node<'_>, url: &SoftwareUrl, name: &str) -> Result<(), NodeError> {
    if let Some(users) = garbage::users(node)?.get(&url.md5_hex()) {
        let users: Vec<_> = users.iter().map(String::as_str).collect();
        let text = format!(
            "it goes, and these were deployed from it or may be brought back to it: {}",
            users.join(", ")
        );
        node.reporter.warn(name, &text);
    }
    Ok(())
}

/// The error itself matters more than a Master that does not hear of it.
fn tell_error(
    node: &Node<'_>,
    master: &SlapClient,
    url: &SoftwareUrl,
    name: &str,
    error: &NodeError,
) {
    let text = told::for_master(error, None);
    if let Err(unheard) = master.software_error(url, &node.config.computer_id, &text) {
        node.reporter.warn(name, &format!("the Master was not told: {unheard}"));
    }
}

/// What came of a worker that was to build.
enum Outcome {
    /// What would be done, for a rehearsal.
    Planned(String),
    /// The Software Release is there; whether something of it was built for that.
    There { built: bool },
}

fn build_in_worker(
    node: &Node<'_>,
    url: &SoftwareUrl,
    name: &str,
    directory: PathBuf,
    options: &Options,
) -> Result<Outcome, NodeError> {
    use std::os::fd::AsRawFd;
    let config = node.config;
    let owner = user::owner_of(&config.software_root).context("examine", &config.software_root)?;
    let profile = Path::new(url.as_str());
    let tree = profile.is_absolute().then(|| Tree::of(profile)).transpose()?;
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let job = SoftwareJob {
        url: url.clone(),
        directory,
        shared_part_list: config.shared_part_list.clone(),
        download_cache: config.download_cache.clone(),
        min_free_space: config.software_min_free_space,
        build_time_part_list: config.grid.build_time_part_list.clone(),
        verbose: config.grid.buildout_debug,
        parallel: if options.parallel == 0 { processors() } else { options.parallel },
        tree: tree
            .as_ref()
            .map(|tree| TreeAlias { prefix: tree.prefix().to_owned(), fd: tree.fd().as_raw_fd() }),
        dry_run: options.dry_run,
        keep_going: options.keep_going,
        binary: config.binary.of(url),
    };
    let mut worker = Worker::start(&owner, name, Purpose::Build(tree.as_ref()))?;
    match worker.run(
        &Job::Software(job),
        None,
        &mut Watcher {
            node,
            name,
            subject: url.md5_hex(),
            progress: (!options.dry_run).then(|| Progress::begin(node, url)),
        },
    )? {
        Done::Software { plan, built, notes } => {
            notes.iter().for_each(|text| node.reporter.note(name, text));
            Ok(plan.map_or(Outcome::There { built }, Outcome::Planned))
        }
        other => Err(NodeError::user(format!("the worker of {name} answered {other:?}"))),
    }
}

fn remove(
    node: &Node<'_>,
    master: &SlapClient,
    url: &SoftwareUrl,
    name: &str,
    directory: PathBuf,
) -> Result<(), NodeError> {
    remove_directory(node, name, directory)?;
    master.software_destroyed(url, &node.config.computer_id)?;
    node.reporter.note(name, "removed");
    Ok(())
}

/// Removes a Software Release, as the owner of the software root.
fn remove_directory(node: &Node<'_>, name: &str, directory: PathBuf) -> Result<(), NodeError> {
    let root = &node.config.software_root;
    let owner = user::owner_of(root).context("examine", root)?;
    let subject = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let job = Job::Remove(RemoveJob { directory, keep_directory: false, end_processes: false });
    let mut worker = Worker::start(&owner, name, Purpose::Build(None))?;
    due::forget(node, &subject, name);
    worker.run(&job, None, &mut Watcher { node, name, subject, progress: None }).map(drop)
}

struct Watcher<'a, 'n> {
    node: &'a Node<'n>,
    name: &'a str,
    /// What the journal calls it.
    subject: String,
    /// What the Master is told meanwhile.
    progress: Option<Progress>,
}

impl Listener for Watcher<'_, '_> {
    fn event(&mut self, event: slapos_engine::Event) {
        self.node.reporter.part(self.name, &event);
        if let Some(progress) = &mut self.progress {
            progress.event(&event);
        }
        self.node.journal().event(&self.subject, self.node.clock.now(), &event);
    }

    fn publish(
        &mut self,
        _: Option<&str>,
        _: indexmap::IndexMap<String, String>,
    ) -> Result<(), String> {
        Err("a Software Release has nothing to publish".to_owned())
    }

    fn request(&mut self, _: InstanceRequest) -> Result<Option<InstanceAnswer>, RequestError> {
        Err(RequestError::Refused("a Software Release asks for no instance".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_unless_asked_for() {
        use SoftwareState::{Available, Destroyed};
        let text =
            |wanted, present, completed, all| decide(wanted, present, completed, all).to_string();
        assert_eq!(text(Available, false, false, false), "build: it is not there");
        assert_eq!(text(Available, true, false, false), "build: its build did not end");
        assert_eq!(text(Available, true, true, false), "nothing: it is built and frozen");
        assert_eq!(text(Available, true, true, true), "build: asked for (--all)");
        assert_eq!(text(Destroyed, true, true, false), "remove: the Master wants it destroyed");
        assert_eq!(text(Destroyed, false, false, false), "nothing: it is destroyed");
    }

    #[test]
    fn names_for_people() {
        let short = |url: &str| short_name(&SoftwareUrl::new(url));
        assert_eq!(short("/src/software/helloworld/software.cfg"), "helloworld");
        assert_eq!(short("http://h/software/kvm/other.cfg"), "kvm/other.cfg");
    }
}
