//! Users of this machine and what identity a child is to take.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

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

/// The login shell of the user named `name`, or `None` when there is no such user.
///
/// # Errors
/// When the password database cannot be read.
pub fn shell_of(name: &str) -> io::Result<Option<PathBuf>> {
    Ok(User::from_name(name)?.map(|user| user.shell))
}

/// The id of the group named `name`, or `None` when there is none.
///
/// # Errors
/// When the group database cannot be read.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
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

/// Whether nobody but root can change what is at `path` or put something else there: that, and every
/// directory and link on the way to it, are root's, and others may not write there (in a directory
/// with the sticky bit everybody may, and replaces what is his own only).
///
/// # Errors
/// When something on the way cannot be examined.
pub fn only_root_changes(path: &Path) -> io::Result<bool> {
    let (named, real) = (std::path::absolute(path)?, path.canonicalize()?);
    for place in named.ancestors().chain(real.ancestors()) {
        let (itself, found) = (std::fs::symlink_metadata(place)?, std::fs::metadata(place)?);
        let shared = found.is_dir() && found.mode() & 0o1000 != 0;
        let open = found.mode() & 0o022 != 0 && !shared;
        if open || itself.uid() != 0 || found.uid() != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes `user` the owner of `path` itself, never of what a link there points to.
///
/// # Errors
/// Those of `lchown`.
pub fn chown(path: &Path, user: &Identity) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))
}

/// Runs `action` with the rights of `user` to files, those by its groups included, as far as this
/// thread is concerned: what `user` may not read or write, `action` cannot either, whatever links
/// were planted on its way. Only root needs it; for others, and for root's own files, `action`
/// simply runs. Threads that `action` starts keep the rights of `user`.
///
/// # Errors
/// When this process may not take the rights of `user`; `action` is not run then.
pub fn as_files_of<T>(user: &Identity, action: impl FnOnce() -> T) -> io::Result<T> {
    use nix::unistd::{setfsgid, setfsuid};
    if !is_root() || user.uid == Uid::effective().as_raw() {
        return Ok(action());
    }
    /// Gives the thread its own rights back, also when `action` panics.
    struct Restore(Vec<u32>);
    impl Drop for Restore {
        fn drop(&mut self) {
            setfsuid(Uid::effective());
            setfsgid(Gid::effective());
            // It was allowed before, and if not any more, there are only fewer rights.
            let _ = set_thread_groups(&self.0);
        }
    }
    let own = nix::unistd::getgroups()?.into_iter().map(Gid::as_raw).collect();
    let _restore = Restore(own);
    set_thread_groups(&user.groups)?;
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

/// Runs `action`, which is about the file `path`, with the rights of who owns the directory of it (see
/// [`as_files_of`]): whatever he puts in the place of the file, nothing is read or written that he
/// could not read or write himself.
///
/// # Errors
/// When the directory cannot be examined, and as [`as_files_of`].
pub fn as_keeper_of<T>(path: &Path, action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let keeper = by_uid(std::fs::metadata(directory)?.uid())?;
    as_files_of(&keeper, action)?
}

/// Sets the supplementary groups of this thread alone. The C library's function of that name
/// changes those of all threads, so the kernel is called directly.
fn set_thread_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and length are those of one living slice of 32-bit numbers, which is what
    // the kernel's gid_t is; the call only reads it.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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
    fn what_somebody_planted_in_his_directory_leads_no_further_than_he_can_go() {
        if !is_root() {
            crate::skipped("what_somebody_planted_in_his_directory", "needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        crate::fs::set_mode(dir.path(), 0o755).unwrap();
        let (secret, his) = (dir.path().join("secret"), dir.path().join("his"));
        crate::fs::write_atomic(&secret, b"x", 0o600).unwrap();
        std::fs::create_dir(&his).unwrap();
        chown(&his, &by_name("nobody").unwrap().unwrap()).unwrap();
        let planted = his.join("token");
        std::os::unix::fs::symlink(&secret, &planted).unwrap();
        let denied = as_keeper_of(&planted, || std::fs::read(&planted)).unwrap_err();
        assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(as_keeper_of(&secret, || std::fs::read(&secret)).unwrap(), b"x");
    }

    #[test]
    fn what_others_can_replace_is_not_roots_alone() {
        assert!(only_root_changes(Path::new("/bin/sh")).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        crate::fs::write_atomic(&file, b"x", 0o644).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let only_root = |path: &Path| only_root_changes(path).unwrap();
        // An ordinary user owns all of it.
        assert_eq!((only_root(&file), only_root(&link)), (is_root(), is_root()));
        crate::fs::set_mode(dir.path(), 0o1777).unwrap();
        assert_eq!(only_root(&file), is_root());
        crate::fs::set_mode(dir.path(), 0o777).unwrap();
        assert!(!only_root(&file));
        crate::fs::set_mode(dir.path(), 0o755).unwrap();
        crate::fs::set_mode(&file, 0o664).unwrap();
        assert!(!only_root(&file));
        if let (true, Some(nobody)) = (is_root(), by_name("nobody").unwrap()) {
            crate::fs::set_mode(&file, 0o644).unwrap();
            chown(&link, &nobody).unwrap();
            assert!(only_root(&file) && !only_root(&link));
            chown(dir.path(), &nobody).unwrap();
            assert!(!only_root(&file));
        }
    }

    /// The supplementary groups of the calling thread, as the kernel has them.
    fn thread_groups() -> Vec<u32> {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        line.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    #[test]
    fn rights_by_a_group_are_given_up_too_and_by_this_thread_alone() {
        if !is_root() {
            crate::skipped(
                "rights_by_a_group_are_given_up_too_and_by_this_thread_alone",
                "needs root",
            );
            return;
        }
        const SHARED: u32 = 4242;
        let dir = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        let secret = dir.path().join("secret");
        crate::fs::write_atomic(&secret, b"x", 0o640).unwrap();
        std::os::unix::fs::chown(&secret, None, Some(SHARED)).unwrap();
        let nobody = by_name("nobody").unwrap().unwrap();
        let mut expected = nobody.groups.clone();
        expected.sort_unstable();
        let others = thread_groups();
        // A thread of its own: its groups are to be none of the other tests' business.
        let run = std::thread::spawn(move || {
            set_thread_groups(&[0, SHARED]).unwrap();
            let (groups, denied) =
                as_files_of(&nobody, || (thread_groups(), std::fs::read(&secret))).unwrap();
            (groups, denied, thread_groups())
        });
        let (groups, denied, after) = run.join().unwrap();
        assert_eq!(groups, expected);
        assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(after, [0, SHARED]);
        assert_eq!(thread_groups(), others);
    }

    #[test]
    fn root_is_known_and_nobody_else_is_invented() {
        assert_eq!(by_name("root").unwrap().unwrap().uid, 0);
        assert!(by_name("no-such-user-here").unwrap().is_none());
        assert_eq!(group_id("root").unwrap(), Some(0));
        assert_eq!(group_id("no-such-group-here").unwrap(), None);
        assert!(shell_of("root").unwrap().is_some_and(|shell| shell.is_absolute()));
        assert_eq!(shell_of("no-such-user-here").unwrap(), None);
        assert_eq!(by_uid(3_999_999_999).unwrap().name, "3999999999");
    }
}
