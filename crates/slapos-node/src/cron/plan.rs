//! What installing, or removing, does with the files that are there: a pure function.
//!
//! Invariant: a file that is not ours, by its first line, is neither replaced nor removed unless
//! that is asked for.

use std::fmt;
use std::path::{Path, PathBuf};

use super::text::{AGENT_UNIT, BOOT_UNIT, MARK};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Absent,
    /// This text.
    Text(String),
}

impl Found {
    fn is_ours(&self) -> bool {
        matches!(self, Found::Text(text) if text.lines().next() == Some(MARK))
    }
}

/// A file that may be ours.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) path: PathBuf,
    pub(super) found: Found,
    /// What it is to hold; `None` if it is not to be there.
    pub(super) wanted: Option<String>,
}

/// One step of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write the file.
    Write {
        /// The file.
        path: PathBuf,
        /// What it holds then.
        text: String,
        /// Why.
        why: &'static str,
    },
    /// Remove the file.
    Remove {
        /// The file.
        path: PathBuf,
    },
    /// Run `systemctl` with these words.
    Systemctl(Vec<String>),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Write { path, why, .. } => write!(f, "write {}: {why}", path.display()),
            Step::Remove { path } => {
                write!(f, "remove {}: it is not part of what is wanted", path.display())
            }
            Step::Systemctl(words) => write!(f, "run systemctl {}", words.join(" ")),
        }
    }
}

/// A file of somebody else in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InTheWay(pub(super) PathBuf);

/// The steps from what was found to what is wanted; empty when nothing is to be done.
pub(super) fn plan(
    files: &[Observed],
    replace: bool,
    with_systemd: bool,
) -> Result<Vec<Step>, InTheWay> {
    let mut writes = Vec::new();
    let mut removes = Vec::new();
    for Observed { path, found, wanted } in files {
        match (found, wanted) {
            (Found::Text(text), Some(wanted)) if text == wanted => {}
            (Found::Text(_), Some(_)) if !found.is_ours() && !replace => {
                return Err(InTheWay(path.clone()));
            }
            (_, Some(wanted)) => {
                let why = match found {
                    Found::Absent => "it is not there",
                    _ if found.is_ours() => "it is different",
                    _ => "it is somebody else's (--force)",
                };
                writes.push(Step::Write { path: path.clone(), text: wanted.clone(), why });
            }
            (_, None) if found.is_ours() => removes.push(Step::Remove { path: path.clone() }),
            (_, None) => {}
        }
    }
    if !with_systemd {
        return Ok([removes, writes].concat());
    }
    Ok(with_systemctl(files, writes, removes))
}

/// What is to be switched off goes before its file, what is to be switched on after it. The latter
/// also where the files are as wanted: an earlier run may have got no further.
fn with_systemctl(files: &[Observed], writes: Vec<Step>, removes: Vec<Step>) -> Vec<Step> {
    let units = |wanted: bool| {
        let chosen = files.iter().filter(move |file| {
            is_switched(&file.path)
                && file.wanted.is_some() == wanted
                && (wanted || file.found.is_ours())
        });
        chosen.filter_map(|file| Some(file.path.file_name()?.to_str()?.to_owned()))
    };
    let systemctl = |words: &[&str], units: Vec<String>| {
        Step::Systemctl(words.iter().map(|word| (*word).to_owned()).chain(units).collect())
    };
    let off: Vec<String> = units(false).collect();
    // The machine has started already: what belongs to that waits for the next time.
    let (later, on): (Vec<String>, Vec<String>) = units(true).partition(|name| name == BOOT_UNIT);
    let mut steps = Vec::new();
    if !off.is_empty() {
        steps.push(systemctl(&["disable", "--now"], off));
    }
    let changes = !writes.is_empty() || !removes.is_empty();
    steps.extend(removes);
    steps.extend(writes);
    if changes {
        steps.push(systemctl(&["daemon-reload"], Vec::new()));
    }
    if !later.is_empty() {
        steps.push(systemctl(&["enable"], later));
    }
    // What runs already does not run as its file says now; what it has started goes on.
    if files.iter().any(is_other_agent) {
        steps.push(systemctl(&["try-restart"], vec![AGENT_UNIT.to_owned()]));
    }
    if !on.is_empty() {
        steps.push(systemctl(&["enable", "--now"], on));
    }
    steps
}

/// Whether this is the agent's unit, which is there with another text.
fn is_other_agent(Observed { path, found, wanted }: &Observed) -> bool {
    let text = match found {
        Found::Text(text) => Some(text),
        Found::Absent => None,
    };
    let differs = text.is_some() && wanted.is_some() && text != wanted.as_ref();
    differs && path.file_name().is_some_and(|name| name == AGENT_UNIT)
}

/// Whether a unit is switched on itself, and not by its timer.
fn is_switched(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let named = |unit: &str| path.file_name().is_some_and(|name| name == unit);
    extension == Some("timer") || named(AGENT_UNIT) || named(BOOT_UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, found: &str, wanted: &str) -> Observed {
        let ours = |text: &str| format!("{MARK}\n{text}");
        Observed {
            path: path.into(),
            found: match found {
                "" => Found::Absent,
                "foreign" => Found::Text("foreign".to_owned()),
                text => Found::Text(ours(text)),
            },
            wanted: (!wanted.is_empty()).then(|| ours(wanted)),
        }
    }

    fn shown(files: &[Observed], replace: bool, systemd: bool) -> String {
        let steps = plan(files, replace, systemd).unwrap();
        steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn installing_twice_does_nothing_the_second_time() {
        let cron = "/etc/cron.d/slapos";
        assert_eq!(
            shown(&[file(cron, "", "a")], false, false),
            "write /etc/cron.d/slapos: it is not there"
        );
        assert_eq!(shown(&[file(cron, "a", "a")], false, false), "");
        assert_eq!(
            shown(&[file(cron, "b", "a")], false, false),
            "write /etc/cron.d/slapos: it is different"
        );
    }

    #[test]
    fn what_others_wrote_stays() {
        let cron = "/etc/cron.d/slapos";
        let foreign = [file(cron, "foreign", "a")];
        assert_eq!(plan(&foreign, false, false).unwrap_err(), InTheWay(cron.into()));
        assert_eq!(
            shown(&foreign, true, false),
            "write /etc/cron.d/slapos: it is somebody else's (--force)"
        );
        assert_eq!(shown(&[file(cron, "foreign", "")], true, false), "", "never removed");
    }

    #[test]
    fn timers_are_switched_on_and_what_they_replace_off() {
        let files = [
            file("/etc/cron.d/slapos", "old", ""),
            file("/u/slapos-node-report.service", "", "a"),
            file("/u/slapos-node-report.timer", "", "a"),
            file("/u/slapos-agent.service", "old", ""),
            file("/u/slapos-node-boot.service", "", "a"),
        ];
        insta::assert_snapshot!(shown(&files, false, true), @r"
        run systemctl disable --now slapos-agent.service
        remove /etc/cron.d/slapos: it is not part of what is wanted
        remove /u/slapos-agent.service: it is not part of what is wanted
        write /u/slapos-node-report.service: it is not there
        write /u/slapos-node-report.timer: it is not there
        write /u/slapos-node-boot.service: it is not there
        run systemctl daemon-reload
        run systemctl enable slapos-node-boot.service
        run systemctl enable --now slapos-node-report.timer
        ");
        let there = [file("/u/slapos-node-report.timer", "a", "a")];
        assert_eq!(
            shown(&there, false, true),
            "run systemctl enable --now slapos-node-report.timer"
        );
        let other = [file("/u/slapos-agent.service", "b", "a")];
        assert_eq!(
            shown(&other, false, true),
            "write /u/slapos-agent.service: it is different\n\
             run systemctl daemon-reload\n\
             run systemctl try-restart slapos-agent.service\n\
             run systemctl enable --now slapos-agent.service"
        );
        let gone = [file("/u/slapos-node-boot.service", "a", "")];
        assert_eq!(
            shown(&gone, false, true),
            "run systemctl disable --now slapos-node-boot.service\n\
             remove /u/slapos-node-boot.service: it is not part of what is wanted\n\
             run systemctl daemon-reload"
        );
    }
}
