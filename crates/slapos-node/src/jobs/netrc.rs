//! The builder's `~/.netrc`, by which git and curl log in to private repositories: what builds a
//! Software Release has its directory for a home, so that file is lent to it for the time of a
//! build. (The original leaves it there.)

use std::path::{Path, PathBuf};

use slapos_sys::fs;

const NAME: &str = ".netrc";

/// Removes the file when dropped.
pub(super) struct Netrc(PathBuf);

impl Netrc {
    /// Lends the file of `home`, if there is one, to a build in `directory`.
    ///
    /// # Errors
    /// When it is there and cannot be read, or what a killed build left cannot be removed.
    pub(super) fn lend(home: &Path, directory: &Path) -> std::io::Result<Self> {
        let lent = Self(directory.join(NAME));
        match fs::read(&home.join(NAME)) {
            Ok(bytes) => fs::write_replace(&lent.0, &bytes, 0o600)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => fs::remove_tree(&lent.0)?,
            Err(error) => return Err(error),
        }
        Ok(lent)
    }
}

impl Drop for Netrc {
    fn drop(&mut self) {
        // What stays is readable by the builder alone, and goes with the next build.
        let _ = fs::remove_tree(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_there_for_the_time_of_a_build_and_for_its_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let build = tempfile::tempdir().unwrap();
        let lent = build.path().join(NAME);
        fs::write_atomic(&lent, b"left by a killed build", 0o600).unwrap();
        let none = Netrc::lend(home.path(), build.path()).unwrap();
        assert!(!lent.exists());
        drop(none);
        fs::write_atomic(&home.path().join(NAME), b"machine h", 0o644).unwrap();
        let netrc = Netrc::lend(home.path(), build.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&lent).unwrap(), "machine h");
        assert_eq!(std::fs::metadata(&lent).unwrap().permissions().mode() & 0o777, 0o600);
        drop(netrc);
        assert!(!lent.exists());
    }
}
