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
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use rusqlite::{OpenFlags, Statement};
use sqlx::Error;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::asked::{Ask, Asked, Done, Keep};
pub(super) use pool::{Files, Lent};
use values::{Shape, failed, is_busy};

/// How long a file is waited for that another process writes to.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first and the longest wait before it is tried again.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// How many prepared statements are kept; the store has fewer, but for lists that people filter.
const KEPT: usize = 256;

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
        asked.overheard();
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

impl Ask for Lent {
    fn ask(&mut self, asked: Asked, keep: Keep) -> BoxFuture<'_, Result<Done, Error>> {
        Box::pin(Inline::ask(self, asked, keep))
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
