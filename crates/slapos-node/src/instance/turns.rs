//! Whose turn it is in a run: what is asked for is processed before promises are asked that are due only by
//! time, and beside those that are being asked already.
//!
//! Invariants: what is processed waits for no promise of another partition; nothing is processed while its own
//! promises are being asked, but as soon as they have been; promises wait for what is processed only at the beginning of a run, so that they
//! have their turn however much is asked for; those of a partition that is to be processed after all have none,
//! because processing asks them itself.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slapos_slap::PartitionId;

use super::rounds::Step;

/// See the module.
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
    /// Until when promises wait for what is processed.
    until: Instant,
}

struct State {
    /// Those whose promises are still to be asked.
    waiting: VecDeque<Step>,
    /// Those whose promises are being asked.
    asked: BTreeSet<PartitionId>,
    /// Those of them that are to be processed afterwards.
    wanted: BTreeSet<PartitionId>,
    /// Whether something is looked for or processed.
    processing: bool,
    /// Whether somebody said that something is asked for.
    hinted: bool,
    /// Whether no promises are asked any more.
    ended: bool,
}

/// The turn of a partition to have its promises asked; over when it is dropped.
pub(super) struct Turn<'a> {
    pub(super) step: Step,
    turns: &'a Turns,
}

impl Turns {
    /// For a run in which the promises of `waiting` are due, and wait at most `patience` for what is processed
    /// first.
    pub(super) fn new(waiting: Vec<Step>, patience: Duration) -> Self {
        let state = State {
            ended: waiting.is_empty(),
            waiting: waiting.into(),
            asked: BTreeSet::new(),
            wanted: BTreeSet::new(),
            processing: true,
            hinted: false,
        };
        let until = Instant::now() + patience;
        Self { state: Mutex::new(state), changed: Condvar::new(), until }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// The next partition whose promises are to be asked, once it may; `None` when there is none left.
    pub(super) fn next(&self) -> Option<Turn<'_>> {
        let mut state = self.lock();
        while (state.processing || state.hinted) && !state.waiting.is_empty() {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let step = state.waiting.pop_front()?;
        state.asked.insert(step.0.id.clone());
        Some(Turn { step, turns: self })
    }

    /// Whether no promises are asked any more.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// No promises are asked any more once what this gives is dropped, however that comes.
    pub(super) fn ends(&self) -> End<'_> {
        End(self)
    }

    /// Nobody's promises have a turn any more but those of `still`.
    pub(super) fn keep(&self, still: &BTreeSet<PartitionId>) {
        self.change(|state| state.waiting.retain(|(partition, _)| still.contains(&partition.id)));
    }

    /// Whether `partition` may be processed: if its promises are being asked, not now, and the end of that is a
    /// hint.
    pub(super) fn may_process(&self, partition: &PartitionId) -> bool {
        let mut state = self.lock();
        if state.asked.contains(partition) {
            state.wanted.insert(partition.clone());
            return false;
        }
        true
    }

    /// Somebody says that something is asked for; in vain, once no promises are asked any more: a run that
    /// only went on for such words would have no end.
    pub(super) fn hint(&self) {
        self.change(|state| state.hinted |= !state.ended);
    }

    /// What was hinted at is looked for now.
    pub(super) fn take_hint(&self) {
        self.change(|state| state.hinted = false);
    }

    /// Nothing is processed: waits for a hint, as long as promises are asked. Whether there was one.
    pub(super) fn await_hint(&self) -> bool {
        self.change(|state| state.processing = false);
        let mut state = self.lock();
        while !state.hinted && !state.ended {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.processing = state.hinted;
        state.hinted
    }
}

/// See [`Turns::ends`].
pub(super) struct End<'a>(&'a Turns);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.ended = true);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let id = &self.step.0.id;
        self.turns.change(|state| {
            state.asked.remove(id);
            state.hinted |= state.wanted.remove(id);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use slapos_slap::{ComputerId, ComputerPartition};

    use super::*;
    use crate::action::Action;

    const LONG: Duration = Duration::from_secs(3600);

    fn turns(names: &[&str], patience: Duration) -> Turns {
        let step = |name: &&str| {
            let id = PartitionId::new(*name);
            (ComputerPartition::free(ComputerId::new("c"), id), Action::Check)
        };
        Turns::new(names.iter().map(step).collect(), patience)
    }

    fn name(turn: Option<Turn<'_>>) -> Option<String> {
        turn.map(|turn| turn.step.0.id.to_string())
    }

    fn only(name: &str) -> BTreeSet<PartitionId> {
        [PartitionId::new(name)].into()
    }

    #[test]
    fn promises_wait_for_what_is_processed() {
        let turns = turns(&["p0", "p1"], LONG);
        thread::scope(|scope| {
            let asked = scope.spawn(|| [name(turns.next()), name(turns.next())]);
            // Whenever it comes, it waits: what has turned out to be processed is not asked.
            turns.keep(&only("p1"));
            let waits = scope.spawn(|| turns.await_hint());
            assert_eq!(asked.join().unwrap(), [Some("p1".to_owned()), None]);
            drop(turns.ends());
            assert!(!waits.join().unwrap());
        });
    }

    #[test]
    fn a_hint_comes_before_promises_whose_turn_it_would_be() {
        let turns = turns(&["p0"], LONG);
        turns.hint();
        assert!(turns.await_hint());
        thread::scope(|scope| {
            let asked = scope.spawn(|| name(turns.next()));
            turns.keep(&BTreeSet::new());
            assert_eq!(asked.join().unwrap(), None);
        });
        turns.take_hint();
        drop(turns.ends());
        assert!(!turns.await_hint());
    }

    #[test]
    fn promises_have_their_turn_however_much_is_asked_for() {
        let turns = turns(&["p0", "p1"], Duration::ZERO);
        turns.hint();
        assert_eq!(name(turns.next()), Some("p0".to_owned()));
        assert!(turns.await_hint());
        assert_eq!(name(turns.next()), Some("p1".to_owned()));
        assert_eq!(name(turns.next()), None);
    }

    #[test]
    fn nothing_is_processed_while_its_promises_are_asked() {
        let turns = turns(&["p0", "p1"], Duration::ZERO);
        let (p0, p1) = (PartitionId::new("p0"), PartitionId::new("p1"));
        let first = turns.next();
        assert!(!turns.may_process(&p0) && turns.may_process(&p1));
        let second = turns.next();
        drop(first);
        // Which it comes back for; for the other nobody asked.
        assert!(turns.await_hint() && turns.may_process(&p0));
        turns.take_hint();
        drop(second);
        drop(turns.ends());
        turns.hint();
        assert!(!turns.await_hint(), "the next run sees to it");
    }

    #[test]
    fn where_no_promises_are_due_nothing_is_waited_for() {
        let turns = turns(&[], LONG);
        assert_eq!(name(turns.next()), None);
        assert!(!turns.await_hint());
    }
}
