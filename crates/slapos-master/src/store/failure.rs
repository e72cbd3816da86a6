//! What a failure of the database means to who asked: to come again, that the question makes no sense,
//! or that something is broken.
//!
//! PostgreSQL says it with codes of five characters (SQLSTATE), SQLite with numbers that are shorter,
//! whose last byte is the kind of the failure.

use crate::error::StoreError;

impl StoreError {
    /// A file that cannot be read as what it should be.
    pub(super) fn damaged(why: &str) -> StoreError {
        StoreError::Damaged(format!(
            "{why}; keep a copy of the file, then have a backup restored in its place \
             (`slapos proxy restore FILE --force`), or set another `database_uri` in [slapproxy]"
        ))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        let text = text_of(&error);
        match &error {
            sqlx::Error::PoolTimedOut => StoreError::Busy(
                "no connection to it was free, or could be made, in time".to_owned(),
            ),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => StoreError::Unavailable(text),
            sqlx::Error::Database(inner) => match inner.code().as_deref() {
                Some(state) if state.len() == 5 => of_postgres(state, text),
                Some(code) => of_sqlite(code, text),
                None => StoreError::Database(text),
            },
            _ => StoreError::Database(text),
        }
    }
}

/// What a failure says, without where it comes from, which is said already.
fn text_of(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) => inner.to_string(),
        sqlx::Error::Io(inner) => inner.to_string(),
        _ => error.to_string(),
    }
}

/// What is said of a failure after which the connection itself is of no use: nobody knows what it would
/// bring next.
pub(super) fn lost(error: &sqlx::Error) -> Option<StoreError> {
    let is_lost = matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
    );
    is_lost.then(|| StoreError::Unavailable(text_of(error)))
}

fn of_sqlite(code: &str, text: String) -> StoreError {
    match code.parse::<u32>().map(|code| code & 0xff) {
        // BUSY, LOCKED.
        Ok(5 | 6) => StoreError::Busy(text),
        // IOERR, FULL, CANTOPEN: a disk that is full or gone.
        Ok(10 | 13 | 14) => StoreError::Unavailable(text),
        // CORRUPT, NOTADB.
        Ok(11 | 26) => StoreError::damaged(&text),
        _ => StoreError::Database(text),
    }
}

fn of_postgres(state: &str, text: String) -> StoreError {
    match state {
        // Given up in favour of others: serialization, deadlock, a lock, a time limit.
        "40001" | "40P01" | "55P03" | "57014" => StoreError::Busy(text),
        // A standby, which takes no changes; an idle transaction that was ended.
        "25006" | "25P03" => StoreError::Unavailable(text),
        "22021" => StoreError::Invalid("a text has a zero byte, which cannot be kept".to_owned()),
        "54000" => StoreError::Invalid(format!("a name is too long to be kept: {text}")),
        "XX001" | "XX002" => StoreError::Damaged(text),
        // Connections, resources, an operator's intervention (shutting down, starting up).
        _ if ["08", "53", "57"].iter().any(|class| state.starts_with(class)) => {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Database(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_said_once() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = StoreError::from(sqlx::Error::Io(refused)).to_string();
        insta::assert_snapshot!(error, @"the Master's database cannot be used at present: connection refused; try again later");
    }

    #[test]
    fn who_may_come_again_is_told_so() {
        let text = String::new;
        for state in ["40001", "40P01", "55P03"] {
            assert!(matches!(of_postgres(state, text()), StoreError::Busy(_)), "{state}");
        }
        for state in ["57P01", "57P03", "53300", "08006", "25006"] {
            assert!(matches!(of_postgres(state, text()), StoreError::Unavailable(_)), "{state}");
        }
        for state in ["22021", "54000"] {
            assert!(matches!(of_postgres(state, text()), StoreError::Invalid(_)), "{state}");
        }
        assert!(matches!(of_postgres("42P01", text()), StoreError::Database(_)));
        // SQLITE_BUSY_SNAPSHOT, SQLITE_IOERR_WRITE, SQLITE_CONSTRAINT.
        assert!(matches!(of_sqlite("517", text()), StoreError::Busy(_)));
        assert!(matches!(of_sqlite("778", text()), StoreError::Unavailable(_)));
        assert!(matches!(of_sqlite("19", text()), StoreError::Database(_)));
        assert!(matches!(of_sqlite("11", text()), StoreError::Damaged(_)));
    }
}
