//! The Python original, as an ordinary user with its own embedded Master.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use slapos_testkit::{Original, wait_for};

use crate::profile;

/// An installation of the original.
pub(crate) struct Peer(Original);

impl Peer {
    /// The installation that the tests use, made unless it is there.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn find() -> Result<Self, String> {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slapos-original");
        Original::at(&place).map(Self)
    }

    /// A command of it that needs no node.
    #[allow(dead_code, reason = "of the benchmarks that share this, one measures the start")]
    pub(crate) fn start(&self, words: &[&str]) -> Command {
        let mut command = self.0.command("slapos");
        command.args(words).current_dir("/").env("HOME", "/");
        command
    }
}

/// A node of the original with its Master.
pub(crate) struct Deployment<'a> {
    peer: &'a Peer,
    directory: tempfile::TempDir,
    master: Option<Child>,
}

impl<'a> Deployment<'a> {
    /// Deploys `count` instances.
    pub(crate) fn new(peer: &'a Peer, count: u32) -> Self {
        let directory = tempfile::Builder::new().prefix("slapos-peer-").tempdir();
        let directory = directory.expect("a temporary directory can be made");
        let mut run = Self { peer, directory, master: None };
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = port.expect("a port is free").port();
        let software = run.write_files(count, port);
        let master =
            run.slapos(&["proxy", "start"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        run.master = Some(master.expect("the original's Master can be started"));
        wait_for("the original's Master", 30, || TcpStream::connect(("127.0.0.1", port)).ok());
        run.done(&mut run.slapos(&["node", "format", "--now"]));
        run.done(&mut run.request_all(&software, count, port));
        for command in [["node", "software"], ["node", "supervisord"], ["node", "instance"]] {
            run.done(&mut run.slapos(&command));
        }
        run
    }

    /// A path in its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write_files(&self, count: u32, port: u16) -> PathBuf {
        let software = profile::write(&self.path("profile"));
        for name in ["soft", "inst", "shared", "etc", "var"] {
            std::fs::create_dir(self.path(name)).expect("it is ours");
        }
        let user = self.peer.0.person.name();
        let mut format = String::from("[computer]\naddress = 127.0.0.1/255.255.255.255\n");
        for index in 0..count {
            std::fs::create_dir(self.path(&format!("inst/slappart{index}"))).expect("it is ours");
            let _ = write!(
                format,
                "\n[partition_{index}]\naddress = 127.0.0.1/255.255.255.255 ::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\npathname = slappart{index}\nuser = {user}\nnetwork_interface =\n"
            );
        }
        std::fs::write(self.path("etc/slapformat.cfg"), format).expect("it is ours");
        std::fs::write(self.path("etc/slapos.cfg"), self.config(count, port)).expect("it is ours");
        self.give_to_user();
        software
    }

    fn config(&self, count: u32, port: u16) -> String {
        let here = self.directory.path().display();
        format!(
            "[slapos]
software_root = {here}/soft
instance_root = {here}/inst
shared_part_list = {here}/shared
master_url = http://127.0.0.1:{port}
master_rest_url = http://127.0.0.1:{port}/hateoas
computer_id = local
root_check = False
pidfile_software = {here}/var/software.pid
pidfile_instance = {here}/var/instance.pid
pidfile_report = {here}/var/report.pid

[slapformat]
input_definition_file = {here}/etc/slapformat.cfg
partition_amount = {count}
alter_user = false
alter_network = false
create_tap = false
create_tun = false
computer_xml = {here}/var/slapos.xml
partition_has_ipv6_range = false

[slapproxy]
host = 127.0.0.1
port = {port}
database_uri = {here}/var/proxy.db

[networkcache]
"
        )
    }

    /// Everything in its directory is its user's.
    pub(crate) fn give_to_user(&self) {
        let here = self.directory.path();
        self.done(Command::new("chmod").args(["-R", "u=rwX,g=rX,o="]).arg(here));
        self.peer.0.person.give(here);
    }

    /// A program of the original, as its user.
    fn program(&self, name: &str) -> Command {
        let mut command = self.peer.0.command(name);
        let config = self.path("etc/slapos.cfg");
        command.current_dir(self.directory.path()).env("HOME", self.directory.path());
        command.env("SLAPOS_CONFIGURATION", &config).env("SLAPOS_CLIENT_CONFIGURATION", &config);
        command
    }

    /// The original's `slapos`.
    pub(crate) fn slapos(&self, args: &[&str]) -> Command {
        let mut command = self.program("slapos");
        command.args(args);
        command
    }

    fn request_all(&self, software: &Path, count: u32, port: u16) -> Command {
        let software = software.display();
        let script = format!(
            "import slapos.slap
s = slapos.slap.slap()
s.initializeConnection('http://127.0.0.1:{port}')
s.registerSupply().supply('{software}', 'local', state='available')
for i in range({count}):
    s.registerOpenOrder().request('{software}', 'bench%d' % i,
        filter_kw={{'computer_guid': 'local'}}, partition_parameter_kw={{'foo': 'bar%d' % i}})
"
        );
        let mut command = self.program("python");
        command.args(["-c", &script]);
        command
    }

    fn done(&self, command: &mut Command) {
        let output = command.output().expect("the original can be executed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    }
}

impl Drop for Deployment<'_> {
    fn drop(&mut self) {
        let _ = self.slapos(&["node", "supervisorctl", "shutdown"]).output();
        if let Some(mut master) = self.master.take() {
            let _ = Command::new("kill").arg(master.id().to_string()).status();
            let _ = master.wait();
        }
    }
}
