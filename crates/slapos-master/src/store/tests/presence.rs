//! What Masters at one PostgreSQL server see of each other, and of what is done behind their backs.

use sqlx::Executor as _;

use super::*;

/// Ends the session that says that the Master is there, and waits for the next one, or for its end.
async fn cut(fixture: &Fixture) {
    const SESSIONS: &str = "FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND classid = 1399611728 \
         AND objid = (CAST(hashtext(current_schema()) AS BIGINT) & 4294967295)::oid";
    let server = &fixture.store.pools.writers;
    let sql = format!("SELECT CAST(pid AS BIGINT) AS n {SESSIONS}");
    let pid = async || {
        let row = server.fetch_optional(sqlx::AssertSqlSafe(sql.clone())).await.unwrap();
        row.map(|row| sqlx::Row::get::<i64, _>(&row, "n"))
    };
    let before = pid().await.unwrap();
    let end = format!("SELECT CAST(pg_terminate_backend(pid) AS TEXT) {SESSIONS}");
    server.execute(sqlx::AssertSqlSafe(end)).await.unwrap();
    let back = async {
        while pid().await.is_none_or(|pid| pid == before) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = back => {}
        _ = fixture.store.replaced() => {}
    }
}

#[tokio::test]
async fn a_master_ends_whose_database_was_replaced_while_it_was_cut_off() {
    let fixture = store(1).await;
    let Database::Server(_) = fixture.database else { return };
    cut(&fixture).await;
    fixture.store.ready().await.unwrap();
    let still = tokio::select! {
        biased;
        _ = fixture.store.replaced() => false,
        () = tokio::task::yield_now() => true,
    };
    assert!(still, "the same content is no reason to end");
    fixture.store.pools.writers.execute("UPDATE era SET name = 'another'").await.unwrap();
    cut(&fixture).await;
    let error = fixture.store.replaced().await.to_string();
    assert!(error.contains("start it again"), "{error}");
}

#[tokio::test]
async fn masters_that_differ_find_each_other() {
    let fixture = store(0).await;
    let Database::Server(_) = fixture.database else {
        return assert!(!fixture.database.has_other("a").await.unwrap());
    };
    let database = fixture.database.marked("a").unwrap();
    let _one = opened(&database).await.unwrap();
    assert!(!database.has_other("a").await.unwrap());
    assert!(database.has_other("b").await.unwrap());
}

#[tokio::test]
async fn tables_of_a_role_that_shows_them_to_nobody_are_another_programs() {
    let Some(socket) = slapos_testkit::given_server() else { return };
    let name = slapos_testkit::own_name();
    let sql = format!(
        "CREATE SCHEMA {name}; CREATE TABLE {name}.t (a integer); CREATE ROLE {name} LOGIN; \
         GRANT USAGE, CREATE ON SCHEMA {name} TO {name};"
    );
    slapos_testkit::sql_at(&socket, "postgres", &sql);
    let socket = socket.display();
    let uri =
        format!("postgresql:///postgres?host={socket}&user={name}&options=-csearch_path%3D{name}");
    let database = Database::parse(&uri, None).unwrap();
    let error = opened(&database).await.err().unwrap();
    let StoreError::NotOurs { found, .. } = error else { panic!("{error}") };
    insta::assert_snapshot!(found, @"it has tables of another program: t");
}
