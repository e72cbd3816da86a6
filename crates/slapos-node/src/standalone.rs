//! A whole node on one machine, its Master included: where things go, its first configuration, and
//! how the embedded Master is started and stopped. What `slapos up` is composed of beside the
//! commands of cron.

mod rehearsal;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use slapos_slap::{SlapClient, SoftwareUrl};
use slapos_supervisor::state::State;
use slapos_supervisor::{AutoRestart, Client, ClientError, ProgramSpec, write_group};
use slapos_sys::user::Identity;
use slapos_sys::{fs, user};

use crate::config::{DEFAULT_FILE, ProxyConfig};
use crate::error::{IoContext, NodeError};
use crate::format;
use crate::node::{Node, master_within};
use crate::reporter::Reporter;
use crate::services;
use crate::token_file::{keep_token, new_token};

pub use rehearsal::{planned_config, rehearse_down, rehearse_up};

/// The supervisor's name for the embedded Master, as in the original.
pub const MASTER_PROGRAM: &str = "slapproxy";
/// The original's port; the first free one from here on is chosen.
const FIRST_PORT: u16 = 5000;
/// How long the Master may take to answer after it was started.
const MASTER_START: Duration = Duration::from_secs(15);
/// How long it may take to answer one call in that time.
const MASTER_PING: Duration = Duration::from_secs(2);
/// The shell of who does not log in.
const NO_LOGIN: &str = "/usr/sbin/nologin";
/// How long all services may take to end.
const SHUT_DOWN: Duration = Duration::from_secs(120);

/// Where a node keeps its things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The configuration file.
    pub config: PathBuf,
    /// Software Releases.
    pub software_root: PathBuf,
    /// Computer Partitions.
    pub instance_root: PathBuf,
    /// Shared parts.
    pub shared: PathBuf,
    /// Archives by hash.
    pub download_cache: PathBuf,
    /// The Master's database.
    pub database: PathBuf,
}

impl Layout {
    /// Everything below one directory.
    pub fn under(root: &Path) -> Self {
        Self {
            config: root.join("etc/slapos.cfg"),
            software_root: root.join("software"),
            instance_root: root.join("instance"),
            shared: root.join("shared"),
            download_cache: root.join("cache"),
            database: root.join("master/proxy.db"),
        }
    }

    /// The standard places.
    pub fn system() -> Self {
        Self {
            config: DEFAULT_FILE.into(),
            software_root: "/opt/slapgrid".into(),
            instance_root: "/srv/slapgrid".into(),
            shared: "/opt/slapgrid/shared".into(),
            download_cache: "/var/cache/slapos".into(),
            database: "/var/opt/slapos/master/proxy.db".into(),
        }
    }

    /// The default root: the user's data directory; for root a place that the users who build and
    /// run can pass, which root's home is not.
    pub fn default_root() -> PathBuf {
        if user::is_root() {
            return "/var/lib/slapos".into();
        }
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        data.unwrap_or_else(|| home().join(".local/share")).join("slapos")
    }
}

/// Writes the configuration of a node with an embedded Master, unless there is one. The Master's
/// port is the first free one from 5000 on unless given.
///
/// # Errors
/// When it cannot be written, or no port is free.
pub fn ensure_config(layout: &Layout, partitions: u32, port: Option<u16>) -> Result<(), NodeError> {
    let Some(text) = first_config(layout, partitions, port)? else { return Ok(()) };
    if let Some(parent) = layout.config.parent() {
        fs::create_dir_all(parent, 0o755).context("create", parent)?;
    }
    let written = fs::write_once(&layout.config, text.as_bytes(), 0o644);
    written.map(drop).context("write", &layout.config)
}

/// The text of a first configuration, unless there is one.
fn first_config(
    layout: &Layout,
    partitions: u32,
    port: Option<u16>,
) -> Result<Option<String>, NodeError> {
    if layout.config.exists() {
        return Ok(None);
    }
    let port = port.map_or_else(free_port, Ok)?;
    let names = UserNames::choose(layout).context("look up users for", &layout.config)?;
    Ok(Some(config_text(layout, partitions, port, user::is_root(), &names)))
}

/// The users of one node. Nodes that shared them could read each other's partitions.
pub(crate) struct UserNames {
    pub(crate) software: String,
    pub(crate) partition_base: String,
    pub(crate) master: String,
}

impl UserNames {
    /// The original's names in the standard places, unless another node on this machine has them
    /// (its builder's home is its software root). Elsewhere names that belong to the place.
    pub(crate) fn choose(layout: &Layout) -> std::io::Result<Self> {
        const BUILDER: &str = "slapsoft";
        let places = [Layout::system(), Layout::under(&Layout::default_root())];
        let builder = user::by_name(BUILDER)?;
        let taken = !places.contains(layout)
            || builder.is_some_and(|user| user.home != layout.software_root);
        let place = SoftwareUrl::new(layout.config.display().to_string()).md5_hex();
        let mark = if taken { format!("-{}", &place[..6]) } else { String::new() };
        Ok(Self {
            software: format!("{BUILDER}{mark}"),
            partition_base: format!("slapuser{mark}{}", if taken { "-" } else { "" }),
            master: format!("slapproxy{mark}"),
        })
    }
}

fn config_text(
    layout: &Layout,
    partitions: u32,
    port: u16,
    root: bool,
    names: &UserNames,
) -> String {
    // The syntax takes `%` for itself.
    let path = |path: &Path| path.display().to_string().replace('%', "%%");
    format!(
        "# Written by `slapos up`. Yours to change: it is not written again.

[slapos]
software_root = {software}
instance_root = {instance}
shared_part_list =
  {shared}
download_cache = {cache}
master_url = http://127.0.0.1:{port}
computer_id = local

[slapformat]
partition_amount = {partitions}
partition_base_name = slappart
user_base_name = {partition_base}
software_user = {builder}
alter_user = {root}

[slapproxy]
host = 127.0.0.1
port = {port}
database_uri = {database}
user = {master}
",
        partition_base = names.partition_base,
        builder = names.software,
        master = names.master,
        software = path(&layout.software_root),
        instance = path(&layout.instance_root),
        shared = path(&layout.shared),
        cache = path(&layout.download_cache),
        database = path(&layout.database),
    )
}

fn free_port() -> Result<u16, NodeError> {
    (FIRST_PORT..FIRST_PORT + 1000)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| {
            NodeError::user(format!("no port from {FIRST_PORT} on is free for the Master"))
        })
}

/// Makes what the embedded Master needs, unless it is there: a directory for its database and, for root, a
/// user of its own: what listens on the network is not root. Returns that user if this process is
/// another; that it was created is told. Its token (only those who may read the file may talk to it) the
/// Master makes itself, once nothing else can keep it from starting; but root does, where the Master's
/// user may not write.
///
/// # Errors
/// When something of it cannot be made.
pub fn prepare_master(
    proxy: &ProxyConfig,
    token: Option<&Path>,
    alter_user: bool,
    reporter: &dyn Reporter,
) -> Result<Option<Identity>, NodeError> {
    let directory = proxy.directory.as_path();
    if !directory.exists() {
        let owned = user::is_root() && alter_user;
        let owner = owned.then(|| ensure_user(&proxy.user, directory, reporter)).transpose()?;
        fs::create_dir_all(directory, 0o700).context("create", directory)?;
        let made = fs::own_directory(directory, owner.as_ref(), 0o700);
        made.context("set owner and mode of", directory)?;
    }
    let owner = user::owner_of(directory).context("examine", directory)?;
    let other = user::is_root() && owner.uid != 0;
    if let Some(path) = token.filter(|path| other && path.parent() != Some(directory)) {
        ensure_token(path, &owner)?;
    }
    Ok(other.then_some(owner))
}

/// The user of that name, who is left as he is if he is there.
fn ensure_user(name: &str, home: &Path, reporter: &dyn Reporter) -> Result<Identity, NodeError> {
    let look = || user::by_name(name).context("look up the user of", home);
    if let Some(found) = look()? {
        return Ok(found);
    }
    let has_group = user::group_id(name).context("look up the group of", home)?.is_some();
    format::create_user(name, home, NO_LOGIN, None, has_group)?;
    let text =
        format!("the user {name} was created for the Master to run as; nobody can log in with it");
    reporter.note("master", &text);
    look()?.ok_or_else(|| NodeError::user(format!("the user {name} was created and is not there")))
}

fn ensure_token(path: &Path, owner: &Identity) -> Result<(), NodeError> {
    if path.exists() {
        return Ok(());
    }
    let written = keep_token(path, &new_token()?)?;
    let keeper = user::owner_of(path).context("examine", path)?;
    if written && keeper.uid != owner.uid && user::is_root() {
        // In a directory of root or another: nobody else can put something in its place.
        user::chown(path, owner).context("change the owner of", path)?;
    }
    Ok(())
}

/// Starts the supervisor and in it the embedded Master, and waits until it answers.
///
/// # Errors
/// When either cannot be started; the Master's own last words are shown.
pub fn start_master(node: &Node<'_>) -> Result<(), NodeError> {
    let down = node.down_marker();
    fs::remove_tree(&down).context("remove", &down)?;
    if node.config.proxy.is_none() {
        return Ok(node.master()?.ping()?);
    }
    let paths = node.supervisor_paths();
    let conf = paths.conf_dir();
    write_group(&conf, MASTER_PROGRAM, &[master_program(node)?])
        .context("define the Master in", &conf)?;
    let supervisor = services::supervisor(node)?;
    supervisor.update(Some(MASTER_PROGRAM), MASTER_START).map_err(supervisor_error)?;
    // One that was stopped by hand stays so until it is told otherwise.
    let info = supervisor.process_info(MASTER_PROGRAM).map_err(supervisor_error)?;
    if info.state == State::Stopped {
        supervisor.start(MASTER_PROGRAM, None).map_err(supervisor_error)?;
    }
    let token = node.config.master_token_file.as_ref();
    let mut master = None;
    let deadline = Instant::now() + MASTER_START;
    loop {
        let info = supervisor.process_info(MASTER_PROGRAM).map_err(supervisor_error)?;
        if matches!(info.state, State::Backoff | State::Fatal) || Instant::now() > deadline {
            return Err(master_failed(node));
        }
        if master.is_none() && token.is_none_or(|file| file.path.exists()) {
            master = Some(master_within(node.config, MASTER_PING)?);
        }
        match master.as_ref().map(SlapClient::ping) {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) if !error.is_temporary() => {
                return Err(NodeError::from(error).hint(format!(
                    "if another program (perhaps another node) has the port: stop it, or set another `port` in [slapproxy] and in `master_url` of {}",
                    node.config.file.display()
                )));
            }
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// `/proc/self/exe` is this very program to the supervisor that executes it: the Master's user may
/// be unable to reach the file by its name.
fn master_program(node: &Node<'_>) -> Result<ProgramSpec, NodeError> {
    let cfg = node.config.file.display().to_string();
    let words = ["/proc/self/exe", "proxy", "start", "--cfg", &cfg].map(str::to_owned);
    let mut program = ProgramSpec::new(MASTER_PROGRAM, words.to_vec());
    program.user = prepare(node)?.map(|user| user.uid.to_string());
    program.autorestart = AutoRestart::Always;
    program.priority = 1;
    program.stdout_logfile = Some(master_log(node));
    program.environment.insert("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into());
    Ok(program)
}

fn prepare(node: &Node<'_>) -> Result<Option<Identity>, NodeError> {
    let Some(proxy) = &node.config.proxy else { return Ok(None) };
    let token = node.config.master_token_file.as_ref().map(|file| file.path.as_path());
    prepare_master(proxy, token, node.config.format.alter_user, node.reporter)
}

/// In its directory, where the Master's user can write.
fn master_log(node: &Node<'_>) -> PathBuf {
    let directory = node.config.proxy.as_ref().map(|proxy| &proxy.directory);
    directory.unwrap_or(&node.config.instance_root).join("master.log")
}

fn master_failed(node: &Node<'_>) -> NodeError {
    const LAST_LINES: usize = 5;
    let log = master_log(node);
    let read = user::as_keeper_of(&log, || fs::read_to_string_lossy(&log, 16 << 20));
    let text = read.unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last_error = lines.iter().rposition(|line| line.starts_with("error"));
    let from = last_error.unwrap_or(lines.len().saturating_sub(LAST_LINES));
    NodeError::user("the embedded Master cannot be started")
        .detail(lines[from..].join("\n"))
        .hint(format!("its whole log is {}", log.display()))
}

/// Stops every service, the embedded Master and the supervisor, until [`start_master`]. Returns
/// whether it ran.
///
/// # Errors
/// When the supervisor does not obey.
pub fn shut_down(node: &Node<'_>) -> Result<bool, NodeError> {
    let down = node.down_marker();
    if let Some(directory) = down.parent() {
        fs::create_dir_all(directory, 0o755).context("create", directory)?;
    }
    fs::write_atomic(&down, b"", 0o644).context("write", &down)?;
    let paths = node.supervisor_paths();
    let client = match Client::connect(&paths) {
        // What a killed supervisor has left running is adopted, to be stopped.
        Err(ClientError::Unreachable { .. }) if paths.state().exists() => {
            services::supervisor(node)?
        }
        Err(ClientError::Unreachable { .. }) => return Ok(false),
        other => other.map_err(supervisor_error)?,
    };
    client.shutdown(Some(SHUT_DOWN)).map(|()| true).map_err(supervisor_error)
}

fn supervisor_error(error: impl std::fmt::Display) -> NodeError {
    NodeError::user(format!("the supervisor does not obey: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeConfig;
    use crate::reporter::Deaf;
    use crate::token_file::read_token;
    use slapos_config::Config;

    #[test]
    fn the_first_configuration_is_understood() {
        let layout = Layout::under(Path::new("/r/100%"));
        let names = UserNames {
            software: "slapsoft".into(),
            partition_base: "slapuser-1a2b3c-".into(),
            master: "slapproxy".into(),
        };
        let text = config_text(&layout, 3, 5001, false, &names);
        let config = Config::parse(&text, "slapos.cfg").unwrap();
        let config = NodeConfig::from_config(&config, &layout.config).unwrap();
        assert_eq!(config.software_root, Path::new("/r/100%/software"));
        assert_eq!(config.shared_part_list, [Path::new("/r/100%/shared")]);
        assert_eq!(config.master_url, "http://127.0.0.1:5001");
        assert_eq!(config.format.partition_amount, 3);
        assert!(!config.format.alter_user);
        assert_eq!(config.format.user_base_name, "slapuser-1a2b3c-");
        assert_eq!(config.proxy.unwrap().port, 5001);
        let token = config.master_token_file.unwrap();
        assert_eq!(token.path, Path::new("/r/100%/master/master.token"));
    }

    #[test]
    fn root_tells_and_shows_nothing_that_the_masters_user_planted() {
        if !user::is_root() {
            slapos_testkit::skipped("root_tells_and_shows_nothing", "needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_mode(dir.path(), 0o755).unwrap();
        let nobody = user::by_name("nobody").unwrap().unwrap();
        let (secret, home) = (dir.path().join("secret"), dir.path().join("master"));
        fs::write_atomic(&secret, b"error: root's own", 0o600).unwrap();
        fs::create_dir_all(&home, 0o700).unwrap();
        user::chown(&home, &nobody).unwrap();
        let token = home.join("master.token");
        ensure_token(&token, &nobody).unwrap();
        assert_eq!(user::owner_of(&token).unwrap().uid, nobody.uid);
        assert!(read_token(&token).is_ok());
        for name in ["master.token", "master.log"] {
            fs::symlink_atomic(&secret, &home.join(name)).unwrap();
        }
        assert!(read_token(&token).is_err());
        let text = format!(
            "[slapos]\nsoftware_root = /s\ninstance_root = /i\nmaster_url = http://127.0.0.1:1\ncomputer_id = c\n\
             [slapproxy]\ndatabase_uri = {}/proxy.db\n",
            home.display()
        );
        let config = Config::parse(&text, "s").unwrap();
        let config = NodeConfig::from_config(&config, Path::new("s")).unwrap();
        let clock = slapos_sys::clock::SystemClock;
        let node = Node { config: &config, reporter: &Deaf, clock: &clock };
        assert_eq!(master_failed(&node).detail_text(), Some(""));
        // Where he may not write, nobody does it for him.
        fs::remove_tree(&token).unwrap();
        fs::set_mode(&home, 0o500).unwrap();
        assert!(ensure_token(&token, &nobody).is_err());
    }
}
