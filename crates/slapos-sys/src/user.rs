//! Users of this machine and what identity a child is to take.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User};

/// A user as a process needs it: ids, all groups, and the directories of the password entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All group ids, the primary one included.
    pub groups: Vec<u32>,
    /// Login name, or the number where the password database has none.
    pub name: String,
    /// Home directory, `/` where the password database has none.
    pub home: PathBuf,
}

/// True when this process has the powers of root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// The user this process runs as.
///
/// # Errors
/// When the password or group database cannot be read.
pub fn current() -> io::Result<Identity> {
    by_uid(Uid::effective().as_raw())
}

/// The user named `name`, or `None` when there is none.
///
/// # Errors
/// When the password or group database cannot be read.
pub fn by_name(name: &str) -> io::Result<Option<Identity>> {
    User::from_name(name)?.map(identity).transpose()
}

/// The user numbered `uid`; one without a password entry gets the group of the same number.
///
/// # Errors
/// When the password or group database cannot be read.
pub fn by_uid(uid: u32) -> io::Result<Identity> {
    match User::from_uid(Uid::from_raw(uid))? {
        Some(user) => identity(user),
        None => Ok(Identity {
            uid,
            gid: uid,
            groups: vec![uid],
            name: uid.to_string(),
            home: PathBuf::from("/"),
        }),
    }
}

/// The user that owns `path` (not following a final link).
///
/// # Errors
/// When `path` cannot be examined, or the databases cannot be read.
pub fn owner_of(path: &Path) -> io::Result<Identity> {
    by_uid(std::fs::symlink_metadata(path)?.uid())
}

/// Makes `user` the owner of `path` itself, never of what a link there points to.
///
/// # Errors
/// Those of `lchown`.
pub fn chown(path: &Path, user: &Identity) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))
}

/// Runs `action` with the rights of `user` to files, as far as this thread is concerned: what
/// `user` may not read or write, `action` cannot either, whatever links were planted on its way.
/// Only root needs it; for others, and for root's own files, `action` simply runs.
///
/// # Errors
/// When this process may not take the rights of `user`; `action` is not run then.
pub fn as_files_of<T>(user: &Identity, action: impl FnOnce() -> T) -> io::Result<T> {
    use nix::unistd::{setfsgid, setfsuid};
    if !is_root() {
        return Ok(action());
    }
    /// Gives the thread its own rights back, also when `action` panics.
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            setfsuid(Uid::effective());
            setfsgid(Gid::effective());
        }
    }
    let _restore = Restore;
    // The group first: without root's rights it could not be changed any more. These calls tell
    // no errors, only the value before, hence the second one of each.
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setfsgid(gid);
    setfsuid(uid);
    if setfsuid(uid) != uid || setfsgid(gid) != gid {
        let message = format!("cannot take the file rights of {}", user.name);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(action())
}

fn identity(user: User) -> io::Result<Identity> {
    let name = std::ffi::CString::new(user.name.as_str())?;
    let groups = nix::unistd::getgrouplist(&name, user.gid)?;
    Ok(Identity {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
        name: user.name,
        home: user.dir,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_to_files_are_given_up_and_taken_back() {
        if !is_root() {
            crate::skipped("rights_to_files_are_given_up_and_taken_back", "needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        crate::fs::write_atomic(&secret, b"x", 0o600).unwrap();
        let nobody = by_name("nobody").unwrap().unwrap();
        let denied = as_files_of(&nobody, || std::fs::read(&secret)).unwrap();
        assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(std::fs::read(&secret).unwrap(), b"x");
    }

    #[test]
    fn root_is_known_and_nobody_else_is_invented() {
        assert_eq!(by_name("root").unwrap().unwrap().uid, 0);
        assert!(by_name("no-such-user-here").unwrap().is_none());
        assert_eq!(by_uid(3_999_999_999).unwrap().name, "3999999999");
    }
}
