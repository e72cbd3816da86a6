//! `slapos.recipe.build:download`: one file.
//!
//! Options:
//! - `url`, `alternate-url`, `md5sum`, `sha256sum`, `allow-unverified`: see
//!   [`crate::common::source`]; a file of this machine needs no digest;
//! - `destination`: the file to make; default `<location>/<filename>`;
//! - `filename`: its base name, default the name of the part;
//! - `shared`: `true` puts it among the shared parts; needs a digest and no `destination`;
//! - `offline`: ignored, the run decides;
//! - `mode` is refused, as it always was.
//!
//! Sets `target` (the file) and, without `destination`, `location` (its directory).

use std::path::PathBuf;
use std::sync::Arc;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::{Fetcher, Source};

use crate::common::{self, source};

/// The recipe.
pub(crate) struct Download {
    fetcher: Arc<Fetcher>,
}

impl Download {
    pub(crate) fn new(fetcher: Arc<Fetcher>) -> Self {
        Self { fetcher }
    }
}

/// Refuses `shared` where the content is not fixed, or the place is.
pub(crate) fn check_shared(init: &PartInit<'_>) -> Result<(), ProfileError> {
    if !common::boolean(init, "shared", false)? {
        return Ok(());
    }
    if init.get("destination").is_some() {
        let message = "a shared part has no `destination`: its place follows from its content";
        return Err(init.error("destination", message, None));
    }
    if source::digest(init)?.is_none() {
        let help = Some("add `sha256sum = ...`");
        return Err(init.error("shared", "a shared part needs a digest of its source", help));
    }
    Ok(())
}

impl Recipe for Download {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        if init.get("mode").is_some() {
            let help = Some("set the mode where the file is used");
            return Err(init.error("mode", "`mode` is not an option of this recipe", help));
        }
        check_shared(init)?;
        let source = source::of_part(init)?;
        source::declare_local(init, &source, &self.fetcher);
        let filename = init.get("filename").unwrap_or(init.name());
        let filename = PathBuf::from(filename).file_name().map(PathBuf::from).unwrap_or_default();
        if filename.as_os_str().is_empty() {
            return Err(init.error("filename", "`filename` names no file", None));
        }
        let (target, directory) = match init.get("destination").map(str::to_owned) {
            Some(destination) => (common::path(init, &destination), None),
            None => {
                let location = match init.shared_location()? {
                    Some(shared) => shared,
                    None => init.parts_location(),
                };
                init.set("location", &location.to_string_lossy());
                (location.join(filename), Some(location))
            }
        };
        init.set("target", &target.to_string_lossy());
        Ok(Box::new(File { fetcher: self.fetcher.clone(), source, target, directory }))
    }
}

struct File {
    fetcher: Arc<Fetcher>,
    source: Source,
    target: PathBuf,
    /// The part's own directory, if it has one.
    directory: Option<PathBuf>,
}

impl Part for File {
    fn claims(&self) -> Vec<PathBuf> {
        vec![self.directory.clone().unwrap_or_else(|| self.target.clone())]
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let fetched = source::fetch(&self.fetcher, &self.source, cx)?;
        common::create_parent(&self.target)?;
        copy(&fetched.path, &self.target)?;
        Ok(self.claims())
    }
}

/// Copies a cached file under a temporary name and then to `target`, readable by all.
fn copy(from: &std::path::Path, target: &std::path::Path) -> Result<(), PartError> {
    let io = |error: std::io::Error| PartError::io("write", target, &error);
    let parent = target.parent().unwrap_or(std::path::Path::new("/"));
    let temporary = slapos_sys::fs::temp_dir_in(parent, ".download-").map_err(io)?;
    let part = temporary.path().join("file");
    std::fs::copy(from, &part).map_err(io)?;
    slapos_sys::fs::set_mode(&part, 0o644).map_err(io)?;
    std::fs::File::open(&part).and_then(|file| file.sync_all()).map_err(io)?;
    slapos_sys::fs::rename(&part, target).map_err(io)
}
