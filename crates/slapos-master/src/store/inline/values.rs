//! Values, rows and failures of SQLite as `sqlx` has them.
//!
//! The store's columns are BIGINT and TEXT. What else SQLite may hold is refused, never changed.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, Statement, ToSql};
use sqlx::Error;
use sqlx::any::{AnyArguments, AnyRow, AnyTypeInfo, AnyTypeInfoKind, AnyValue};
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx_core::HashMap;
use sqlx_core::any::{AnyColumn, AnyValueKind};
use sqlx_core::ext::ustr::UStr;

use super::super::asked::Keep;

/// What is known of a statement: its columns, and which values it takes.
#[derive(Debug)]
pub(super) struct Shape {
    names: Arc<HashMap<UStr, usize>>,
    columns: Vec<AnyColumn>,
    /// For each place of SQLite's, the place among the given values: SQLite counts `$3` and `$1` as they
    /// come, which is 1 and 2.
    parameters: Vec<usize>,
}

impl Shape {
    pub(super) fn of(statement: &Statement<'_>) -> Result<Shape, Error> {
        let mut names = HashMap::default();
        let mut columns = Vec::with_capacity(statement.column_count());
        for (ordinal, name) in statement.column_names().into_iter().enumerate() {
            let name = UStr::new(name);
            names.insert(name.clone(), ordinal);
            // What a column holds is seen at its values alone.
            let type_info = AnyTypeInfo { kind: AnyTypeInfoKind::Null };
            columns.push(AnyColumn { ordinal, name, type_info });
        }
        let parameters: Result<Vec<_>, _> =
            (1..=statement.parameter_count()).map(|place| parameter(statement, place)).collect();
        Ok(Shape { names: Arc::new(names), columns, parameters: parameters? })
    }

    /// Gives the statement its values. It need not take all.
    pub(super) fn bind(
        &self,
        statement: &mut Statement<'_>,
        arguments: Option<&AnyArguments>,
    ) -> Result<(), Error> {
        let values = arguments.map_or(&[][..], |arguments| &arguments.values.0);
        for (place, parameter) in self.parameters.iter().enumerate() {
            let value = values.get(*parameter).ok_or_else(|| {
                protocol(format!("a statement wants value ${}, which is not given", parameter + 1))
            })?;
            statement.raw_bind_parameter(place + 1, Given(value)).map_err(failed)?;
        }
        Ok(())
    }

    /// Runs a statement that has its values.
    pub(super) fn rows(
        &self,
        statement: &mut Statement<'_>,
        keep: Keep,
    ) -> Result<Vec<AnyRow>, Error> {
        let mut found = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(failed)? {
            if keep != Keep::Nothing {
                found.push(self.row(row)?);
            }
            if keep == Keep::First {
                break;
            }
        }
        Ok(found)
    }

    fn row(&self, row: &Row<'_>) -> Result<AnyRow, Error> {
        let value = |index: usize| {
            let found = row.get_ref(index).map_err(failed)?;
            let kind = read(found).map_err(|source| {
                let index = self.columns.get(index).map(|column| column.name.to_string());
                let index = index.unwrap_or_default();
                Error::ColumnDecode { index, source }
            })?;
            Ok(AnyValue { kind })
        };
        let values: Result<Vec<_>, Error> = (0..self.columns.len()).map(value).collect();
        let (column_names, columns) = (Arc::clone(&self.names), self.columns.clone());
        Ok(AnyRow { column_names, columns, values: values? })
    }
}

/// The place among the given values of what a statement has at that place.
fn parameter(statement: &Statement<'_>, place: usize) -> Result<usize, Error> {
    let name = statement.parameter_name(place);
    let number = name.and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
    let index = number.and_then(|number| number.checked_sub(1));
    index.ok_or_else(|| protocol("values are named $1, $2 and so on in statements".to_owned()))
}

fn protocol(why: String) -> Error {
    Error::Protocol(why)
}

fn read(value: ValueRef<'_>) -> Result<AnyValueKind, Box<dyn StdError + Send + Sync>> {
    Ok(match value {
        ValueRef::Null => AnyValueKind::Null(AnyTypeInfoKind::Null),
        ValueRef::Integer(number) => AnyValueKind::BigInt(number),
        ValueRef::Text(text) => AnyValueKind::Text(Arc::new(std::str::from_utf8(text)?.to_owned())),
        ValueRef::Real(_) | ValueRef::Blob(_) => {
            return Err("it holds neither a number nor a text".into());
        }
    })
}

/// A value for a statement.
struct Given<'a>(&'a AnyValueKind);

impl ToSql for Given<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            AnyValueKind::Null(_) => ValueRef::Null,
            AnyValueKind::BigInt(number) => ValueRef::Integer(*number),
            AnyValueKind::Integer(number) => ValueRef::Integer(i64::from(*number)),
            AnyValueKind::SmallInt(number) => ValueRef::Integer(i64::from(*number)),
            AnyValueKind::Bool(is) => ValueRef::Integer(i64::from(*is)),
            AnyValueKind::Text(text) => ValueRef::Text(text.as_bytes()),
            AnyValueKind::TextSlice(text) => ValueRef::Text(text.as_bytes()),
            _ => {
                let why = "only numbers and texts are kept";
                return Err(rusqlite::Error::ToSqlConversionFailure(why.into()));
            }
        }))
    }
}

/// What SQLite says when something fails.
#[derive(Debug)]
struct Failure {
    /// SQLite's extended code.
    code: i32,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code, self.message)
    }
}

impl StdError for Failure {}

impl DatabaseError for Failure {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.code {
            // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY, _FOREIGNKEY, _NOTNULL, _CHECK.
            2067 | 1555 => ErrorKind::UniqueViolation,
            787 => ErrorKind::ForeignKeyViolation,
            1299 => ErrorKind::NotNullViolation,
            275 => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}

/// A failure as `sqlx` has it.
pub(super) fn failed(error: rusqlite::Error) -> Error {
    let (code, message) = match error {
        rusqlite::Error::SqliteFailure(inner, Some(message)) => (inner.extended_code, message),
        rusqlite::Error::SqliteFailure(inner, None) => (inner.extended_code, inner.to_string()),
        rusqlite::Error::SqlInputError { error, msg, .. } => (error.extended_code, msg),
        other => return Error::AnyDriverError(Box::new(other)),
    };
    Error::Database(Box::new(Failure { code, message }))
}

/// Whether somebody else has the file, so that the same may succeed later.
pub(super) fn is_busy(error: &Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    let code = code.and_then(|code| code.parse::<u32>().ok());
    // SQLITE_BUSY, but not _SNAPSHOT: that view of the file stays old.
    code.is_some_and(|code| code & 0xff == 5 && code != 517)
}
