//! A node in a directory of its own, with a Master of its own, before any command is run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use slapos_slap::SoftwareUrl;
use slapos_supervisor::{Client, Paths, ProcessInfo};
use slapos_testkit::Run;

use crate::implementation::Implementation;
use crate::master::{COMPUTER, Master};
use crate::profiles;

/// How long the services of a case may take to end when it is over.
const FAREWELL: Duration = Duration::from_secs(20);

/// See the module.
pub(crate) struct Scene<'a> {
    pub(crate) implementation: &'a dyn Implementation,
    pub(crate) master: Master,
    pub(crate) started: Option<Child>,
    directory: tempfile::TempDir,
    software_root: PathBuf,
}

impl<'a> Scene<'a> {
    /// With so many partitions, and this software root instead of one of its own.
    pub(crate) fn new(
        implementation: &'a dyn Implementation,
        partitions: u32,
        shelf: Option<&Path>,
    ) -> Self {
        let directory = tempfile::Builder::new().prefix("slapos-conform-").tempdir();
        let directory = directory.expect("a temporary directory can be made");
        let software_root = shelf.map_or(directory.path().join("soft"), Path::to_owned);
        let master = Master::start(partitions);
        let scene = Self { implementation, master, started: None, directory, software_root };
        scene.lay_out(partitions);
        scene
    }

    fn lay_out(&self, partitions: u32) {
        let base = self.base();
        set_mode(base, 0o755);
        for name in ["etc", "inst", "soft", "shared", "var"] {
            std::fs::create_dir(base.join(name)).expect("it is ours");
            set_mode(&base.join(name), 0o755);
        }
        for index in 0..partitions {
            let partition = base.join(format!("inst/slappart{index}"));
            std::fs::create_dir(&partition).expect("it is ours");
            set_mode(&partition, 0o750);
        }
        std::fs::write(base.join("etc/slapos.cfg"), self.config(partitions)).expect("it is ours");
        let definition = self.definition(partitions);
        std::fs::write(base.join("etc/slapformat.cfg"), definition).expect("it is ours");
        self.implementation.person().give(base);
    }

    fn config(&self, partitions: u32) -> String {
        let (base, soft) = (self.base().display(), self.software_root.display());
        let master = self.master.url();
        format!(
            "[slapos]
software_root = {soft}
instance_root = {base}/inst
shared_part_list =
  {base}/shared
master_url = {master}
computer_id = {COMPUTER}
root_check = False
pidfile_software = {base}/var/software.pid
pidfile_instance = {base}/var/instance.pid
pidfile_report = {base}/var/report.pid
software_min_free_space = 1M
instance_min_free_space = 1M

[slapformat]
input_definition_file = {base}/etc/slapformat.cfg
partition_amount = {partitions}
alter_user = false
alter_network = false
create_tap = false
create_tun = false
computer_xml = {base}/var/slapos.xml
partition_has_ipv6_range = false

[networkcache]
"
        )
    }

    /// What the partitions are to be like.
    fn definition(&self, partitions: u32) -> String {
        let user = self.implementation.person().name();
        let partition = |index| {
            let six = "::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
            format!(
                "\n[partition_{index}]\naddress = 127.0.0.1/255.255.255.255 {six}\n\
                 pathname = slappart{index}\nuser = {user}\nnetwork_interface =\n"
            )
        };
        let partitions: String = (0..partitions).map(partition).collect();
        format!("[computer]\naddress = 127.0.0.1/255.255.255.255\n{partitions}")
    }

    /// The directory of everything but shared Software Releases.
    pub(crate) fn base(&self) -> &Path {
        self.directory.path()
    }

    /// A path as a case names it; what is below `soft` may be elsewhere.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let name = self.filled(name);
        match name.strip_prefix("soft/") {
            Some(rest) => self.software_root.join(rest),
            None => self.base().join(name),
        }
    }

    /// The text with the names of things in it.
    pub(crate) fn filled(&self, text: &str) -> String {
        let mut text = text.replace("{base}", &self.base().to_string_lossy());
        for name in profiles::NAMES {
            let url = self.url(name);
            text = text.replace(&format!("{{{name}.url}}"), url.as_str());
            text = text.replace(&format!("{{{name}}}"), &url.md5_hex());
        }
        text
    }

    /// Where the profile of a Software Release is.
    pub(crate) fn url(&self, name: &str) -> SoftwareUrl {
        let path = self.implementation.profiles().join(name).join("software.cfg");
        SoftwareUrl::new(path.display().to_string())
    }

    /// `slapos WORDS` for this node.
    pub(crate) fn command(&self, words: &str) -> Command {
        let config = self.base().join("etc/slapos.cfg");
        let mut command = self.implementation.command();
        command.args(self.filled(words).split(' ')).current_dir(self.base());
        command.env("SLAPOS_CONFIGURATION", &config).env("HOME", self.base());
        command.env("SLAPOS_CLIENT_CONFIGURATION", &config).env("NO_COLOR", "1");
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, words: &str) -> Run {
        Run::of(&self.command(words).output().expect("it can be executed"))
    }

    /// The processes of partitions, as the supervisor has them.
    pub(crate) fn processes(&self) -> Vec<ProcessInfo> {
        let Ok(supervisor) = self.supervisor() else { return Vec::new() };
        let mut processes = supervisor.all_process_info().unwrap_or_default();
        processes.retain(|process| process.group.starts_with("slappart"));
        processes
    }

    fn supervisor(&self) -> Result<Client, slapos_supervisor::ClientError> {
        Client::connect(&Paths::new(self.base().join("inst")))
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("its mode can be changed");
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.started.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Ok(supervisor) = self.supervisor() {
            let _ = supervisor.shutdown(Some(FAREWELL));
        }
    }
}
