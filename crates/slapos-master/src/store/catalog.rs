//! Which tables a database has, and what they refer to: what a backup copies without a list of its
//! own, and how a database of another program is known.

use std::collections::BTreeMap;

use sqlx::Row as _;

use super::connection::Connection;
use super::pools::Kind;
use super::rows::text;
use crate::error::StoreError;

/// The table in which migrations are recorded.
pub(super) const RECORDS: &str = "schema_migration";

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
}

/// A column of texts or of numbers; there are no others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether it holds numbers.
    pub(super) number: bool,
}

impl Table {
    /// Its columns as SQL names them, with a comma between them.
    pub(super) fn column_list(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        names.join(", ")
    }
}

/// A name as SQL takes it whatever it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const SQLITE_COLUMNS: &str = "SELECT CAST(m.name AS TEXT) AS table_name, \
     CAST(c.name AS TEXT) AS column_name, lower(c.type) AS type_name \
     FROM sqlite_master m JOIN pragma_table_info(m.name) c \
     WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid";

const POSTGRES_COLUMNS: &str = "SELECT CAST(c.table_name AS TEXT) AS table_name, \
     CAST(c.column_name AS TEXT) AS column_name, CAST(c.data_type AS TEXT) AS type_name \
     FROM information_schema.columns c WHERE c.table_schema = current_schema() \
     ORDER BY c.table_name, c.ordinal_position";

const SQLITE_REFERENCES: &str = "SELECT CAST(m.name AS TEXT) AS child, \
     CAST(f.\"table\" AS TEXT) AS parent FROM sqlite_master m \
     JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'";

const POSTGRES_REFERENCES: &str = "SELECT CAST(c.relname AS TEXT) AS child, \
     CAST(p.relname AS TEXT) AS parent FROM pg_constraint f \
     JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class p ON p.oid = f.confrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE f.contype = 'f' AND n.nspname = current_schema()";

/// Whatever holds rows, or looks as if, whosesoever it is.
const POSTGRES_NAMES: &str = "SELECT CAST(c.relname AS TEXT) AS name FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
     ORDER BY c.relname";

/// The names of all tables and views of a server's schema, also of those which the role may not look
/// into, and which [`tables`] does not have.
pub(super) async fn names(tx: &mut Connection) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query(POSTGRES_NAMES).fetch_all(tx).await?;
    rows.iter().map(|row| text(row, "name")).collect()
}

/// The tables of the database, by name.
pub(super) async fn tables(tx: &mut Connection, kind: Kind) -> Result<Vec<Table>, StoreError> {
    let sql = match kind {
        Kind::Sqlite => SQLITE_COLUMNS,
        Kind::Postgres => POSTGRES_COLUMNS,
    };
    let mut tables: Vec<Table> = Vec::new();
    for row in sqlx::query(sql).fetch_all(tx).await? {
        let name = text(&row, "table_name")?;
        let number = text(&row, "type_name")? == "bigint";
        let column = Column { name: text(&row, "column_name")?, number };
        match tables.last_mut().filter(|table| table.name == name) {
            Some(table) => table.columns.push(column),
            None => tables.push(Table { name, columns: vec![column] }),
        }
    }
    Ok(tables)
}

/// All tables but the records of migrations, each after those that it refers to.
pub(super) async fn in_order(tx: &mut Connection, kind: Kind) -> Result<Vec<Table>, StoreError> {
    let sql = match kind {
        Kind::Sqlite => SQLITE_REFERENCES,
        Kind::Postgres => POSTGRES_REFERENCES,
    };
    let mut tables = tables(tx, kind).await?;
    tables.retain(|table| table.name != RECORDS);
    let mut references: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in sqlx::query(sql).fetch_all(tx).await? {
        let parent: String = row.try_get("parent")?;
        references.entry(text(&row, "child")?).or_default().push(parent);
    }
    Ok(sorted(tables, &references))
}

/// Each table after those that it refers to; a circle, which no schema of ours has, comes as it is.
fn sorted(mut left: Vec<Table>, references: &BTreeMap<String, Vec<String>>) -> Vec<Table> {
    let mut sorted: Vec<Table> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |table: &Table| {
            let parents = references.get(&table.name).into_iter().flatten();
            let mut parents = parents.filter(|parent| **parent != table.name);
            parents.any(|parent| left.iter().any(|other| other.name == *parent))
        };
        let next = left.iter().position(|table| !waits(table)).unwrap_or(0);
        sorted.push(left.remove(next));
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_referred_to_comes_first() {
        let table = |name: &str| Table { name: name.to_owned(), columns: Vec::new() };
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let references = BTreeMap::from([
            ("a".to_owned(), texts(&["c", "a"])),
            ("b".to_owned(), texts(&["elsewhere"])),
            ("c".to_owned(), texts(&["d", "b"])),
        ]);
        let order = sorted(["a", "b", "c", "d"].map(table).to_vec(), &references);
        let names: Vec<_> = order.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["b", "d", "c", "a"]);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("change"), "\"change\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
