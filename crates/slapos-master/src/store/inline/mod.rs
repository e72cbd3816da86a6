//! An SQLite file asked in the thread of who asks: no way to another thread and back for a statement
//! that takes microseconds.
//!
//! The statements are prepared once and kept. A file that another process writes to is waited for
//! without holding the thread: SQLite itself waits for nothing, and who finds the file busy tries again
//! later. Only a commit, which waits for the disk, takes long; the runtime is told so beforehand, and
//! has its other tasks go on in another thread.
//!
//! Invariants: an answer is whole before anybody else runs, so that no caller that goes away leaves a
//! statement half done; a connection that is given back is in no transaction.

mod pool;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use rusqlite::{OpenFlags, Statement};
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow};
use sqlx::{Any, Either, Error, Execute, SqlSafeStr as _, SqlStr};
use tokio::runtime::{Handle, RuntimeFlavor};

pub(super) use pool::{Files, Lent};
use values::{Shape, failed, is_busy};

/// How long a file is waited for that another process writes to.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first and the longest wait before it is tried again.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// How many prepared statements are kept; the store has fewer, but for lists that people filter.
const KEPT: usize = 256;

/// A question: a statement with its values.
pub(super) struct Asked {
    sql: SqlStr,
    arguments: Option<AnyArguments>,
    /// Whether it will be asked again.
    is_kept: bool,
}

impl Asked {
    pub(super) fn of<'q>(mut query: impl Execute<'q, Any>) -> Result<Asked, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let is_kept = query.persistent();
        Ok(Asked { sql: query.sql(), arguments, is_kept })
    }

    /// One without values.
    pub(super) fn plain(sql: &'static str) -> Asked {
        Asked { sql: sql.into_sql_str(), arguments: None, is_kept: true }
    }
}

/// Which rows of an answer are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// None of them.
    Nothing,
    /// The first, and nothing that comes after it.
    First,
    /// All.
    All,
}

/// An answer.
#[derive(Default)]
pub(super) struct Done {
    pub(super) rows: Vec<AnyRow>,
    /// How many rows were changed.
    changed: u64,
}

impl Done {
    pub(super) fn result(&self) -> AnyQueryResult {
        AnyQueryResult { rows_affected: self.changed, last_insert_id: None }
    }
}

/// A connection to a file.
#[derive(Debug)]
pub(super) struct Inline {
    file: rusqlite::Connection,
    /// What is known of statements, by their text.
    shapes: HashMap<String, Arc<Shape>>,
}

impl Inline {
    /// Opens a file that exists. `setup` is what is said first.
    async fn open(path: &Path, setup: &'static str) -> Result<Inline, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let file = rusqlite::Connection::open_with_flags(path, flags).map_err(failed)?;
        file.busy_timeout(Duration::ZERO).map_err(failed)?;
        file.set_prepared_statement_cache_capacity(KEPT);
        let mut inline = Inline { file, shapes: HashMap::new() };
        // What is said first may read the file, which is busy while a process closes it that was alone there.
        inline.ask(Asked::plain(setup), Keep::Nothing).await?;
        Ok(inline)
    }

    /// Asks, and waits while the file is busy.
    pub(super) async fn ask(&mut self, asked: Asked, keep: Keep) -> Result<Done, Error> {
        let [mut pause, longest] = PAUSES;
        let mut waited = Duration::ZERO;
        loop {
            match self.ask_now(&asked, keep) {
                Err(error) if is_busy(&error) && waited < PATIENCE => {
                    tokio::time::sleep(pause).await;
                    waited += pause;
                    pause = longest.min(pause * 2);
                }
                done => return done,
            }
        }
    }

    /// The same as a stream, which has the whole answer when it gives the first of it.
    pub(super) fn stream(&mut self, asked: Result<Asked, Error>) -> Answer<'_> {
        Answer::Asking(Box::pin(async move { self.ask(asked?, Keep::All).await }))
    }

    /// Makes the transaction permanent, which waits for the disk.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        waiting(|| self.ask_now(&Asked::plain("COMMIT"), Keep::Nothing)).map(drop)
    }

    /// Ends the transaction as if it had not been. What cannot be ended so ends with the connection.
    pub(super) fn roll_back(&mut self) {
        // SQLite itself ends it when the disk is full.
        if !self.is_in_transaction() {
            return;
        }
        if let Err(error) = self.ask_now(&Asked::plain("ROLLBACK"), Keep::Nothing) {
            tracing::warn!("a transaction could not be rolled back: {error}");
        }
    }

    fn is_in_transaction(&self) -> bool {
        !self.file.is_autocommit()
    }

    fn ask_now(&mut self, asked: &Asked, keep: Keep) -> Result<Done, Error> {
        let sql = asked.sql.as_str();
        tracing::trace!(target: "slapos_master::statement", statement = sql);
        if !asked.is_kept {
            return match self.file.prepare(sql) {
                Err(error) => self.several(asked, error),
                Ok(mut statement) => {
                    let shape = Shape::of(&statement)?;
                    answer(&self.file, &mut statement, &shape, asked, keep)
                }
            };
        }
        match self.file.prepare_cached(sql) {
            Err(error) => self.several(asked, error),
            Ok(mut statement) => {
                let shape = shape(&mut self.shapes, sql, &statement)?;
                answer(&self.file, &mut statement, &shape, asked, keep)
            }
        }
    }

    /// Runs several statements in one text, which have no values; or says why one could not be prepared.
    fn several(&self, asked: &Asked, error: rusqlite::Error) -> Result<Done, Error> {
        match error {
            rusqlite::Error::MultipleStatement if asked.arguments.is_none() => {
                self.file.execute_batch(asked.sql.as_str()).map_err(failed)?;
                Ok(Done::default())
            }
            error => Err(failed(error)),
        }
    }
}

fn answer(
    file: &rusqlite::Connection,
    statement: &mut Statement<'_>,
    shape: &Shape,
    asked: &Asked,
    keep: Keep,
) -> Result<Done, Error> {
    shape.bind(statement, asked.arguments.as_ref())?;
    let rows = shape.rows(statement, keep)?;
    let changed = if statement.readonly() { 0 } else { file.changes() };
    Ok(Done { rows, changed })
}

/// What is known of a statement. None of ours says `*`, so it has the same columns whatever another
/// version does to the schema meanwhile.
fn shape(
    shapes: &mut HashMap<String, Arc<Shape>>,
    sql: &str,
    statement: &Statement<'_>,
) -> Result<Arc<Shape>, Error> {
    if let Some(known) = shapes.get(sql) {
        return Ok(Arc::clone(known));
    }
    if shapes.len() >= KEPT {
        shapes.clear();
    }
    let shape = Arc::new(Shape::of(statement)?);
    shapes.insert(sql.to_owned(), Arc::clone(&shape));
    Ok(shape)
}

/// Does what waits for the disk; a runtime of several threads goes on meanwhile.
fn waiting<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// An answer row by row.
pub(super) enum Answer<'c> {
    Asking(BoxFuture<'c, Result<Done, Error>>),
    Rows(std::vec::IntoIter<AnyRow>, Option<AnyQueryResult>),
}

impl Stream for Answer<'_> {
    type Item = Result<Either<AnyQueryResult, AnyRow>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Answer::Asking(asking) = this {
            let (rows, result) = match ready!(asking.as_mut().poll(cx)) {
                Ok(done) => (Ok(()), done),
                Err(error) => (Err(error), Done::default()),
            };
            let end = rows.is_ok().then(|| result.result());
            *this = Answer::Rows(result.rows.into_iter(), end);
            if let Err(error) = rows {
                return Poll::Ready(Some(Err(error)));
            }
        }
        let Answer::Rows(rows, end) = this else { return Poll::Ready(None) };
        let row = rows.next().map(Either::Right);
        Poll::Ready(row.or_else(|| end.take().map(Either::Left)).map(Ok))
    }
}
