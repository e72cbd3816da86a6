//! What a run came to: a line for each partition that failed, and the exit code.

use std::collections::BTreeMap;

use slapos_slap::ComputerPartition;

use crate::error::{NodeError, exit};
use crate::node::Node;

/// Partitions by name, each with its error.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    failed: BTreeMap<String, String>,
    broken: BTreeMap<String, String>,
    /// The Master went away.
    away: Option<NodeError>,
    /// Why no further round was begun.
    halted: Option<NodeError>,
}

impl Outcome {
    /// What has come of `partition`, which may have come to something else before.
    pub(super) fn note(
        &mut self,
        node: &Node<'_>,
        partition: &ComputerPartition,
        result: Result<(), NodeError>,
    ) {
        let id = partition.id.to_string();
        self.failed.remove(&id);
        self.broken.remove(&id);
        let Err(error) = result else { return };
        node.reporter.failed(&id, &error);
        let line = format!("{id}[{}]: {error}", partition.software_type);
        match error.exit_code() {
            exit::PROMISE => drop(self.broken.insert(id, line)),
            exit::OFFLINE => self.away = Some(error),
            _ => drop(self.failed.insert(id, line)),
        }
    }

    /// Nothing more is begun, for this reason; what was done before counts.
    pub(super) fn halt(&mut self, error: NodeError) {
        self.halted = Some(error);
    }

    /// Whether nothing more is begun: the Master went away, or there is a reason to halt.
    pub(super) fn is_over(&self) -> bool {
        self.away.is_some() || self.halted.is_some()
    }

    /// As the command ends. Errors are worth more than a reason to halt, that than a Master that
    /// went away after it had been heard, and all of them than broken promises.
    pub(super) fn conclude(self) -> Result<(), NodeError> {
        let names = |map: &BTreeMap<_, _>| map.keys().cloned().collect::<Vec<String>>().join(", ");
        if !self.failed.is_empty() {
            let message = format!("failed: {}", names(&self.failed));
            return Err(NodeError::user(message).detail(self.summary()));
        }
        if let Some(halted) = self.halted {
            return Err(halted);
        }
        if let Some(away) = self.away {
            return Err(NodeError::user("the Master went away; services run as last known")
                .detail(away.to_string())
                .hint("they are processed when it answers again")
                .code(exit::OFFLINE));
        }
        if !self.broken.is_empty() {
            let message = format!("promises failed: {}", names(&self.broken));
            return Err(NodeError::user(message).detail(self.summary()).code(exit::PROMISE));
        }
        Ok(())
    }

    /// In the words of the original, which people look for in logs.
    fn summary(&self) -> String {
        let mut lines: Vec<_> = self.halted.iter().map(ToString::to_string).collect();
        for (title, list) in [
            ("Error while processing the following partitions:", &self.failed),
            ("Error with promises for the following partitions:", &self.broken),
        ] {
            if !list.is_empty() {
                lines.push(title.to_owned());
                let first = |line: &String| line.lines().next().unwrap_or_default().to_owned();
                lines.extend(list.values().map(|line| format!("  {}", first(line))));
            }
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concluded(failed: &[&str], broken: &[&str]) -> (String, u8) {
        let map = |ids: &[&str]| {
            let lines =
                ids.iter().map(|id| ((*id).to_owned(), format!("{id}[default]: it broke\nmore")));
            lines.collect()
        };
        let outcome = Outcome { failed: map(failed), broken: map(broken), ..Outcome::default() };
        let error = outcome.conclude().unwrap_err();
        (format!("{error}\n{}", error.detail_text().unwrap()), error.exit_code())
    }

    #[test]
    fn errors_are_worth_more_than_promises() {
        let (text, code) = concluded(&["a", "b"], &["c"]);
        assert_eq!(code, exit::FAILED);
        insta::assert_snapshot!(text, @r"
        failed: a, b
        Error while processing the following partitions:
          a[default]: it broke
          b[default]: it broke
        Error with promises for the following partitions:
          c[default]: it broke
        ");
        assert_eq!(concluded(&[], &["c"]).1, exit::PROMISE);
    }

    #[test]
    fn what_was_done_before_a_halt_counts() {
        let halted = |failed: &[&str]| {
            let failed = failed.iter().map(|id| ((*id).to_owned(), format!("{id}: it broke")));
            let mut outcome = Outcome { failed: failed.collect(), ..Outcome::default() };
            outcome.halt(NodeError::user("manager firewall: no"));
            outcome.conclude().unwrap_err()
        };
        assert_eq!(halted(&[]).to_string(), "manager firewall: no");
        let error = halted(&["a"]);
        assert_eq!(error.to_string(), "failed: a");
        assert!(error.detail_text().unwrap().starts_with("manager firewall: no\n"));
    }

    #[test]
    fn all_well_is_no_error() {
        assert!(Outcome::default().conclude().is_ok());
    }
}
