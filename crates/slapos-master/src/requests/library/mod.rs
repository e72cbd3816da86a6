//! The schemas of the network that this Master has read, so that requests do not wait for them.
//!
//! Masters of one database have each their own: what they judge by is at most some minutes older at
//! one than at another, as it would be if they had read it then. Invariants: a Software Release is read
//! by one at a time, however many ask ([`Shared::flight`]); who asks waits no longer than he says, and
//! not at all for what is kept, for what failed lately, and while the network is away; a reading goes on
//! when nobody waits for it any more, so that whoever asks next finds what came of it; what is not read
//! for want of a place is told apart from what cannot be read.

mod counts;
mod digest;
mod kept;
#[cfg(test)]
mod tests;
mod verdicts;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use self::kept::{Kept, Known};
use super::TOO_MUCH;
use super::bench::{Bench, Unanswered};
use super::job::Job;
use super::schema::Reading;

pub(super) use counts::Counts;
pub(super) use kept::{Bundle, WAIT};
pub(super) use verdicts::Verdicts;

/// How many Software Releases are read, or wait for that.
const MOST: usize = 32;

/// And how many of those of one project.
const OF_ONE: usize = 8;

/// Why who asks does not wait.
const AWAY: &str = "no host of the network could be reached lately; it is tried again";

/// Why who asks does not wait any longer.
const SLOW: &str = "it is still being read: ask again";

/// What is found: what can be judged by, or why it cannot be read.
type Found = Result<Known, Unanswered>;

/// What is told to those who wait for a reading.
#[derive(Debug, Clone)]
enum News {
    /// It waits for a place.
    Waits,
    Begun,
    Over(Found),
}

/// A reading.
#[derive(Debug)]
struct Flight {
    project: String,
    /// Closed when it is over, however it ended.
    news: watch::Receiver<News>,
}

/// Tells the time since the machine was started.
type Now = Arc<dyn Fn() -> Duration + Send + Sync>;

/// See the module.
pub(super) struct Library(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    readers: Bench,
    counts: Counts,
    now: Now,
}

#[derive(Debug, Default)]
struct State {
    kept: Kept,
    flights: HashMap<String, Flight>,
}

/// What there is for who asks now.
enum Look {
    Known(Known),
    Waits(watch::Receiver<News>),
    /// It would be read, if there were not so much to be read.
    Busy,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

impl Library {
    /// An empty one, whose readers are started with these words.
    pub(super) fn new(words: &'static [&'static str], counts: Counts) -> Library {
        Library::timed(words, counts, Arc::new(slapos_sys::clock::since_boot))
    }

    fn timed(words: &'static [&'static str], counts: Counts, now: Now) -> Library {
        let (state, readers) = (Mutex::default(), Bench::new(words));
        Library(Arc::new(Shared { state, readers, counts, now }))
    }

    /// Ends all readings, for good.
    pub(super) fn dismiss(&self) {
        self.0.readers.dismiss();
    }

    /// What the job can be done with, for which it may be waited for so long.
    ///
    /// # Errors
    /// When there is no place to read it, or the Master ends.
    pub(super) async fn of(&self, job: &Job, patience: Duration) -> Found {
        wait(self.0.look(job, false), patience).await
    }

    /// The same, after another reading.
    ///
    /// # Errors
    /// As [`Library::of`].
    pub(super) async fn anew(&self, job: &Job, patience: Duration) -> Found {
        wait(self.0.look(job, true), patience).await
    }

    /// What is kept, without waiting.
    pub(super) fn kept(&self, job: &Job) -> Option<Arc<Bundle>> {
        // Else it would be read, which it need not.
        if !self.0.state().kept.has(job.software.as_str()) {
            return None;
        }
        match self.0.look(job, false) {
            Look::Known(known) => known.ok(),
            Look::Waits(_) | Look::Busy => None,
        }
    }
}

async fn wait(look: Look, patience: Duration) -> Found {
    let mut news = match look {
        Look::Known(known) => return Ok(known),
        Look::Busy => return Err(Unanswered::Busy),
        Look::Waits(news) => news,
    };
    let over = news.wait_for(|news| matches!(news, News::Over(_)));
    // Who reads tells how it went, or is gone.
    let gone = matches!(tokio::time::timeout(patience, over).await, Ok(Err(_)));
    let last = news.borrow();
    last.so_far(gone)
}

impl News {
    /// What there is for who does not wait any longer; whether who reads is gone.
    fn so_far(&self, gone: bool) -> Found {
        match self {
            News::Over(found) => found.clone(),
            News::Begun if !gone => Ok(Err(SLOW.to_owned())),
            News::Waits | News::Begun => Err(Unanswered::Busy),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is, and has it read if that is due or wanted.
    fn look(self: &Arc<Self>, job: &Job, anew: bool) -> Look {
        let mut state = self.state();
        let (known, due) = state.kept.look(job.software.as_str(), (self.now)());
        let known = known.filter(|_| !anew);
        let flight = (due || anew).then(|| self.flight(&mut state, job));
        match (known, flight.flatten()) {
            (Some(known), _) => Look::Known(known),
            (None, _) if state.kept.is_away() => Look::Known(Err(AWAY.to_owned())),
            (None, Some(news)) => Look::Waits(news),
            (None, None) => Look::Busy,
        }
    }

    /// The reading of a Software Release, which is begun unless it goes on or there is no room for it.
    fn flight(self: &Arc<Self>, state: &mut State, job: &Job) -> Option<watch::Receiver<News>> {
        let flights = &mut state.flights;
        flights.retain(|_, flight| flight.news.has_changed().is_ok());
        if let Some(flight) = flights.get(job.software.as_str()) {
            return Some(flight.news.clone());
        }
        let own = flights.values().filter(|flight| flight.project == job.project).count();
        if own >= OF_ONE || flights.len() >= MOST {
            return None;
        }
        let (told, news) = watch::channel(News::Waits);
        let flight = Flight { project: job.project.clone(), news: news.clone() };
        flights.insert(job.software.to_string(), flight);
        tokio::spawn(Arc::clone(self).read(job.reading(), told));
        Some(news)
    }

    /// Reads a Software Release, and tells those who wait for it.
    async fn read(self: Arc<Self>, job: Job, told: watch::Sender<News>) {
        let mut begun = None;
        let note = || {
            begun = Some((self.now)());
            told.send_replace(News::Begun);
        };
        let reading = match self.readers.ask_noting::<Reading>(&job, note).await {
            Err(Unanswered::TooMuch) => Ok(Reading::failed(TOO_MUCH)),
            reading => reading,
        };
        let found = reading.map(|reading| self.take(&job, reading, begun.unwrap_or_default()));
        told.send_replace(News::Over(found));
    }

    fn take(&self, job: &Job, reading: Reading, begun: Duration) -> Known {
        self.counts.read(reading.failed.is_none());
        let mut state = self.state();
        let whose = (job.project.as_str(), job.software.as_str());
        let known = state.kept.take(whose, reading, begun, (self.now)());
        self.counts.kept(state.kept.size());
        known
    }
}
