//! Who is connected at a port, and who gives way when there is no more room: nobody takes the place of
//! all others, whether he is known or not.
//!
//! All strangers count as one caller, and the others by who they proved to be. Who has the most gives one
//! connection up: of strangers the oldest, who had the most time to say who they are; of one who is known
//! that which is idle longest. Who has no more than a few gives up none: a fleet of nodes that has all
//! places goes on as it is, rather than that each ends the other's connection.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::seldom::Seldom;

/// So many connections nobody gives up who is known.
const FEW: usize = 4;

/// What is seen of a connection from outside.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// Whether one of its requests proved who asks.
    pub(crate) known: AtomicBool,
    /// When something was last read or written, in milliseconds since the port was opened.
    pub(crate) used: AtomicU64,
}

/// A connection.
#[derive(Debug)]
struct Place {
    signs: Arc<Signs>,
    /// Has it end.
    leave: oneshot::Sender<()>,
}

/// Those who are connected.
#[derive(Debug)]
pub(crate) struct Guests {
    /// No more than so many of one who is known are spared.
    few: usize,
    arrivals: u64,
    /// In the order of their arrival.
    strangers: BTreeMap<u64, Place>,
    callers: HashMap<Arc<str>, HashMap<u64, Place>>,
    /// Whose the connections are of those who are known.
    names: HashMap<u64, Arc<str>>,
    told: Seldom,
}

impl Guests {
    /// Nobody yet, at a port for so many.
    pub(crate) fn new(most: usize) -> Guests {
        Guests {
            few: FEW.min(most / 2).max(1),
            arrivals: 0,
            strangers: BTreeMap::new(),
            callers: HashMap::new(),
            names: HashMap::new(),
            told: Seldom::default(),
        }
    }

    /// Somebody comes: his number, and what hears when he has to leave.
    pub(crate) fn arrive(&mut self, signs: Arc<Signs>) -> (u64, oneshot::Receiver<()>) {
        let (leave, told) = oneshot::channel();
        self.arrivals += 1;
        self.strangers.insert(self.arrivals, Place { signs, leave });
        (self.arrivals, told)
    }

    /// It is known who that is. (Behind a proxy it may be another each time.)
    pub(crate) fn welcome(&mut self, number: u64, who: &str) {
        if self.names.get(&number).is_some_and(|name| **name == *who) {
            return;
        }
        let Some(place) = self.remove(number) else { return };
        place.signs.known.store(true, Ordering::Relaxed);
        let who: Arc<str> = who.into();
        self.names.insert(number, Arc::clone(&who));
        self.callers.entry(who).or_default().insert(number, place);
    }

    /// It is gone.
    pub(crate) fn leave(&mut self, number: u64) {
        self.remove(number);
    }

    fn remove(&mut self, number: u64) -> Option<Place> {
        let Some(who) = self.names.remove(&number) else { return self.strangers.remove(&number) };
        let own = self.callers.get_mut(&who)?;
        let place = own.remove(&number);
        if own.is_empty() {
            self.callers.remove(&who);
        }
        place
    }

    /// Has one leave for who comes, if there is one to be had.
    pub(crate) fn make_way(&mut self) {
        let place = match self.greediest() {
            Some((number, who, count)) => {
                if self.told.is_due(Instant::now()) {
                    tracing::warn!(
                        "no connection is left at a port, and {who} has {count}: those that are idle \
                         longest are ended for who comes"
                    );
                }
                self.remove(number)
            }
            None => self.strangers.pop_first().map(|(_, place)| place),
        };
        if let Some(place) = place {
            let _ = place.leave.send(());
        }
    }

    /// The connection that is idle longest of who has the most, who it is, and how many he has; none if
    /// strangers have as many, or nobody has more than a few.
    fn greediest(&self) -> Option<(u64, Arc<str>, usize)> {
        // Then nobody can have more, and a flood of strangers costs no search for each.
        if self.strangers.len() > self.names.len() {
            return None;
        }
        let (who, own) = self.callers.iter().max_by_key(|(_, own)| own.len())?;
        if own.len() <= self.few.max(self.strangers.len()) {
            return None;
        }
        let used = |place: &Place| place.signs.used.load(Ordering::Relaxed);
        let (number, _) = own.iter().min_by_key(|(number, place)| (used(place), **number))?;
        Some((*number, Arc::clone(who), own.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guests of these names, no name being a stranger, that were used one after the other.
    fn guests(most: usize, names: &[&str]) -> (Guests, Vec<oneshot::Receiver<()>>) {
        let mut guests = Guests::new(most);
        let mut told = Vec::new();
        for (at, name) in (0..).zip(names) {
            let signs = Arc::new(Signs::default());
            signs.used.store(at, Ordering::Relaxed);
            let (number, leave) = guests.arrive(signs);
            told.push(leave);
            if !name.is_empty() {
                guests.welcome(number, name);
            }
        }
        (guests, told)
    }

    /// The places of those who are told to leave for as many as come.
    fn leaving(most: usize, names: &[&str], come: usize) -> Vec<usize> {
        let (mut guests, mut told) = guests(most, names);
        let mut left = Vec::new();
        for _ in 0..come {
            guests.make_way();
            let gone = (0..told.len()).filter(|at| told[*at].try_recv().is_ok());
            left.extend(gone.collect::<Vec<_>>());
        }
        left
    }

    #[test]
    fn who_has_the_most_gives_way_with_what_is_idle_longest() {
        let greedy = ["node", "", "ann", "ann", "ann", "ann", "ann", "ann", "node", "ann"];
        assert_eq!(leaving(10, &greedy, 3), [2, 3, 4]);
        // Then he has no more than others may.
        assert_eq!(leaving(10, &greedy, 5), [2, 3, 4, 1]);
        // Of few places one may have half.
        assert_eq!(leaving(4, &["ann", "ann", "ann", "node"], 3), [0]);
    }

    #[test]
    fn of_strangers_the_oldest_gives_way() {
        assert_eq!(leaving(6, &["", "ann", "ann", "", "", ""], 2), [0, 3]);
        assert_eq!(leaving(6, &["ann", "ann", "", "ann", "ann", "ann"], 3), [0, 1, 2]);
    }

    #[test]
    fn who_becomes_another_or_goes_is_not_counted_any_more() {
        let (mut guests, _told) = guests(6, &["ann", "ann", "ann", "ann", "ann", "ann"]);
        assert!(guests.greediest().is_some_and(|(_, _, count)| count == 6));
        guests.welcome(1, "bob");
        guests.leave(2);
        assert!(guests.greediest().is_some_and(|(number, _, count)| (number, count) == (3, 4)));
        (3..=6).for_each(|number| guests.leave(number));
        guests.leave(1);
        assert!(
            guests.names.is_empty() && guests.callers.is_empty() && guests.strangers.is_empty()
        );
    }
}
