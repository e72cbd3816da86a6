//! Statements of which none needs the answer of another, and which have their values in common.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Arguments as _, AssertSqlSafe, Execute as _};

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
    // A server knows a statement by its text, and with it how many values it comes with.
    let mark = match tx.kind() {
        Kind::Sqlite => String::new(),
        Kind::Postgres => {
            let values = bind(sqlx::query("")).take_arguments().ok().flatten();
            format!(" /* {} values */", values.map_or(0, |values| values.len()))
        }
    };
    for text in statements {
        let text = AssertSqlSafe(format!("{text}{mark}"));
        bind(sqlx::query(text)).execute(&mut **tx).await?;
    }
    Ok(())
}
