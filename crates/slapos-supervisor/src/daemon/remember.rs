//! When the ledger is written.

use super::core::Supervisor;
use super::ledger::{GroupRecord, Ledger};
use super::process::Process;
use crate::state::Moment;

/// How long changes may wait to be written together. Spawns do not wait.
const LEDGER_DELAY: Moment = Moment::from_millis(30);
/// They wait so many times as long as writing takes, so that a large ledger is not all that is
/// done; but never longer than the limit.
const LEDGER_SHARE: u32 = 10;
const LEDGER_LIMIT: Moment = Moment::from_secs(1);

impl Supervisor {
    /// Something is to be written, soon.
    pub(crate) fn ledger_is_old(&mut self) {
        let share = (self.ledger_cost * LEDGER_SHARE).min(LEDGER_LIMIT);
        let due = self.now() + LEDGER_DELAY.max(share);
        self.ledger_due.get_or_insert(due);
    }

    /// A ledger that cannot be written (full disk) stops nothing: tags in the environment of the
    /// processes would tell a successor almost as much.
    pub(crate) fn write_ledger(&mut self) {
        let begun = self.now();
        self.ledger_due = None;
        let groups = self.groups.iter().map(|(name, active)| GroupRecord {
            name: name.clone(),
            priority: active.priority,
            limits: active.limits.clone(),
            processes: {
                let members = self.processes.values().filter(|p| p.group == *name);
                members.map(Process::record).collect()
            },
        });
        let old = self.ledger_good.then(|| self.paths.old_state());
        match Ledger::new(groups.collect()).write(&self.paths.state(), old.as_deref()) {
            Ok(()) => (self.ledger_failed, self.ledger_good) = (false, true),
            Err(error) if !self.ledger_failed => {
                self.ledger_failed = true;
                let path = self.paths.state();
                self.journal.warn(&format!("cannot write {}: {error}", path.display()));
            }
            Err(_) => {}
        }
        self.ledger_cost = self.now().saturating_sub(begun);
    }

    /// Whether what is at the ledger's path is what was last to be written.
    pub(crate) fn ledger_is_written(&self) -> bool {
        !self.ledger_failed
    }
}
