//! `node cron`: has cron or systemd run the commands of a node, or its agent.
//!
//! One arrangement at a time: installing one takes away the files of the others, as far as they are
//! ours. Files are written whole, and only where they differ.

mod plan;
mod text;

use std::path::{Path, PathBuf};

use slapos_sys::process::{self, Command};
use slapos_sys::{fs, user};

use crate::error::{IoContext, NodeError};
use crate::node::Node;
use crate::routine::Job;
use plan::{Found, InTheWay, Observed};
use text::Subject;

pub use plan::Step;

/// Where cron looks for jobs of programs.
pub const CRON_FILE: &str = "/etc/cron.d/slapos";
/// Where systemd looks for units of the administrator.
pub const UNIT_DIRECTORY: &str = "/etc/systemd/system";
/// Is there while systemd runs the machine.
const SYSTEMD_RUNS: &str = "/run/systemd/system";
/// Where the rotation of logs is arranged.
const LOGROTATE_FILE: &str = "/etc/logrotate.d/slapos";
/// More than a file of ours has, bytes.
const MAX_FILE: u64 = 1 << 20;

/// Who runs the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// cron.
    Cron,
    /// systemd.
    Systemd,
}

/// What is to be arranged.
#[derive(Clone, Debug)]
pub enum Arrangement {
    /// The commands, by that runner.
    Commands(Runner),
    /// The agent, by that runner.
    Agent(Runner),
    /// Nothing.
    Nothing,
}

/// What is to be done, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is to be there in the end.
    pub wanted: Arrangement,
    /// The file for cron.
    pub cron_file: PathBuf,
    /// The directory for units.
    pub unit_directory: PathBuf,
    /// Replace files that are somebody else's.
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Whether systemd runs this machine.
pub fn systemd_runs() -> bool {
    Path::new(SYSTEMD_RUNS).is_dir()
}

/// Brings the files to what is wanted; returns what was done, or would be.
///
/// # Errors
/// When somebody else's file is in the way, or a file cannot be written.
pub fn arrange(node: &Node<'_>, options: &Options) -> Result<Vec<Step>, NodeError> {
    let subject = subject(node)?;
    if !matches!(options.wanted, Arrangement::Nothing) {
        let hint = "install the program where root alone can write, such as /usr/local/bin";
        refuse_what_others_change("is to run it", &subject.program, hint)?;
        let hint = "have it where root alone can write, such as /etc/opt/slapos";
        refuse_what_others_change("does what it says", &subject.config, hint)?;
    }
    let files = observe(&subject, options)?;
    // Another directory is somebody's own business, such as a test's or an image's.
    let with_systemd = systemd_runs() && options.unit_directory == Path::new(UNIT_DIRECTORY);
    let steps = plan::plan(&files, options.force, with_systemd).map_err(|InTheWay(path)| {
        NodeError::user(format!("{} is not of `slapos node cron`", path.display()))
            .hint("remove it, or replace it with --force; nothing was changed")
    })?;
    if !options.dry_run {
        if !steps.is_empty() && !matches!(options.wanted, Arrangement::Nothing) {
            fs::create_dir_all(&subject.logs, 0o755).context("create", &subject.logs)?;
        }
        steps.iter().try_for_each(execute)?;
    }
    Ok(steps)
}

/// The files of ours that are there, with their texts.
///
/// # Errors
/// When one cannot be read.
pub fn installed(options: &Options) -> Result<Vec<(PathBuf, String)>, NodeError> {
    let mut files = Vec::new();
    for path in paths(options) {
        if let Found::Text(text) = look(&path)?
            && text.starts_with(text::MARK)
        {
            files.push((path, text));
        }
    }
    Ok(files)
}

fn subject(node: &Node<'_>) -> Result<Subject, NodeError> {
    let program = process::executable().context("find", Path::new("/proc/self/exe"))?;
    let current = user::current().context("look up the user of", &program)?;
    let (config, logs) = (node.config.file.clone(), node.config.instance_root.join("var/log"));
    for path in [&program, &config, &logs] {
        if path.to_string_lossy().contains(char::is_control) {
            return Err(NodeError::user(format!("neither cron nor systemd understands {path:?}"))
                .hint("have it in a place without line breaks or the like in its name"));
        }
    }
    Ok(Subject {
        program,
        config,
        logs,
        user: current.name,
        name: node.config.computer_id.to_string(),
        jobs: Job::of(node),
    })
}

/// What root has run again and again, and what says what else it runs, must not be what others can
/// change. `does` is what root does with it.
fn refuse_what_others_change(does: &str, path: &Path, hint: &str) -> Result<(), NodeError> {
    if !user::is_root() || user::only_root_changes(path).context("examine", path)? {
        return Ok(());
    }
    let path = path.display();
    let message = format!(
        "{path}, or a directory on the way to it, can be changed by others than root, and root {does}"
    );
    Err(NodeError::user(message).hint(hint))
}

/// Every file that may be ours.
fn paths(options: &Options) -> Vec<PathBuf> {
    let mut paths = vec![options.cron_file.clone()];
    paths.extend(logrotate_file(options));
    paths.extend(text::unit_names().iter().map(|name| options.unit_directory.join(name)));
    paths
}

/// Only beside the file that cron reads.
fn logrotate_file(options: &Options) -> Option<PathBuf> {
    let path = PathBuf::from(LOGROTATE_FILE);
    let there = path.parent().is_some_and(Path::is_dir);
    (options.cron_file == Path::new(CRON_FILE) && there).then_some(path)
}

fn observe(subject: &Subject, options: &Options) -> Result<Vec<Observed>, NodeError> {
    let wanted = wanted(subject, options);
    let observed = |path: PathBuf| {
        let text = wanted.iter().find(|(wanted, _)| *wanted == path).map(|(_, text)| text.clone());
        Ok(Observed { found: look(&path)?, path, wanted: text })
    };
    paths(options).into_iter().map(observed).collect()
}

fn wanted(subject: &Subject, options: &Options) -> Vec<(PathBuf, String)> {
    let by_cron = |text: String| {
        let rotation = logrotate_file(options).map(|path| (path, text::logrotate(subject)));
        std::iter::once((options.cron_file.clone(), text)).chain(rotation).collect()
    };
    let units = |units: Vec<(String, String)>| {
        let path = |(name, text)| (options.unit_directory.join(name), text);
        units.into_iter().map(path).collect()
    };
    match options.wanted {
        Arrangement::Nothing => Vec::new(),
        Arrangement::Commands(Runner::Cron) => by_cron(text::crontab(subject)),
        Arrangement::Agent(Runner::Cron) => by_cron(text::crontab_of_agent(subject)),
        Arrangement::Commands(Runner::Systemd) => units(text::timers(subject)),
        Arrangement::Agent(Runner::Systemd) => units(text::units_of_agent(subject)),
    }
}

fn look(path: &Path) -> Result<Found, NodeError> {
    match fs::read_to_string_limited(path, MAX_FILE) {
        Ok(text) => Ok(Found::Text(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::Absent),
        Err(error) => Err(error).context("read", path),
    }
}

fn execute(step: &Step) -> Result<(), NodeError> {
    match step {
        Step::Write { path, text, .. } => {
            let written = fs::write_atomic(path, text.as_bytes(), 0o644).context("write", path);
            written.map_err(|error| error.hint(hint_about(path)))
        }
        Step::Remove { path } => fs::remove_tree(path).context("remove", path),
        Step::Systemctl(words) => systemctl(words),
    }
}

fn hint_about(path: &Path) -> &'static str {
    match path.parent().is_some_and(Path::is_dir) {
        true => "this needs root; `--dry-run` shows what would be written",
        false => "is cron installed? `--systemd` does without it",
    }
}

fn systemctl(words: &[String]) -> Result<(), NodeError> {
    let mut command = Command::new("systemctl");
    command.args(words).env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    let shown = command.display();
    let output = command
        .output()
        .map_err(|error| NodeError::user(format!("cannot run `{shown}`: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(NodeError::user(format!("`{shown}` failed")).detail(said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeConfig;
    use crate::reporter::Deaf;

    #[test]
    fn a_path_that_would_be_two_lines_is_refused() {
        let text = "[slapos]\nsoftware_root = /s\ninstance_root = /i\nmaster_url = http://127.0.0.1:1\ncomputer_id = c\n";
        let config = slapos_config::Config::parse(text, "s").unwrap();
        let clock = slapos_sys::clock::SystemClock;
        let refused = |path: &str| {
            let config = NodeConfig::from_config(&config, Path::new(path)).unwrap();
            let node = Node { config: &config, reporter: &Deaf, clock: &clock };
            subject(&node).err().map(|error| error.to_string())
        };
        assert_eq!(refused("/etc/slapos.cfg"), None);
        let said = refused("/etc/a\n* * * * * root b");
        insta::assert_snapshot!(said.unwrap(), @r#"neither cron nor systemd understands "/etc/a\n* * * * * root b""#);
    }
}
