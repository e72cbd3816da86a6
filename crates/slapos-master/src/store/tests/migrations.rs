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

#[test]
fn the_way_back_of_each_schema_is_documented() {
    let page = slapos_testkit::repository().join("docs/database.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("| back from | lost |").unwrap();
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| "));
    let told: Vec<&str> =
        rows.flat_map(|row| row.split(" | ").next().unwrap().split(", ")).collect();
    // There is no way back from the first.
    for migration in &MIGRATIONS[1..] {
        let step = format!("{} {}", migration.number, migration.name);
        assert!(told.contains(&step.as_str()), "{step} is not in docs/database.md: {told:?}");
    }
}

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

/// What the later schemas hold beside, so that with requests no table is empty.
const LATER: &str = "\
    INSERT INTO partition_route VALUES ('home', 'slappart0', 'tap', '', '', '', '');
    INSERT INTO person VALUES ('ann', 1);
    INSERT INTO project VALUES ('p', 1);
    INSERT INTO member VALUES ('p', 'ann');
    UPDATE computer SET project = 'p' WHERE reference = 'home';
    UPDATE offer SET project = 'p';
    INSERT INTO token (id, digest, person, label, created_at) VALUES ('i', 'd', 'ann', '', 1);
    INSERT INTO authority VALUES ('a', 'c', 'k', 1);
    INSERT INTO certificate VALUES ('s', 'home', '', 'pem', 1, 2, NULL);
    INSERT INTO audit VALUES ('1', 1, 'ann', 'POST', '/', 'x', 204);
    INSERT INTO forwarded_request VALUES ('p', '', 't', 0, 'u', 't', 's', 1, 'default');
    INSERT INTO farewell VALUES ('u', 't', 0, 's', 'default', 'p', 'r', 0, 1);
    INSERT INTO consumption VALUES ('home', 'slappart0', 'r', 't', '1.5', '', '', 1);
    INSERT INTO computer_contact VALUES ('home', 1);
    INSERT INTO computer_metrics VALUES ('home', '{}', 1);
    INSERT INTO build_progress VALUES ('home', 'http://example.org/software.cfg', 1, 2, '', '', 1);
    INSERT INTO promise VALUES ('home', 'slappart0', 'n', 0, '', 1);
    INSERT INTO promise_result VALUES ('home', 'slappart0', 'n', 1, 0, 0, 1);
";

/// A store in which no table is empty.
async fn full() -> Fixture {
    let fixture = store(4).await;
    let supplied = "available".parse().unwrap();
    fixture.store.supply(&SOFTWARE.into(), &"home".into(), supplied).await.unwrap();
    fixture.place("root", None).await;
    fixture.place("child", Some("slappart0")).await;
    let mut shared = wish("shared");
    shared.shared = true;
    fixture.request(&shared).await;
    let mut tx = fixture.store.pools.write().await.unwrap();
    sqlx::raw_sql(LATER).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    fixture
}

/// How many rows each table has.
async fn all_counts(pools: &Pools) -> std::collections::BTreeMap<String, i64> {
    let mut tx = pools.read().await.unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for table in catalog::in_order(&mut tx, pools.kind).await.unwrap() {
        let sql = format!("SELECT count(*) AS n FROM {}", catalog::quoted(&table.name));
        let row = tx.fetch_one(sqlx::AssertSqlSafe(sql)).await.unwrap();
        counts.insert(table.name, row.try_get("n").unwrap());
    }
    counts.remove(catalog::RECORDS);
    counts
}

#[tokio::test]
async fn whatever_the_present_schema_holds_goes_back_to_each_number_and_forth_again() {
    for to in MIGRATIONS.iter().map(|migration| migration.number) {
        let fixture = full().await;
        let mut shown = fixture.store.overview().await.unwrap();
        let mut before = all_counts(&fixture.store.pools).await;
        assert!(before.values().all(|rows| *rows > 0), "no table is forgotten here: {before:?}");
        fixture.store.close().await;
        let steps = migrate(&fixture.database, Some(to), &SystemClock).await.unwrap();
        // The log tells that it was done.
        *before.get_mut("audit").unwrap() += i64::from(!steps.is_empty());
        let pools = Pools::connect(&fixture.database).await.unwrap();
        let mut back = all_counts(&pools).await;
        for (table, rows) in &back {
            assert_eq!(before[table], *rows, "{table}, back to {to}");
        }
        migrations::migrate(&pools, &SystemClock, latest()).await.unwrap();
        let forth = all_counts(&pools).await;
        // Made anew from what there is, whosever the computer is.
        back.insert("offer".to_owned(), 1);
        for (table, rows) in &back {
            assert_eq!(forth[table], *rows, "{table}, forth from {to}");
        }
        let sql = "SELECT count(*) AS n FROM offer o JOIN computer c ON c.reference = o.computer \
             WHERE o.project = c.project AND o.free = 2";
        let row = sqlx::query(sql).fetch_one(&pools.readers).await.unwrap();
        assert_eq!(row.try_get::<i64, _>("n").unwrap(), 1, "forth from {to}");
        pools.close().await;
        let mut again = opened(&fixture.database).await.unwrap().overview().await.unwrap();
        for overview in [&mut shown, &mut again] {
            overview.instances.sort_by(|one, two| one.title.cmp(&two.title));
        }
        assert_eq!(again.instances, shown.instances, "back to {to}");
        assert_eq!(again.partitions, shown.partitions, "back to {to}");
    }
}

/// Two projects with the same title, for which the former schema has no room.
#[tokio::test]
async fn what_a_former_schema_cannot_hold_stops_the_way_back_and_is_kept() {
    let fixture = full().await;
    fixture.store.request_in("p", &wish("root")).await.unwrap();
    let before = fixture.store.overview().await.unwrap();
    fixture.store.close().await;
    let error = migrate(&fixture.database, Some(4), &SystemClock).await.unwrap_err();
    let StoreError::Database(why) = &error else { panic!("{error}") };
    assert!(why.starts_with("schema 7 (requests) cannot be taken back: "), "{why}");
    let again = opened(&fixture.database).await.unwrap();
    assert_eq!(again.overview().await.unwrap().instances, before.instances);
}

/// What a killed process leaves: the last step is not committed, or it is, and nothing is between.
#[tokio::test]
async fn a_migration_that_is_cut_off_in_a_step_is_done_again_from_there() {
    for back in [false, true] {
        let from = if back { latest() } else { 1 };
        let fixture = full().await;
        fixture.store.close().await;
        let pools = Pools::connect(&fixture.database).await.unwrap();
        migrations::migrate(&pools, &SystemClock, from).await.unwrap();
        let wanted = migrations::up_to(if back { 1 } else { latest() });
        loop {
            let before = all_counts(&pools).await;
            let mut tx = pools.write_all().await.unwrap();
            let left = migrations::left(&mut tx, &pools, &wanted).await.unwrap();
            let Some(step) = left.first().copied() else { break };
            migrations::take(&mut tx, step, 1).await.unwrap();
            drop(tx);
            assert_eq!(all_counts(&pools).await, before, "{step:?}");
            let mut tx = pools.write_all().await.unwrap();
            migrations::take(&mut tx, step, 1).await.unwrap();
            tx.commit().await.unwrap();
        }
        pools.close().await;
        let again = opened(&fixture.database).await.unwrap();
        assert_eq!(again.overview().await.unwrap().instances.len(), 2);
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
