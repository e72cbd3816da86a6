//! A node below a directory of its own, run by the real binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::{Tree, free_port, open_directory, wait_for};

/// What a command came to.
#[derive(Debug)]
pub struct Run {
    /// Exit code; negative: the signal that ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// What a program that ended came to.
    pub fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let signal = || output.status.signal().map_or(-1, |signal| -signal);
        Self {
            code: output.status.code().unwrap_or_else(signal),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a program to its end and expects that it succeeds.
    ///
    /// # Panics
    /// When it does not, showing what it said.
    pub fn well(command: &mut Command) -> Self {
        let run = Self::of(&command.output().expect("the program can be run"));
        assert_eq!(run.code, 0, "{command:?}\n{}{}", run.out, run.err);
        run
    }

    /// Standard error without the time at the start of each line.
    pub fn told(&self) -> String {
        let cut = |line: &str| match line.get(..20) {
            Some(time) if time.starts_with("20") && time.ends_with(' ') => line[20..].to_owned(),
            _ => line.to_owned(),
        };
        self.err.lines().map(cut).collect::<Vec<_>>().join("\n")
    }
}

/// See the module.
#[derive(Debug)]
pub struct TestNode {
    binary: PathBuf,
    port: u16,
    directory: tempfile::TempDir,
    /// Profiles for this node.
    pub tree: Tree,
}

impl TestNode {
    /// A node that does not exist yet; `binary` is the program under test.
    ///
    /// # Panics
    /// When its directory cannot be made.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        // The node's own users must be able to pass it.
        let directory = open_directory("slapos-test-");
        let tree = Tree::new(directory.path().join("tree"));
        Self { binary: binary.into(), port: free_port(), directory, tree }
    }

    /// A node that does not exist yet, and the profile of a service for it
    /// ([`SERVICE_PROFILE`](crate::SERVICE_PROFILE)).
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn with_service(binary: impl Into<PathBuf>) -> (Self, String) {
        let node = Self::new(binary);
        let profile = node.tree.add_service().display().to_string();
        (node, profile)
    }

    /// The same, with an instance of the service in its first partition.
    ///
    /// # Panics
    /// When that does not come up.
    pub fn serving(binary: impl Into<PathBuf>) -> (Self, String) {
        let (node, profile) = Self::with_service(binary);
        node.ok(&["up", &profile]);
        (node, profile)
    }

    /// The node's root, as given by `--root`.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("node")
    }

    /// The directory of a partition.
    pub fn partition(&self, index: u32) -> PathBuf {
        self.root().join(format!("instance/slappart{index}"))
    }

    /// What an instance left in a partition that is free: all but what `node format` says there.
    ///
    /// # Panics
    /// When the partition cannot be listed.
    pub fn left_in(&self, index: u32) -> Vec<String> {
        let entries = std::fs::read_dir(self.partition(index)).expect("the partition is there");
        let names = entries.map(|entry| entry.expect("it is listed").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name != ".slapos-resource").collect()
    }

    /// A command of the binary for this node, ready to be run.
    ///
    /// # Panics
    /// When it would make the node, with a database that these tests were given, and that fails.
    pub fn command(&self, args: &[&str]) -> Command {
        if args.first() == Some(&"up") && !self.root().join("etc/slapos.cfg").exists() {
            self.choose_database(args);
        }
        self.plain_command(args)
    }

    fn plain_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).arg("--root").arg(self.root());
        if args.first() == Some(&"up") {
            command.arg("--port").arg(self.port.to_string());
            if !args.contains(&"--partitions") {
                command.args(["--partitions", "3"]);
            }
        }
        command.env_remove("SLAPOS_CONFIGURATION").env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// If these tests were given a server, has the Master of the node that is about to be made keep
    /// everything there: makes it as it will be, and changes its configuration.
    fn choose_database(&self, args: &[&str]) {
        if crate::given_server().is_none() {
            return;
        }
        let amount = args.iter().position(|word| *word == "--partitions");
        let amount = amount.and_then(|at| args.get(at..at + 2)).unwrap_or_default();
        for words in [[&["up"][..], amount].concat(), vec!["down"]] {
            let output = self.plain_command(&words).output().expect("the binary runs");
            assert!(output.status.success(), "{words:?}: {output:?}");
        }
        let place = self.root().join("master");
        let file = place.join("proxy.db");
        let database = crate::database(&file);
        let own = format!("directory = {}\ndatabase_uri = {database}", place.display());
        self.configure(&format!("database_uri = {}", file.display()), &own);
    }

    /// Runs the binary for this node to its end.
    ///
    /// # Panics
    /// When it cannot be executed.
    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().expect("the binary runs"))
    }

    /// Runs the binary for this node and expects that it succeeds.
    ///
    /// # Panics
    /// When it does not, showing what it said.
    pub fn ok(&self, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, 0, "slapos {}\n{}{}", args.join(" "), run.out, run.err);
        run
    }

    /// Runs the binary for this node and expects exit code `code`.
    ///
    /// # Panics
    /// When it ends otherwise, showing what it said.
    pub fn fails(&self, code: i32, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, code, "slapos {}\n{}{}", args.join(" "), run.out, run.err);
        run
    }

    /// Starts the binary for this node in a process group of its own.
    ///
    /// # Panics
    /// When it cannot be executed.
    pub fn start(&self, args: &[&str]) -> Child {
        use std::os::unix::process::CommandExt;
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.spawn().expect("the binary runs")
    }

    /// Runs the binary with `--json` and parses the result.
    ///
    /// # Panics
    /// When it fails or prints no JSON.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let args = [args, &["--json"]].concat();
        let run = self.ok(&args);
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error} in {}", run.out))
    }

    /// The process ids of the node's services by name, the Master's among them, as the supervisor
    /// has them.
    ///
    /// # Panics
    /// When the supervisor does not answer.
    pub fn pids(&self) -> std::collections::BTreeMap<String, i64> {
        pids_in(&self.json(&["node", "status"]))
    }

    /// The process of a service, once it runs.
    ///
    /// # Panics
    /// When it does not.
    pub fn service(&self, name: &str) -> i64 {
        self.another(name, 0)
    }

    /// The process of a service, once that is another one than `former`.
    ///
    /// # Panics
    /// When none runs.
    pub fn another(&self, name: &str, former: i64) -> i64 {
        wait_for(&format!("another process of {name}"), 60, || {
            self.pids().get(name).copied().filter(|pid| *pid != 0 && *pid != former)
        })
    }

    /// The process id of the supervisor.
    ///
    /// # Panics
    /// When it never ran.
    pub fn supervisor_pid(&self) -> u32 {
        let path = self.root().join("instance/var/run/supervisord.pid");
        let text = std::fs::read_to_string(&path).expect("the supervisor wrote its pid");
        text.trim().parse().expect("a number")
    }

    /// Adds lines to the node's configuration.
    ///
    /// # Panics
    /// When there is none.
    pub fn configure(&self, from: &str, to: &str) {
        let path = self.root().join("etc/slapos.cfg");
        let text = std::fs::read_to_string(&path).expect("the node has a configuration");
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(&path, text.replace(from, to)).expect("it is ours");
    }

    /// A path in the test's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }
}

impl TestNode {
    /// Users that root's node made for itself alone.
    fn remove_users(&self) {
        let config = self.root().join("etc/slapos.cfg");
        let config = std::fs::read_to_string(config).unwrap_or_default();
        let value = |name: &str| {
            let start = format!("{name} = ");
            let value = config.lines().find_map(|line| line.strip_prefix(&start))?;
            value.contains('-').then(|| value.to_owned())
        };
        let Some(base) = value("user_base_name").filter(|_| crate::is_root()) else { return };
        let amount = config.lines().find_map(|line| line.strip_prefix("partition_amount = "));
        let amount: u32 = amount.and_then(|amount| amount.parse().ok()).unwrap_or(0);
        let slots = (0..amount).map(|index| format!("{base}{index}"));
        for user in slots.chain(value("software_user")).chain(value("user")) {
            let _ = Command::new("userdel").arg(user).output();
        }
    }
}

/// The process ids in what `slapos node status --json` prints, by name; 0: it does not run.
///
/// # Panics
/// When that is no list.
pub fn pids_in(status: &serde_json::Value) -> std::collections::BTreeMap<String, i64> {
    let processes = status.as_array().expect("a list").iter();
    let pid = |process: &serde_json::Value| process["pid"].as_i64().unwrap_or(0);
    let name = |p: &serde_json::Value| p["name"].as_str().unwrap_or_default().to_owned();
    processes.map(|process| (name(process), pid(process))).collect()
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if self.root().join("etc/slapos.cfg").exists() {
            let _ = self.run(&["down"]);
            self.remove_users();
        }
    }
}
