//! A Master of this program with a port for TLS, and whoever uses it.

use std::cell::RefCell;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use slapos_testkit::{Person, Run, database, free_port, open_directory, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_slapos");

/// The operator's token.
pub(crate) const TOKEN: &str = "token-of-the-operator";

/// A Master in a directory of its own, which has room for the files of others; it ends when this is
/// dropped.
pub(crate) struct Master {
    directory: tempfile::TempDir,
    person: Person,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
    process: RefCell<Option<Child>>,
}

impl Master {
    /// One that answers, with more options in `[slapproxy]`.
    pub(crate) fn start(options: &str) -> Self {
        let master = Self::arranged("127.0.0.1", options);
        master.run();
        master
    }

    /// One that does not run yet.
    pub(crate) fn arranged(host: &str, options: &str) -> Self {
        let person = Person::ordinary(Path::new(BINARY)).unwrap();
        let directory = open_directory("slapos-identity-");
        let (port, tls_port) = (free_port(), free_port());
        let database = database(&directory.path().join("master/proxy.db"));
        let here = directory.path().display();
        let config = format!(
            "[slapos]\nmaster_url = http://127.0.0.1:{port}\ncomputer_id = local\n\
             software_root = {here}/soft\ninstance_root = {here}/inst\n\n\
             [slapproxy]\nhost = {host}\nport = {port}\ndirectory = {here}/master\n\
             database_uri = {database}\ntls_port = {tls_port}\ntls_host = 127.0.0.1\n{options}"
        );
        let master = Self { directory, person, port, tls_port, process: RefCell::default() };
        master.write("slapos.cfg", &config);
        master.write("master/master.token", TOKEN);
        master
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn run(&self) {
        self.run_with(|command| command);
    }

    /// The same, with the command changed.
    pub(crate) fn run_with(&self, change: impl FnOnce(Command) -> Command) {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut command = change(self.command(&["proxy", "start"]));
        command.stdout(Stdio::null()).stderr(log).stdin(Stdio::null());
        self.process.replace(Some(command.spawn().unwrap()));
        for port in [self.port, self.tls_port] {
            wait_for("a Master", 60, || TcpStream::connect(("127.0.0.1", port)).ok());
        }
        // Its ports are taken before its database is there: only an answer says that it is.
        self.get("/readyz", TOKEN);
    }

    /// Starts it again with other words in its configuration.
    pub(crate) fn run_reconfigured(&self, from: &str, to: &str) {
        self.stop();
        let text = std::fs::read_to_string(self.path("slapos.cfg")).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        self.write("slapos.cfg", &text.replace(from, to));
        self.run();
    }

    /// Its number, while it runs.
    pub(crate) fn id(&self) -> u32 {
        self.process.borrow().as_ref().unwrap().id()
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(crate) fn stop(&self) {
        if let Some(mut process) = self.process.take() {
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let _ = process.wait();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the person who runs everything here.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        self.person.give(self.directory.path());
        path.display().to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.tls_port)
    }

    /// The program, with the operator's configuration unless another is named.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.person.command(Path::new(BINARY));
        command.args(words).current_dir(self.directory.path());
        if !words.contains(&"--cfg") {
            command.arg("--cfg").arg(self.path("slapos.cfg"));
        }
        command.env_remove("SLAPOS_CONFIGURATION").env_remove("SLAPOS_CLIENT_CONFIGURATION");
        command.env("HOME", self.directory.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    pub(crate) fn slapos(&self, words: &[&str]) -> Run {
        Run::of(&self.command(words).output().unwrap())
    }

    /// What a command says that succeeds.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let run = self.slapos(words);
        assert_eq!(run.code, 0, "{words:?}\n{}{}", run.out, run.err);
        run.out.trim_end().to_owned()
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[words, &["--json"]].concat())).unwrap()
    }

    /// What a command says that fails.
    pub(crate) fn refused(&self, words: &[&str]) -> String {
        let run = self.slapos(words);
        assert!(run.code > 0, "{words:?}\n{}{}", run.out, run.err);
        run.err
    }

    /// What others need to recognise the Master by.
    pub(crate) fn fingerprint(&self) -> String {
        self.ok(&["proxy", "ca", "show", "--fingerprint"])
    }

    /// A person with a project of his own, and where his configuration is.
    pub(crate) fn person(&self, name: &str, project: &str) -> String {
        self.ok(&["proxy", "user", "add", name]);
        self.ok(&["proxy", "project", "add", project]);
        self.ok(&["proxy", "project", "join", project, name]);
        let token = self.ok(&["proxy", "token", "create", "--user", name, "--label", "laptop"]);
        let token = self.write(&format!("{name}.token"), &token);
        let config = self.path(&format!("{name}/client.cfg")).display().to_string();
        let trust = self.fingerprint();
        self.ok(&[
            &["configure", "client", "--cfg", &config, "--token-file", &token][..],
            &["--master-url", &self.url(), "--ca-fingerprint", &trust],
        ]
        .concat());
        config
    }

    /// The status of a GET by plain HTTP, with that token, and the header `Retry-After`.
    pub(crate) fn get(&self, path: &str, token: &str) -> (u16, Option<String>) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let request = agent.get(url).header("Authorization", format!("Bearer {token}"));
        let answer = request.call().unwrap();
        let wait = answer.headers().get("retry-after");
        (answer.status().as_u16(), wait.map(|wait| wait.to_str().unwrap().to_owned()))
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.path("log")).unwrap_or_default());
        }
    }
}
