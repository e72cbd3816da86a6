//! The steps of a compilation, in their order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use slapos_engine::{CommandSpec, PartContext, PartError};
use slapos_sys::fs;

use super::{Compiled, Origin};
use crate::common::{environment, percent, shell_quote, source};
use crate::download_unpacked::unpack;

/// Script left in the build directory of a failed part: its environment, for trying by hand.
const ENVIRONMENT_SCRIPT: &str = "slapos.recipe.build.env.sh";

/// Builds and installs; on failure everything stays where it is, for inspection.
pub(super) fn build(part: &Compiled, cx: &PartContext<'_>) -> Result<(), PartError> {
    if !part.shared {
        // What stands here was not recorded as this part's, or it would be gone: it is rubble.
        fs::remove_tree(&part.location)
            .map_err(|error| PartError::io("remove", &part.location, &error))?;
    }
    let temporary = part.location.join(".tmp");
    fs::create_dir_all(&temporary, 0o755)
        .map_err(|error| PartError::io("create", &temporary, &error))?;
    let (build, directory) = prepare(part, cx)?;
    let variables = part.environment.over(cx, &environment::of_run(cx, &build, &temporary))?;
    let mut steps = Steps { part, cx, directory: &directory, variables };
    if let Err(error) = steps.all() {
        steps.leave_environment();
        return Err(error);
    }
    let mut done = vec![temporary];
    if !part.keep && matches!(part.origin, Origin::Archive { .. }) {
        done.push(build);
    }
    for path in done {
        fs::remove_tree(&path).map_err(|error| PartError::io("remove", &path, &error))?;
    }
    warn_of_promises(part, cx);
    warn_of_nothing(part, cx);
    Ok(())
}

/// Tells when nothing was installed where the part is: most often a prefix that went elsewhere.
fn warn_of_nothing(part: &Compiled, cx: &PartContext<'_>) {
    // The engine's own marker of a shared part that is being built does not count.
    let is_own = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
    let entries = std::fs::read_dir(&part.location).into_iter().flatten().flatten();
    let made = entries.filter(|entry| !is_own(&entry.file_name())).count();
    if made == 0 {
        cx.warn(&format!("it installed nothing in {}", part.location.display()));
    }
}

/// Brings the source; returns the directory of the build and the one in it where commands run.
fn prepare(part: &Compiled, cx: &PartContext<'_>) -> Result<(PathBuf, PathBuf), PartError> {
    match &part.origin {
        Origin::Directory(path) if path.is_dir() => Ok((path.clone(), path.clone())),
        Origin::Directory(path) => {
            Err(PartError::new(format!("the source directory {} does not exist", path.display())))
        }
        Origin::Archive { source, strip } => {
            let fetched = source::fetch(&part.fetcher, source, cx)?;
            let build = part.location.join(".build");
            unpack(&fetched.path, &build, *strip, cx)?;
            let directory = only_directory(&build)?;
            Ok((build, directory))
        }
    }
}

/// The only directory in `build` if nothing else is in it, else `build`.
fn only_directory(build: &Path) -> Result<PathBuf, PartError> {
    let io = |error: std::io::Error| PartError::io("read", build, &error);
    let entries: Vec<PathBuf> = std::fs::read_dir(build)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(io)?;
    match entries.as_slice() {
        [only] if only.is_dir() && !only.is_symlink() => Ok(only.clone()),
        _ => Ok(build.to_owned()),
    }
}

fn warn_of_promises(part: &Compiled, cx: &PartContext<'_>) {
    let promises = part.options.get("promises").map(String::as_str).unwrap_or_default();
    for promise in promises.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !cx.directory().join(promise).exists() {
            cx.warn(&format!("it promised to make {promise}, which does not exist"));
        }
    }
}

struct Steps<'s> {
    part: &'s Compiled,
    cx: &'s PartContext<'s>,
    directory: &'s Path,
    variables: BTreeMap<String, String>,
}

impl Steps<'_> {
    fn all(&mut self) -> Result<(), PartError> {
        self.patch()?;
        self.hook("pre-configure-hook")?;
        self.option("pre-configure")?;
        self.shell("configure", &self.configure())?;
        self.hook("pre-make-hook")?;
        self.option("pre-build")?;
        let make = self.make();
        self.shell("make", &make)?;
        self.option("pre-install")?;
        self.shell("make install", &format!("{make} {}", self.targets()))?;
        self.hook("post-make-hook")?;
        self.option("post-install")
    }

    fn hook(&mut self, option: &str) -> Result<(), PartError> {
        match self.part.hooks.iter().find(|hook| hook.option == option) {
            Some(hook) => hook.call(self.cx, self.directory, &mut self.variables),
            None => Ok(()),
        }
    }

    fn get(&self, option: &str) -> Option<&str> {
        let value = self.part.options.get(option).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    }

    fn words(&self, option: &str) -> String {
        self.get(option).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn configure(&self) -> String {
        let options = self.words("configure-options");
        match self.get("configure-command") {
            Some(command) => format!("{command} {options}"),
            None if options.contains("--prefix") => format!("./configure {options}"),
            None => format!("./configure --prefix=\"%(prefix)s\" {options}"),
        }
    }

    /// Empty is not the same as absent: such a part has nothing made.
    fn make_binary(&self) -> &str {
        self.part.options.get("make-binary").map_or("make", |text| text.trim())
    }

    fn make(&self) -> String {
        format!("{} {}", self.make_binary(), self.words("make-options"))
    }

    /// As for the binary, empty targets are none.
    fn targets(&self) -> String {
        let targets = match self.part.options.get("make-targets") {
            Some(_) => self.words("make-targets"),
            None => "install".to_owned(),
        };
        let plain = self.make_binary() == "make" && targets == "install";
        if self.get("configure-command").is_some() && plain {
            return format!("{targets} prefix=\"%(prefix)s\"");
        }
        targets
    }

    fn option(&self, option: &str) -> Result<(), PartError> {
        self.get(option).map_or(Ok(()), |text| self.shell(option, text))
    }

    fn shell(&self, step: &str, text: &str) -> Result<(), PartError> {
        let text = percent::format(text, |name| self.part.options.get(name).map(String::as_str))
            .map_err(|error| PartError::new(format!("{step}: {error}")).with_command(text))?;
        self.cx.progress(step);
        self.cx.run(&self.spec(CommandSpec::shell(&text)))
    }

    fn spec(&self, spec: CommandSpec) -> CommandSpec {
        spec.current_dir(self.directory).envs(self.variables.clone()).with_jobserver()
    }

    fn patch(&self) -> Result<(), PartError> {
        let binary = self.get("patch-binary").unwrap_or("patch");
        let options = self.get("patch-options").unwrap_or("-p0");
        for patch in &self.part.patches {
            let fetched = source::fetch(&self.part.fetcher, patch, self.cx)?;
            self.cx.progress(&format!("patch {}", patch.primary));
            let file = shell_quote(&fetched.path.to_string_lossy());
            let spec = CommandSpec::shell(&format!("{binary} {options} < {file}"));
            self.cx.run(&self.spec(spec))?;
        }
        Ok(())
    }

    /// Best effort: it only serves people who look into a failure.
    fn leave_environment(&self) {
        let lines: String = self
            .variables
            .iter()
            .map(|(name, value)| format!("export {name}={}\n", shell_quote(value)))
            .collect();
        let path = self.directory.join(ENVIRONMENT_SCRIPT);
        let _ = fs::write_replace(&path, lines.as_bytes(), 0o644);
    }
}
