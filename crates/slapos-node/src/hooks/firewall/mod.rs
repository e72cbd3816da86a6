//! The firewall: only the instances of one tree, and sources that are named, reach the routed IPv4
//! addresses of an instance (`[firewall]` in `slapos.cfg`).
//!
//! New rules are in force before services start, and stay until those have stopped: rules of all
//! partitions that are due, or of which something else is asked, are brought into firewalld before the first is
//! processed, with one reload; those of an instance that is removed go when its files are gone. Which rules are an
//! instance's is recorded where partitions cannot write: the former and the new ones before any is
//! changed, the new ones after.

mod programs;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use slapos_slap::{PartitionId, SlapError};

use self::rules::{Access, about, access, changes, others, routed, rules};
use super::firewalld::{Firewalld, Rule, State};
use super::scene::{Member, Occasion, Scene};
use super::{Hook, Removal};
use crate::command;
use crate::config::FirewallConfig;
use crate::error::NodeError;
use crate::shelf::{Kept, Shelf};

pub(super) use programs::forget_programs;

/// Rules, one a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
struct Lines(BTreeSet<Rule>);

impl TryFrom<Vec<String>> for Lines {
    type Error = String;

    fn try_from(lines: Vec<String>) -> Result<Self, String> {
        let parse = |line: &String| Rule::parse(line).ok_or_else(|| format!("`{line}` is no rule"));
        lines.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Lines> for Vec<String> {
    fn from(lines: Lines) -> Self {
        lines.0.iter().map(Rule::to_string).collect()
    }
}

/// What is recorded of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Form")]
struct Recorded {
    /// Its rules.
    rules: Lines,
    /// Those that follow from what is asked, whoever is in its tree; none while they are changed.
    asked: Option<Lines>,
}

/// How it is written, and was by versions that kept the rules alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Now { rules: Lines, asked: Option<Lines> },
    Former(Lines),
}

impl From<Form> for Recorded {
    fn from(form: Form) -> Self {
        match form {
            Form::Now { rules, asked } => Self { rules, asked },
            Form::Former(rules) => Self { rules, asked: None },
        }
    }
}

impl Kept for Recorded {
    const NAME: &'static str = "record of its firewall rules";
    const LONGEST: u64 = 8 << 20;
}

/// See the module.
pub(super) struct Firewall {
    config: FirewallConfig,
    firewalld: Firewalld,
    /// Why the rules of a partition could not be made.
    failed: Mutex<BTreeMap<PartitionId, String>>,
}

impl Firewall {
    pub(super) fn new(config: FirewallConfig, firewalld: Firewalld) -> Self {
        Self { config, firewalld, failed: Mutex::default() }
    }

    /// Makes the rules of one partition.
    fn protect(&self, scene: &Scene<'_, '_>, member: &Member<'_>) -> Result<(), NodeError> {
        let own = routed(member.partition);
        let id = &member.partition.id;
        let recorded = Self::recorded(scene, id)?;
        if own.is_empty() && recorded.is_none() {
            return Ok(());
        }
        let tree = if own.is_empty() { Vec::new() } else { tree_of(scene, member)? };
        let access = self.access(member, |word| {
            scene
                .warn(member, &format!("`{word}` is no IPv4 address or network; no firewall rule"));
        });
        let wanted = rules(&own, &others(&tree, &own), &access);
        let recorded = recorded.map(|recorded| recorded.rules.0);
        if let Some(recorded) = &recorded {
            // Both, until the former ones are gone.
            let both = recorded.union(&wanted).cloned().collect();
            Self::record(scene, id, both, None)?;
        }
        let decide = |state: &State| changes(state, &wanted, recorded.as_ref(), &own);
        if self.firewalld.change(decide)? {
            scene.note(member, "firewall rules changed");
        }
        Self::record(scene, id, wanted, Some(rules(&own, &[], &access)))
    }

    fn access(&self, member: &Member<'_>, warn: impl FnMut(&str)) -> Access {
        access(&member.partition.filter, &self.config.authorized_sources, warn)
    }

    /// Whether something else is asked than its rules were made for. The Master gives an instance no
    /// other timestamp for that, and whoever is let through no more must not be until it is processed.
    fn is_asked_anew(&self, scene: &Scene<'_, '_>, member: &Member<'_>) -> Result<bool, NodeError> {
        let own = routed(member.partition);
        let recorded = Self::recorded(scene, &member.partition.id)?;
        if own.is_empty() && recorded.is_none() {
            return Ok(false);
        }
        let asked = rules(&own, &[], &self.access(member, |_| {}));
        Ok(recorded.and_then(|recorded| recorded.asked) != Some(Lines(asked)))
    }

    /// Makes its rules where it is processed, or something else is asked.
    fn protect_if_due(&self, scene: &Scene<'_, '_>, member: &Member<'_>) -> Result<(), NodeError> {
        let due = match member.occasion {
            Occasion::Process => true,
            Occasion::Current => self.is_asked_anew(scene, member)?,
            Occasion::Going => false,
        };
        if due { self.protect(scene, member) } else { Ok(()) }
    }

    /// Takes all rules of a partition away.
    fn drop_rules(&self, scene: &Scene<'_, '_>, partition: &PartitionId) -> Result<(), NodeError> {
        let Some(Recorded { rules: Lines(recorded), .. }) = Self::recorded(scene, partition)?
        else {
            return Ok(());
        };
        self.firewalld.change(|state| changes(state, &BTreeSet::new(), Some(&recorded), &[]))?;
        Self::shelf(scene).forget(partition.as_str())
    }

    fn reload(&self, scene: &Scene<'_, '_>) -> Result<(), NodeError> {
        let reloaded = self.firewalld.reload_if_due(|| {
            scene.node.reporter.note("firewall", "reloading");
            match &self.config.reload_config_cmd {
                Some(line) => shell(line),
                None if programs::are_ours(&self.config) => programs::restart_firewall(scene.node),
                None => self.firewalld.reload(),
            }
        });
        reloaded.map(drop)
    }

    fn shelf<'a>(scene: &Scene<'a, '_>) -> Shelf<'a, Recorded> {
        scene.shelf("firewall")
    }

    /// What is recorded of a partition, if anything is.
    fn recorded(
        scene: &Scene<'_, '_>,
        partition: &PartitionId,
    ) -> Result<Option<Recorded>, NodeError> {
        Self::shelf(scene).load(partition.as_str())
    }

    fn record(
        scene: &Scene<'_, '_>,
        partition: &PartitionId,
        rules: BTreeSet<Rule>,
        asked: Option<BTreeSet<Rule>>,
    ) -> Result<(), NodeError> {
        let recorded = Recorded { rules: Lines(rules), asked: asked.map(Lines) };
        Self::shelf(scene).store(partition.as_str(), &recorded)
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<PartitionId, String>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hook for Firewall {
    fn name(&self) -> &'static str {
        "firewall"
    }

    fn begin(&self, scene: &Scene<'_, '_>, members: &[Member<'_>]) -> Result<(), NodeError> {
        programs::define(scene.node, &self.config)?;
        for member in members {
            let id = &member.partition.id;
            match self.protect_if_due(scene, member) {
                // Also after a failure in an earlier round.
                Ok(()) => drop(self.failures().remove(id)),
                Err(error) => drop(self.failures().insert(id.clone(), error.to_string())),
            }
        }
        self.reload(scene)
    }

    /// An instance without its rules is not started.
    fn instance(&self, _: &Scene<'_, '_>, member: &Member<'_>) -> Result<(), NodeError> {
        match self.failures().get(&member.partition.id) {
            Some(why) => Err(NodeError::user(why.clone())),
            None => Ok(()),
        }
    }

    /// What the original made and nobody recorded goes too.
    fn report(
        &self,
        scene: &Scene<'_, '_>,
        member: &Member<'_>,
        _: &dyn Fn() -> Result<bool, NodeError>,
    ) -> Result<Removal, NodeError> {
        let own = routed(member.partition);
        if !own.is_empty() && Self::recorded(scene, &member.partition.id)?.is_none() {
            let mut found = BTreeSet::new();
            self.firewalld.change(|state| {
                found = about(state, &own);
                Vec::new()
            })?;
            Self::record(scene, &member.partition.id, found, None)?;
        }
        Ok(Removal::Now)
    }

    fn removed(&self, scene: &Scene<'_, '_>, partition: &PartitionId) -> Result<(), NodeError> {
        self.drop_rules(scene, partition)
    }

    fn end(&self, scene: &Scene<'_, '_>) -> Result<(), NodeError> {
        self.reload(scene)
    }
}

/// The addresses of the instance's tree.
fn tree_of(
    scene: &Scene<'_, '_>,
    member: &Member<'_>,
) -> Result<Vec<(String, std::net::IpAddr)>, NodeError> {
    let Some(master) = scene.master else {
        return Ok(Vec::new());
    };
    let partition = member.partition;
    match master.tree_addresses(&partition.computer, &partition.id) {
        Ok(tree) => Ok(tree),
        Err(error @ SlapError::NotFound { .. }) => Err(NodeError::from(error)
            .hint("the Master does not tell the addresses of instance trees, so a firewall cannot let them through; take [firewall] out of slapos.cfg")),
        Err(error) => Err(error.into()),
    }
}

fn shell(line: &str) -> Result<(), NodeError> {
    let said = command::run(&["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()])?;
    match said.success {
        true => Ok(()),
        false => Err(NodeError::user(format!("`{line}` failed: {}", said.output))
            .hint("`reload_config_cmd` in [firewall] brings changed rules into force")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_rules_alone_is_understood_and_tells_not_what_was_asked() {
        let line = "ipv4 filter INPUT 1000 -d 10.0.0.1 -j REJECT";
        let former: Recorded = serde_json::from_value(serde_json::json!([line])).unwrap();
        assert_eq!((former.rules.0.len(), &former.asked), (1, &None));
        let now = Recorded { asked: Some(former.rules.clone()), ..former };
        let text = serde_json::to_string(&now).unwrap();
        assert_eq!(serde_json::from_str::<Recorded>(&text).unwrap(), now);
        assert!(serde_json::from_str::<Recorded>(r#"["nonsense"]"#).is_err());
    }
}
