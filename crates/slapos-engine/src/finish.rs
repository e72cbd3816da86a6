//! What is done after the parts because an extension of the profile asks for it.
//!
//! Invariant: the marker of what was stripped (`<ledger>.stripped`: what the parts are, and what was
//! to be spared) is removed before a part is touched and written last, so that a run that finds it
//! has nothing to look at.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use slapos_sys::fs;

use crate::build::Settings;
use crate::context::{PartContext, RunState};
use crate::error::BuildError;
use crate::event::Action;
use crate::identity::hex;
use crate::initialise::Prepared;
use crate::plan::Plan;
use crate::strip::{self, Strip};

/// Says to whoever looks at the directory that parts of it are shared.
const SHARED_MARK: &str = ".shared";

/// What extensions of the profile want after the parts.
#[derive(Debug, Default)]
pub(crate) struct Finishing {
    /// `slapos.extension.strip`.
    pub(crate) strip: Option<Strip>,
    /// `slapos.extension.shared`, where `[buildout] shared-parts` is set.
    pub(crate) marks_shared: bool,
}

/// What of it is to be done now.
#[derive(Debug, Default)]
pub(crate) struct Due {
    strip: Option<(Strip, String)>,
    shared_mark: Option<PathBuf>,
    marker: PathBuf,
}

impl Finishing {
    /// What is to be done for `parts` after what `plan` says.
    pub(crate) fn due(self, settings: &Settings, parts: &[Prepared], plan: &Plan) -> Due {
        let marker = settings.ledger_path().with_extension("stripped");
        let is_still = plan.steps.iter().all(|step| step.action == Action::Keep);
        let strip = self.strip.map(|strip| {
            let stamp = stamp(&strip, parts);
            (strip, stamp)
        });
        let is_done = |stamp: &str| fs::read_to_string(&marker).is_ok_and(|text| text == stamp);
        let strip = strip.filter(|(_, stamp)| !is_still || !is_done(stamp));
        let shared_mark = settings.directory.join(SHARED_MARK);
        let unmarked = self.marks_shared && !shared_mark.exists();
        Due { strip, shared_mark: unmarked.then_some(shared_mark), marker }
    }
}

impl Due {
    /// For people, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let strip = self.strip.as_ref().map(|(strip, _)| {
            format!("take the symbols out of programs, by {}", strip.program.display())
        });
        let mark = self.shared_mark.as_ref().map(|path| format!("write {}", path.display()));
        strip.into_iter().chain(mark).collect()
    }

    /// Before any part is touched.
    pub(crate) fn begin(&self) -> Result<(), BuildError> {
        match &self.strip {
            Some(_) => fs::remove_tree(&self.marker).map_err(io("remove", &self.marker)),
            None => Ok(()),
        }
    }

    /// After the parts are as they should be. What cannot be stripped is told and fails nothing.
    pub(crate) fn end(&self, run: &RunState<'_>) -> Result<(), BuildError> {
        if let Some((strip, stamp)) = &self.strip {
            let cx = PartContext::new(run, strip::EXTENSION, false);
            match strip.run(&cx) {
                Ok(()) => {
                    let text = stamp.as_bytes();
                    fs::write_atomic(&self.marker, text, 0o644)
                        .map_err(io("write", &self.marker))?;
                }
                Err(error) if error.is_cancelled() => return Err(BuildError::Cancelled),
                Err(error) => cx.warn(&format!("programs keep their symbols: {error}")),
            }
        }
        match &self.shared_mark {
            Some(path) => fs::write_once(path, b"", 0o644).map(drop).map_err(io("write", path)),
            None => Ok(()),
        }
    }
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Io { what, path, source }
}

/// Stands for what the parts are and what was to be spared.
fn stamp(strip: &Strip, parts: &[Prepared]) -> String {
    let mut hash = Sha256::new();
    let spared = strip.spared.iter().map(|path| path.to_string_lossy().into_owned());
    let parts = parts.iter().flat_map(|part| [part.name.clone(), part.identity.clone()]);
    for text in spared.chain([String::new()]).chain(parts) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    format!("{}\n", hex(&hash.finalize()))
}
