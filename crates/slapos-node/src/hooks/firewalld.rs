//! firewalld's permanent direct rules: what there is, what is to change, and one reload for all.
//!
//! They are read once for a command, all of them; what is to change is decided by pure functions
//! from that. That a reload is due is on disk before the first change, so that a killed run's
//! changes are brought into force by the next.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slapos_sys::fs;

use crate::command::{self, Said};
use crate::config::{FirewallConfig, NodeConfig};
use crate::error::{IoContext, NodeError};

/// One direct rule of the table `filter` for IPv4.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    /// `INPUT`, `FORWARD`, `OUTPUT` or a chain of ours.
    pub(super) chain: String,
    /// Lower comes first.
    pub(super) priority: u32,
    /// What iptables is told.
    pub(super) args: String,
}

impl Rule {
    /// A rule.
    pub(super) fn new(chain: &str, priority: u32, args: impl Into<String>) -> Self {
        Self { chain: chain.to_owned(), priority, args: args.into() }
    }

    /// The rule of a line as firewalld lists it; `None` for rules of other tables and protocols.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("ipv4 filter ")?.splitn(3, ' ');
        let (chain, priority, args) = (words.next()?, words.next()?, words.next()?);
        Some(Self::new(chain, priority.parse().ok()?, args))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ipv4 filter {} {} {}", self.chain, self.priority, self.args)
    }
}

/// One thing to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    AddChain(String),
    AddRule(Rule),
    RemoveRule(Rule),
    RemoveChain(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddChain(chain) => write!(f, "--add-chain ipv4 filter {chain}"),
            Self::AddRule(rule) => write!(f, "--add-rule {rule}"),
            Self::RemoveRule(rule) => write!(f, "--remove-rule {rule}"),
            Self::RemoveChain(chain) => write!(f, "--remove-chain ipv4 filter {chain}"),
        }
    }
}

/// What firewalld has.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) rules: BTreeSet<Rule>,
    pub(super) chains: BTreeSet<String>,
}

impl State {
    fn take(&mut self, change: &Change) {
        match change {
            Change::AddChain(chain) => self.chains.insert(chain.clone()),
            Change::AddRule(rule) => self.rules.insert(rule.clone()),
            Change::RemoveRule(rule) => self.rules.remove(rule),
            Change::RemoveChain(chain) => self.chains.remove(chain),
        };
    }
}

/// The firewalld of this machine, as hooks share it.
#[derive(Clone)]
pub(super) struct Firewalld(Arc<Inner>);

struct Inner {
    command: Vec<String>,
    /// There while a reload is due.
    due: PathBuf,
    state: Mutex<Option<State>>,
}

impl Firewalld {
    pub(super) fn new(node: &NodeConfig, config: &FirewallConfig) -> Self {
        let due = node.instance_root.join("var/slapgrid/firewall/reload-is-due");
        Self(Arc::new(Inner { command: config.firewall_cmd.clone(), due, state: Mutex::new(None) }))
    }

    /// Makes the changes that `decide` wants, seeing what there is. Others wait meanwhile. Returns
    /// whether there were any.
    pub(super) fn change(
        &self,
        decide: impl FnOnce(&State) -> Vec<Change>,
    ) -> Result<bool, NodeError> {
        let mut held = self.lock();
        let state = match held.take() {
            Some(state) => state,
            None => self.read()?,
        };
        let state = held.insert(state);
        let changes = decide(state);
        if changes.is_empty() {
            return Ok(false);
        }
        self.note_due()?;
        for change in &changes {
            self.direct(&change.to_string())?;
            state.take(change);
        }
        Ok(true)
    }

    /// Brings changed rules into force by `reload`, if any were changed since that was last done.
    pub(super) fn reload_if_due(
        &self,
        reload: impl FnOnce() -> Result<(), NodeError>,
    ) -> Result<bool, NodeError> {
        // Nobody changes anything in between.
        let _held = self.lock();
        if !self.0.due.exists() {
            return Ok(false);
        }
        reload()?;
        fs::remove_tree(&self.0.due).context("remove", &self.0.due)?;
        Ok(true)
    }

    /// `firewall-cmd --reload`.
    pub(super) fn reload(&self) -> Result<(), NodeError> {
        self.run(&["--reload"]).map(drop)
    }

    fn read(&self) -> Result<State, NodeError> {
        let rules = self.direct("--get-all-rules")?;
        let chains = self.direct("--get-all-chains")?;
        let chain = |line: &str| line.strip_prefix("ipv4 filter ").map(str::to_owned);
        Ok(State {
            rules: rules.lines().filter_map(Rule::parse).collect(),
            chains: chains.lines().filter_map(chain).collect(),
        })
    }

    fn direct(&self, words: &str) -> Result<String, NodeError> {
        let words: Vec<_> =
            ["--permanent", "--direct"].into_iter().chain(words.split(' ')).collect();
        self.run(&words)
    }

    fn run(&self, arguments: &[&str]) -> Result<String, NodeError> {
        let mut words = self.0.command.clone();
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        let hint = "is firewalld running? `firewall_cmd` in [firewall] names its client";
        match command::run(&words).map_err(|error| error.hint(hint))? {
            Said { success: true, output } => Ok(output),
            Said { output, .. } => {
                let text = format!("`{}` failed: {output}", words.join(" "));
                Err(NodeError::user(text).hint(hint))
            }
        }
    }

    fn note_due(&self) -> Result<(), NodeError> {
        let due = &self.0.due;
        if let Some(parent) = due.parent() {
            fs::create_dir_all(parent, 0o700).context("create", parent)?;
        }
        fs::write_once(due, b"", 0o600).map(drop).context("write", due)
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_and_those_of_others_are_left_out() {
        let rule = Rule::new("INPUT", 900, "-d 10.0.0.1 -m state --state NEW -j REJECT");
        assert_eq!(Rule::parse(&rule.to_string()), Some(rule));
        for line in
            ["ipv6 filter INPUT 0 -j DROP", "ipv4 nat X 0 -j Y", "ipv4 filter INPUT x -j Y", ""]
        {
            assert_eq!(Rule::parse(line), None, "{line}");
        }
    }
}
