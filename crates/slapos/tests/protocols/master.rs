//! A Master that runs by itself, of either kind, and HTTP to it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use slapos_testkit::{Original, Person, database, free_port, open_directory, skipped, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_slapos");
/// What our Master wants to be shown.
pub(crate) const TOKEN: &str = "token-of-this-test";

/// The original, or `None` after saying why `test` is skipped.
pub(crate) fn original(test: &str) -> Option<Original> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slapos-original");
    Original::at(&place).map_err(|why| skipped(test, &why)).ok()
}

/// A running Master; it ends when this is dropped.
pub(crate) struct Master {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) port: u16,
    process: Child,
    agent: ureq::Agent,
    command: Command,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) body: String,
}

impl Master {
    /// The original's, with more options in `[slapproxy]`.
    pub(crate) fn original(original: &Original, options: &str) -> Self {
        let options = format!("database_uri = HERE/proxy.db\n{options}");
        Self::start(&original.person, original.command("slapos"), &options)
    }

    /// Ours.
    pub(crate) fn ours(options: &str) -> Self {
        let person = Person::ordinary(Path::new(BINARY)).unwrap();
        let command = person.command(Path::new(BINARY));
        let database = database(Path::new("HERE/proxy.db"));
        let options = format!("directory = HERE\ndatabase_uri = {database}\n{options}");
        Self::start(&person, command, &options)
    }

    fn start(person: &Person, mut command: Command, options: &str) -> Self {
        let directory = open_directory("slapos-master-");
        let (base, port) = (directory.path(), free_port());
        let here = base.display();
        let options = options.replace("HERE", &here.to_string());
        let config = format!(
            "[slapos]\nmaster_url = http://127.0.0.1:{port}\ncomputer_id = local\n\
             software_root = {here}/soft\ninstance_root = {here}/inst\n\n\
             [slapproxy]\nhost = 127.0.0.1\nport = {port}\n{options}"
        );
        std::fs::write(base.join("slapos.cfg"), config).unwrap();
        std::fs::write(base.join("master.token"), TOKEN).unwrap();
        person.give(base);
        command.args(["proxy", "start", "--cfg"]).arg(base.join("slapos.cfg"));
        command.env_remove("SLAPOS_CONFIGURATION").env("HOME", base).current_dir(base);
        let process = started(&mut command, &base.join("log"), port);
        let agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let agent = agent.max_redirects_will_error(false).allow_non_standard_methods(true);
        Self { directory, port, process, agent: agent.build().into(), command }
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it once more.
    pub(crate) fn again(&mut self) {
        self.process = started(&mut self.command, &self.directory.path().join("log"), self.port);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends one request; where the Master is becomes `MASTER` in its answer.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let url = format!("{}{path}", self.url());
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        request = request.header("Authorization", format!("Bearer {TOKEN}"));
        // Who refuses a request before he has all of it ends the connection, perhaps after this answer.
        request = request.header("Connection", "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let mut response = self.agent.run(request).unwrap();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap());
        Answer {
            status: response.status().as_u16(),
            kind: kind.unwrap_or_default().to_owned(),
            body: response.body_mut().read_to_string().unwrap().replace(&self.url(), "MASTER"),
        }
    }
}

fn started(command: &mut Command, log: &Path, port: u16) -> Child {
    let file = std::fs::File::create(log).unwrap();
    let mut process = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
    wait_for("a Master", 60, || {
        let ended = process.try_wait().unwrap();
        assert!(ended.is_none(), "{}", std::fs::read_to_string(log).unwrap());
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    process
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.path("log")).unwrap_or_default());
        }
    }
}
