//! `slapos.recipe.cmmi`: configure, make, make install.
//!
//! Source (exactly one of `url` and `path`):
//! - `url`, `alternate-url`, `md5sum`, `sha256sum`, `allow-unverified`: an archive, see
//!   [`crate::common::source`]; one of this machine needs no digest and is made again when its
//!   content changes; `strip-top-level-dir`: as for `download-unpacked`, default `false`;
//! - `path`: an existing source directory, used in place; a change in it is not noticed, as the
//!   build itself writes there.
//!
//! Place:
//! - `shared`: `true` puts the part among the shared parts;
//! - `prefix`: what `--prefix` is, default the location; inside it for a shared part;
//! - `location` is set: `<parts-directory>/<name>` or the shared place. It may only be given equal
//!   to that (as `@@LOCATION@@`); `@@LOCATION@@` in any option stands for it. `compile-directory` is set as well.
//!
//! Commands, all text of `/bin/sh -e`, formatted with `%(option)s` (a percent sign is `%%`):
//! - `environment`: see [`crate::common::environment`];
//! - `patches`: white-space list of `url[#md5]` (digests as for `url`), applied with `patch-binary` (`patch`) and
//!   `patch-options` (`-p0`);
//! - `configure-command` (`./configure`), `configure-options`; `--prefix="<prefix>"` is put first
//!   unless one of them says otherwise;
//! - `make-binary` (`make`), `make-options`, `make-targets` (`install`; with a configure command
//!   of one's own and plain make, `prefix="<prefix>"` is added; empty: none). Jobs are shared with everything
//!   that runs, so `-j` is not to be given;
//! - `pre-configure`, `pre-build`, `pre-install`, `post-install`: run before and after.
//!
//! Rest: `promises`, paths that should exist afterwards (a missing one is a warning);
//! `keep-compile-dir` (also in `[buildout]`): `true` keeps the build directory.
//! `pre-configure-hook`, `pre-make-hook`, `post-make-hook`: functions in Python files, see [`hook`].

mod build;
mod hook;
mod shebang;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::archive::Strip;
use slapos_sources::{Fetcher, Source};

use crate::common::environment::Environment;
use crate::common::{self, source};
use crate::download_unpacked;
use crate::python::Python;

use hook::Hook;

/// Stands for the location in every option.
const LOCATION: &str = "@@LOCATION@@";

/// The recipe.
pub(crate) struct Cmmi {
    fetcher: Arc<Fetcher>,
    python: Python,
}

impl Cmmi {
    pub(crate) fn new(fetcher: Arc<Fetcher>, python: Python) -> Self {
        Self { fetcher, python }
    }
}

/// Where the source comes from.
enum Origin {
    Archive { source: Box<Source>, strip: Strip },
    Directory(PathBuf),
}

/// A part to be compiled.
struct Compiled {
    fetcher: Arc<Fetcher>,
    hooks: Vec<Hook>,
    origin: Origin,
    patches: Vec<Source>,
    environment: Environment,
    /// Options, by which commands are formatted.
    options: IndexMap<String, String>,
    location: PathBuf,
    shared: bool,
    keep: bool,
}

impl Recipe for Cmmi {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let origin = origin(init)?;
        // A section of variables must be known before the hash of a shared part is made, and lines
        // of variables may name the location, which follows from the hash.
        Environment::of_part(init)?;
        let patches = source::patches(init, "patches")?;
        let hooks = hook::of_part(init, &self.python)?;
        if let Origin::Archive { source, .. } = &origin {
            source::declare_local(init, source, &self.fetcher);
        }
        for patch in &patches {
            source::declare_local(init, patch, &self.fetcher);
        }
        let keep = common::boolean(init, "keep-compile-dir", false)?
            || init.option("buildout", "keep-compile-dir").is_ok_and(|keep| keep == "true");
        let given = init.get("location").map(str::to_owned);
        let shared = init.shared_location()?;
        let is_shared = shared.is_some();
        let location = shared.unwrap_or_else(|| init.parts_location());
        set_location(init, given.as_deref(), &location)?;
        let environment = Environment::of_part(init)?;
        check_prefix(init, &location, is_shared)?;
        let compile = match &origin {
            Origin::Archive { .. } => location.join(".build"),
            Origin::Directory(path) => path.clone(),
        };
        init.set("compile-directory", &compile.to_string_lossy());
        Ok(Box::new(Compiled {
            fetcher: self.fetcher.clone(),
            hooks,
            origin,
            patches,
            environment,
            options: init.options(),
            location,
            shared: is_shared,
            keep,
        }))
    }
}

fn origin(init: &PartInit<'_>) -> Result<Origin, ProfileError> {
    match (init.get("url"), init.get("path")) {
        (Some(_), None) => {
            let source = Box::new(source::of_part(init)?);
            Ok(Origin::Archive { source, strip: download_unpacked::strip(init, Strip::Never)? })
        }
        (None, Some(path)) => Ok(Origin::Directory(common::path(init, path))),
        (Some(_), Some(_)) => {
            Err(init.error("path", "`path` and `url` exclude each other: give one of them", None))
        }
        (None, None) => {
            let message = format!("part `{}` has neither `url` nor `path`", init.name());
            Err(init.error("recipe", &message, Some("say where the source is")))
        }
    }
}

fn set_location(
    init: &mut PartInit<'_>,
    given: Option<&str>,
    location: &Path,
) -> Result<(), ProfileError> {
    let text = location.to_string_lossy().into_owned();
    let given = given.map(|given| given.replace(LOCATION, &text));
    if given.is_some_and(|given| !given.is_empty() && given != text) {
        let message = format!("`location` is decided by the recipe: it is {text}");
        return Err(init.error("location", &message, Some("remove the option")));
    }
    init.set("location", &text);
    for (name, value) in init.options() {
        if value.contains(LOCATION) {
            init.set(&name, &value.replace(LOCATION, &text));
        }
    }
    Ok(())
}

fn check_prefix(
    init: &mut PartInit<'_>,
    location: &Path,
    shared: bool,
) -> Result<(), ProfileError> {
    let prefix = match init.get("prefix").map(str::trim).filter(|prefix| !prefix.is_empty()) {
        Some(prefix) => prefix.to_owned(),
        None => location.to_string_lossy().into_owned(),
    };
    if shared && !Path::new(&prefix).starts_with(location) {
        let message = "the `prefix` of a shared part must be inside its location";
        return Err(init.error("prefix", message, None));
    }
    init.set("prefix", &prefix);
    Ok(())
}

impl Part for Compiled {
    fn claims(&self) -> Vec<PathBuf> {
        if self.shared { Vec::new() } else { vec![self.location.clone()] }
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        build::build(self, cx)?;
        shebang::shorten(&self.location)?;
        Ok(self.claims())
    }
}
