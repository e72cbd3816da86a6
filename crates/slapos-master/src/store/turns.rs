//! Group commit at a server: changes of several callers that reach the disk together.
//!
//! All who write to a server wait for one lock, which is held until the commit is on disk. So the
//! callers of one Master share a connection, a transaction with that lock, and the message to other
//! Masters. One task has them: it gives each caller a [`Turn`], in the order in which they came and
//! with a savepoint of its own, until nobody waits or the group is full, and commits for all. Nobody
//! waits for company: a single caller's group is itself.
//!
//! A caller asks through the task ([`Line`]), which nobody drops: whoever goes away, what was begun on the
//! connection is ended before anything else is said there, and the lock is not held by one whom nothing
//! drives on. Where an answer does not come, or makes no sense, nobody knows what the connection would
//! bring next: the group ends there, and the connection with it.
//!
//! Invariants: the lock comes first and is the only one, so there is no circle to wait in; nobody is told
//! that it is done before the commit, neither who had nothing to do, and nobody who asks for an instance is
//! refused because of what is lost; what one caller gives up (by an error, by going away, or by saying
//! nothing for long) touches no other; when the whole fails, everybody in it is told so, at once; a fault
//! of the task ends a group, and not the right to write.

use std::collections::BTreeSet;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use slapos_slap::ComputerId;
use sqlx::{Error, Executor as _};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

use super::asked::{Ask, Asked, Done, Keep};
use super::changes::Bells;
use super::connection::{Connection, Transaction};
use super::failure;
use super::finished::{self, Finished, Outcome, PATIENCE, cut_off};
use super::pools::Pools;
use super::postgres;
use crate::error::StoreError;

/// The most callers in a group: of up to 64 savepoints a server keeps track without looking on its disk.
pub(super) const MOST: usize = 60;

/// How long is waited for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// No caller joins a group that is older: those of other Masters wait for its end.
    pub(super) longest: Duration,
    /// How long a caller may say nothing during its turn; none does anything else meanwhile.
    pub(super) silence: Duration,
    /// How long an answer is waited for: longer than a server works on it, by the limits that it is given.
    pub(super) answer: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        // Tests want to know who is in a group on a machine that does other things.
        let longest = Duration::from_millis(if cfg!(test) { 60_000 } else { 200 });
        Limits { longest, silence: Duration::from_secs(10), answer: Duration::from_secs(40) }
    }
}

impl Limits {
    /// Waits no longer than a server may take.
    async fn wait<T, E: From<Error>>(
        self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        timeout(self.answer, answer).await.unwrap_or_else(|_| {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the server does not answer");
            Err(Error::Io(late).into())
        })
    }
}

/// The right to write, which its owner's task gives to one caller after the other.
#[derive(Clone)]
pub(super) struct Turns(mpsc::UnboundedSender<Caller>);

/// Who wants to write.
struct Caller {
    questions: mpsc::UnboundedReceiver<Question>,
    /// Where it hears that it is its turn, with the number of entries of the feed that others wrote in
    /// the same transaction.
    called: oneshot::Sender<Result<i64, StoreError>>,
}

/// What a caller says.
enum Question {
    Ask(Asked, Keep, oneshot::Sender<Result<Done, Error>>),
    /// That it has finished, and how many entries there are now.
    Finish(Finished, i64),
    /// That what it did does not count, and where it hears what became of what it saw.
    GiveUp(oneshot::Sender<Outcome>),
}

/// How a turn ends.
enum End {
    Finished(Finished, i64),
    /// What it did does not count; who wants to hear what became of what it saw.
    GivenUp(Option<oneshot::Sender<Outcome>>),
}

impl Turns {
    /// Has a task serve who writes, for as long as somebody may.
    pub(super) fn new(pools: Pools, bells: Arc<Bells>, limits: Limits) -> Turns {
        let (queue, callers) = mpsc::unbounded_channel();
        let callers = Mutex::new(callers);
        tokio::spawn(Arc::new(Office { callers, pools, bells, limits }).keep_open());
        Turns(queue)
    }

    /// The right to write, once those who came before have finished.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when that takes too long; failures of the database.
    pub(super) async fn next(&self) -> Result<Turn, StoreError> {
        let (line, questions) = mpsc::unbounded_channel();
        let (called, hears) = oneshot::channel();
        self.0.send(Caller { questions, called }).map_err(|_| Error::PoolClosed)?;
        let heard = timeout(PATIENCE, hears).await.map_err(|_| finished::too_late())?;
        let entries = heard.map_err(|_| cut_off())??;
        let line = Line(line);
        Ok(Turn { connection: Connection::Line(line.clone()), line, entries })
    }
}

/// One caller's part of what is committed together; dropped without commit, it did not happen.
pub(super) struct Turn {
    connection: Connection,
    line: Line,
    entries: i64,
}

impl Turn {
    /// How many entries of the feed others wrote in the same transaction.
    pub(super) fn entries(&self) -> i64 {
        self.entries
    }

    /// Waits until the changes, which are of these computers, are on disk. `entries` is how many of the
    /// feed there are now in the transaction.
    ///
    /// # Errors
    /// Failures of the database.
    pub(super) async fn commit(self, changed: Vec<ComputerId>, entries: i64) -> Outcome {
        let (tell, told) = oneshot::channel();
        let finished = Finished { changed, told: tell };
        self.line.say(Question::Finish(finished, entries))?;
        told.await.map_err(|_| cut_off())?
    }

    /// Takes back what was done, and waits until what others had written in the same transaction, which
    /// could be seen, is on disk.
    ///
    /// # Errors
    /// Failures of the database: what could be seen is not there.
    pub(super) async fn give_up(self) -> Outcome {
        let (tell, told) = oneshot::channel();
        self.line.say(Question::GiveUp(tell))?;
        told.await.map_err(|_| cut_off())?
    }
}

impl Deref for Turn {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// A caller's line to the task.
#[derive(Debug, Clone)]
pub(super) struct Line(mpsc::UnboundedSender<Question>);

impl Line {
    fn say(&self, question: Question) -> Result<(), Error> {
        // It does not listen any more to who said nothing for long, or lost all with others.
        self.0.send(question).map_err(|_| cut_off())
    }
}

impl Ask for Line {
    fn ask(&mut self, asked: Asked, keep: Keep) -> BoxFuture<'_, Result<Done, Error>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.say(Question::Ask(asked, keep, answer))?;
            answered.await.map_err(|_| cut_off())?
        })
    }
}

/// Where callers are served.
struct Office {
    callers: Mutex<mpsc::UnboundedReceiver<Caller>>,
    pools: Pools,
    bells: Arc<Bells>,
    limits: Limits,
}

impl Office {
    /// Has the task come again that a fault has ended. Those whom it served are told when what they wait
    /// for is dropped.
    async fn keep_open(self: Arc<Self>) {
        loop {
            match tokio::spawn(Arc::clone(&self).serve()).await {
                Err(ended) if ended.is_panic() => {
                    tracing::error!("what was written together is lost by a fault: {ended}");
                    // It may have happened, or not.
                    self.bells.ring_all();
                }
                _ => return,
            }
        }
    }

    /// What the task does, until nobody can call any more.
    async fn serve(self: Arc<Self>) {
        let mut callers = self.callers.lock().await;
        while let Some(first) = callers.recv().await {
            if first.called.is_closed() {
                continue;
            }
            match self.limits.wait(self.pools.write()).await {
                Ok(tx) => Group::of(tx, self.limits).run(first, &mut callers, &self.bells).await,
                Err(error) => refuse(first, &mut callers, error),
            }
        }
    }
}

/// Tells all who wait that they cannot write: each of them would have to wait as long for the same.
fn refuse(first: Caller, callers: &mut mpsc::UnboundedReceiver<Caller>, error: StoreError) {
    let reason = error.to_string();
    let _ = first.called.send(Err(error));
    while let Ok(caller) = callers.try_recv() {
        let _ = caller.called.send(Err(StoreError::Unavailable(format!("as before: {reason}"))));
    }
}

/// A transaction that several callers share.
struct Group {
    tx: Transaction,
    limits: Limits,
    /// How many callers had a turn. What the last one did is behind the savepoint `member`.
    turns: usize,
    /// Entries of the feed that those wrote who have finished.
    entries: i64,
    finished: Vec<Finished>,
}

impl Group {
    fn of(tx: Transaction, limits: Limits) -> Group {
        Group { tx, limits, turns: 0, entries: 0, finished: Vec::new() }
    }

    async fn run(
        mut self,
        first: Caller,
        callers: &mut mpsc::UnboundedReceiver<Caller>,
        bells: &Bells,
    ) {
        let begun = Instant::now();
        let mut next = Some(first);
        while let Some(caller) = next {
            if let Err(lost) = self.serve(caller).await {
                return finished::tell(self.finished, Err(lost), bells);
            }
            let is_open = self.turns < MOST && begun.elapsed() < self.limits.longest;
            next = if is_open { callers.try_recv().ok() } else { None };
        }
        self.commit(bells).await;
    }

    /// Gives a caller its turn.
    ///
    /// # Errors
    /// Why the whole transaction is lost.
    async fn serve(&mut self, mut caller: Caller) -> Result<(), StoreError> {
        // It gets its first question ready while the server makes its savepoint.
        if caller.called.send(Ok(self.entries)).is_err() {
            return Ok(());
        }
        self.save().await?;
        match self.hear(&mut caller.questions).await? {
            End::Finished(finished, entries) => {
                self.entries = entries;
                self.finished.push(finished);
            }
            End::GivenUp(told) => {
                self.say("ROLLBACK TO SAVEPOINT member").await?;
                match told {
                    // It saw nothing that is not on disk.
                    Some(told) if self.finished.is_empty() => drop(told.send(Ok(()))),
                    Some(told) => self.finished.push(Finished { changed: Vec::new(), told }),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Sets what has been done apart from what the next one does.
    async fn save(&mut self) -> Result<(), Error> {
        self.turns += 1;
        self.say(match self.turns {
            1 => "SAVEPOINT member",
            _ => "RELEASE SAVEPOINT member; SAVEPOINT member",
        })
        .await
    }

    /// Answers a caller until its turn ends.
    ///
    /// # Errors
    /// Why the whole transaction is lost.
    async fn hear(
        &mut self,
        questions: &mut mpsc::UnboundedReceiver<Question>,
    ) -> Result<End, StoreError> {
        let mut failure = None;
        while let Ok(Some(question)) = timeout(self.limits.silence, questions.recv()).await {
            match question {
                Question::Ask(asked, keep, answer) => {
                    let done = self.limits.wait(answer_of(&mut self.tx, asked, keep)).await;
                    let lost = done.as_ref().err().and_then(failure::lost);
                    failure = failure.or_else(|| done.as_ref().err().map(ToString::to_string));
                    let _ = answer.send(done);
                    lost.map_or(Ok(()), Err)?;
                }
                Question::Finish(finished, entries) => {
                    let Some(failure) = failure else {
                        return Ok(End::Finished(finished, entries));
                    };
                    // Nothing more can be done behind its savepoint.
                    let _ = finished.told.send(Err(StoreError::Database(failure)));
                    return Ok(End::GivenUp(None));
                }
                Question::GiveUp(told) => return Ok(End::GivenUp(Some(told))),
            }
        }
        Ok(End::GivenUp(None))
    }

    async fn say(&mut self, statement: &'static str) -> Result<(), Error> {
        let asked = Asked::plain(statement);
        self.limits.wait(answer_of(&mut self.tx, asked, Keep::Nothing)).await.map(drop)
    }

    async fn commit(self, bells: &Bells) {
        let Group { mut tx, limits, finished, .. } = self;
        if finished.is_empty() {
            if let Err(error) = limits.wait(tx.roll_back()).await {
                tracing::debug!("a connection is closed on which nothing was written: {error}");
            }
            return;
        }
        let changed: BTreeSet<_> = finished.iter().flat_map(|one| &one.changed).collect();
        let outcome = limits.wait(async {
            postgres::tell(&mut tx, bells.name(), changed).await?;
            Ok::<_, StoreError>(tx.commit().await?)
        });
        let outcome = outcome.await;
        finished::tell(finished, outcome, bells);
    }
}

/// Asks, and reads the answer to its end.
async fn answer_of(tx: &mut Connection, asked: Asked, keep: Keep) -> Result<Done, Error> {
    asked.overheard();
    if keep == Keep::Nothing {
        let changed = tx.execute(asked).await?.rows_affected();
        return Ok(Done { rows: Vec::new(), changed });
    }
    let mut rows = tx.fetch_all(asked).await?;
    if keep == Keep::First {
        rows.truncate(1);
    }
    Ok(Done { rows, changed: 0 })
}
