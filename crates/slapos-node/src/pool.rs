//! Several pieces of work at once, of which those that take long do not count: a partition that
//! hangs must not hold up the others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Pieces of work that began less than `patience` ago.
    pub(crate) at_once: usize,
    /// How long a piece of work counts.
    pub(crate) patience: Duration,
    /// Pieces of work in all, however long they take.
    pub(crate) most: usize,
}

/// Calls `work` for each of `items`, in threads; begins no more once `stop` says so. An item is taken once
/// there is room for it.
pub(crate) fn for_each<T: Send>(
    items: impl IntoIterator<Item = T>,
    bound: Bound,
    stop: impl Fn() -> bool,
    work: impl Fn(T) + Sync,
) {
    let running = Running::default();
    std::thread::scope(|scope| {
        let mut items = items.into_iter();
        for number in 0.. {
            running.wait_for_room(bound);
            if stop() {
                return;
            }
            let Some(item) = items.next() else { return };
            running.lock().insert(number, Instant::now());
            let (running, work) = (&running, &work);
            scope.spawn(move || {
                work(item);
                running.lock().remove(&number);
                running.ended.notify_all();
            });
        }
    });
}

/// What `work` makes of each of `items`, in their order, `at_once` at a time.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    at_once: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    if let [one] = items {
        // No thread is needed for it.
        return vec![work(one)];
    }
    let made = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let take = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        items.get(number).map(|item| (number, item))
    };
    std::thread::scope(|scope| {
        for _ in 0..items.len().min(at_once.max(1)) {
            scope.spawn(|| {
                while let Some((number, item)) = take() {
                    let result = work(item);
                    made.lock().unwrap_or_else(PoisonError::into_inner).insert(number, result);
                }
            });
        }
    });
    made.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// Since when which items are worked on.
#[derive(Default)]
struct Running {
    since: Mutex<BTreeMap<usize, Instant>>,
    ended: Condvar,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_room(&self, bound: Bound) {
        let mut since = self.lock();
        while let Some(wait) = wait(&since, bound, Instant::now()) {
            let woken = self.ended.wait_timeout(since, wait);
            since = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// How long to wait until there may be room, unless something ends before; `None`: there is room.
fn wait(since: &BTreeMap<usize, Instant>, bound: Bound, now: Instant) -> Option<Duration> {
    if since.len() >= bound.most.max(1) {
        return Some(bound.patience);
    }
    let ages = since.values().map(|since| now.saturating_duration_since(*since));
    let young: Vec<_> = ages.filter(|age| *age < bound.patience).collect();
    if young.len() < bound.at_once.max(1) {
        return None;
    }
    young.iter().max().map(|oldest| bound.patience.saturating_sub(*oldest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    const SECOND: Duration = Duration::from_secs(1);

    fn bound(at_once: usize, patience: Duration) -> Bound {
        Bound { at_once, patience, most: 64 }
    }

    #[test]
    fn what_is_made_at_once_comes_in_order() {
        let both = Barrier::new(2);
        let made = map(&[3, 1, 2, 0], 2, |item| {
            both.wait();
            item * 10
        });
        assert_eq!(made, [30, 10, 20, 0]);
        assert_eq!(map(&[1], 0, |item| *item), [1]);
    }

    #[test]
    fn what_takes_long_does_not_count() {
        let now = Instant::now();
        let began = |ages: &[u32]| {
            let began = ages.iter().map(|age| now - SECOND * *age);
            began.enumerate().collect::<BTreeMap<_, _>>()
        };
        let wait = |ages: &[u32]| wait(&began(ages), bound(2, SECOND * 10), now);
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[0]), None);
        assert_eq!(wait(&[3, 1]), Some(SECOND * 7));
        assert_eq!(wait(&[30, 1, 20]), None);
        let most = Bound { most: 3, ..bound(2, SECOND * 10) };
        assert_eq!(super::wait(&began(&[30, 30, 20]), most, now), Some(SECOND * 10));
    }

    #[test]
    fn one_that_hangs_lets_all_others_pass() {
        // The first ends when the last has come.
        let (meeting, done) = (Barrier::new(2), AtomicUsize::new(0));
        for_each(
            [0, 1, 2, 3],
            bound(1, Duration::from_millis(1)),
            || false,
            |number| {
                if number % 3 == 0 {
                    meeting.wait();
                }
                done.fetch_add(1, Ordering::SeqCst);
            },
        );
        assert_eq!(done.into_inner(), 4);
    }

    #[test]
    fn nothing_begins_after_a_stop() {
        let done = AtomicUsize::new(0);
        for_each(
            [0; 5],
            bound(1, SECOND * 60),
            || done.load(Ordering::SeqCst) == 2,
            |_| {
                done.fetch_add(1, Ordering::SeqCst);
            },
        );
        assert_eq!(done.into_inner(), 2);
    }
}
