//! The schema both ways, from each number, with data in it.

use slapos_sys::clock::SystemClock;
use sqlx::{Executor as _, Row as _};

use super::*;
use crate::store::migrations::{MIGRATIONS, Step, latest};
use crate::store::pools::Pools;
use crate::store::{catalog, migrate, migrations};

/// What a Master of the first schema may have left.
const FIRST: &str = "\
    INSERT INTO computer (reference, address, netmask, formatted_at) VALUES ('c', 'a', 'n', 7);
    INSERT INTO software (computer, url, requested_state, requested_at)
        VALUES ('c', 's', 'available', 1);
    INSERT INTO computer_partition (computer, reference, position) VALUES ('c', 'p0', 1);
    INSERT INTO computer_partition (computer, reference, position) VALUES ('c', 'p1', 2);
    INSERT INTO partition_address
        (computer, partition_reference, position, interface, address, netmask)
        VALUES ('c', 'p0', 0, 'lo', '10.0.0.1', '255.0.0.0');
    INSERT INTO instance (computer, partition_reference, title, root, software, software_type,
        requested_state, parameters, connection, changed_at)
        VALUES ('c', 'p0', 'one', '', 's', 't', 'started', '{\"a\":\"b\"}', '{\"u\":\"v\"}', 5);
    INSERT INTO instance (computer, partition_reference, title, root, software, software_type,
        requested_state, parameters, connection, changed_at)
        VALUES ('c', 'p1', 'child', 'one', 's', 't', 'stopped', '{}', '{}', 6);
    INSERT INTO shared_instance (reference, computer, partition_reference, title, root, software,
        software_type, parameters, connection) VALUES ('_s', 'c', 'p0', 's', '', 's', 't', '{}', '{}');
";

fn new_database() -> (Database, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (crate::testing::database(&directory.path().join("proxy.db")), directory)
}

/// How many rows each table of the first schema has.
async fn counts(pools: &Pools) -> Vec<(String, i64)> {
    let mut tx = pools.read().await.unwrap();
    let mut counts = Vec::new();
    for table in catalog::in_order(&mut tx, pools.kind).await.unwrap() {
        if !FIRST.contains(&format!("INTO {} (", table.name)) && table.name != "partition_address" {
            continue;
        }
        let sql = format!("SELECT count(*) AS n FROM {}", catalog::quoted(&table.name));
        let row = tx.fetch_one(sqlx::AssertSqlSafe(sql)).await.unwrap();
        counts.push((table.name, row.try_get("n").unwrap()));
    }
    counts.sort();
    counts
}

#[tokio::test]
async fn the_schema_goes_forth_and_back_from_each_number_and_keeps_what_it_can_hold() {
    for from in MIGRATIONS.iter().map(|migration| migration.number) {
        let (database, _directory) = new_database();
        let pools = Pools::connect(&database).await.unwrap();
        migrations::migrate(&pools, &SystemClock, 1).await.unwrap();
        let mut tx = pools.write().await.unwrap();
        sqlx::raw_sql(FIRST).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let before = counts(&pools).await;
        assert_eq!(before.iter().map(|(_, rows)| rows).sum::<i64>(), 8);
        migrations::migrate(&pools, &SystemClock, from).await.unwrap();
        for _ in 0..2 {
            migrations::migrate(&pools, &SystemClock, latest()).await.unwrap();
            assert_eq!(counts(&pools).await, before, "up from {from}");
            let back = migrations::migrate(&pools, &SystemClock, from).await.unwrap();
            assert!(back.iter().all(|step| matches!(step, Step::Down(_))));
            assert_eq!(counts(&pools).await, before, "down to {from}");
        }
        pools.close().await;
        let store = opened(&database).await.unwrap();
        let overview = store.overview().await.unwrap();
        let titles: Vec<_> = overview.instances.iter().map(|i| i.title.as_str()).collect();
        assert_eq!(titles, ["one", "child"]);
        assert_eq!(overview.instances[0].connection, texts(&[("u", "v")]));
        assert_eq!(overview.shared.len(), 1);
        store.bang_computer(&"c".into()).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_present_schema_holds_can_go_back_to_each_number() {
    for to in MIGRATIONS.iter().map(|migration| migration.number) {
        let fixture = store(3).await;
        fixture.place("root", None).await;
        fixture.place("child", Some("slappart0")).await;
        let mut before = fixture.store.overview().await.unwrap();
        fixture.store.close().await;
        migrate(&fixture.database, Some(to), &SystemClock).await.unwrap();
        let again = opened(&fixture.database).await.unwrap();
        let mut after = again.overview().await.unwrap();
        // Routes and the like may be lost; instances and partitions are not.
        for overview in [&mut before, &mut after] {
            overview.instances.sort_by(|one, two| one.title.cmp(&two.title));
        }
        assert_eq!(after.instances, before.instances, "back to {to}");
        assert_eq!(after.partitions, before.partitions, "back to {to}");
    }
}

#[tokio::test]
async fn a_schema_that_there_is_not_is_refused() {
    let fixture = store(1).await;
    let error = migrate(&fixture.database, Some(0), &SystemClock).await.unwrap_err().to_string();
    assert!(error.starts_with("there is no schema 0; this version knows 1, 2, "), "{error}");
    assert!(migrate(&fixture.database, None, &SystemClock).await.unwrap().is_empty());
    let mut tx = fixture.store.pools.write().await.unwrap();
    tx.execute("INSERT INTO schema_migration VALUES (99, 'later', 0)").await.unwrap();
    tx.commit().await.unwrap();
    for to in [Some(1), None] {
        let error = migrate(&fixture.database, to, &SystemClock).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    }
    let error = fixture.store.ready().await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
}

/// Of several that start at once, each finds the schema made, and none makes it twice.
#[tokio::test(flavor = "multi_thread")]
async fn masters_that_start_at_once_make_the_schema_together() {
    let (database, _directory) = new_database();
    let starting: Vec<_> = (0..4)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move { opened(&database).await.map(|_| ()) })
        })
        .collect();
    for started in starting {
        started.await.unwrap().unwrap();
    }
    assert_eq!(opened(&database).await.unwrap().computers().await.unwrap(), ["home".into()]);
}
