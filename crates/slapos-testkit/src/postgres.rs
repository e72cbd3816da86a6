//! A PostgreSQL server from the machine's own packages, in a directory of its own, reached by a unix
//! socket: for tests of what a Master keeps there.

use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use slapos_sys::process::Signal;
use slapos_sys::user::{self, Identity};

use crate::wait_for;

/// The port that is part of a socket's name, where no other is said.
const PORT: u16 = 5432;

/// A server that stops, and is removed, when dropped.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    directory: tempfile::TempDir,
    owner: Option<Identity>,
    durable: bool,
    settings: Vec<String>,
    port: u16,
    running: Option<Child>,
}

impl Postgres {
    /// A server that serves. `durable`: whether it has its data on disk before it says so, which
    /// costs time and matters to tests that kill it.
    ///
    /// # Errors
    /// Why there is none: what is not installed here.
    ///
    /// # Panics
    /// When it is there and does not start.
    pub fn start(durable: bool) -> Result<Postgres, String> {
        let programs = programs().ok_or("PostgreSQL is not installed (Debian: postgresql)")?;
        let owner = if crate::is_root() { Some(owner()?) } else { None };
        let directory = tempfile::Builder::new().prefix("slapos-pg-").tempdir();
        let directory = directory.expect("a temporary directory can be made");
        // Whoever a Master runs as comes to the socket; what is stored has a directory of its own.
        let mode = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(directory.path(), mode).expect("it is ours");
        if let Some(owner) = &owner {
            user::chown(directory.path(), owner).expect("root may give it away");
        }
        let mut server = Postgres {
            programs,
            directory,
            owner,
            durable,
            settings: Vec::new(),
            port: PORT,
            running: None,
        };
        server.make();
        server.run();
        Ok(server)
    }

    /// The address of the database `name` as `database_uri` has it.
    pub fn uri(&self, name: &str) -> String {
        uri(self.directory.path(), self.port, name)
    }

    /// Makes an empty database, and returns its address.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\""));
        self.uri(name)
    }

    /// Has the server do something in a database, and returns what it answers: a line for a row, `|`
    /// between columns.
    ///
    /// # Panics
    /// When it refuses.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        sql_of(psql(&self.programs, self.directory.path(), self.port, database), sql)
    }

    /// Starts it again so that it also serves by TLS at the port of 127.0.0.1 that is returned, with a
    /// certificate and its key, those who have the password.
    ///
    /// # Panics
    /// When it does not start.
    pub fn serve_tls(&mut self, certificate: &Path, key: &Path, password: &str) -> u16 {
        let port = crate::free_port();
        self.sql("postgres", &format!("ALTER USER slapos PASSWORD '{password}'"));
        self.stop();
        for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let bytes = std::fs::read(from).expect("it is there");
            self.put(name, &bytes);
        }
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        self.put("pg_hba.conf", rules.as_bytes());
        self.settings.extend(["ssl=on".to_owned(), "listen_addresses=127.0.0.1".to_owned()]);
        // The name of the socket has the port, too.
        self.settings.push(format!("port={port}"));
        self.port = port;
        self.run();
        port
    }

    /// Writes a file of the server.
    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.data().join(name);
        slapos_sys::fs::write_atomic(&path, bytes, 0o600).expect("it can be written");
        if let Some(owner) = &self.owner {
            user::chown(&path, owner).expect("root may give it away");
        }
    }

    /// The directory of its socket, for [`sql_at`].
    pub fn socket(&self) -> &Path {
        self.directory.path()
    }

    /// Ends the server as an operator who is in a hurry does: transactions are given up.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) {
        self.end(Signal::SIGINT);
    }

    /// Kills the server without a word.
    ///
    /// # Panics
    /// When it does not end.
    pub fn crash(&mut self) {
        self.end(Signal::SIGQUIT);
    }

    /// Starts it again with what it had.
    ///
    /// # Panics
    /// When it does not start.
    pub fn run(&mut self) {
        let data = self.data();
        let mut command = self.command("postgres");
        command.arg("-D").arg(&data).arg("-k").arg(self.directory.path());
        let mut settings = vec!["listen_addresses=", "max_connections=200", "shared_buffers=32MB"];
        if !self.durable {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
        }
        for setting in settings.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.arg("-c").arg(setting);
        }
        self.running = Some(command.spawn().expect("postgres can be started"));
        wait_for("PostgreSQL to answer", 60, || {
            let mut psql = psql(&self.programs, self.directory.path(), self.port, "postgres");
            let output = psql.args(["-c", "SELECT 1"]).output();
            output.is_ok_and(|output| output.status.success()).then_some(())
        });
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn make(&self) {
        let mut command = self.command("initdb");
        command.args(["--username=slapos", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        command.args(["--no-sync", "--no-instructions", "-D"]).arg(self.data());
        let status = command.status().expect("initdb can be started");
        assert!(status.success(), "initdb: {status}");
    }

    /// A program of the server as its owner, which goes with this thread.
    fn command(&self, program: &str) -> slapos_sys::process::Command {
        let mut command = slapos_sys::process::Command::new(self.programs.join(program));
        command.inherit_env(&["PATH", "TMPDIR"]).current_dir("/").die_with_parent();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(owner) = &self.owner {
            command.user(owner);
        }
        command
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.running.take() else { return };
        slapos_sys::process::kill(child.id(), signal).expect("it is ours");
        child.wait().expect("it is ours");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end(Signal::SIGQUIT);
    }
}

/// As [`Postgres::sql`], of the server whose socket is in that directory.
///
/// # Panics
/// When it refuses.
pub fn sql_at(socket: &Path, database: &str, sql: &str) -> String {
    sql_of(psql(&programs().expect("the server runs"), socket, PORT, database), sql)
}

/// As [`Postgres::uri`], of the server whose socket is in that directory.
pub(crate) fn uri_at(socket: &Path, name: &str) -> String {
    uri(socket, PORT, name)
}

fn uri(socket: &Path, port: u16, name: &str) -> String {
    format!("postgresql:///{name}?host={}&port={port}&user=slapos", socket.display())
}

fn sql_of(mut command: Command, sql: &str) -> String {
    command.args(["-v", "ON_ERROR_STOP=1", "-f", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("psql can be started");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(sql.as_bytes()).expect("psql reads");
    drop(input);
    let output = child.wait_with_output().expect("psql ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}\n{told}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn psql(programs: &Path, socket: &Path, port: u16, database: &str) -> Command {
    let mut command = Command::new(programs.join("psql"));
    command.args(["-X", "-q", "-A", "-t", "-U", "slapos", "-d", database, "-h"]).arg(socket);
    command.args(["-p", &port.to_string()]);
    command.stdin(Stdio::null());
    command
}

/// Where the newest server's programs are; Debian keeps them out of `PATH`.
fn programs() -> Option<PathBuf> {
    let kept = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut kept: Vec<_> = kept.map(|version| version.path().join("bin")).collect();
    kept.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain(kept.into_iter().rev());
    let mut found = found.filter(|dir| {
        ["initdb", "postgres", "psql"].iter().all(|program| dir.join(program).exists())
    });
    found.next()
}

/// Whom root lets the server run as, which refuses to be root.
fn owner() -> Result<Identity, String> {
    let find = |name| user::by_name(name).ok().flatten();
    find("postgres").or_else(|| find("nobody")).ok_or_else(|| "there is no user for it".to_owned())
}
