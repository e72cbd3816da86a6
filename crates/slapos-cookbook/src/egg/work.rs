//! A part as the one who asks for distributions: commands go to its log and its jobserver. Several
//! distributions may be built at once.

use slapos_eggs::{Call, EggError, Work};
use slapos_engine::{CommandSpec, PartContext};
use slapos_sources::Progress;

/// A part's context.
pub(super) struct PartWork<'a>(pub(super) &'a PartContext<'a>);

impl Progress for PartWork<'_> {
    fn text(&self, text: &str) {
        self.0.progress(text);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

impl Work for PartWork<'_> {
    fn run(&self, call: &Call) -> Result<(), EggError> {
        let mut spec = CommandSpec::new(call.program.as_os_str().to_owned());
        for arg in &call.args {
            spec = spec.arg(arg);
        }
        let spec = spec.current_dir(&call.directory).envs(call.environment.clone());
        self.0.run(&spec.with_jobserver().apart()).map_err(|error| {
            if error.is_cancelled() {
                return EggError::Cancelled;
            }
            let words = call.args.iter().map(|arg| arg.to_string_lossy().into_owned());
            let what =
                format!("run {} {}", call.program.display(), words.collect::<Vec<_>>().join(" "));
            let said = error.said().unwrap_or_default().to_vec();
            EggError::Build { what, reason: error.to_string(), said }
        })
    }

    fn warn(&self, text: &str) {
        self.0.warn(text);
    }
}
