//! A node in a temporary directory with a daemon that ends with it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use slapos_supervisor::state::State;
use slapos_supervisor::{AutoRestart, Client, Paths, ProgramSpec, ensure_running, write_group};
use slapos_sys::lock::FileLock;
use slapos_sys::process::{Command, Signal};
use slapos_sys::user::Identity;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An instance root; its daemon and all that it supervises are killed when it is dropped.
pub(crate) struct Node {
    dir: tempfile::TempDir,
    pub(crate) paths: Paths,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::below("inst")
    }

    /// With the instance root at `name` in the temporary directory.
    pub(crate) fn below(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Other users must get at what is theirs.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        let paths = Paths::new(dir.path().join(name));
        paths.prepare().unwrap();
        Self { dir, paths }
    }

    pub(crate) fn root(&self) -> &Path {
        self.paths.root()
    }

    /// A file beside the instance root.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The log that a program gets from [`Node::define`] if it names none.
    pub(crate) fn log_of(&self, name: &str) -> PathBuf {
        self.file(&format!(".{name}.log"))
    }

    /// A directory that belongs to `user`.
    pub(crate) fn directory_of(&self, user: &Identity) -> PathBuf {
        let path = self.file(&format!("home-{}", user.name));
        std::fs::create_dir(&path).unwrap();
        slapos_sys::user::chown(&path, user).unwrap();
        path
    }

    pub(crate) fn define(&self, group: &str, specs: &[ProgramSpec]) {
        let with_logs = specs.iter().cloned().map(|mut spec| {
            let log = self.log_of(&spec.process_name);
            spec.stdout_logfile.get_or_insert(log);
            spec.program = format!("{group}_{}", spec.process_name);
            spec
        });
        let specs: Vec<_> = with_logs.collect();
        write_group(&self.paths.conf_dir(), group, &specs).unwrap();
    }

    /// A client of its daemon, which is started if it does not run.
    pub(crate) fn client(&self) -> Client {
        self.client_of(&std::env::current_exe().unwrap())
    }

    /// The same, with a daemon of this program.
    pub(crate) fn client_of(&self, exe: &Path) -> Client {
        let root = self.root().to_str().unwrap();
        let mut args = DAEMON_ARGS.to_vec();
        args.push(root);
        ensure_running(&self.paths, exe, &args).unwrap()
    }

    /// The command that runs a daemon in the foreground.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(DAEMON_ARGS).arg(self.root());
        command
    }

    pub(crate) fn await_state(&self, namespec: &str, state: State) {
        let client = self.client();
        eventually(&format!("{namespec} {state:?}"), || {
            let info = client.process_info(namespec).ok()?;
            (info.state == state).then_some(())
        });
    }

    pub(crate) fn kill(&self, pid: u32) {
        self.signal(pid, Signal::SIGKILL);
    }

    pub(crate) fn signal(&self, pid: u32, signal: Signal) {
        slapos_sys::process::kill(pid, signal).unwrap();
    }
}

const DAEMON_ARGS: [&str; 4] = ["--exact", "daemon_process", "--ignored", "--nocapture"];

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.paths.log()).unwrap_or_default();
            eprintln!("the daemon's log:\n{log}");
        }
        if let Ok(client) = Client::connect(&self.paths) {
            let _ = client.shutdown(Some(PATIENCE));
        }
    }
}

/// A shell script as a service that starts only when told, counts as running at once, and is
/// stopped and killed with its group.
pub(crate) fn service(name: &str, script: &str) -> ProgramSpec {
    let mut spec = ProgramSpec::new(name, sh(script));
    spec.environment.insert("PATH".into(), "/usr/bin:/bin".into());
    spec.autostart = false;
    spec.autorestart = AutoRestart::Never;
    spec.startsecs = 0;
    spec.stopasgroup = true;
    spec.killasgroup = true;
    spec
}

pub(crate) fn sh(script: &str) -> Vec<String> {
    let script = script.replace('\n', "; ").replace("&;", "&").replace("& ;", "&");
    vec!["/bin/sh".into(), "-c".into(), script]
}

/// Waits until `look` finds something.
pub(crate) fn eventually<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// True while the process runs and is no zombie.
pub(crate) fn alive(pid: u32) -> bool {
    let start = slapos_sys::process::start_time(pid);
    start.is_some_and(|start| slapos_sys::process::alive(pid, start))
}

/// The number in a file that another process is about to write.
pub(crate) fn number_in(path: &Path) -> u32 {
    eventually(&path.display().to_string(), || {
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    })
}

/// The `tail`s whose command line holds `mark`.
pub(crate) fn leaders_with(mark: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let marked = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.starts_with("/usr/bin/tail\0") && line.contains(mark) && alive(*pid)
    };
    pids.filter(marked).collect()
}

/// The programs of these Python packages, installed once under `name` if they were not; `None` where
/// they cannot be had.
pub(crate) fn installed(name: &str, python: &str, packages: &[&str]) -> Option<PathBuf> {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let _turn = FileLock::acquire(&base.join(format!("{name}.lock"))).unwrap();
    let venv = base.join(name);
    // Written last, so that an interrupted installation is not taken for a whole one.
    let complete = venv.join("complete");
    if !complete.exists() {
        let run = |program: &Path, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args).inherit_env(&[
                "PATH",
                "HOME",
                "PIP_INDEX_URL",
                "PIP_CONFIG_FILE",
                "PIP_CERT",
                "SSL_CERT_FILE",
                "HTTPS_PROXY",
                "https_proxy",
            ]);
            command.output().is_ok_and(|output| output.status.success())
        };
        let made = run(Path::new(python), &["-m", "venv", venv.to_str()?]);
        let pip = venv.join("bin/pip");
        let options = ["install", "--quiet", "--timeout", "5", "--retries", "1"];
        let got = made && run(&pip, &[&options[..], packages].concat());
        if !got {
            return None;
        }
        std::fs::write(complete, "").unwrap();
    }
    Some(venv.join("bin"))
}
