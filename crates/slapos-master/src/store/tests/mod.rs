//! The store's rules, each against a real SQLite file and a real PostgreSQL server.

mod audit;
mod backup;
mod cut_off;
mod farewells;
mod feed;
mod file;
mod known;
mod migrations;
mod orphans;
mod places;
mod presence;
mod projects;
mod requests;
mod revisions;
mod shared;
mod summary;
mod together;
mod tokens;
mod trees;

use std::path::PathBuf;
use std::sync::Arc;

use slapos_slap::{
    Address, ComputerDescription, ComputerPartition, InstanceAnswer, InstanceRequest,
    InstanceState, PartitionDescription,
};
use slapos_sys::clock::{ManualClock, Timestamp};

use super::{Database, Store};
use crate::error::StoreError;

pub(super) const SOFTWARE: &str = "http://example.org/software.cfg";

/// A store in a temporary directory with a clock that stands still.
pub(super) struct Fixture {
    pub(super) store: Store,
    pub(super) path: PathBuf,
    pub(super) database: Database,
    _directory: tempfile::TempDir,
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_second(1_000_000).unwrap()))
}

pub(super) async fn opened(database: &Database) -> Result<Store, StoreError> {
    Store::open(database, "home".into(), clock()).await
}

pub(super) async fn reopen(path: &std::path::Path) -> Result<Store, StoreError> {
    opened(&path.into()).await
}

/// A store whose own computer `home` has that many partitions.
pub(super) async fn store(partitions: usize) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/proxy.db");
    let database = crate::testing::database(&path);
    let store = opened(&database).await.unwrap();
    store.format(&description("home", partitions)).await.unwrap();
    Fixture { store, path, database, _directory: directory }
}

pub(super) fn description(computer: &str, partitions: usize) -> ComputerDescription {
    let partition = |number: usize| {
        let addr = format!("10.0.0.{number}").parse().unwrap();
        let netmask = "255.255.255.255".to_owned();
        let reference = format!("slappart{number}").into();
        PartitionDescription::new(reference, vec![Address { addr, netmask }])
    };
    let partitions = (0..partitions).map(partition).collect();
    let mut description = ComputerDescription::new(computer.into(), partitions);
    description.address = "127.0.0.1".to_owned();
    description.netmask = "255.0.0.0".to_owned();
    description
}

pub(super) fn wish(title: &str) -> InstanceRequest {
    InstanceRequest::new(title, SOFTWARE)
}

pub(super) fn texts(items: &[(&str, &str)]) -> indexmap::IndexMap<String, String> {
    items.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Fixture {
    pub(super) async fn request(&self, request: &InstanceRequest) -> InstanceAnswer {
        self.store.request(request).await.unwrap()
    }

    /// Requests a root, or a child when `parent` is the partition that asks.
    pub(super) async fn place(&self, title: &str, parent: Option<&str>) -> InstanceAnswer {
        let mut request = wish(title);
        request.requester = parent.map(|partition| ("home".into(), partition.into()));
        self.request(&request).await
    }

    pub(super) async fn want(&self, title: &str, state: InstanceState) -> InstanceAnswer {
        let mut request = wish(title);
        request.state = Some(state);
        self.request(&request).await
    }

    pub(super) async fn partition(&self, reference: &str) -> ComputerPartition {
        self.store.partition(&"home".into(), &reference.into()).await.unwrap()
    }

    pub(super) async fn timestamp(&self, reference: &str) -> String {
        self.partition(reference).await.timestamp.unwrap()
    }
}
