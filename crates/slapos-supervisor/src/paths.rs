//! Where the supervisor keeps its things below an instance root.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path that fits into a socket's address.
const MAX_SOCKET_PATH: usize = 107;

/// The files of one supervisor; all are below its instance root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The files below `instance_root`, an absolute path.
    pub fn new(instance_root: impl Into<PathBuf>) -> Self {
        Self { root: instance_root.into() }
    }

    /// The instance root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of definitions, `etc/supervisord.conf.d`.
    pub fn conf_dir(&self) -> PathBuf {
        self.root.join("etc/supervisord.conf.d")
    }

    /// The file that Python's supervisor and `supervisorctl` look into, `etc/supervisord.conf`.
    pub fn configuration(&self) -> PathBuf {
        self.root.join("etc/supervisord.conf")
    }

    /// The socket, `sv.sock`.
    pub fn socket(&self) -> PathBuf {
        self.root.join("sv.sock")
    }

    /// The daemon's own log, `var/log/supervisord.log`.
    pub fn log(&self) -> PathBuf {
        self.root.join("var/log/supervisord.log")
    }

    /// The daemon's process id, `var/run/supervisord.pid`.
    pub fn pid(&self) -> PathBuf {
        self.root.join("var/run/supervisord.pid")
    }

    /// The lock that the daemon holds, `var/run/supervisord.lock`.
    pub fn lock(&self) -> PathBuf {
        self.root.join("var/run/supervisord.lock")
    }

    /// The lock of those who are about to start a daemon.
    pub fn launch_lock(&self) -> PathBuf {
        self.root.join("var/run/supervisord.launch.lock")
    }

    /// What the daemon knows, for its successor, `var/run/supervisord.state.json`.
    pub fn state(&self) -> PathBuf {
        self.root.join("var/run/supervisord.state.json")
    }

    /// The generation before [`Paths::state`], `var/run/supervisord.state.json.old`.
    pub fn old_state(&self) -> PathBuf {
        self.root.join("var/run/supervisord.state.json.old")
    }

    /// Makes the directories that are missing.
    ///
    /// # Errors
    /// Those of `mkdir`.
    pub fn prepare(&self) -> io::Result<()> {
        slapos_sys::fs::create_dir_all(&self.conf_dir(), 0o755)?;
        slapos_sys::fs::create_dir_all(&self.root.join("var/log"), 0o755)?;
        slapos_sys::fs::create_dir_all(&self.root.join("var/run"), 0o755)
    }
}

/// Calls `action` with a path for the socket that fits into a socket's address: a long one is
/// reached through a descriptor of its directory.
pub(crate) fn with_socket_path<T>(
    socket: &Path,
    action: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    if socket.as_os_str().as_bytes().len() <= MAX_SOCKET_PATH {
        return action(socket);
    }
    let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let directory = std::fs::File::open(parent)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    action(&short.join(name))
}
