//! A network namespace, and a node whose configuration names users of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A word that no other test uses at this moment.
pub(crate) fn unique() -> String {
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A network namespace; removed, with all that is in it, when dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    /// None, said on standard error, where this machine makes none.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let made = Self::try_new();
        if let Err(why) = &made {
            slapos_testkit::skipped(test, why);
        }
        made.ok()
    }

    fn try_new() -> Result<Self, String> {
        if !slapos_testkit::is_root() {
            return Err("needs root".to_owned());
        }
        if !Path::new("/dev/net/tun").exists() {
            return Err("needs /dev/net/tun".to_owned());
        }
        let namespace = Self(format!("slapos-test-{}", unique()));
        let output = Command::new("ip").args(["netns", "add", &namespace.0]).output();
        match output {
            Ok(output) if output.status.success() => {
                namespace.ip("link set lo up");
                Ok(namespace)
            }
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("needs iproute2: {error}")),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// A command in this network.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program);
        command
    }

    /// Runs `ip` here and gives what it prints.
    pub(crate) fn ip(&self, words: &str) -> String {
        let output = Command::new("ip").args(["-n", &self.0]).args(words.split(' ')).output();
        let output = output.unwrap();
        assert!(output.status.success(), "ip {words}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Two ends of a cable, both here and up.
    pub(crate) fn cable(&self, one: &str, other: &str) {
        self.ip(&format!("link add {one} type veth peer name {other}"));
        self.ip(&format!("link set {one} up"));
        self.ip(&format!("link set {other} up"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// A node of the test's own. Its Master is at a port where nobody listens.
pub(crate) struct Node {
    directory: tempfile::TempDir,
    /// Partition users are this and a number.
    pub(crate) users: String,
    /// The builder.
    pub(crate) builder: String,
}

impl Node {
    /// A node whose `[slapformat]` has these lines.
    pub(crate) fn new(options: &str) -> Self {
        let directory = slapos_testkit::open_directory("slapos-test-");
        let word = unique();
        let node = Self { directory, users: format!("sf{word}-"), builder: format!("sf{word}") };
        node.configure(options);
        node
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, options: &str) {
        let root = self.directory.path().display();
        let (users, builder) = (&self.users, &self.builder);
        let text = format!(
            "[slapos]\nsoftware_root = {root}/soft\ninstance_root = {root}/inst\nmaster_url = http://127.0.0.1:9\ncomputer_id = COMP-1\n\n[slapformat]\npartition_base_name = slappart\nuser_base_name = {users}\nsoftware_user = {builder}\ntap_base_name = slaptap\ncomputer_xml = {root}/computer.xml\ncomputer_json = {root}/computer.json\n{options}\n"
        );
        std::fs::write(self.path("slapos.cfg"), text).unwrap();
    }

    /// A path below the node's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs `node format` with `arguments` in `namespace` and expects exit code `code`; what it
    /// said is returned, without the times.
    pub(crate) fn format(&self, namespace: &Namespace, code: i32, arguments: &[&str]) -> String {
        let output = self.command(namespace).args(arguments).output().unwrap();
        let said = told(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    }

    fn command(&self, namespace: &Namespace) -> Command {
        let mut command = namespace.command(Path::new(env!("CARGO_BIN_EXE_slapos")));
        command.args(["node", "format", "--now", "--cfg"]).arg(self.path("slapos.cfg"));
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs `node format` in `namespace` and kills it when it has said `lines` lines; whether it was
    /// killed rather than that it ended.
    pub(crate) fn killed_after(&self, namespace: &Namespace, lines: usize) -> bool {
        let mut command = self.command(namespace);
        let mut run = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(run.stderr.take().unwrap()).lines();
        let heard = said.map_while(Result::ok).take(lines).count();
        let _ = run.kill();
        run.wait().unwrap();
        heard == lines
    }

    /// What was recorded, as JSON.
    pub(crate) fn record(&self) -> serde_json::Value {
        json(&self.path("computer.json"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let names = passwd.lines().filter_map(|line| line.split(':').next());
        let mine = |name: &&str| *name == self.builder || name.starts_with(&self.users);
        // The builder's group is that of the others: it goes last.
        let mut mine: Vec<_> = names.filter(mine).collect();
        mine.sort_by_key(|name| std::cmp::Reverse(name.len()));
        for name in mine {
            let _ = Command::new("userdel").arg(name).output();
        }
    }
}

fn told(output: &Output) -> String {
    let cut = |line: &str| match line.get(..20) {
        Some(time) if time.starts_with("20") && time.ends_with(' ') => line[20..].to_owned(),
        _ => line.to_owned(),
    };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// The JSON in a file.
pub(crate) fn json(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}
