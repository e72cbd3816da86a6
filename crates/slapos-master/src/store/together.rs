//! Statements that change something, of which none looks at what another changes, and which have their
//! values in common: one after the other in a file, one for all at a server, where each would be a way
//! there and back.

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
        let text = AssertSqlSafe(format!("{} /* {values} values */", in_one(statements)));
        bind(sqlx::query(text)).execute(&mut **tx).await?;
        return Ok(());
    }
    for text in statements {
        bind(sqlx::query(AssertSqlSafe((*text).to_owned()))).execute(&mut **tx).await?;
    }
    Ok(())
}

/// One statement that does what these do: all of them look at what was before.
fn in_one(statements: &[&str]) -> String {
    match statements.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => {
            let others = others.iter().enumerate();
            let others: Vec<_> =
                others.map(|(number, other)| format!("done{number} AS ({other})")).collect();
            format!("WITH {} {last}", others.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_are_one() {
        assert_eq!(in_one(&["UPDATE a"]), "UPDATE a");
        let several = ["UPDATE a", "DELETE FROM b", "INSERT INTO c"];
        let one = "WITH done0 AS (UPDATE a), done1 AS (DELETE FROM b) INSERT INTO c";
        assert_eq!(in_one(&several), one);
    }
}
