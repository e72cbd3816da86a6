//! `slapos.recipe.build:gitclone`: a working copy of a Git repository.
//!
//! Options:
//! - `repository`: what is cloned, needed;
//! - `branch`: default the repository's own; `revision`: a commit, which wins over `branch`;
//! - `location`: the working copy, default `<parts-directory>/<name>`;
//! - `develop`: somebody works there: once it is there it is never touched, nor removed with the
//!   part;
//! - `depth`: how many commits; default all;
//! - `shared`: borrow the objects of a local repository (`git clone --shared`);
//! - `sparse-checkout`: patterns of the only files wanted;
//! - `ignore-ssl-certificate`: trust any server;
//! - `ignore-cloning-submodules`: leave submodules out;
//! - `git-executable`: default `git`; `use-cache` is ignored.
//!
//! `y`, `yes`, `1` and `true` are true, in any case. Without `revision` (and `develop`) the
//! repository is asked when the part is initialised, and `revision` is set to its newest commit,
//! so that the part is made again when that changes; while the repository cannot be asked, what is
//! there is what is wanted. A working copy with changes or commits of its own stays when the part
//! goes, unless the profile says `develop = false`. Git sees no variable but a clean environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use slapos_engine::{CommandSpec, Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sys::process::Command;

use crate::common::{self, environment};

/// Options that `git ls-remote` answers for.
const REMOTE: [&str; 2] = ["repository", "branch"];

/// The recipe.
pub(crate) struct GitClone;

impl Recipe for GitClone {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let default = init.parts_location();
        let location = init.set_default("location", &default.to_string_lossy());
        let revision = text(init, "revision")?;
        let copy = WorkingCopy {
            location: common::path(init, &location),
            git: text(init, "git-executable")?.unwrap_or_else(|| "git".to_owned()),
            repository: match text(init, "repository")? {
                Some(repository) => repository,
                None => init.require("repository")?,
            },
            branch: text(init, "branch")?.filter(|_| revision.is_none()),
            revision,
            develop: truth(init, "develop"),
            depth: depth(init)?,
            shared: truth(init, "shared"),
            sparse: text(init, "sparse-checkout")?,
            trusts_all: truth(init, "ignore-ssl-certificate"),
            submodules: !truth(init, "ignore-cloning-submodules"),
        };
        if copy.revision.is_some() || copy.develop {
            return Ok(Box::new(copy));
        }
        let revision = match copy.newest(init)? {
            Some(revision) => Some(revision),
            None => known(init),
        };
        if let Some(revision) = &revision {
            init.set("revision", revision);
        }
        Ok(Box::new(WorkingCopy { revision, ..copy }))
    }

    fn keeps(&self, options: &IndexMap<String, String>) -> Option<String> {
        let location = PathBuf::from(options.get("location")?);
        let is_checked = options.get("develop").is_none_or(|develop| common::is_true(develop));
        if !is_checked || !location.exists() {
            return None;
        }
        let git = options.get("git-executable").map_or("git", String::as_str);
        for (arguments, what) in [
            (&["status", "--short"][..], "changes that are not committed"),
            (&["log", "--branches", "--not", "--remotes"], "commits that are not pushed"),
        ] {
            let output = command(git, &location).current_dir(&location).args(arguments).output();
            match output {
                Ok(output) if output.status.success() && output.stdout.is_empty() => {}
                Ok(output) if output.status.success() => {
                    return Some(format!("{} has {what}", location.display()));
                }
                _ => return Some(format!("{git} cannot look at {}", location.display())),
            }
        }
        None
    }
}

fn truth(init: &PartInit<'_>, option: &str) -> bool {
    init.get(option).is_some_and(common::is_true)
}

/// An option that becomes an argument of git, which must not take it for one of its own.
fn text(init: &PartInit<'_>, option: &str) -> Result<Option<String>, ProfileError> {
    let value = init.get(option).map(str::trim).filter(|value| !value.is_empty());
    match value {
        Some(value) if value.starts_with('-') => {
            let message = format!("`{option}` must not begin with `-`: `{value}`");
            Err(init.error(option, &message, None))
        }
        value => Ok(value.map(str::to_owned)),
    }
}

fn depth(init: &PartInit<'_>) -> Result<Option<u32>, ProfileError> {
    let Some(text) = init.get("depth").map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match text.parse::<u32>() {
        Ok(depth) if depth > 0 => Ok(Some(depth)),
        _ => {
            let message = format!("`depth` must be a number of commits, not `{text}`");
            Err(init.error("depth", &message, None))
        }
    }
}

/// The revision that was installed from the same place.
fn known(init: &PartInit<'_>) -> Option<String> {
    let same = REMOTE.iter().all(|option| init.previous(option) == init.get(option));
    init.previous("revision").filter(|_| same).map(str::to_owned)
}

/// What git sees of the world: no `GIT_*`, and nobody to ask for a password.
fn variables(home: &Path) -> BTreeMap<String, String> {
    let mut variables = environment::base(home, home);
    variables.remove("TMPDIR");
    variables.insert("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned());
    variables
}

fn command(git: &str, home: &Path) -> Command {
    let mut command = Command::new(git);
    command.envs(variables(home)).stdin(std::process::Stdio::null());
    command
}

struct WorkingCopy {
    location: PathBuf,
    git: String,
    repository: String,
    branch: Option<String>,
    revision: Option<String>,
    develop: bool,
    depth: Option<u32>,
    shared: bool,
    sparse: Option<String>,
    trusts_all: bool,
    submodules: bool,
}

impl WorkingCopy {
    /// The newest commit in the repository; `None` when it cannot be asked.
    fn newest(&self, init: &PartInit<'_>) -> Result<Option<String>, ProfileError> {
        if init.offline() {
            return Ok(None);
        }
        let wanted = self.branch.as_deref().unwrap_or("HEAD");
        let mut command = command(&self.git, init.buildout_directory());
        if self.trusts_all {
            command.args(["-c", "http.sslVerify=false"]);
        }
        command.args(["ls-remote", "-q", "--", &self.repository, wanted]);
        let output = match command.current_dir("/").output() {
            Ok(output) if output.status.success() => output,
            _ => return Ok(None),
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<(&str, &str)> = text.lines().filter_map(|l| l.split_once('\t')).collect();
        let exact = [format!("refs/heads/{wanted}"), format!("refs/tags/{wanted}^{{}}")];
        let best = lines.iter().find(|(_, name)| exact.iter().any(|exact| exact == name));
        match best.or(lines.first()) {
            Some((revision, _)) => Ok(Some((*revision).to_owned())),
            None => {
                let option = if self.branch.is_some() { "branch" } else { "repository" };
                let message = format!("{} has no `{wanted}`", self.repository);
                Err(init.error(option, &message, None))
            }
        }
    }

    /// Where the clone is made before it has its name.
    fn temporary(&self) -> PathBuf {
        let name = self.location.file_name().unwrap_or_default().to_string_lossy();
        self.location.with_file_name(format!(".{name}.gitclone"))
    }

    fn git(&self, cx: &PartContext<'_>) -> CommandSpec {
        CommandSpec::new(&self.git).envs(variables(cx.directory()))
    }

    fn clone_to(&self, place: &Path, cx: &PartContext<'_>) -> Result<(), PartError> {
        cx.progress(&format!("cloning {}", self.repository));
        let spec = self.arguments().into_iter().fold(self.git(cx), CommandSpec::arg);
        cx.run(&spec.arg("--").arg(&self.repository).arg(place))?;
        let inside = |arguments: &[&str]| {
            let spec = self.git(cx).current_dir(place);
            cx.run(&arguments.iter().fold(spec, |spec, argument| spec.arg(*argument)))
        };
        if let Some(patterns) = &self.sparse {
            let path = place.join(".git/info/sparse-checkout");
            common::write_file(&path, format!("{patterns}\n").as_bytes(), 0o644)?;
        }
        match &self.revision {
            Some(revision) => {
                let is_there = || inside(&["cat-file", "-e", &format!("{revision}^{{commit}}")]);
                if let Some(depth) = self.depth
                    && is_there().is_err()
                {
                    inside(&["fetch", &format!("--depth={depth}"), "origin", revision])?;
                }
                inside(&["reset", "--hard", revision])?;
            }
            None if self.sparse.is_some() => inside(&["reset", "--hard"])?,
            None => {}
        }
        if self.submodules {
            let update = ["submodule", "update", "--init", "--recursive"];
            inside(&[&["-c", "protocol.file.allow=always"][..], &update].concat())?;
        }
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        if self.submodules {
            words.extend(["-c", "protocol.file.allow=always"].map(str::to_owned));
        }
        words.push("clone".to_owned());
        if self.shared {
            words.push("--shared".to_owned());
        }
        if self.sparse.is_some() {
            words.extend(["--no-checkout", "--config", "core.sparseCheckout=true"].map(Into::into));
        }
        if let Some(branch) = &self.branch {
            words.extend(["--branch".to_owned(), branch.clone()]);
        }
        if self.trusts_all {
            words.extend(["--config", "http.sslVerify=false"].map(str::to_owned));
        }
        words.extend(self.depth.map(|depth| format!("--depth={depth}")));
        if self.submodules {
            let flags = ["--recurse-submodules", "--config", "submodule.recurse=true"];
            words.extend(flags.map(str::to_owned));
        }
        words
    }
}

impl Part for WorkingCopy {
    fn claims(&self) -> Vec<PathBuf> {
        let own = (!self.develop).then(|| self.location.clone());
        own.into_iter().chain([self.temporary()]).collect()
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        if self.develop && self.location.exists() {
            return Ok(Vec::new());
        }
        let temporary = self.temporary();
        for path in [&self.location, &temporary] {
            slapos_sys::fs::remove_tree(path)
                .map_err(|error| PartError::io("remove", path, &error))?;
        }
        common::create_parent(&self.location)?;
        self.clone_to(&temporary, cx)?;
        slapos_sys::fs::rename(&temporary, &self.location)
            .map_err(|error| PartError::io("make", &self.location, &error))?;
        Ok(if self.develop { Vec::new() } else { vec![self.location.clone()] })
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        self.install(cx).map(drop)
    }

    fn needs_update(&self) -> Option<String> {
        let is_gone = self.develop && !self.location.exists();
        is_gone.then(|| format!("{} is missing", self.location.display()))
    }
}
