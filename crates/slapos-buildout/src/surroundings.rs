//! What a command finds around it: directories and the variables that name some.

use std::io;
use std::path::{Path, PathBuf};

/// Where the command was called, and by whom.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The current directory, absolute.
    pub directory: PathBuf,
    /// `~`, if it is known.
    pub home: Option<PathBuf>,
    /// `$BUILDOUT_HOME`: where `default.cfg` is instead of `~/.buildout`.
    pub buildout_home: Option<PathBuf>,
    /// Where downloads are kept, unless the profile says otherwise.
    pub cache: PathBuf,
    /// This program.
    pub program: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    ///
    /// # Errors
    /// When the current directory or the program is gone.
    pub fn of_process() -> io::Result<Self> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let absolute = |name| variable(name).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache")));
        Ok(Self {
            directory: std::env::current_dir()?,
            buildout_home: variable("BUILDOUT_HOME").filter(|path| !path.as_os_str().is_empty()),
            cache: base.unwrap_or_else(std::env::temp_dir).join("slapos"),
            program: std::env::current_exe()?,
            home,
        })
    }

    /// `default.cfg` of the user, if it exists.
    pub(crate) fn user_defaults(&self) -> Option<PathBuf> {
        let place = match (&self.buildout_home, &self.home) {
            (Some(place), _) => place.clone(),
            (None, Some(home)) => home.join(".buildout"),
            (None, None) => return None,
        };
        let file = self.absolute(&place.join("default.cfg"));
        file.exists().then_some(file)
    }

    /// `path` as seen from the current directory, `~/` included.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        let below_home = path.strip_prefix("~").ok().zip(self.home.as_ref());
        match below_home {
            Some((rest, home)) => home.join(rest),
            None => self.directory.join(path),
        }
    }
}
