//! Where the token is that is shown to a Master.

use std::path::{Path, PathBuf};

use slapos_slap::SlapClient;
use slapos_sys::{Secret, fs, random, user};

use crate::error::{IoContext, NodeError};

/// A file with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    /// The file.
    pub path: PathBuf,
    /// Whether the configuration names it (`master_token_file`). Else it is where an embedded Master of
    /// this program keeps its own: the file may serve one of another kind, which has none.
    pub named: bool,
}

impl TokenFile {
    /// The one that is named, or else that of an embedded Master in `directory`.
    pub(crate) fn of(named: Option<PathBuf>, directory: Option<&Path>) -> Option<Self> {
        let beside = || Some(Self { path: directory?.join("master.token"), named: false });
        named.map(|path| Self { path, named: true }).or_else(beside)
    }

    /// The token; none where nobody says that there is a file, and there is none.
    ///
    /// # Errors
    /// When the file cannot be read or is empty, or is not there although it is named.
    pub fn read(&self) -> Result<Option<Secret>, NodeError> {
        match !self.named && !self.path.exists() {
            true => Ok(None),
            false => read_token(&self.path).map(Some),
        }
    }
}

/// The token that a configuration leads to, if any.
pub(crate) fn token(file: Option<&TokenFile>) -> Result<Option<Secret>, NodeError> {
    Ok(file.map(TokenFile::read).transpose()?.flatten())
}

/// The client, which tells where it was looked for a token that is not there.
pub(crate) fn having_looked(client: SlapClient, file: Option<&TokenFile>) -> SlapClient {
    match file.filter(|file| !file.path.exists()) {
        None => client,
        Some(file) => client.without_token(&format!(
            "no token was shown, because there is no file {}: copy the Master's token to it, or name \
             the file with yours as `master_token_file` in [slapos]",
            file.path.display()
        )),
    }
}

/// The token in the file at `path`.
///
/// # Errors
/// When it cannot be read or is empty.
pub fn read_token(path: &Path) -> Result<Secret, NodeError> {
    let what = "read the Master's token in";
    // Its keeper must not have root tell a Master what he put in its place.
    let secret = user::as_keeper_of(path, || Ok(read_secret(what, path))).context(what, path)??;
    match secret.expose() {
        "" => Err(NodeError::user(format!("the token file {} is empty", path.display()))
            .hint("remove it and run `slapos up`, or put the Master's token in it")),
        _ => Ok(secret),
    }
}

/// A token that nobody has.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn new_token() -> Result<Secret, NodeError> {
    let token = random::hex(32);
    let wrong = |error| NodeError::user(format!("cannot make a token for the Master: {error}"));
    token.map(Secret::new).map_err(wrong)
}

/// Keeps a new token in the file at `path`, as whoever owns its directory; `false` if there is such a file.
///
/// # Errors
/// When it cannot be written.
pub fn keep_token(path: &Path, token: &Secret) -> Result<bool, NodeError> {
    let write = || fs::write_once(path, token.expose().as_bytes(), 0o600);
    user::as_keeper_of(path, write).context("write", path)
}

/// What a file keeps secret, without the space around it; `what` says what is done with it.
///
/// # Errors
/// When the file cannot be read.
pub fn read_secret(what: &str, path: &Path) -> Result<Secret, NodeError> {
    const LONGEST: u64 = 4096;
    let text = fs::read_to_string_limited(path, LONGEST).context(what, path)?;
    Ok(Secret::new(text.trim()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;

    #[test]
    fn only_a_token_that_is_named_has_to_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let beside = TokenFile::of(None, Some(directory.path())).unwrap();
        assert!(beside.read().unwrap().is_none());
        let named = TokenFile::of(Some(beside.path.clone()), Some(Path::new("/m"))).unwrap();
        let error = named.read().unwrap_err().to_string();
        assert!(error.starts_with("cannot read the Master's token in "), "{error}");
        std::fs::write(&beside.path, "t\n").unwrap();
        assert_eq!(beside.read().unwrap().unwrap().expose(), "t");
        std::fs::write(&beside.path, "").unwrap();
        assert!(beside.read().unwrap_err().to_string().contains("is empty"));
        assert_eq!(TokenFile::of(None, None), None);
    }
}
