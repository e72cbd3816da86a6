//! `slapos.recipe.build:download-unpacked`: the content of an archive, as a directory.
//!
//! Options:
//! - `url`, `alternate-url`, `md5sum`, `sha256sum`, `allow-unverified`: see
//!   [`crate::common::source`]; a file of this machine needs no digest;
//! - `destination`: the directory to make; default the part's location. It must not exist unless
//!   this part made it;
//! - `strip-top-level-dir`: `true` leaves out the first directory of all names; `false` keeps it;
//!   unset: it is left out when everything lies in one;
//! - `shared`: `true` puts it among the shared parts; needs a digest and no `destination`;
//! - `environment`: accepted and not used, as archives are unpacked without other programs.
//!
//! Sets `location` and `target`, both the directory. What leads out of it is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::archive::{self, ArchiveError, Limits, Strip};
use slapos_sources::{Fetcher, Source};

use crate::common;
use crate::common::source::{self, Relay};
use crate::download::check_shared;

/// The recipe.
pub(crate) struct DownloadUnpacked {
    fetcher: Arc<Fetcher>,
}

impl DownloadUnpacked {
    pub(crate) fn new(fetcher: Arc<Fetcher>) -> Self {
        Self { fetcher }
    }
}

/// How much of the names in an archive is left out.
pub(crate) fn strip(init: &PartInit<'_>, default: Strip) -> Result<Strip, ProfileError> {
    if init.get("strip-top-level-dir").is_none_or(|value| value.trim().is_empty()) {
        return Ok(default);
    }
    let strip = common::boolean(init, "strip-top-level-dir", false)?;
    Ok(if strip { Strip::Always } else { Strip::Never })
}

/// Unpacks `file` to `into`, which must not exist.
pub(crate) fn unpack(
    file: &Path,
    into: &Path,
    strip: Strip,
    cx: &PartContext<'_>,
) -> Result<(), PartError> {
    cx.progress("unpacking");
    common::create_parent(into)?;
    archive::extract(file, into, &Limits::default(), strip, &Relay(cx)).map(drop).map_err(|error| {
        match error {
            ArchiveError::Cancelled => PartError::cancelled(),
            other => PartError::new(other.to_string()),
        }
    })
}

impl Recipe for DownloadUnpacked {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        check_shared(init)?;
        let source = source::of_part(init)?;
        source::declare_local(init, &source, &self.fetcher);
        let strip = strip(init, Strip::Auto)?;
        let shared = init.shared_location()?;
        let is_shared = shared.is_some();
        let location = match (shared, init.get("destination").map(str::to_owned)) {
            (Some(shared), _) => shared,
            (None, Some(destination)) => common::path(init, &destination),
            (None, None) => init.parts_location(),
        };
        init.set("location", &location.to_string_lossy());
        init.set("target", &location.to_string_lossy());
        Ok(Box::new(Tree { fetcher: self.fetcher.clone(), source, strip, location, is_shared }))
    }
}

struct Tree {
    fetcher: Arc<Fetcher>,
    source: Source,
    strip: Strip,
    location: PathBuf,
    is_shared: bool,
}

impl Part for Tree {
    fn claims(&self) -> Vec<PathBuf> {
        if self.is_shared { Vec::new() } else { vec![self.location.clone()] }
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let fetched = source::fetch(&self.fetcher, &self.source, cx)?;
        if !self.is_shared {
            unpack(&fetched.path, &self.location, self.strip, cx)?;
            return Ok(self.claims());
        }
        // The engine made the place of a shared part, so its content is moved into it.
        let beside = self.location.join(".unpacked");
        unpack(&fetched.path, &beside, self.strip, cx)?;
        move_content(&beside, &self.location)?;
        Ok(Vec::new())
    }
}

fn move_content(from: &Path, to: &Path) -> Result<(), PartError> {
    let io = |error: std::io::Error| PartError::io("move the content of", from, &error);
    for entry in std::fs::read_dir(from).map_err(io)? {
        let entry = entry.map_err(io)?;
        slapos_sys::fs::rename(&entry.path(), &to.join(entry.file_name())).map_err(io)?;
    }
    slapos_sys::fs::remove_tree(from).map_err(io)
}
