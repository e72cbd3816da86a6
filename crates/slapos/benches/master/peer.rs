//! The original's `slapos proxy`, as an ordinary user.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use slapos_testkit::{Original, free_port, wait_for};

use crate::words::Words;

/// The original's Master, running.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) words: Words,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Peer {
    /// Starts it, from the installation that the tests use, made unless it is there.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Panics
    /// When it does not come up.
    pub(crate) fn start() -> Result<Peer, String> {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slapos-original");
        let original = Original::at(&place)?;
        let directory = tempfile::Builder::new().prefix("slapos-peer-").tempdir();
        let directory = directory.expect("a temporary directory can be made");
        let port = free_port();
        let here = directory.path().display();
        let config = directory.path().join("slapos.cfg");
        let text = format!(
            "[slapos]\nmaster_url = http://127.0.0.1:{port}\ncomputer_id = local\n\
             software_root = {here}/soft\ninstance_root = {here}/inst\n\n\
             [slapproxy]\nhost = 127.0.0.1\nport = {port}\ndatabase_uri = {here}/proxy.db\n"
        );
        std::fs::write(&config, text).expect("it is ours");
        original.person.give(directory.path());
        let mut command = original.command("slapos");
        command.args(["proxy", "start"]).current_dir(directory.path());
        command.env("HOME", directory.path()).env("SLAPOS_CONFIGURATION", &config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| error.to_string())?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_for("the original's Master", 60, || TcpStream::connect(address).ok());
        let words = Words { token: String::new() };
        Ok(Peer { address, words, child, _directory: directory })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
