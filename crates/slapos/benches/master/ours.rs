//! Our Master: the real binary, as an ordinary user, below a directory of its own.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use slapos_testkit::{Person, free_port, wait_for};

use crate::words::Words;

/// The one that was just built, unless another is named.
fn binary() -> PathBuf {
    let named = std::env::var_os("SLAPOS_BENCH_BINARY");
    named.map_or_else(|| env!("CARGO_BIN_EXE_slapos").into(), PathBuf::from)
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A Master that runs.
pub(crate) struct Master {
    pub(crate) address: SocketAddr,
    /// Where it answers by TLS.
    pub(crate) secret: Option<SocketAddr>,
    pub(crate) words: Words,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Master {
    /// Starts one; `database` is where its data is, a file of its own unless given. It answers by TLS
    /// too if `is_secret`.
    ///
    /// # Panics
    /// When it does not come up, with what it says.
    pub(crate) fn start(database: Option<&str>, is_secret: bool) -> Master {
        let directory = tempfile::Builder::new().prefix("slapos-bench-").tempdir();
        let directory = directory.expect("a temporary directory can be made");
        let port = free_port();
        let secret = is_secret.then(free_port);
        std::fs::write(
            directory.path().join("slapos.cfg"),
            config(directory.path(), port, secret, database),
        )
        .expect("it is ours");
        let token = directory.path().join("master.token");
        std::fs::write(&token, TOKEN).expect("it is ours");
        let binary = binary();
        let person = Person::ordinary(&binary).expect("somebody can run the binary");
        person.give(directory.path());
        let mut command: Command = person.command(&binary);
        command.args(["proxy", "start"]).current_dir(directory.path());
        command.env("SLAPOS_CONFIGURATION", directory.path().join("slapos.cfg"));
        command.env("HOME", directory.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let log = directory.path().join("master.log");
        let said = std::fs::File::create(&log).expect("it is ours");
        let mut child = command.stderr(said).spawn().expect("the binary can be executed");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_for("our Master", 60, || {
            if child.try_wait().expect("it is ours").is_some() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("our Master does not come up: {said}");
            }
            TcpStream::connect(address).ok()
        });
        let words = Words { token: TOKEN.to_owned() };
        let secret = secret.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        Master { address, secret, words, child, _directory: directory }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn config(base: &Path, port: u16, secret: Option<u16>, database: Option<&str>) -> String {
    let base = base.display();
    let file = format!("{base}/master.db");
    let database = database.unwrap_or(&file);
    let secret = secret.map_or_else(String::new, |port| {
        format!("tls_port = {port}\ntls_names = {}\n", crate::secret::NAME)
    });
    format!(
        "[slapos]\nmaster_url = http://127.0.0.1:{port}\ncomputer_id = local\n\
         master_token_file = {base}/master.token\n\
         software_root = {base}/soft\ninstance_root = {base}/inst\n\n\
         [slapproxy]\nhost = 127.0.0.1\nport = {port}\ndatabase_uri = {database}\n\
         directory = {base}\nschema_http = false\nrequests_per_second = 1000000\n{secret}"
    )
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
