//! Statements of which none needs the answer of another.
//!
//! A statement to SQLite goes to a thread of its own and back, which costs more than most of what
//! is done there; so statements that can go together do. A server is asked one after the other.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Arguments as _, Execute as _};

use super::Tx;
use super::pools::Kind;
use crate::error::StoreError;

/// Runs statements one after the other. All of them know all the values that `bind` gives, by their
/// numbers.
pub(super) async fn together<'q>(
    tx: &mut Tx,
    statements: &[&str],
    bind: impl Fn(Query<'q, Any, AnyArguments>) -> Query<'q, Any, AnyArguments>,
) -> Result<(), StoreError> {
    let texts = match tx.kind() {
        Kind::Sqlite => vec![statements.join("; ")],
        Kind::Postgres => {
            // The server knows a statement by its text, and with it how many values it comes with.
            let values = bind(sqlx::query("")).take_arguments().ok().flatten();
            let count = values.map_or(0, |values| values.len());
            statements.iter().map(|text| format!("{text} /* {count} values */")).collect()
        }
    };
    for text in texts {
        bind(sqlx::query(sqlx::AssertSqlSafe(text))).execute(&mut **tx).await?;
    }
    Ok(())
}
