//! Who may listen to events beside those who do: nobody takes the places of all others.
//!
//! Everybody may listen twice while there is room: a node does once, and a second time when it comes
//! back before its end is noticed. Beyond that nobody but the operator has more than half of what others
//! leave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::access::Caller;
use crate::seldom::Seldom;

/// So often everybody may listen.
const OWN: usize = 2;

/// The places of listeners.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    taken: Mutex<Taken>,
}

/// How many of them are taken, by whom.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    callers: HashMap<String, usize>,
    told: Seldom,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    who: String,
}

impl Seats {
    pub(super) fn new(most: usize) -> Seats {
        Seats { most, taken: Mutex::default() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing that can panic is done under the lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many listen.
    pub(super) fn count(&self) -> usize {
        self.taken().all
    }

    /// A place for that caller; or why there is none for him.
    pub(super) fn take(self: &Arc<Seats>, caller: &Caller) -> Result<Seat, String> {
        let who = caller.to_string();
        let mut taken = self.taken();
        let own = taken.callers.get(&who).copied().unwrap_or(0);
        let left = self.most.saturating_sub(taken.all - own);
        if taken.all >= self.most {
            let most = self.most;
            return Err(format!("{most} listen already: ask for what is wanted instead"));
        }
        if *caller != Caller::Operator && own >= OWN.max(left / 2) {
            if taken.told.is_due(Instant::now()) {
                tracing::warn!("{who} listens {own} times, and is refused more: others have to");
            }
            return Err(format!(
                "{who} listens {own} times already, and others have to be able to: ask for what is \
                 wanted instead"
            ));
        }
        taken.all += 1;
        taken.callers.insert(who.clone(), own + 1);
        Ok(Seat { seats: Arc::clone(self), who })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.callers.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                taken.callers.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many places as that caller gets.
    fn all(seats: &Arc<Seats>, caller: &Caller) -> Vec<Seat> {
        std::iter::from_fn(|| seats.take(caller).ok()).collect()
    }

    #[test]
    fn nobody_but_the_operator_has_more_than_half_of_what_others_leave() {
        let seats = Arc::new(Seats::new(20));
        let user = |name: &str| Caller::User(name.to_owned());
        let ann = all(&seats, &user("ann"));
        let bob = all(&seats, &user("bob"));
        let node = all(&seats, &Caller::Computer("c".into()));
        assert_eq!((ann.len(), bob.len(), node.len()), (10, 5, 2));
        insta::assert_snapshot!(seats.take(&user("ann")).unwrap_err(), @"user ann listens 10 times already, and others have to be able to: ask for what is wanted instead");
        let operator = all(&seats, &Caller::Operator);
        assert_eq!((operator.len(), seats.count()), (3, 20));
        insta::assert_snapshot!(seats.take(&user("carl")).unwrap_err(), @"20 listen already: ask for what is wanted instead");
        drop((ann, bob, operator));
        assert_eq!(all(&seats, &user("carl")).len(), 9);
        drop(node);
        assert!(seats.taken().callers.is_empty());
    }

    #[test]
    fn of_few_places_everybody_has_one_while_there_is_one() {
        let seats = Arc::new(Seats::new(3));
        let ann = all(&seats, &Caller::User("ann".to_owned()));
        let node = seats.take(&Caller::Computer("c".into()));
        assert!(ann.len() == 2 && node.is_ok());
    }
}
