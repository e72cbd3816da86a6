//! The checks that need no Python: what the plugins of the same module names do.
//!
//! | module `slapos.promise.plugin.` | configuration |
//! | --- | --- |
//! | `check_url_available` | `url`, `http-code` (200; 0: any), `ignore-code`, `timeout`, `verify`, `ca-cert-file`, `cert-file`, `key-file`, `allow-redirects`, `username`, `password` |
//! | `check_socket_listening` | `host` and `port`, or `pathname`, or `abstract`; `result-count`, `failure-amount` |
//! | `check_file_state` | `filename`, `state`, `url`, `result-count`, `failure-amount`, `perdiodic-only`, `report-anomaly` |
//! | `check_command_execute` | `command`, `result_count`, `failure_amount` |
//! | `check_interface_up` | `ifname`, `testing` |
//! | `check_server_cpu_load` | `cpu-load-threshold` |
//!
//! And these, which slapos.toolbox does not have:
//!
//! | module | configuration |
//! | --- | --- |
//! | `check_port_listening` (as the recipe of that name writes it) | `hostname`, `port` |
//! | `check_file_fresh` | `filename`, `max-age` (seconds) |
//! | `check_free_space` | `path` (the partition), `min-free` (a size such as 500M) |
//! | `check_process_up` | `pid-file` |
//!
//! All know `frequency` (minutes between two checks) and `bang-on-failure`. A module or an option
//! that is not here is left to the plugin's own code, so that nothing is checked less strictly than
//! was asked.

mod alone;
mod file;
mod machine;
mod options;
mod socket;
mod url;

use std::path::Path;
use std::time::Duration;

use slapos_engine::Cancellation;

use super::Mode;
use super::discover::Header;
use options::Options;

/// What a check is given.
#[derive(Clone)]
pub(super) struct Surroundings {
    /// The partition.
    pub(super) directory: std::path::PathBuf,
    /// How long the check may take.
    pub(super) limit: Duration,
    /// Who may stop it.
    pub(super) cancellation: Cancellation,
}

/// What is told: both outcomes come with a message.
type Found = Result<String, String>;
type Check = fn(&Options<'_>, &Surroundings) -> Found;

/// How results are judged: a problem if so many of the last runs were bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) count: usize,
    pub(super) amount: usize,
    /// A problem calls for a bang.
    pub(super) bangs: bool,
}

impl Rule {
    pub(super) const fn test(count: usize, amount: usize) -> Self {
        Self { count, amount, bangs: false }
    }

    const fn anomaly(count: usize, amount: usize) -> Self {
        Self { count, amount, bangs: true }
    }
}

/// A check that this program has.
struct Module {
    name: &'static str,
    /// Options, without those that all have.
    options: &'static [&'static str],
    /// Minutes.
    frequency: f64,
    test: Rule,
    anomaly: Rule,
    check: Check,
}

const USUAL: Module = Module {
    name: "",
    options: &[],
    frequency: 2.0,
    test: Rule::test(1, 1),
    anomaly: Rule::anomaly(3, 3),
    check: |_, _| Ok(String::new()),
};

const MODULES: [Module; 10] = [
    Module { name: "check_url_available", options: &url::OPTIONS, check: url::check, ..USUAL },
    Module {
        name: "check_socket_listening",
        options: &["host", "port", "pathname", "abstract", "result-count", "failure-amount"],
        check: socket::check,
        ..USUAL
    },
    Module {
        name: "check_port_listening",
        options: &["hostname", "host", "port"],
        check: socket::port,
        ..USUAL
    },
    Module {
        name: "check_file_state",
        options: &file::STATE_OPTIONS,
        anomaly: Rule::anomaly(1, 1),
        check: file::state,
        ..USUAL
    },
    Module {
        name: "check_file_fresh",
        options: &["filename", "max-age"],
        check: file::fresh,
        ..USUAL
    },
    Module {
        name: "check_command_execute",
        options: &["command", "result_count", "failure_amount"],
        anomaly: Rule::anomaly(1, 1),
        check: machine::command,
        ..USUAL
    },
    Module {
        name: "check_interface_up",
        options: &["ifname", "testing"],
        anomaly: Rule::anomaly(3, 2),
        check: machine::interface,
        ..USUAL
    },
    Module {
        name: "check_server_cpu_load",
        options: &["cpu-load-threshold"],
        frequency: 3.0,
        // Only what lasts for half an hour counts, and no deployment would help.
        test: Rule::test(10, 10),
        anomaly: Rule::test(10, 10),
        check: machine::load,
    },
    Module {
        name: "check_free_space",
        options: &["path", "min-free"],
        anomaly: Rule::test(3, 3),
        check: machine::free_space,
        ..USUAL
    },
    Module { name: "check_process_up", options: &["pid-file"], check: machine::process, ..USUAL },
];

/// A promise that is checked natively.
#[derive(Clone)]
pub(super) struct Native {
    header: Header,
    check: Check,
    /// Minutes between two checks.
    pub(super) frequency: serde_json::Number,
    pub(super) tested: bool,
    pub(super) anomaly_detected: bool,
    test: Rule,
    anomaly: Rule,
}

impl Native {
    /// The check that does what `header` says; none if there is no such module here, or it does not
    /// know one of the options.
    pub(super) fn find(header: &Header) -> Option<Self> {
        let name = header.module.strip_prefix("slapos.promise.plugin.").unwrap_or(&header.module);
        let module = MODULES.iter().find(|module| module.name == name)?;
        let known = |key: &String| {
            ["frequency", "bang-on-failure"].contains(&key.as_str())
                || module.options.contains(&key.as_str())
        };
        if !header.config.keys().all(known) {
            return None;
        }
        let options = Options::new(header);
        let frequency = options.number("frequency", module.frequency).ok()?;
        let frequency = serde_json::Number::from_f64(frequency).filter(|_| frequency > 0.0)?;
        let bangs = options.text("bang-on-failure").is_none_or(|text| text != "false");
        let anomaly = counted(&options, module)?;
        Some(Self {
            check: module.check,
            frequency,
            tested: !options.is_any("perdiodic-only", &["true", "yes", "1"]),
            anomaly_detected: !options.is_any("report-anomaly", &["false", "no", "0"]),
            test: if module.name == "check_file_state" {
                Rule { bangs: false, ..anomaly }
            } else {
                module.test
            },
            anomaly: Rule { bangs: anomaly.bangs && bangs, ..anomaly },
            header: header.clone(),
        })
    }

    /// How results are judged.
    pub(super) fn rule(&self, mode: Mode) -> Rule {
        match mode {
            Mode::Test => self.test,
            Mode::Anomaly => self.anomaly,
        }
    }

    /// Does the check. It is not waited for longer than it may take, even if it hangs.
    pub(super) fn check(&self, surroundings: &Surroundings) -> Option<Found> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (native, given) = (self.clone(), surroundings.clone());
        std::thread::spawn(move || {
            // Nobody may be listening any more.
            let _ = sender.send((native.check)(&Options::new(&native.header), &given));
        });
        receiver.recv_timeout(surroundings.limit).ok()
    }
}

/// The module's rule with the numbers that the configuration may give.
fn counted(options: &Options<'_>, module: &Module) -> Option<Rule> {
    let Rule { count, amount, bangs } = module.anomaly;
    let given = |names: [&str; 2], default: usize| -> Option<usize> {
        let name = names.into_iter().find(|name| options.text(name).is_some());
        name.map_or(Some(default), |name| options.number(name, default).ok())
    };
    let count = given(["result-count", "result_count"], count)?;
    let amount = given(["failure-amount", "failure_amount"], amount)?;
    // What cannot be right is for the plugin's own code to refuse.
    (amount > 0 && count >= amount).then_some(Rule { count, amount, bangs })
}

/// A path of the configuration; relative ones are the partition's.
fn path_in(directory: &Path, path: &str) -> std::path::PathBuf {
    directory.join(path)
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// The header of a promise.
    pub(crate) fn header(module: &str, config: &[(&str, &str)]) -> Header {
        let pairs = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).into()));
        Header { module: format!("slapos.promise.plugin.{module}"), config: pairs.collect() }
    }

    /// What the check of that name finds.
    pub(crate) fn found(module: &str, config: &[(&str, &str)]) -> Found {
        found_in(Path::new("/"), module, config)
    }

    /// The same in a partition.
    pub(crate) fn found_in(directory: &Path, module: &str, config: &[(&str, &str)]) -> Found {
        let native = Native::find(&header(module, config)).unwrap();
        let limit = Duration::from_secs(20);
        let cancellation = Cancellation::new();
        let given = Surroundings { directory: directory.to_owned(), limit, cancellation };
        native.check(&given).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::header;
    use super::*;

    #[test]
    fn what_is_not_known_is_left_to_python() {
        let knows = |module, config: &[_]| Native::find(&header(module, config)).is_some();
        assert!(knows("check_url_available", &[("url", "u"), ("frequency", "5")]));
        assert!(!knows("check_moon", &[]));
        assert!(!knows("check_url_available", &[("url", "u"), ("phase", "full")]));
        assert!(!knows("check_url_available", &[("url", "u"), ("frequency", "often")]));
        assert!(!knows("check_file_state", &[("result-count", "1"), ("failure-amount", "2")]));
    }

    #[test]
    fn the_configuration_says_how_it_is_judged() {
        let find = |module, config: &[_]| Native::find(&header(module, config)).unwrap();
        let socket =
            find("check_socket_listening", &[("result-count", "5"), ("failure-amount", "2")]);
        assert_eq!(socket.rule(Mode::Anomaly), Rule::anomaly(5, 2));
        assert_eq!(socket.rule(Mode::Test), Rule::test(1, 1));
        let file =
            find("check_file_state", &[("perdiodic-only", "True"), ("report-anomaly", "no")]);
        assert!(!file.tested && !file.anomaly_detected);
        let quiet = find("check_url_available", &[("bang-on-failure", "false")]);
        assert_eq!(quiet.rule(Mode::Anomaly), Rule::test(3, 3));
        assert!(!find("check_server_cpu_load", &[]).rule(Mode::Anomaly).bangs);
    }
}
