//! The same promises checked by the original's launcher and by ours, in the same modes, in the same
//! order: what monitoring finds in the partition afterwards is the same.
//!
//! The original is installed once, below the target directory; without it (no Python, no package
//! index) the test says that it is skipped.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use slapos_testkit::{python_with, skipped};

use crate::plugin;

pub(crate) const PEERS: [&str; 4] = [
    "setuptools==67.8.0",
    "slapos.core==1.26.1",
    "slapos.libnetworkcache==0.30",
    "zope.interface==7.2",
];
const NAME: &str = "promises_say_what_they_say_to_the_original";
/// Seconds; the original polls, so that few are enough.
const TIMEOUT: u64 = 6;

/// Where the original is installed.
pub(crate) fn place() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("promise-peer")
}

fn files() -> Vec<(&'static str, String)> {
    let sense = |lines: &str| plugin(&format!("    def sense(self):\n{lines}"));
    vec![
        ("etc/plugin/fine.py", sense("        self.logger.info('all %s', 'well')\n")),
        (
            "etc/plugin/bad.py",
            sense("        self.logger.info('looked')\n        self.logger.error('no\\ndisk é')\n"),
        ),
        ("etc/plugin/raises.py", sense("        raise ValueError('mishap')\n")),
        (
            "etc/plugin/prints.py",
            sense("        print('noise')\n        self.logger.info('printed')\n"),
        ),
        ("etc/plugin/silent.py", sense("        pass\n")),
        ("etc/plugin/long.py", sense("        self.logger.error('x' * 6000)\n")),
        ("etc/plugin/hang.py", sense("        time.sleep(600)\n")),
        ("etc/plugin/dies.py", sense("        os._exit(1)\n")),
        ("etc/plugin/import.py", "import no_such_thing\n".to_owned()),
        (
            "etc/plugin/config.py",
            format!(
                "extra_config_dict = {{'who': 'me'}}\n{}",
                sense(
                    "        self.logger.info('%s %s', self.getConfig('who'), self.getConfig('promise-timeout'))\n"
                )
            ),
        ),
        (
            "etc/plugin/often.py",
            plugin(
                "    def __init__(self, config):\n        super().__init__(config)\n        self.setPeriodicity(minute=1.5)\n    def sense(self):\n        self.logger.error('often')\n    def test(self):\n        return self._test(result_count=3, failure_amount=2)\n    def anomaly(self):\n        return self._anomaly(result_count=3, failure_amount=3)\n",
            ),
        ),
        (
            "etc/plugin/testless.py",
            plugin(
                "    def __init__(self, config):\n        super().__init__(config)\n        self.setTestLess()\n    def sense(self):\n        self.logger.error('watched')\n",
            ),
        ),
        (
            "etc/plugin/anomalyless.py",
            plugin(
                "    def __init__(self, config):\n        super().__init__(config)\n        self.setAnomalyLess()\n    def sense(self):\n        self.logger.error('tested')\n",
            ),
        ),
        (
            "etc/plugin/own.py",
            plugin(
                "    def sense(self):\n        self.logger.critical('c')\n    def test(self):\n        log = self.getLastPromiseResultList(result_count=2, only_failure=True)\n        return TestResult(problem=len(log) > 1, message='%d %s' % (len(log), log[0][0]['message']))\n    def anomaly(self):\n        return self._test()\n",
            ),
        ),
        (
            "etc/plugin/none.py",
            plugin(
                "    def sense(self):\n        pass\n    def test(self):\n        return None\n",
            ),
        ),
        ("etc/promise/good", "#!/bin/sh\necho fine\n".to_owned()),
        ("etc/promise/broken", "#!/bin/sh\necho out; echo err >&2; exit 3\n".to_owned()),
        ("etc/promise/slow", "#!/bin/sh\nsleep 600\n".to_owned()),
    ]
}

/// What the recipe of the original puts before a plugin: the eggs of a Software Release.
fn of_a_release(eggs: &str) -> String {
    format!(
        "import sys
sys.path[0:0] = ({eggs:?},)

for module in list(sys.modules):
  if 'slapos' in module or 'pkg_resources' in module:
    del sys.modules[module]

"
    )
}

fn arrange(partition: &Path, before: &str) {
    use std::os::unix::fs::PermissionsExt;
    for (name, text) in files() {
        let text = if name.ends_with(".py") { format!("{before}{text}") } else { text };
        let path = partition.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

pub(crate) fn by_the_original(python: &Path, partition: &Path, mode: &str) -> String {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promises/original.py");
    let mut command = Command::new(python);
    command.arg(driver).arg(partition).args([mode, &TIMEOUT.to_string()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// As a node asks its worker.
pub(crate) fn by_ours(partition: &Path, software: Option<&Path>, mode: &str) -> Value {
    let job = json!({
        "job": "promises", "directory": partition, "software_directory": software, "mode": mode,
        "force": true, "config": {}, "timeout": TIMEOUT, "grace": 0.0,
    });
    let mut worker = Command::new(env!("CARGO_BIN_EXE_slapos"))
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    worker.stdin.take().unwrap().write_all(format!("{job}\n").as_bytes()).unwrap();
    let output = worker.wait_with_output().unwrap();
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    let message: Value = serde_json::from_str(line.trim()).unwrap();
    assert_eq!(message["message"], "done", "{message:#}");
    message["done"].clone()
}

/// What monitoring reads, by title, without what differs between any two runs.
pub(crate) fn results(partition: &Path) -> BTreeMap<String, Value> {
    let folder = partition.join(".slapgrid/promise/result");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), result(&path, partition))
        })
        .collect()
}

fn result(path: &PathBuf, partition: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace(&partition.display().to_string(), "PARTITION");
    let mut result: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<_> = result.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["title", "name", "path", "execution-time", "result"]);
    let date = result["result"]["date"].as_str().unwrap();
    assert!(date.ends_with("+0000") && date.len() == 24, "{date}");
    result["result"]["date"] = Value::Null;
    result["execution-time"] = Value::Null;
    // Ours goes on to say why.
    let message = result["result"]["message"].as_str().unwrap().to_owned();
    if let Some((first, _)) = message.split_once("\nTraceback ") {
        result["result"]["message"] = first.into();
    }
    result
}

/// What each promise said of itself, by title.
pub(crate) fn caches(partition: &Path) -> BTreeMap<String, Value> {
    let folder = partition.join(".slapgrid/promise/cache");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let cache: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let wait = cache["next_run_after"].as_f64().unwrap() - cache["timestamp"].as_f64().unwrap();
        let kept = json!([
            cache["is_tested"],
            cache["is_anomaly_detected"],
            cache["periodicity"],
            wait.round(),
        ]);
        (path.file_name().unwrap().to_string_lossy().into_owned(), kept)
    };
    paths.map(read).collect()
}

/// The logs of promises that end by themselves, by title, without dates and transactions.
fn logs(partition: &Path) -> BTreeMap<String, Vec<String>> {
    let titles = ["fine", "bad", "raises", "often", "config", "good", "broken"];
    let read = |title: &str| {
        let path = partition.join(format!(".slapgrid/promise/log/{title}.log"));
        let text = std::fs::read_to_string(path).unwrap();
        // The original's launcher has no Master here, and bangs for the first alone.
        let lines = text.lines().filter(|line| !line.contains("Bang with message"));
        let lines = lines.map(|line| {
            let mut fields: Vec<_> = line.splitn(4, " - ").collect();
            if fields.len() == 4 {
                assert_eq!(fields[0].len(), 19, "{line}");
                assert!(fields[2].len() == 14 && fields[2].as_bytes()[10] == b'-', "{line}");
                fields = vec![fields[1], fields[3]];
            }
            fields.join(" - ")
        });
        (title.to_owned(), lines.collect())
    };
    titles.into_iter().map(read).collect()
}

#[test]
fn promises_say_what_they_say_to_the_original() {
    let place = place();
    let python = match python_with(&place, &PEERS) {
        Ok(bin) => bin.join("python"),
        Err(why) => return skipped(NAME, &why),
    };
    let directory = || tempfile::tempdir().unwrap();
    let (theirs, ours, hosted) = (directory(), directory(), directory());
    arrange(theirs.path(), "");
    arrange(ours.path(), "");
    let software = release(&python, hosted.path());
    for (round, mode) in ["test", "anomaly", "anomaly"].into_iter().enumerate() {
        let told = by_the_original(&python, theirs.path(), mode);
        let expected = results(theirs.path());
        let cases =
            [("own interface", &ours, None), ("their interface", &hosted, Some(&*software))];
        for (case, partition, software) in cases {
            let done = by_ours(partition.path(), software, mode);
            let found = results(partition.path());
            for (name, expected) in &expected {
                let found = found.get(name).unwrap_or(&Value::Null);
                assert_eq!(found, expected, "{name} in round {round}, {mode}, {case}");
            }
            assert_eq!(found.len(), expected.len(), "{mode}, {case}");
            assert!(is_broken(&done, first_broken(&told)), "{told}\n{done:#}");
        }
    }
    for partition in [&ours, &hosted] {
        assert_eq!(caches(partition.path()), caches(theirs.path()));
        assert_eq!(logs(partition.path()), logs(theirs.path()));
    }
}

/// A Software Release that brings slapos.core, and a partition whose plugins use it.
fn release(python: &Path, partition: &Path) -> PathBuf {
    let software = partition.join("soft");
    std::fs::create_dir_all(software.join("bin")).unwrap();
    std::fs::write(software.join("bin/buildout"), format!("#!{}\n", python.display())).unwrap();
    let find =
        "import os, slapos.grid.promise as p; print(os.path.abspath(p.__file__ + '/../../../..'))";
    let output = Command::new(python).args(["-c", find]).output().unwrap();
    arrange(partition, &of_a_release(String::from_utf8_lossy(&output.stdout).trim()));
    software
}

/// The promise that the original names. Which is the first depends on the order in which
/// directories are listed.
fn first_broken(told: &str) -> &str {
    let first = told.lines().find_map(|line| line.strip_prefix("Promise '"));
    first.and_then(|rest| rest.split_once('\'')).unwrap().0
}

fn is_broken(done: &Value, name: &str) -> bool {
    let results = done["results"].as_array().unwrap().iter();
    results.filter(|result| result["name"] == name).any(|result| result["failed"] == true)
}
