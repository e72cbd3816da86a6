//! Masters in a directory of their own, and who asks them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use slapos_slap::{
    Address, ComputerDescription, DEFAULT_TIMEOUT, InstanceRequest, PartitionDescription,
    SlapClient,
};
use slapos_sys::Secret;
use slapos_testkit::{Postgres, Run, free_port, skipped, wait_for};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_slapos");

/// A server, unless none can be had here.
pub(crate) fn server(test: &str) -> Option<Postgres> {
    Postgres::start(false).map_err(|why| skipped(test, &why)).ok()
}

/// Where Masters keep their token.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        let directory = tempfile::Builder::new().prefix("slapos-store-").tempdir().unwrap();
        std::fs::create_dir(directory.path().join("master")).unwrap();
        Place { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file of SQLite.
    pub(crate) fn file(&self) -> String {
        self.path("master/proxy.db").display().to_string()
    }

    /// A configuration with that database, and a port of its own.
    pub(crate) fn configure(&self, name: &str, database: &str) -> Configured {
        let (base, port) = (self.directory.path().display(), free_port());
        let text = format!(
            "[slapos]\nmaster_url = http://127.0.0.1:{port}\ncomputer_id = home\n\
             software_root = {base}/soft\ninstance_root = {base}/inst\n\n[slapproxy]\n\
             port = {port}\ndirectory = {base}/master\ndatabase_uri = {database}\n"
        );
        let file = self.path(name);
        std::fs::write(&file, text).unwrap();
        Configured { file, port, token: self.path("master/master.token") }
    }
}

/// A Master that may run.
pub(crate) struct Configured {
    pub(crate) file: PathBuf,
    pub(crate) port: u16,
    token: PathBuf,
}

impl Configured {
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("proxy").args(words).arg("--cfg").arg(&self.file);
        command.env_remove("SLAPOS_CONFIGURATION").env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Run {
        Run::of(&self.command(words).output().unwrap())
    }

    pub(crate) fn ok(&self, words: &[&str]) -> Run {
        let run = self.run(words);
        assert_eq!(run.code, 0, "{words:?}\n{}{}", run.out, run.err);
        run
    }

    /// The Master, which answers.
    pub(crate) fn start(&self) -> Running {
        let mut running = self.started(self.command(&["start", "-q"]));
        assert!(!running.is_over(), "the Master ended");
        running
    }

    /// The same, with what `strace` injects, and which may end it. The Master itself is the child, `strace` ends with it.
    pub(crate) fn start_traced(&self, inject: &str) -> Running {
        let master = self.command(&["start", "-q"]);
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e"]);
        command.arg(format!("inject={inject}")).arg(master.get_program()).args(master.get_args());
        command.env_remove("SLAPOS_CONFIGURATION").env("NO_COLOR", "1").stdin(Stdio::null());
        self.started(command)
    }

    /// Once it answers, or has ended by itself.
    fn started(&self, mut command: Command) -> Running {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut running = Running { child };
        wait_for("the Master to answer", 60, || {
            let answers = self.token.exists() && self.get("/healthz").is_some();
            (answers || running.is_over()).then_some(())
        });
        running
    }

    pub(crate) fn client(&self) -> SlapClient {
        let token = Secret::new(std::fs::read_to_string(&self.token).unwrap().trim());
        let url = format!("http://127.0.0.1:{}", self.port);
        SlapClient::new(&url, Some(token), DEFAULT_TIMEOUT).unwrap()
    }

    /// Status, head and body of an answer; nothing when nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String, String)> {
        let token = std::fs::read_to_string(&self.token).unwrap_or_default();
        self.ask("GET", path, &token)
    }

    /// The same, whatever is asked by whomever.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
    ) -> Option<(u16, String, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, head.to_lowercase(), body.to_owned()))
    }
}

/// A Master that runs, and is killed when dropped.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Kills it without a word.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The Masters' own computer with that many partitions.
pub(crate) fn computer(partitions: usize) -> ComputerDescription {
    let partition = |number: usize| {
        let (high, low) = (number / 250, number % 250);
        let addr = format!("10.0.{high}.{low}").parse().unwrap();
        let address = Address { addr, netmask: "255.255.255.255".to_owned() };
        PartitionDescription::new(format!("slappart{number}").into(), vec![address])
    };
    ComputerDescription::new("home".into(), (0..partitions).map(partition).collect())
}

pub(crate) fn wish(title: &str) -> InstanceRequest {
    InstanceRequest::new(title, "s")
}

/// All names of files in a directory.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
