//! A query that has only the conditions that are wanted, so that each finds its index.

use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::store::Tx;

/// The text of a query, and what is bound to it. Conditions are written with `?`, which becomes `$1`
/// and so on; values are never part of the text.
#[derive(Debug)]
pub(in crate::store) struct Query {
    sql: String,
    bound: Vec<String>,
}

impl Query {
    /// `select` is everything before `WHERE`.
    pub(in crate::store) fn new(select: &str) -> Query {
        Query { sql: format!("{select} WHERE 1 = 1"), bound: Vec::new() }
    }

    /// Another condition, with a value for each `?` of it.
    pub(in crate::store) fn and<'v>(
        mut self,
        condition: &str,
        values: impl IntoIterator<Item = &'v str>,
    ) -> Query {
        self.sql.push_str(" AND ");
        let mut values = values.into_iter();
        for (number, text) in condition.split('?').enumerate() {
            if number > 0 {
                self.bound.push(values.next().unwrap_or_default().to_owned());
                self.sql.push_str(&format!("${}", self.bound.len()));
            }
            self.sql.push_str(text);
        }
        self
    }

    /// The same if there is a value, for every `?` the same one.
    pub(super) fn if_given(self, condition: &str, value: &str) -> Query {
        if value.is_empty() { self } else { self.and(condition, std::iter::repeat(value)) }
    }

    /// Only what has one of the values there; nothing if there are none.
    pub(in crate::store) fn one_of(self, column: &str, values: &[String]) -> Query {
        if values.is_empty() {
            return self.and("1 = 0", []);
        }
        let marks = vec!["?"; values.len()].join(", ");
        self.and(&format!("{column} IN ({marks})"), values.iter().map(String::as_str))
    }

    /// Only what has the text in one of the columns, whatever the case of its letters, as far as the
    /// database knows them: SQLite those of ASCII, PostgreSQL those of its language.
    pub(super) fn search(self, columns: &[&str], text: &str) -> Query {
        if text.is_empty() {
            return self;
        }
        let pattern = like(text);
        let tests: Vec<String> = columns
            .iter()
            .map(|column| format!("lower({column}) LIKE lower(?) ESCAPE '!'"))
            .collect();
        let values = vec![pattern.as_str(); tests.len()];
        self.and(&format!("({})", tests.join(" OR ")), values)
    }

    /// What comes after the keys, in the order of these columns.
    pub(super) fn after(self, columns: &[&str], keys: Option<&[String]>) -> Query {
        let Some(keys) = keys else { return self };
        let marks = vec!["?"; columns.len()].join(", ");
        let condition = format!("({}) > ({marks})", columns.join(", "));
        self.and(&condition, keys.iter().map(String::as_str))
    }

    /// The first rows in that order.
    pub(super) async fn rows(
        self,
        tx: &mut Tx,
        order: &str,
        limit: usize,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let sql = format!("{} ORDER BY {order} LIMIT {limit}", self.sql);
        self.run(tx, sql).await
    }

    /// All rows in that order, of what is bounded by itself.
    pub(in crate::store) async fn all(
        self,
        tx: &mut Tx,
        order: &str,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let sql = format!("{} ORDER BY {order}", self.sql);
        self.run(tx, sql).await
    }

    /// All rows, by group.
    pub(super) async fn grouped(self, tx: &mut Tx, by: &str) -> Result<Vec<AnyRow>, StoreError> {
        let sql = format!("{} GROUP BY {by}", self.sql);
        self.run(tx, sql).await
    }

    async fn run(self, tx: &mut Tx, sql: String) -> Result<Vec<AnyRow>, StoreError> {
        #[cfg(test)]
        ASKED.with_borrow_mut(|asked| asked.push((sql.clone(), self.bound.clone())));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for value in self.bound {
            query = query.bind(value);
        }
        Ok(query.fetch_all(&mut **tx).await?)
    }
}

#[cfg(test)]
thread_local! {
    /// What was asked on this thread, with what was bound, for tests that have it explained.
    pub(in crate::store) static ASKED: std::cell::RefCell<Vec<(String, Vec<String>)>> =
        const { std::cell::RefCell::new(Vec::new()) };
}

/// A pattern for `LIKE ... ESCAPE '!'` that finds the text anywhere.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bound_and_numbered() {
        let keys = ["k".to_owned(), "l".to_owned()];
        let query = Query::new("SELECT a FROM t")
            .if_given("b = ?", "")
            .if_given("b = ?", "x' OR '1")
            .one_of("c", &keys)
            .search(&["d", "e"], "50%_Ä!A")
            .after(&["a", "b"], Some(&keys));
        insta::assert_snapshot!(query.sql, @"SELECT a FROM t WHERE 1 = 1 AND b = $1 AND c IN ($2, $3) AND (lower(d) LIKE lower($4) ESCAPE '!' OR lower(e) LIKE lower($5) ESCAPE '!') AND (a, b) > ($6, $7)");
        assert_eq!(query.bound, ["x' OR '1", "k", "l", "%50!%!_Ä!!A%", "%50!%!_Ä!!A%", "k", "l"]);
        assert!(Query::new("S").one_of("c", &[]).sql.ends_with("AND 1 = 0"));
    }
}
