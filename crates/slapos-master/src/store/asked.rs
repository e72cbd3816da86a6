//! Questions to the database and whole answers, where somebody else asks it: a file in the thread of
//! who wants to know, or the one task that writes to a server.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement};
use sqlx::error::BoxDynError;
use sqlx::{Any, Either, Error, Execute, SqlSafeStr as _, SqlStr};

/// A question: a statement with its values.
pub(super) struct Asked {
    pub(super) sql: SqlStr,
    pub(super) arguments: Option<AnyArguments>,
    /// Whether it will be asked again.
    pub(super) is_kept: bool,
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

    /// Has whoever counts hear what is asked of the database.
    pub(super) fn overheard(&self) {
        tracing::trace!(target: "slapos_master::statement", statement = self.sql.as_str());
    }
}

impl Execute<'_, Any> for Asked {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&AnyStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.is_kept
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
    pub(super) changed: u64,
}

impl Done {
    pub(super) fn result(&self) -> AnyQueryResult {
        AnyQueryResult { rows_affected: self.changed, last_insert_id: None }
    }
}

/// Who asks the database for others, and has the whole answer before anything else is asked.
pub(super) trait Ask: Send {
    /// Asks.
    fn ask(&mut self, asked: Asked, keep: Keep) -> BoxFuture<'_, Result<Done, Error>>;
}

/// An answer row by row.
pub(super) enum Answer<'c> {
    Asking(BoxFuture<'c, Result<Done, Error>>),
    Rows(std::vec::IntoIter<AnyRow>, Option<AnyQueryResult>),
}

impl<'c> Answer<'c> {
    /// That of somebody who asks, which is whole when the first of it is given.
    pub(super) fn of(ask: &'c mut dyn Ask, asked: Result<Asked, Error>) -> Answer<'c> {
        Answer::Asking(Box::pin(async move { ask.ask(asked?, Keep::All).await }))
    }
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
