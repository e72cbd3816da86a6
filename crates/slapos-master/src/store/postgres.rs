//! A database of a PostgreSQL server, which several Masters may share: whose it is, its connections,
//! how writers wait for each other, and how Masters wake each other's listeners.
//!
//! Writers wait before they look. A transaction that writes takes an advisory lock of the database
//! first, so that among all Masters one at a time searches for a partition and takes it, as with
//! SQLite. The isolation is READ COMMITTED: each statement sees what was committed before it began, and
//! the lock is had before the first that looks, and given up only after the commit can be seen by all. So
//! no transaction decides by what was changed meanwhile (no two instances in one partition, no number of a
//! change that is seen before a smaller one), and none has to be tried again, which SERIALIZABLE would
//! demand of every caller. There is no other lock, so there is no circle to wait in. The callers of
//! one Master share such a transaction ([`turns`](super::turns)). Where the server nevertheless gives a
//! transaction up (an operator's own locks, a time limit), the callers are told to come again.
//!
//! A Master that is cut off in the middle of a transaction keeps no lock: the server ends transactions
//! that are idle for long ([`LIMITS`]).
//!
//! Readers have one snapshot for the transaction (REPEATABLE READ, READ ONLY), which waits for nobody
//! and never fails by what others do.

use std::sync::Arc;
use std::time::Duration;

use slapos_slap::ComputerId;
use sqlx::any::AnyPoolOptions;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};

use super::catalog::{self, RECORDS, Table};
use super::changes::Bells;
use super::connection::Connection;
use super::database::{NAMED, Server};
use super::migrations;
use super::pools::{Kind, Pools};
use super::presence;
use super::rows::text;
use crate::error::StoreError;

/// Begins a transaction that reads, whatever the server's own default is.
pub(super) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Begins a transaction that writes; a lock comes next.
pub(super) const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// The number of the present transaction in the feed.
pub(super) const TRANSACTION: &str = "CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)";

/// Below it, all transactions have ended.
pub(super) const HORIZON: &str =
    "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT) AS n";

/// Removes what the feed has from another server, whose transactions were counted further: it would be
/// told when this one has come there.
pub(super) const FORGET_AHEAD: &str = "DELETE FROM feed WHERE transaction_number >= \
     CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT)";

/// What the lock of all writers is called, the letters `SlaM`, together with the name of the schema:
/// advisory locks belong to a database, which may have several.
const LOCK: i32 = 0x536c_614d;

/// What the lock of those is called who are at the database, the letters `SlaP`, together with the name of
/// the schema. Masters share it.
const PRESENCE: i32 = 0x536c_6150;

/// Has the server notice within a minute that the machine of a session is gone.
const NOTICED: &str =
    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;";

/// Waits for a lock, so many times, no longer than somebody takes to go whose process has just ended.
const PASSING: &str = "SET lock_timeout = 500";
const TRIES: u32 = 4;

/// Where Masters tell each other which computers have changed: who tells it, and after a space which
/// computer. Who tells nothing after it has changed something that only the feed of everything has.
const CHANNEL: &str = "slapos_change";

/// The longest computer reference that is told; the server takes 8000 bytes. In place of a longer one
/// comes nothing after the space, which is taken for all.
const LONGEST: usize = 7000;

/// Connections that only read, and those that may write. A server has 100 unless told otherwise, for
/// all Masters. One at a time writes; there may be another one that was lost and is still being closed, or
/// that only [tries](super::Store::ready) whether it could write.
const READERS: u32 = 8;
const WRITERS: u32 = 2;

/// How long a caller waits for a connection before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);

/// After that time without use a connection is tried before it is trusted: the server may be another.
const FRESH: Duration = Duration::from_secs(1);

/// The server gave up waiting for a lock that another session has.
const LOCKED: &str = "55P03";

/// What a statement asks about is not there: a table, a column.
const ABSENT: [&str; 2] = ["42P01", "42703"];

/// What the server ends by itself, milliseconds: a wait for a lock, a statement, and a transaction
/// whose Master says nothing more.
const LIMITS: &str = "SET lock_timeout = 20000; SET statement_timeout = 30000; \
     SET idle_in_transaction_session_timeout = 30000;";

/// Before it is tried again to listen to a server that does not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// Connects to a database that is empty or ours.
pub(super) async fn open(server: &Server, name: String) -> Result<Pools, StoreError> {
    reach(server, &name).await?;
    let writers = pool(WRITERS).connect(server.url()).await?;
    let readers = pool(READERS).connect(server.url()).await?;
    let pools = Pools { kind: Kind::Postgres, name, writers, readers, inline: None };
    let mut tx = pools.read().await?;
    let tables = catalog::tables(&mut tx, Kind::Postgres).await?;
    if let Some(found) = foreign(&tables, &catalog::names(&mut tx).await?) {
        return Err(StoreError::NotOurs { database: pools.name, found });
    }
    drop(tx);
    Ok(pools)
}

/// Tries a connection by itself: a pool would try again for long, and not say why.
async fn reach(server: &Server, name: &str) -> Result<(), StoreError> {
    let connected = tokio::time::timeout(PATIENCE, AnyConnection::connect(server.url())).await;
    let error = match connected {
        Ok(Ok(connection)) => return Ok(connection.close().await?),
        Ok(Err(error)) => StoreError::from(error),
        Err(_) => StoreError::Unavailable(format!("no answer within {PATIENCE:?}")),
    };
    Err(match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(format!("{name}: {why}")),
        StoreError::Database(why) => StoreError::Database(format!(
            "{name}: {why}; correct `database_uri` in [slapproxy], or have the server take it"
        )),
        other => other,
    })
}

fn pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .before_acquire(|connection, idle| {
            Box::pin(async move {
                if connection.is_in_transaction() {
                    return Ok(false);
                }
                Ok(idle.idle_for < FRESH || connection.ping().await.is_ok())
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(LIMITS).await?;
                Ok(())
            })
        })
}

/// What a database is that has tables of these names, but not ours.
fn foreign(tables: &[Table], names: &[String]) -> Option<String> {
    const COLUMNS: [&str; 3] = ["version", "name", "applied_at"];
    let records = tables.iter().find(|table| table.name == RECORDS);
    let ours = records.is_some_and(|table| {
        table.columns.len() == COLUMNS.len()
            && table.columns.iter().zip(COLUMNS).all(|(column, name)| column.name == name)
    });
    if names.is_empty() || ours {
        return None;
    }
    let more = if names.len() > 3 { ", ..." } else { "" };
    let shown = names.get(..3).unwrap_or(names).join(", ");
    Some(format!("it has tables of another program: {shown}{more}"))
}

/// Waits until nobody else may change anything.
pub(super) async fn lock_all(tx: &mut Connection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))")
        .bind(LOCK)
        .execute(tx)
        .await?;
    Ok(())
}

/// Has the transaction take its time: one that copies everything, or changes the schema.
pub(super) async fn take_time(tx: &mut Connection) -> Result<(), StoreError> {
    tx.execute(
        "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;",
    )
    .await?;
    Ok(())
}

/// Has the bells of other Masters rung when the transaction is committed.
pub(super) async fn tell<'c>(
    tx: &mut Connection,
    teller: &str,
    changed: impl IntoIterator<Item = &'c ComputerId>,
) -> Result<(), StoreError> {
    let payloads = payloads(teller, changed);
    if payloads.is_empty() {
        return Ok(());
    }
    let sql = "SELECT pg_notify($1, value) FROM json_array_elements_text(CAST($2 AS json))";
    let payloads = serde_json::Value::from(payloads).to_string();
    sqlx::query(sql).bind(CHANNEL).bind(payloads).execute(tx).await?;
    Ok(())
}

/// What is told of these computers. Who hears of one rings the bell of everything, too.
fn payloads<'c>(teller: &str, changed: impl IntoIterator<Item = &'c ComputerId>) -> Vec<String> {
    let is_feed = |computer: &&ComputerId| computer.as_str().is_empty();
    let (feed, computers): (Vec<_>, Vec<_>) = changed.into_iter().partition(is_feed);
    if computers.is_empty() && !feed.is_empty() {
        return vec![teller.to_owned()];
    }
    let payload = |computer: &ComputerId| {
        let computer = Some(computer.as_str()).filter(|computer| computer.len() <= LONGEST);
        format!("{teller} {}", computer.unwrap_or_default())
    };
    computers.into_iter().map(payload).collect()
}

/// Rings the bells for what other Masters change, until it is aborted; the same connection says that a
/// Master is there. While the server is away nothing is heard, so afterwards all bells are rung.
///
/// While the connection is lost nothing says that a Master is there, and a command may put something else
/// in the place of what it remembers. So it ends when somebody is there alone afterwards, or the content
/// is not that of the `era` any more. That only the server itself can say: while it says nothing, or
/// anything else, it is tried again, however long that takes.
pub(super) async fn hear(server: Server, mut listener: PgListener, bells: Arc<Bells>, era: String) {
    loop {
        bells.ring_all();
        while let Ok(heard) = listener.try_recv().await {
            match heard {
                Some(heard) => ring(&bells, heard.payload()),
                // The connection is lost.
                None => break,
            }
        }
        listener = loop {
            match attend_again(&server, &era).await {
                Ok(Some(listener)) => break listener,
                Ok(None) => return,
                Err(error) => tracing::debug!("what other Masters change is not heard: {error}"),
            }
            tokio::time::sleep(AGAIN).await;
        };
    }
}

/// Such a connection in the place of one that was lost; none if the content is another one, or may be soon.
async fn attend_again(server: &Server, era: &str) -> Result<Option<PgListener>, StoreError> {
    let Some(mut listener) = attend_in_passing(server, PATIENCE).await? else { return Ok(None) };
    // From here on nobody replaces it.
    let sql = "SELECT e.name, (SELECT max(version) FROM schema_migration) AS version FROM era e";
    let same = match sqlx::query(sql).fetch_optional(&mut listener).await {
        // A newer Master may have taken the schema further, which is no reason to end.
        Ok(Some(row)) => {
            let version: Option<i64> = row.try_get("version")?;
            row.try_get::<String, _>("name")? == era && version >= Some(migrations::latest())
        }
        Ok(None) => false,
        Err(error) if ABSENT.iter().any(|state| is_state(&error, state)) => false,
        Err(other) => return Err(other.into()),
    };
    if !same {
        return Ok(None);
    }
    listener.listen(CHANNEL).await?;
    Ok(Some(listener))
}

/// A connection that listens, and says that a Master is there.
///
/// # Errors
/// [`StoreError::Busy`] while somebody is there alone.
pub(super) async fn listen(server: &Server) -> Result<PgListener, StoreError> {
    let listener = attend_in_passing(server, PATIENCE).await?;
    let mut listener = listener.ok_or_else(|| presence::taken(server.shown()))?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// A connection that says that a Master is there, or nothing while somebody is there alone.
///
/// # Errors
/// Whatever does not tell which of both it is, such as a server that is not there.
async fn attend_in_passing(
    server: &Server,
    patience: Duration,
) -> Result<Option<PgListener>, StoreError> {
    for _ in 0..TRIES {
        match attend(server, patience).await {
            Ok(listener) => return Ok(Some(listener)),
            Err(error) if is_state(&error, LOCKED) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(None)
}

/// Whether the server itself said that it failed so.
fn is_state(error: &sqlx::Error, state: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some(state)
}

async fn attend(server: &Server, patience: Duration) -> Result<PgListener, sqlx::Error> {
    // Of one connection, which stays: when it is lost, the pool is of no use any more.
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let pool = pool.acquire_timeout(patience).connect(server.url()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.ignore_pool_close_event(true);
    listener.eager_reconnect(false);
    sqlx::raw_sql(NOTICED).execute(&mut listener).await?;
    sqlx::raw_sql(PASSING).execute(&mut listener).await?;
    let sql = "SELECT pg_advisory_lock_shared($1, hashtext(current_schema()))";
    sqlx::query(sql).bind(PRESENCE).execute(&mut listener).await?;
    Ok(listener)
}

/// The right to be there alone, for as long as the session lasts; or where the Masters are connected from
/// that are there.
///
/// # Errors
/// Failures of the server.
pub(super) async fn alone(
    server: &Server,
) -> Result<Result<AnyConnection, Vec<String>>, StoreError> {
    let mut session = AnyConnection::connect(server.url()).await?;
    session.execute(NOTICED).await?;
    session.execute(PASSING).await?;
    let sql = "SELECT pg_advisory_lock($1, hashtext(current_schema()))";
    for _ in 0..TRIES {
        match sqlx::query(sql).bind(PRESENCE).execute(&mut session).await {
            Ok(_) => return Ok(Ok(session)),
            Err(error) if is_state(&error, LOCKED) => {}
            Err(other) => return Err(other.into()),
        }
    }
    let places = sqlx::query(
        "SELECT DISTINCT COALESCE(host(a.client_addr), 'the machine of the database') AS place \
         FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.classid = CAST($1 AS BIGINT)::oid \
         AND l.objid = (CAST(hashtext(current_schema()) AS BIGINT) & 4294967295)::oid \
         AND a.datname = current_database() ORDER BY place",
    );
    let places = places.bind(i64::from(PRESENCE)).fetch_all(&mut session).await?;
    Ok(Err(places.iter().map(|row| text(row, "place")).collect::<Result<_, _>>()?))
}

/// Whether a Master is there whose sessions have another name that begins with [`NAMED`].
pub(super) async fn has_other(server: &Server, name: &str) -> Result<bool, StoreError> {
    let mut session = AnyConnection::connect(server.url()).await?;
    let sql = "SELECT count(*) AS n FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.classid = CAST($1 AS BIGINT)::oid \
         AND l.objid = (CAST(hashtext(current_schema()) AS BIGINT) & 4294967295)::oid \
         AND a.datname = current_database() \
         AND a.application_name LIKE $2 AND a.application_name <> $3";
    let query = sqlx::query(sql).bind(i64::from(PRESENCE)).bind(format!("{NAMED}%")).bind(name);
    let others: i64 = query.fetch_one(&mut session).await?.try_get("n")?;
    session.close().await?;
    Ok(others > 0)
}

/// Rings what a payload says.
fn ring(bells: &Bells, payload: &str) {
    let (teller, computer) = match payload.split_once(' ') {
        Some((teller, computer)) => (teller, Some(computer)),
        None => (payload, None),
    };
    match computer {
        // Rung already, when it was committed.
        _ if teller == bells.name() => {}
        None => bells.ring(&ComputerId::new("")),
        Some("") => bells.ring_all(),
        Some(computer) => bells.ring(&ComputerId::new(computer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;

    #[tokio::test]
    async fn a_server_that_is_away_tells_nothing_of_who_is_there() {
        let nobody = "postgresql://slapos@127.0.0.1:1/slapos?sslmode=disable";
        let Database::Server(server) = Database::parse(nobody, None).unwrap() else { panic!() };
        let attended = attend_in_passing(&server, Duration::from_millis(50)).await;
        assert!(attended.is_err(), "a server that does not answer is no sign of a restoration");
    }

    #[test]
    fn each_computer_is_told_and_the_feed_where_there_is_none() {
        let told = |changed: &[&str]| {
            let changed: Vec<_> = changed.iter().map(|name| ComputerId::new(*name)).collect();
            payloads("me", &changed)
        };
        assert_eq!(told(&[]), Vec::<String>::new());
        assert_eq!(told(&[""]), ["me"]);
        assert_eq!(told(&["", "a b", "c"]), ["me a b", "me c"]);
        assert_eq!(told(&["x".repeat(LONGEST + 1).as_str()]), ["me "]);
    }
}
