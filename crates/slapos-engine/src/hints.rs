//! What recipes say about options that they do not set, for whoever asks for one in vain.

use slapos_profile::{ErrorKind, ProfileError};

/// What to say when an option is asked for in vain.
struct Hint {
    section: String,
    /// How the names of these options begin.
    prefix: String,
    help: String,
}

/// All that recipes said.
#[derive(Default)]
pub(crate) struct Hints(Vec<Hint>);

impl Hints {
    pub(crate) fn add(&mut self, section: &str, prefix: &str, help: &str) {
        let (section, prefix, help) = (section.to_owned(), prefix.to_owned(), help.to_owned());
        self.0.push(Hint { section, prefix, help });
    }

    /// `error`, with what the recipe of the section said about options it does not have.
    pub(crate) fn explain(&self, error: ProfileError) -> ProfileError {
        if error.kind() != ErrorKind::UnknownOption {
            return error;
        }
        let is_about = |hint: &&Hint| {
            let start = format!("section [{}] has no option `{}", hint.section, hint.prefix);
            error.message().starts_with(&start)
        };
        match self.0.iter().find(is_about).map(|hint| hint.help.clone()) {
            Some(help) => error.with_help(Some(help)),
            None => error,
        }
    }
}
