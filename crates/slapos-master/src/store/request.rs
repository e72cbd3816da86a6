//! Requests: which instance is meant, and when something of it has changed.
//!
//! A request is one transaction from the search to the answer. The rules:
//! - the requester's tree decides which instance a title means, whatever computer it is on; titles
//!   of roots are unique in their project, those of children in their tree;
//! - a new instance gets a place by the policy of [`crate::allocation`], and stays there whatever
//!   is asked about its place later;
//! - a child is never more alive than the root of its tree;
//! - the timestamp changes only when something wanted has changed;
//! - an instance is called `<computer>-<partition>` (its guid) as long as it lives: a partition that
//!   has become free gives the same name to the next one.

use std::net::IpAddr;

use slapos_slap::{
    Change, ChangeKind, ComputerId, DEFAULT_SOFTWARE_TYPE, InstanceAnswer, InstanceRequest,
    InstanceState, PartitionId,
};

use super::connection::Connection;
use super::information::{access_status, addresses};
use super::instances::{instance_at, instance_of, rename, require_instance};
use super::offers::one_less;
use super::placing::Place;
use super::rows::{InstanceRow, later_than, to_column, wire_timestamp};
use super::together::together;
use super::{Store, Tx, changes};
use crate::error::StoreError;

/// On whose behalf an instance is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The project of the tree.
    pub(super) project: String,
    /// The title of the tree's root; empty when a root is asked for.
    pub(super) root: String,
    /// The instance that asks.
    pub(super) here: Option<(ComputerId, PartitionId)>,
}

impl Origin {
    /// The title of the root of the tree that an instance of that title is in.
    pub(super) fn root_title<'a>(&'a self, title: &'a str) -> &'a str {
        if self.root.is_empty() { title } else { &self.root }
    }

    /// Who asks, as `<computer>-<partition>`; empty for a user.
    pub(super) fn asked_by(&self) -> String {
        self.here
            .as_ref()
            .map(|(computer, partition)| guid(computer, partition))
            .unwrap_or_default()
    }
}

/// What a request would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Would {
    /// Make an instance.
    Create,
    /// Change one.
    Change,
    /// Leave it as it is.
    Nothing,
}

impl Store {
    /// Makes or changes an instance of the operator's project, or of the tree that asks.
    ///
    /// # Errors
    /// As [`Store::request_in`].
    pub async fn request(&self, request: &InstanceRequest) -> Result<InstanceAnswer, StoreError> {
        self.request_in("", request).await
    }

    /// Makes or changes an instance. A root, which nobody's tree asks for, is in `project`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no room, or nothing to destroy.
    pub async fn request_in(
        &self,
        project: &str,
        request: &InstanceRequest,
    ) -> Result<InstanceAnswer, StoreError> {
        Ok(self.granted(project, request, true).await?.0)
    }

    /// The same, with what was done. Whether there is such an instance is looked at first, unless it
    /// `seems_new`.
    ///
    /// # Errors
    /// Those of the request.
    pub(crate) async fn granted(
        &self,
        project: &str,
        request: &InstanceRequest,
        seems_new: bool,
    ) -> Result<(InstanceAnswer, Would), StoreError> {
        let (tx, granted) = self.asked(project, request, seems_new).await?;
        tx.commit().await?;
        Ok(granted)
    }

    /// As [`Store::request_in`], and gives the instance another title: both happen, or neither.
    ///
    /// # Errors
    /// Those of the request and of [`Store::rename`].
    pub(crate) async fn request_renamed(
        &self,
        project: &str,
        request: &InstanceRequest,
        title: &str,
    ) -> Result<InstanceAnswer, StoreError> {
        let (mut tx, (answer, _)) = self.asked(project, request, false).await?;
        let instance = require_instance(&mut tx, &answer.computer, &answer.partition).await?;
        rename(&mut tx, &instance, title, self.now()).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// What [`Store::request_in`] would do and answer; nothing is done.
    ///
    /// # Errors
    /// Those of the request.
    pub async fn check(
        &self,
        project: &str,
        request: &InstanceRequest,
    ) -> Result<(Would, InstanceAnswer), StoreError> {
        let (tx, (answer, would)) = self.asked(project, request, false).await?;
        tx.give_up().await?;
        Ok((would, answer))
    }

    /// What is granted, and the transaction in which it was done.
    async fn asked(
        &self,
        project: &str,
        request: &InstanceRequest,
        seems_new: bool,
    ) -> Result<(Tx, (InstanceAnswer, Would)), StoreError> {
        let mut tx = self.write().await?;
        match self.ask(&mut tx, project, request, seems_new).await {
            Ok(granted) => Ok((tx, granted)),
            // It is believed: another Master that wants something destroyed forgets what is not there.
            Err(why) => Err(tx.refuse(why).await),
        }
    }

    async fn ask(
        &self,
        tx: &mut Tx,
        project: &str,
        request: &InstanceRequest,
        seems_new: bool,
    ) -> Result<(InstanceAnswer, Would), StoreError> {
        let mut request = request.clone();
        if request.software_type.is_empty() {
            DEFAULT_SOFTWARE_TYPE.clone_into(&mut request.software_type);
        }
        let origin = origin(tx, project, &request).await?;
        if request.shared {
            return self.request_shared(tx, &request, &origin).await;
        }
        if seems_new && let Some(answer) = self.allocate_at_once(tx, &request, &origin).await? {
            return Ok((answer, Would::Create));
        }
        self.request_instance(tx, &request, &origin).await
    }

    async fn request_instance(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        origin: &Origin,
    ) -> Result<(InstanceAnswer, Would), StoreError> {
        let now = self.now();
        let found = instance_of(tx, &origin.project, &origin.root, request.title.as_str()).await?;
        let limit = limit(tx, origin).await?;
        match found {
            Some(former) => {
                let wanted = wish(&former, request, origin, limit, now);
                let would = change(tx, &former, &wanted, now).await?;
                Ok((answer(tx, wanted).await?, would))
            }
            None if request.state == Some(InstanceState::Destroyed) => {
                let title = &request.title;
                Err(StoreError::NotFound(format!(
                    "there is no instance {title}, so nothing is to be destroyed"
                )))
            }
            None => Ok((self.allocate(tx, request, origin, limit, now).await?, Would::Create)),
        }
    }

    /// Puts a new instance where the policy says.
    async fn allocate(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        origin: &Origin,
        limit: InstanceState,
        now: i64,
    ) -> Result<InstanceAnswer, StoreError> {
        let place = self.place(tx, request, origin).await?;
        let (row, addresses) = new_row(place, request, origin, limit, now);
        insert(tx, &row).await?;
        note(tx, &row, now).await?;
        Ok(answer_with(row, addresses))
    }

    /// The same for a user's, where that is one step; `None` is the general way.
    async fn allocate_at_once(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        origin: &Origin,
    ) -> Result<Option<InstanceAnswer>, StoreError> {
        let (state, now) = (request.state.unwrap_or(InstanceState::Started), self.now());
        if origin.here.is_some() || state == InstanceState::Destroyed {
            return Ok(None);
        }
        let made = self.make_at_once(tx, request, &origin.project, state, now).await?;
        Ok(made.map(|place| {
            let (row, addresses) = new_row(place, request, origin, state, now);
            answer_with(row, addresses)
        }))
    }
}

/// A new instance in a place, with the addresses of its partition; it is at most as alive as `limit`.
fn new_row(
    Place { computer, partition, addresses }: Place,
    request: &InstanceRequest,
    origin: &Origin,
    limit: InstanceState,
    now: i64,
) -> (InstanceRow, Vec<(String, IpAddr)>) {
    let row = InstanceRow {
        computer,
        partition,
        project: origin.project.clone(),
        title: request.title.to_string(),
        root: origin.root.clone(),
        software: request.software.clone(),
        software_type: request.software_type.clone(),
        requested_state: request.state.unwrap_or(InstanceState::Started).max(limit),
        parameters: request.parameters.clone(),
        connection: indexmap::IndexMap::new(),
        changed_at: now,
        reported: None,
        filter: request.sla.clone(),
        asked_by: origin.asked_by(),
        orphan_since: None,
        restart_at: None,
    };
    (row, addresses)
}

/// How an instance is called.
pub(super) fn guid(computer: &ComputerId, partition: &PartitionId) -> String {
    format!("{computer}-{partition}")
}

/// Whose tree a request belongs to: none when a user asks, which is also how a requester is taken
/// whose partition has no instance.
pub(super) async fn origin(
    tx: &mut Tx,
    project: &str,
    request: &InstanceRequest,
) -> Result<Origin, StoreError> {
    let user = Origin { project: project.to_owned(), ..Origin::default() };
    let Some((computer, partition)) = &request.requester else { return Ok(user) };
    let found = instance_at(tx, computer, partition).await?;
    Ok(found.map_or(user, |instance| Origin {
        root: instance.root_title().to_owned(),
        project: instance.project,
        here: request.requester.clone(),
    }))
}

/// How alive an instance of a tree may be: as much as its root.
pub(super) async fn limit(
    tx: &mut Connection,
    origin: &Origin,
) -> Result<InstanceState, StoreError> {
    let root = match origin.root.as_str() {
        "" => None,
        root => instance_of(tx, &origin.project, "", root).await?,
    };
    Ok(root.map_or(InstanceState::Started, |root| root.requested_state))
}

/// The instance as the request wants it; equal to the former one when nothing changes.
pub(super) fn wish(
    former: &InstanceRow,
    request: &InstanceRequest,
    origin: &Origin,
    limit: InstanceState,
    now: i64,
) -> InstanceRow {
    let mut wanted = former.clone();
    wanted.requested_state = request.state.unwrap_or(former.requested_state).max(limit);
    wanted.software = request.software.clone();
    wanted.software_type.clone_from(&request.software_type);
    wanted.parameters.clone_from(&request.parameters);
    // Maps compare without regard to order.
    if wanted != *former {
        wanted.changed_at = later_than(former.changed_at, now);
    }
    // Nothing of the instance changes by these, so its node need not look at it again.
    wanted.filter.clone_from(&request.sla);
    wanted.asked_by = origin.asked_by();
    wanted.orphan_since = None;
    wanted
}

/// Writes what differs.
async fn change(
    tx: &mut Tx,
    former: &InstanceRow,
    wanted: &InstanceRow,
    now: i64,
) -> Result<Would, StoreError> {
    if wanted == former {
        return Ok(Would::Nothing);
    }
    update(tx, wanted).await?;
    if wanted.changed_at == former.changed_at && wanted.filter == former.filter {
        return Ok(Would::Nothing);
    }
    note(tx, wanted, now).await?;
    Ok(Would::Change)
}

async fn note(tx: &mut Tx, row: &InstanceRow, now: i64) -> Result<(), StoreError> {
    let change = Change::of_partition(ChangeKind::Request, &row.partition);
    changes::note(tx, &row.computer, &change.state(row.requested_state.as_str()), now).await
}

/// Begins the statement that adds an instance.
pub(super) const INSERT: &str = "\
    INSERT INTO instance (computer, partition_reference, title, root, software, software_type, \
    requested_state, parameters, connection, changed_at, filter, project, asked_by)";

/// Adds an instance to a computer, and has its offers follow.
async fn insert(tx: &mut Tx, row: &InstanceRow) -> Result<(), StoreError> {
    let [gone, fewer] = one_less("$1");
    let made = format!("{INSERT} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)");
    together(tx, &[&made, &gone, &fewer], |query| {
        query
            .bind(row.computer.as_str())
            .bind(row.partition.as_str())
            .bind(row.title.as_str())
            .bind(row.root.as_str())
            .bind(row.software.as_str())
            .bind(row.software_type.as_str())
            .bind(row.requested_state.as_str())
            .bind(to_column(&row.parameters))
            .bind(to_column(&row.connection))
            .bind(row.changed_at)
            .bind(to_column(&row.filter))
            .bind(row.project.as_str())
            .bind(row.asked_by.as_str())
    })
    .await
}

async fn update(tx: &mut Tx, row: &InstanceRow) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE instance SET software = $3, software_type = $4, requested_state = $5, \
         parameters = $6, changed_at = $7, filter = $8, asked_by = $9, orphan_since = $10 \
         WHERE computer = $1 AND partition_reference = $2",
    )
    .bind(row.computer.as_str())
    .bind(row.partition.as_str())
    .bind(row.software.as_str())
    .bind(row.software_type.as_str())
    .bind(row.requested_state.as_str())
    .bind(to_column(&row.parameters))
    .bind(row.changed_at)
    .bind(to_column(&row.filter))
    .bind(row.asked_by.as_str())
    .bind(row.orphan_since)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn answer(tx: &mut Tx, row: InstanceRow) -> Result<InstanceAnswer, StoreError> {
    let mut addresses = addresses(tx, &row.computer, row.partition.as_str()).await?;
    let addresses = addresses.remove(&row.partition).unwrap_or_default();
    Ok(answer_with(row, addresses))
}

/// The answer about an instance whose partition has these addresses.
pub(super) fn answer_with(row: InstanceRow, addresses: Vec<(String, IpAddr)>) -> InstanceAnswer {
    InstanceAnswer {
        ip_list: addresses,
        guid: Some(guid(&row.computer, &row.partition)),
        partition: row.partition,
        computer: row.computer,
        connection: row.connection,
        parameters: row.parameters,
        state: row.requested_state,
        software_type: row.software_type,
        software_url: row.software,
        timestamp: Some(wire_timestamp(row.changed_at)),
        access_status: row.reported.as_ref().map(access_status),
        master_url: None,
    }
}
