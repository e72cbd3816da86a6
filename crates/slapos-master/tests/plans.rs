//! Nothing that nodes and users ask all day looks through a whole table: what it costs does not grow
//! with the number of computers. What is asked of the database is overheard while a store is used,
//! and SQLite says how it finds what each statement is about. How often it is asked is counted too.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use slapos_master::{Database, Store};
use slapos_slap::{
    Address, ComputerDescription, ComputerId, InstanceRequest, InstanceState, PartitionDescription,
    PartitionId, SoftwareState, SoftwareUrl,
};
use slapos_sys::clock::{ManualClock, SignedDuration, Timestamp};
use sqlx::{Connection as _, Row as _};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Tables of one row, or that are looked at when a Master starts.
const SMALL: [&str; 4] = ["era", "e", "schema_migration", "sqlite_master"];

type Statements = Arc<Mutex<Asked>>;

/// What was asked of the database.
#[derive(Debug, Default)]
struct Asked {
    statements: BTreeSet<String>,
    times: usize,
}

/// Overhears what is asked of the database.
struct Ear(Statements);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "slapos_master::statement"
    }

    fn event(&self, event: &Event<'_>) {
        let mut heard = Heard::default();
        event.record(&mut heard);
        let mut asked = self.0.lock().unwrap();
        asked.times += 1;
        asked.statements.insert(heard.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Heard(String);

impl Visit for Heard {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "statement" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

fn overheard() -> Statements {
    static ALL: OnceLock<Statements> = OnceLock::new();
    let start = || {
        let all = Statements::default();
        tracing::subscriber::set_global_default(Ear(Arc::clone(&all))).unwrap();
        all
    };
    Arc::clone(ALL.get_or_init(start))
}

fn description(computer: &str) -> ComputerDescription {
    let partition = |number: u8| {
        let addr = format!("10.0.0.{number}").parse().unwrap();
        let address = Address { addr, netmask: "255.255.255.255".to_owned() };
        PartitionDescription::new(format!("slappart{number}").into(), vec![address])
    };
    ComputerDescription::new(computer.into(), (0..4).map(partition).collect())
}

/// All that nodes and users do all day.
async fn use_all(store: &Store) {
    let home = ComputerId::new("home");
    let (root, child) = (PartitionId::new("slappart0"), PartitionId::new("slappart1"));
    let software = SoftwareUrl::new("http://example.org/software.cfg");
    store.format(&description("home")).await.unwrap();
    store.supply(&software, &home, SoftwareState::Available).await.unwrap();
    store.report_software(&software, &home, "available", "").await.unwrap();
    let mut request = InstanceRequest::new("root", software.clone());
    for parameter in ["1", "1", "2"] {
        request.parameters.insert("parameter".to_owned(), parameter.to_owned());
        store.request(&request).await.unwrap();
    }
    request.title = "child".into();
    request.requester = Some((home.clone(), root.clone()));
    store.request(&request).await.unwrap();
    request.title = "shared".into();
    request.shared = true;
    store.request(&request).await.unwrap();
    store.request(&request).await.unwrap();
    store.report_instance(&home, &child, "started", "").await.unwrap();
    let published = [("url".to_owned(), "http://[::1]/".to_owned())].into();
    store.set_connection(&home, &child, &published).await.unwrap();
    store.set_shared_connection(&home, &root, "root_shared", &published).await.unwrap();
    store.bang(&home, &child).await.unwrap();
    store.bang_computer(&home).await.unwrap();
    store.rename(&home, &child, "renamed").await.unwrap();
    store.computer(&home).await.unwrap();
    store.partition(&home, &child).await.unwrap();
    store.tree_addresses(&home, &child).await.unwrap();
    store.instance_trees(Some("root")).await.unwrap();
    // What a person is told of his projects, and of one thing in them.
    let projects = ["one".to_owned(), "two".to_owned()];
    store.trees_in(Some(&projects), None).await.unwrap();
    store.trees_in(Some(&projects), Some("root")).await.unwrap();
    store.computers_of(&projects).await.unwrap();
    store.project_of_computer(&home).await.unwrap();
    let mut gone = InstanceRequest::new("root", software.clone());
    gone.state = Some(InstanceState::Destroyed);
    store.request(&gone).await.unwrap();
    store.destroyed(&home, &root).await.unwrap();
    store.destroyed(&home, &child).await.unwrap();
    store.destroyed(&home, &root).await.unwrap();
    store.supply(&software, &home, SoftwareState::Destroyed).await.unwrap();
    store.software_destroyed(&software, &home).await.unwrap();
}

/// The tables that a statement looks through from end to end.
async fn scanned(connection: &mut sqlx::AnyConnection, statement: &str) -> Vec<String> {
    let question = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    let rows = sqlx::query(question).fetch_all(connection).await.unwrap();
    let details = rows.iter().map(|row| row.get::<String, _>("detail"));
    let table = |detail: String| {
        // Values that come from no table.
        let rest = detail.strip_prefix("SCAN ").filter(|rest| *rest != "CONSTANT ROW")?;
        Some(rest.split(' ').next().unwrap_or_default().to_owned())
    };
    details.filter_map(table).filter(|table| !SMALL.contains(&table.as_str())).collect()
}

/// One test at a time overhears.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A time at which whatever is done now and then is done.
fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_second(1_000_000).unwrap())
}

#[tokio::test]
async fn what_is_asked_all_day_looks_through_no_table() {
    let _alone = ALONE.lock().await;
    let heard = overheard();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.db");
    let database = Database::from(path.as_path());
    let clock = clock();
    let store = Store::open(&database, "home".into(), Arc::new(clock.clone())).await.unwrap();
    heard.lock().unwrap().statements.clear();
    use_all(&store).await;
    let statements = std::mem::take(&mut heard.lock().unwrap().statements);
    assert!(statements.len() > 30, "little was overheard: {statements:#?}");
    let url = format!("sqlite:{}", path.display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    let slow = "SELECT title FROM instance WHERE parameters = ''";
    assert_eq!(scanned(&mut connection, slow).await, ["instance"], "a scan is seen");
    let mut wrong = Vec::new();
    for statement in statements {
        let kind = statement.split(' ').next().unwrap_or_default();
        if !["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&kind) {
            continue;
        }
        for table in scanned(&mut connection, &statement).await {
            wrong.push(format!("{table} is looked through by: {statement}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    clock.advance(SignedDuration::from_micros(1));
    assert_eq!(times(&store, &heard).await, (13, 8), "a new instance, and a report of it");
}

/// Each question is a way to the server and back, for which all wait who write.
#[tokio::test]
async fn a_server_is_asked_seldom() {
    let _alone = ALONE.lock().await;
    let server = match slapos_testkit::Postgres::start(false) {
        Ok(server) => server,
        Err(why) => return slapos_testkit::skipped("a_server_is_asked_seldom", &why),
    };
    let heard = overheard();
    let database = Database::parse(&server.database("master"), None).unwrap();
    let clock = clock();
    let store = Store::open(&database, "home".into(), Arc::new(clock.clone())).await.unwrap();
    use_all(&store).await;
    clock.advance(SignedDuration::from_micros(1));
    // With the savepoint; the beginning, the lock and the end of the transaction are shared.
    assert_eq!(times(&store, &heard).await, (2, 3), "a new instance, and a report of it");
}

/// How often the database is asked for a new instance and for a report of it, in a file with the
/// beginning and the end of the transaction.
async fn times(store: &Store, heard: &Statements) -> (usize, usize) {
    let (home, partition) = (ComputerId::new("home"), PartitionId::new("slappart0"));
    let mut request =
        InstanceRequest::new("new", SoftwareUrl::new("http://example.org/software.cfg"));
    request.sla.insert("computer_guid".to_owned(), home.to_string());
    store.supply(&request.software, &home, SoftwareState::Available).await.unwrap();
    let so_far = || heard.lock().unwrap().times;
    // A change of which it is known that all of it was heard when it has ended.
    store.bang_computer(&home).await.unwrap();
    let before = so_far();
    store.request(&request).await.unwrap();
    let requested = so_far();
    store.report_instance(&home, &partition, "started", "").await.unwrap();
    (requested - before, so_far() - requested)
}
