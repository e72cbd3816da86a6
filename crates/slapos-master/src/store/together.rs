//! Statements that change something, of which none looks at what another changes, and which have their
//! values in common: one after the other in a file, one for all at a server, where each would be a way
//! there and back.

use std::fmt::Display;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Arguments as _, AssertSqlSafe, Execute as _};

use super::Tx;
use super::pools::Kind;
use crate::error::StoreError;

/// Runs the statements, of which no two change the same row. All of them know all the values that `bind`
/// gives, by their numbers.
pub(super) async fn together<'q>(
    tx: &mut Tx,
    statements: &[&str],
    bind: impl Fn(Query<'q, Any, AnyArguments>) -> Query<'q, Any, AnyArguments>,
) -> Result<(), StoreError> {
    if tx.kind() == Kind::Postgres {
        // A server knows a statement by its text, and with it how many values it comes with.
        let values = bind(sqlx::query("")).take_arguments().ok().flatten();
        let values = values.map_or(0, |values| values.len());
        let Some((last, others)) = statements.split_last() else { return Ok(()) };
        let steps = others.iter().enumerate();
        let steps: Vec<_> =
            steps.map(|(number, text)| (format!("done{number}"), (*text).to_owned())).collect();
        let text = AssertSqlSafe(format!("{} /* {values} values */", in_one(&steps, last)));
        bind(sqlx::query(text)).execute(&mut **tx).await?;
        return Ok(());
    }
    for text in statements {
        bind(sqlx::query(AssertSqlSafe((*text).to_owned()))).execute(&mut **tx).await?;
    }
    Ok(())
}

/// One statement that does what these steps do, of which each has a name, and the last one: all of them look
/// at what was before, and may look at what those give back that come before them.
pub(super) fn in_one<N: Display>(steps: &[(N, String)], last: &str) -> String {
    if steps.is_empty() {
        return last.to_owned();
    }
    let steps: Vec<_> = steps.iter().map(|(name, text)| format!("{name} AS ({text})")).collect();
    format!("WITH {} {last}", steps.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_are_one() {
        assert_eq!(in_one::<&str>(&[], "UPDATE a"), "UPDATE a");
        let steps = [("one", "UPDATE a".to_owned()), ("two", "DELETE FROM b".to_owned())];
        let one = "WITH one AS (UPDATE a), two AS (DELETE FROM b) INSERT INTO c";
        assert_eq!(in_one(&steps, "INSERT INTO c"), one);
    }
}
