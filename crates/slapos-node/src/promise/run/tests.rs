//! Partitions with promises of all kinds, checked as a worker would; plugins by the machine's
//! Python.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

mod interpreter;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use slapos_testkit::wait_for;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A plugin whose class has these methods; they may use what promises usually import.
fn plugin(methods: &str) -> String {
    format!(
        "import os, subprocess, sys, time
from zope.interface import implementer
from slapos.grid.promise import interface
from slapos.grid.promise.generic import GenericPromise, TestResult, AnomalyResult

@implementer(interface.IPromise)
class RunPromise(GenericPromise):
{methods}"
    )
}

/// A plugin that finds what the file `name` in the partition says: `ok`, or else an error.
fn reading(name: &str, more: &str) -> String {
    plugin(&format!(
        "    def sense(self):
        found = open({name:?}).read()
        (self.logger.info if found == 'ok' else self.logger.error)('found %s', found)
{more}"
    ))
}

/// Something, if no such process runs.
fn gone(pid: u32) -> Option<()> {
    use slapos_sys::process::{alive, start_time};
    (!start_time(pid).is_some_and(|start| alive(pid, start))).then_some(())
}

struct Partition {
    directory: tempfile::TempDir,
    software: Option<PathBuf>,
    timeout: Duration,
    grace: Duration,
}

impl Partition {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, software: None, timeout: LONG, grace: Duration::ZERO }
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let partition = Self::new();
        files.iter().for_each(|(name, text)| partition.write(name, text));
        partition
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Executable, and older than any check.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn check(&self, mode: Mode, force: bool) -> Checked {
        check_all(&Wanted {
            directory: self.directory.path(),
            software: self.software.as_deref(),
            mode,
            force,
            limits: Limits { timeout: self.timeout, grace: self.grace },
            config: &BTreeMap::from([("partition-id".to_owned(), "slappart7".to_owned())]),
            cancellation: &Cancellation::new(),
        })
        .unwrap()
    }

    fn test(&self) -> Vec<PromiseResult> {
        self.check(Mode::Test, true).results
    }

    /// Name → failed and message.
    fn tested(&self) -> BTreeMap<String, (bool, String)> {
        self.test().into_iter().map(|r| (r.name, (r.failed, r.message))).collect()
    }
}

#[test]
fn executables_keep_or_break_their_word_and_results_are_filed() {
    let partition = Partition::with(&[
        ("etc/promise/good", "#!/bin/sh\necho fine\n"),
        ("etc/promise/bad", "#!/bin/sh\necho out; echo no disk >&2; exit 3\n"),
        ("etc/promise/broken", "#!/no/such/shell\n"),
        ("etc/promise/notes.txt", "not a promise"),
    ]);
    let plain = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(partition.path("etc/promise/notes.txt"), plain).unwrap();
    let checked = partition.check(Mode::Test, true);
    let told: Vec<_> = checked.results.iter().map(|r| (r.name.as_str(), r.failed)).collect();
    assert_eq!(told, [("bad", true), ("broken", true), ("good", false)]);
    assert_eq!(checked.results[0].message, "out\nno disk");
    assert!(checked.results[1].message.starts_with("it cannot be run: "));
    assert!(checked.warnings[0].ends_with("is not executable"), "{:?}", checked.warnings);
    let filed: serde_json::Value =
        serde_json::from_str(&partition.read(".slapgrid/promise/result/bad.status.json")).unwrap();
    assert_eq!(filed["result"]["failed"], true);
    let cache = partition.read(".slapgrid/promise/cache/bad");
    assert!(cache.contains(r#""periodicity": 2, "next_run_after": "#), "{cache}");
    assert!(partition.read(".slapgrid/promise/log/bad.log").contains(" - ERROR - "));
}

#[test]
fn an_executable_that_fails_thrice_is_an_anomaly_that_does_not_bang() {
    let partition = Partition::with(&[("etc/promise/bad", "#!/bin/sh\nexit 1\n")]);
    let failed: Vec<_> =
        (0..4).map(|_| partition.check(Mode::Anomaly, true).results[0].failed).collect();
    assert_eq!(failed, [false, false, true, true]);
    let result = &partition.check(Mode::Anomaly, true).results[0];
    assert_eq!((result.kind, result.bang), (Kind::Test, false));
}

#[test]
fn one_that_hangs_is_ended_with_what_it_started_and_delays_no_other() {
    let hang = plugin(
        "    def sense(self):
        child = subprocess.Popen(['sleep', '600'], start_new_session=True)
        with open('pid', 'w') as f:
            f.write(str(child.pid))
        time.sleep(600)
",
    );
    let mut partition = Partition::with(&[
        ("etc/promise/slow", "#!/bin/sh\nsleep 600 &\nsleep 600\n"),
        ("etc/plugin/hang.py", &hang),
        ("etc/plugin/fine.py", &plugin("    def sense(self):\n        self.logger.info('fine')\n")),
    ]);
    // Long enough for `fine` on a busy machine: what counts is that the others do end.
    partition.timeout = Duration::from_secs(8);
    let tested = partition.tested();
    assert_eq!(tested["fine.py"], (false, "fine".into()));
    let late = "Error: Promise timed out after 8 seconds";
    assert_eq!(tested["hang.py"], (true, late.into()));
    assert_eq!(tested["slow"], (true, late.into()));
    let pid: u32 = partition.read("pid").parse().unwrap();
    wait_for("what it started in another session to go with it", 30, || gone(pid));
}

#[test]
fn one_that_comes_right_within_the_grace_is_kept() {
    let late = "#!/bin/sh\ntest -e ready || { touch ready; exit 1; }\n";
    let mut partition = Partition::with(&[("etc/promise/late", late)]);
    partition.grace = LONG;
    assert!(!partition.test()[0].failed);
}

#[test]
fn a_plugin_logs_raises_prints_and_forks() {
    let partition = Partition::with(&[
        (
            "etc/plugin/logs.py",
            &plugin(
                "    def sense(self):
        self.logger.info('found %d of %s', 3, 'it')
        self.logger.debug('unseen')
        self.logger.warning('look')
        try:
            1 / 0
        except ZeroDivisionError:
            self.logger.info('mishap', exc_info=True)
        self.logger.handlers[0].flush()
        self.logger.info('by %s', 'logging')
",
            ),
        ),
        (
            "etc/plugin/raises.py",
            &plugin("    def sense(self):\n        raise ValueError('no disk é')\n"),
        ),
        (
            "etc/plugin/prints.py",
            &plugin(
                "    def sense(self):\n        print('x' * 100000)\n        os.system('echo y')\n        self.logger.info('printed')\n",
            ),
        ),
        (
            "etc/plugin/forks.py",
            &plugin(
                "    def sense(self):
        child = subprocess.Popen(['sleep', '600'])
        self.logger.info('%d', child.pid)
        if os.fork() == 0:
            time.sleep(600)
",
            ),
        ),
    ]);
    let tested = partition.tested();
    let (failed, message) = &tested["logs.py"];
    assert!(!failed && message.starts_with("found 3 of it\nlook\nmishap\nTraceback"), "{message}");
    assert!(message.ends_with("ZeroDivisionError: division by zero\nby logging"), "{message}");
    assert_eq!(tested["raises.py"], (true, "no disk é".into()));
    assert_eq!(tested["prints.py"], (false, "printed".into()));
    let (failed, pid) = &tested["forks.py"];
    let pid: u32 = pid.parse().unwrap();
    assert!(!failed);
    wait_for("what it started to go with it", 30, || gone(pid));
}

#[test]
fn its_configuration_reaches_a_plugin() {
    let body = plugin(
        "    def sense(self):
        get = self.getConfig
        self.logger.info('%s', [get('who'), get('partition-id'), get('promise-timeout'), get('x', 5)])
        assert os.getcwd() == self.getPartitionFolder()
        assert self.getTitle() == 'config' and self.getName() == 'config.py'
",
    );
    let config = format!("extra_config_dict = {{'who': 'me'}}\n{body}");
    let clash = format!("extra_config_dict = {{'name': 'me'}}\n{body}");
    let partition =
        Partition::with(&[("etc/plugin/config.py", &config), ("etc/plugin/clash.py", &clash)]);
    let tested = partition.tested();
    assert_eq!(tested["config.py"], (false, "['me', 'slappart7', 60, 5]".into()));
    let (failed, message) = &tested["clash.py"];
    assert!(
        *failed && message.contains("extra_config_dict cannot have the name 'name'"),
        "{message}"
    );
}

#[test]
fn what_is_no_promise_says_why() {
    let partition = Partition::with(&[
        ("etc/plugin/empty.py", ""),
        ("etc/plugin/syntax.py", "def\n"),
        ("etc/plugin/plain.py", "class RunPromise: pass\n"),
        ("etc/plugin/none.py", &plugin("    def sense(self): pass\n    def test(self): pass\n")),
        ("etc/plugin/dies.py", &plugin("    def sense(self): os._exit(3)\n")),
        ("etc/plugin/senseless.py", &plugin("    pass\n")),
        ("etc/plugin/import.py", "import no_such_thing\n"),
        ("etc/plugin/__init__.py", "raise 1"),
        ("etc/plugin/1.py", &plugin("    def sense(self): pass\n")),
    ]);
    let tested = partition.tested();
    let ends = |name: &str, end: &str| {
        let (failed, message) = &tested[name];
        assert!(*failed && message.trim_end().ends_with(end), "{name}: {message}");
        let silent = message.starts_with("Error: No output returned by the promise");
        assert!(silent || name == "none.py", "{name}: {message}");
    };
    ends("empty.py", "AttributeError: there is no class RunPromise in promise empty.py");
    ends("syntax.py", "SyntaxError: invalid syntax");
    ends("plain.py", "is @implementer(interface.IPromise) missing?");
    ends("none.py", "Promise test method returned 'None'");
    ends("dies.py", "Error: No output returned by the promise");
    ends("import.py", "ModuleNotFoundError: No module named 'no_such_thing'");
    ends("1.py", "ValueError: Promise plugin name '1.py' is not valid");
    assert!(tested["senseless.py"].1.contains("abstract"), "{tested:?}");
    assert_eq!(tested.len(), 8);
}

#[test]
fn a_promise_is_due_after_its_own_periodicity() {
    let more = "    def __init__(self, config):\n        GenericPromise.__init__(self, config)\n        self.setPeriodicity(7.5)\n";
    let partition =
        Partition::with(&[("state", "ok"), ("etc/plugin/often.py", &reading("state", more))]);
    let checked = partition.check(Mode::Anomaly, false);
    assert!(checked.results[0].checked && checked.results[0].periodicity == 450.0);
    let due = checked.due.unwrap();
    assert!((epoch(due) - epoch(SystemClock.now()) - 450.0).abs() < 60.0);
    partition.write("state", "fire");
    let checked = partition.check(Mode::Anomaly, false);
    assert_eq!((checked.skipped, checked.due), (1, Some(due)));
    let result = &checked.results[0];
    assert!(!result.failed && !result.checked && result.message == "found ok");
    assert!(partition.check(Mode::Anomaly, true).results[0].failed, "unless forced");
    let again = partition.check(Mode::Anomaly, false);
    assert!(again.results[0].failed && !again.results[0].bang, "told again, without a bang");
    // The promise itself changes: what it said counts no more.
    partition.write("state", "ok");
    let later = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let file = std::fs::File::options().append(true).open(partition.path("etc/plugin/often.py"));
    file.unwrap().set_modified(later).unwrap();
    assert!(!partition.check(Mode::Anomaly, false).results[0].failed);
}

#[test]
fn some_have_no_test_and_some_no_anomaly() {
    let less = |what: &str| {
        reading(
            "state",
            &format!(
                "    def __init__(self, config):\n        GenericPromise.__init__(self, config)\n        {what}\n"
            ),
        )
    };
    let partition = Partition::with(&[
        ("state", "bad"),
        ("etc/plugin/testless.py", &less("self.setTestLess()")),
        ("etc/plugin/anomalyless.py", &less("self.setAnomalyLess()")),
        ("etc/plugin/nothing.py", &less("self.setTestLess(); self.setAnomalyLess()")),
    ]);
    for round in ["first", "known"] {
        let tests: Vec<_> = partition.test().into_iter().map(|r| (r.name, r.failed)).collect();
        let expected = [("anomalyless.py".to_owned(), true), ("nothing.py".to_owned(), true)];
        // Once it is known that it has neither, it is not asked.
        let expected = if round == "first" { &expected[..] } else { &expected[..1] };
        assert_eq!(tests, expected, "{round}");
        let anomalies: Vec<_> = partition.check(Mode::Anomaly, true).results;
        let names: Vec<_> = anomalies.iter().map(|result| result.name.as_str()).collect();
        assert_eq!(names, ["testless.py"], "{round}");
        assert!(anomalies[0].bang);
    }
}

#[test]
fn an_anomaly_bangs_unless_it_may_not() {
    let quiet = "    def __init__(self, config):\n        GenericPromise.__init__(self, config)\n        self.allowBang(False)\n";
    let thrice =
        "    def anomaly(self):\n        return self._anomaly(result_count=3, failure_amount=3)\n";
    let people =
        "    def anomaly(self):\n        return self._test(result_count=1, failure_amount=1)\n";
    let partition = Partition::with(&[
        ("state", "bad"),
        ("etc/plugin/loud.py", &reading("state", "")),
        ("etc/plugin/quiet.py", &reading("state", quiet)),
        ("etc/plugin/thrice.py", &reading("state", thrice)),
        ("etc/plugin/people.py", &reading("state", people)),
    ]);
    let asked = || -> BTreeMap<_, _> {
        let results = partition.check(Mode::Anomaly, true).results;
        results.into_iter().map(|r| (r.title, (r.failed, r.bang))).collect()
    };
    let first = asked();
    assert_eq!(first["loud"], (true, true));
    assert_eq!(first["quiet"], (true, false));
    assert_eq!(first["people"], (true, false));
    assert_eq!(first["thrice"], (false, false));
    assert_eq!(asked()["thrice"], (false, false));
    assert_eq!(asked()["thrice"], (true, true));
    let log = partition.read(".slapgrid/promise/log/loud.log");
    assert!(
        log.contains("INFO - ") && log.contains("Bang with message 'Promise loud is failing'.")
    );
}

#[test]
fn a_watch_forgives_silence_once() {
    let partition =
        Partition::with(&[("etc/plugin/dies.py", &plugin("    def sense(self): os._exit(3)\n"))]);
    let failed = || partition.check(Mode::Anomaly, true).results[0].failed;
    assert_eq!([failed(), failed()], [false, true]);
}

#[test]
fn a_header_names_a_check_of_ours_or_is_no_hurdle() {
    let header = |module: &str, config: &str| {
        format!(
            "# slapos-promise: {{\"module\": \"slapos.promise.plugin.{module}\", \"config\": {config}}}\n"
        )
    };
    let body = plugin("    def sense(self):\n        self.logger.info('in python')\n");
    let partition = Partition::with(&[
        ("there", "x"),
        (
            "etc/plugin/native.py",
            &format!(
                "{}raise 'python'\n",
                header(
                    "check_file_state",
                    r#"{"filename": "there", "state": "not-empty", "frequency": "5"}"#
                )
            ),
        ),
        ("etc/plugin/option.py", &(header("check_file_state", r#"{"colour": "red"}"#) + &body)),
        ("etc/plugin/module.py", &(header("check_moon", "{}") + &body)),
        ("etc/plugin/nonsense.py", &format!("# slapos-promise: {{\n{body}")),
    ]);
    let tested = partition.tested();
    assert_eq!(tested["native.py"], (false, "there is not-empty".into()));
    for name in ["option.py", "module.py", "nonsense.py"] {
        assert_eq!(tested[name], (false, "in python".into()), "{name}");
    }
    assert!(partition.read(".slapgrid/promise/cache/native").contains(r#""periodicity": 5.0"#));
}

#[test]
fn results_of_promises_that_are_gone_go_too() {
    let partition =
        Partition::with(&[("etc/promise/a", "#!/bin/sh\n"), ("etc/promise/b", "#!/bin/sh\n")]);
    assert_eq!(partition.test().len(), 2);
    std::fs::remove_file(partition.path("etc/promise/a")).unwrap();
    assert_eq!(partition.test().len(), 1);
    assert!(!partition.path(".slapgrid/promise/result/a.status.json").exists());
    assert!(!partition.path(".slapgrid/promise/cache/a").exists());
    assert!(partition.path(".slapgrid/promise/log/a.log").exists());
}
