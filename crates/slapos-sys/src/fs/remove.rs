//! Trees removed whatever their owner made of them: deeper than a path may be long or than files may
//! be open, closed to all, or changed at the same time.
//!
//! Invariant: nothing outside the tree is reached. Each directory is opened by its name in the one
//! that is open, links are never followed, and no way leads up: what is too deep is moved into the
//! top before it is entered, so that a directory that is moved away meanwhile leads nowhere.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;

use super::ignore_missing;

/// Levels that are entered, each holding a descriptor, before what is deeper is moved to the top.
/// No tree of an ordinary build comes near.
const LEVELS: usize = 64;

/// Removes a file, link or whole tree, closed and read-only directories included, at any depth. Links
/// are removed, never followed, and what is mounted in the tree is left. It is no error when `path`
/// does not exist.
///
/// # Errors
/// Those of `unlink`, `rmdir`, `open` and `chmod`.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !meta.is_dir() {
        return ignore_missing(fs::remove_file(path));
    }
    ignore_missing(open(CWD, path).map_err(io::Error::from).and_then(|top| remove_top(&top, path)))
}

fn remove_top(top: &OwnedFd, path: &Path) -> io::Result<()> {
    loop {
        let mut removal = Removal { top: top.as_fd(), moved: false };
        removal.clear(rustix::io::fcntl_dupfd_cloexec(top, 0)?, 0)?;
        match fs::remove_dir(path) {
            // What was moved to the top may have come too late for this look at it.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && removal.moved => {}
            other => return other,
        }
    }
}

struct Removal<'a> {
    top: BorrowedFd<'a>,
    moved: bool,
}

impl Removal<'_> {
    /// Removes everything in `directory`, which is `depth` below the top.
    fn clear(&mut self, directory: OwnedFd, depth: usize) -> io::Result<()> {
        let mut entries = Dir::new(directory)?;
        entries.rewind();
        while let Some(entry) = entries.read() {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                self.remove(entries.fd()?, entry.file_name(), entry.file_type(), depth)?;
            }
        }
        Ok(())
    }

    fn remove(
        &mut self,
        from: BorrowedFd<'_>,
        name: &CStr,
        kind: FileType,
        depth: usize,
    ) -> io::Result<()> {
        if kind != FileType::Directory {
            match rustix::fs::unlinkat(from, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => {}
                other => return gone(other),
            }
        }
        match rustix::fs::unlinkat(from, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            other => return gone(other),
        }
        let directory = match open(from, name) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        if depth >= LEVELS {
            // It was opened all the same: who moves a directory must be allowed to write to it.
            return self.move_up(from, name);
        }
        self.clear(directory, depth + 1)?;
        gone(rustix::fs::unlinkat(from, name, AtFlags::REMOVEDIR))
    }

    fn move_up(&mut self, from: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        // A name that nobody foresees, so that nothing can be in its place.
        let fresh = format!(".removing-{}", crate::random::hex(8)?);
        gone(rustix::fs::renameat(from, name, self.top, fresh))?;
        self.moved = true;
        Ok(())
    }
}

/// Opens the directory `name` in `at`, made open to its owner first where it is not.
fn open(at: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> rustix::io::Result<OwnedFd> {
    let only_it = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(at, name, OFlags::RDONLY | only_it, Mode::empty()) {
        Ok(directory) => {
            let mode = mode(&directory)?;
            if !mode.contains(Mode::RWXU) {
                // Where that is not allowed, removing what is in it says so.
                let _ = rustix::fs::fchmod(&directory, mode | Mode::RWXU);
            }
            Ok(directory)
        }
        Err(Errno::ACCESS) => {
            let closed = rustix::fs::openat(at, name, OFlags::PATH | only_it, Mode::empty())?;
            // Such a descriptor takes no `fchmod`; this is another name of the very same directory.
            let itself = format!("/proc/self/fd/{}", closed.as_raw_fd());
            let opened = mode(&closed)? | Mode::RWXU;
            rustix::fs::chmod(itself, opened).map_err(|_| Errno::ACCESS)?;
            rustix::fs::openat(&closed, c".", OFlags::RDONLY | only_it, Mode::empty())
        }
        other => other,
    }
}

fn mode(directory: &OwnedFd) -> rustix::io::Result<Mode> {
    let all: RawMode = rustix::fs::fstat(directory)?.st_mode;
    Ok(Mode::from_raw_mode(all))
}

fn gone(result: rustix::io::Result<()>) -> io::Result<()> {
    ignore_missing(result.map_err(io::Error::from))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{RenameFlags, mkdirat, openat, renameat_with};

    use super::*;
    use crate::fs::{create_dir_all, make_read_only, set_mode};

    const TREE: &str = "SLAPOS_TEST_REMOVE_TREE";

    /// `levels` directories below `path`, the last one with a closed one in it that is not empty.
    fn deep(path: &Path, levels: usize) {
        create_dir_all(path, 0o755).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut at = openat(CWD, path, flags, Mode::empty()).unwrap();
        let name = "a-name-of-which-few-fit-into-a-path".repeat(2);
        for name in std::iter::repeat_n(name.as_str(), levels).chain(["closed", "in"]) {
            mkdirat(&at, name, Mode::RWXU).unwrap();
            let inner = openat(&at, name, flags, Mode::empty()).unwrap();
            if name == "in" {
                rustix::fs::fchmod(&at, Mode::empty()).unwrap();
            }
            at = inner;
        }
    }

    /// Runs `named`, a test of this file, as a process of its own that may have `files` open.
    fn with_few_files(named: &str, tree: &Path, files: usize) -> std::process::Output {
        #[allow(clippy::disallowed_methods, reason = "the test's own program, as it is")]
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {files} && exec \"$0\" --exact fs::remove::tests::{named}");
        shell.arg("-c").arg(script).arg(std::env::current_exe().unwrap()).env(TREE, tree);
        shell.output().unwrap()
    }

    #[test]
    fn a_tree_deeper_than_a_path_and_than_files_may_be_open_goes() {
        if let Some(tree) = std::env::var_os(TREE) {
            return remove_tree(Path::new(&tree)).unwrap();
        }
        let room = tempfile::tempdir().unwrap();
        let tree = room.path().join("tree");
        deep(&tree, 300);
        let name = "a_tree_deeper_than_a_path_and_than_files_may_be_open_goes";
        let output = with_few_files(name, &tree, 2 * LEVELS);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(!tree.exists());
    }

    #[test]
    fn removes_read_only_and_closed_trees_and_spares_what_links_point_to() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        create_dir_all(&kept, 0o755).unwrap();
        fs::write(kept.join("file"), "kept").unwrap();
        let tree = dir.path().join("tree");
        create_dir_all(&tree.join("sub/closed/in"), 0o755).unwrap();
        fs::write(tree.join("sub/file"), "x").unwrap();
        symlink(&kept, tree.join("sub/closed/link")).unwrap();
        symlink("..", tree.join("up")).unwrap();
        make_read_only(&tree).unwrap();
        set_mode(&tree.join("sub/closed"), 0).unwrap();
        remove_tree(&tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        let link = dir.path().join("link");
        symlink(&kept, &link).unwrap();
        remove_tree(&link).unwrap();
        assert!(!link.is_symlink());
        assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "kept");
        assert_eq!(kept.metadata().unwrap().permissions(), dir_of(0o755));
    }

    fn dir_of(mode: u32) -> fs::Permissions {
        use std::os::unix::fs::PermissionsExt as _;
        fs::Permissions::from_mode(libc::S_IFDIR | mode)
    }

    /// Puts `one` into the place of `other` and back until it is told to end.
    fn exchange(one: &PathBuf, other: &PathBuf, end: &AtomicBool) {
        while !end.load(Ordering::Relaxed) {
            let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
        }
    }

    #[test]
    fn a_tree_whose_directories_become_links_while_it_goes_leads_nowhere() {
        let room = tempfile::tempdir().unwrap();
        let kept = room.path().join("kept");
        create_dir_all(&kept.join("directory"), 0o700).unwrap();
        fs::write(kept.join("directory/file"), "kept").unwrap();
        let (tree, link) = (room.path().join("tree"), room.path().join("link"));
        let inner = tree.join("inner");
        let end = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| exchange(&inner, &link, &end));
            for _ in 0..200 {
                let _ = fs::remove_file(&link);
                let _ = remove_tree(&link);
                let _ = create_dir_all(&inner.join("directory"), 0o700);
                let _ = symlink(&kept, &link);
                // It may say that something is not what it was; it may not do anything outside.
                let _ = remove_tree(&tree);
            }
            end.store(true, Ordering::Relaxed);
        });
        assert_eq!(fs::read_to_string(kept.join("directory/file")).unwrap(), "kept");
    }

    #[test]
    fn what_is_moved_away_while_it_is_entered_is_left_with_all_around_it() {
        let room = tempfile::tempdir().unwrap();
        let (tree, elsewhere) = (room.path().join("tree"), room.path().join("elsewhere"));
        create_dir_all(&tree.join("inner/deeper"), 0o700).unwrap();
        create_dir_all(&elsewhere, 0o700).unwrap();
        fs::write(elsewhere.join("kept"), "kept").unwrap();
        let top = open(CWD, tree.as_path()).unwrap();
        let inner = open(top.as_fd(), c"inner").unwrap();
        crate::fs::rename(&tree.join("inner"), &elsewhere.join("inner")).unwrap();
        let mut removal = Removal { top: top.as_fd(), moved: false };
        // As at the last level: what is too deep is moved to the top, from wherever it is now.
        removal.remove(inner.as_fd(), c"deeper", FileType::Directory, LEVELS).unwrap();
        removal.clear(inner, 1).unwrap();
        assert_eq!(fs::read_to_string(elsewhere.join("kept")).unwrap(), "kept");
        remove_tree(&tree).unwrap();
        assert!(elsewhere.join("inner").is_dir() && !tree.exists());
    }
}
