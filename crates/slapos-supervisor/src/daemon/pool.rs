//! The events that wait for one listener, and how far it is with the one it has.
//!
//! Pure: what is to be written to the listener comes back from [`Pool::next`]. An event is given
//! up only when the listener has said `OK`, or when too many wait; a listener that ends with an
//! event in hand gets it again. So no event is lost by a listener's crash, and some may come twice.

use std::collections::VecDeque;

use crate::events::{Listener, Notice, Said};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    waiting: VecDeque<Notice>,
    /// Counts what was sent.
    serial: u64,
    turn: Turn,
}

/// How far the listener is.
#[derive(Debug, Default)]
enum Turn {
    /// There is none, or it has not yet said that it is ready.
    #[default]
    Silent,
    Ready,
    Busy(Notice),
    /// It said something that makes no sense; it is told nothing until it is started again.
    Confused,
}

impl Pool {
    /// With events that a former daemon could not deliver.
    pub(crate) fn holding(waiting: Vec<Notice>) -> Self {
        Self { waiting: waiting.into(), ..Self::default() }
    }

    /// Adds an event. Returns one that was dropped for it.
    pub(crate) fn add(&mut self, notice: Notice, listener: &Listener) -> Option<Notice> {
        self.waiting.push_back(notice);
        let limit = usize::try_from(listener.buffer_size.max(1)).unwrap_or(usize::MAX);
        (self.waiting.len() > limit).then(|| self.waiting.pop_front()).flatten()
    }

    /// The text to write to the listener now, if it is ready and something waits.
    pub(crate) fn next(&mut self, name: &str) -> Option<String> {
        if !matches!(self.turn, Turn::Ready) {
            return None;
        }
        let notice = self.waiting.pop_front()?;
        let text = notice.render(name, self.serial);
        self.serial += 1;
        self.turn = Turn::Busy(notice);
        Some(text)
    }

    /// Takes note of what the listener said.
    ///
    /// # Errors
    /// When it says so at the wrong time.
    pub(crate) fn hear(&mut self, said: Said) -> Result<(), String> {
        match (std::mem::take(&mut self.turn), said) {
            (Turn::Silent, Said::Ready) => self.turn = Turn::Ready,
            (Turn::Busy(_), Said::Done(true)) => {}
            (Turn::Busy(notice), Said::Done(false)) => self.waiting.push_front(notice),
            (turn, said) => {
                self.turn = turn;
                self.confuse();
                return Err(format!("it says {said:?} at the wrong time"));
            }
        }
        Ok(())
    }

    /// The listener talks nonsense.
    pub(crate) fn confuse(&mut self) {
        self.hang_up();
        self.turn = Turn::Confused;
    }

    /// The listener is gone.
    pub(crate) fn hang_up(&mut self) {
        if let Turn::Busy(notice) = std::mem::take(&mut self.turn) {
            self.waiting.push_front(notice);
        }
    }

    /// True once the listener talked nonsense.
    pub(crate) fn is_confused(&self) -> bool {
        matches!(self.turn, Turn::Confused)
    }

    /// What the listener has not acknowledged, the oldest first.
    pub(crate) fn undelivered(&self) -> Vec<Notice> {
        let in_hand = match &self.turn {
            Turn::Busy(notice) => Some(notice),
            _ => None,
        };
        in_hand.into_iter().chain(&self.waiting).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(serial: u64) -> Notice {
        Notice { serial, name: "TICK_5".into(), payload: "when:1".into() }
    }

    fn serials(pool: &Pool) -> Vec<u64> {
        pool.undelivered().iter().map(|notice| notice.serial).collect()
    }

    fn listener() -> Listener {
        Listener { buffer_size: 2, ..Listener::new("TICK").unwrap() }
    }

    #[test]
    fn one_at_a_time_and_the_oldest_is_dropped() {
        let mut pool = Pool::default();
        assert_eq!(pool.add(notice(1), &listener()), None);
        assert_eq!(pool.next("l"), None, "it is not ready");
        pool.hear(Said::Ready).unwrap();
        assert!(pool.next("l").unwrap().contains(" serial:1 pool:l poolserial:0 "));
        for serial in 2..4 {
            assert_eq!(pool.add(notice(serial), &listener()), None);
        }
        assert_eq!(pool.next("l"), None, "it is busy");
        assert_eq!(pool.add(notice(4), &listener()), Some(notice(2)));
        pool.hear(Said::Done(true)).unwrap();
        assert_eq!(serials(&pool), [3, 4]);
    }

    #[test]
    fn what_was_refused_or_in_the_hands_of_the_dead_comes_again() {
        let mut pool = Pool::holding(vec![notice(1), notice(2)]);
        pool.hear(Said::Ready).unwrap();
        pool.next("l").unwrap();
        pool.hear(Said::Done(false)).unwrap();
        assert_eq!(serials(&pool), [1, 2]);
        pool.hear(Said::Ready).unwrap();
        pool.next("l").unwrap();
        assert_eq!(serials(&pool), [1, 2]);
        pool.hang_up();
        assert_eq!(serials(&pool), [1, 2]);
        pool.hear(Said::Ready).unwrap();
        assert!(pool.next("l").unwrap().contains(" serial:1 "));
    }

    #[test]
    fn an_answer_without_a_question_confuses() {
        let mut pool = Pool::holding(vec![notice(1)]);
        assert!(pool.hear(Said::Done(true)).is_err());
        assert!(pool.is_confused() && pool.next("l").is_none());
        assert!(pool.hear(Said::Ready).is_err(), "it stays so until it is started again");
        pool.hang_up();
        pool.hear(Said::Ready).unwrap();
        assert!(pool.next("l").is_some());
    }
}
