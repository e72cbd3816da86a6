//! What is done with one partition.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use indexmap::IndexMap;
use slapos_slap::{
    ComputerPartition, InstanceAnswer, InstanceRequest, InstanceState, RequestError, SlapClient,
    SoftwareUrl,
};

use super::brought_back;
use super::heard::Heard;
use crate::action::{Action, Reason};
use crate::certificate;
use crate::error::NodeError;
use crate::generation::{Home, Place, Published, Transaction};
use crate::history::{Asked, wish_of};
use crate::journal::Deed;
use crate::limits::PartitionLimits;
use crate::node::Node;
use crate::place::partition_owner;
use crate::promises::{self, Question, Told};
use crate::record::{Outcome, PartitionRecord};
use crate::worker::{Done, InstanceJob, Job, Listener, Purpose, Service, Worker};
use crate::{services, software};

/// One run of `node instance`.
pub(super) struct Session<'a, 'n> {
    pub(super) node: &'a Node<'n>,
    pub(super) master: &'a SlapClient,
    /// Instances are deployed and kept stopped, whatever is wanted.
    pub(super) force_stop: bool,
    /// What promises said.
    pub(super) heard: Heard,
    /// Whether this round has changed what an instance consists of, or started a service.
    pub(super) touched: AtomicBool,
}

impl Session<'_, '_> {
    /// Does what was decided about `partition`.
    pub(super) fn carry_out(
        &self,
        partition: &ComputerPartition,
        action: &Action,
    ) -> Result<(), NodeError> {
        match action {
            Action::Nothing(_) => Ok(()),
            Action::Refuse(_) => {
                let error = NodeError::user(action.to_string());
                self.node.tell_error(self.master, partition, &error);
                Err(error)
            }
            Action::Forget => self.leave(partition),
            Action::Stop => self.stop(partition),
            Action::Check => self.check(partition),
            Action::Tell => self.tell_and_check(partition),
            Action::Restore(number) => self.restore(partition, *number),
            Action::Process(reason) => {
                self.node.reporter.note(partition.id.as_str(), &format!("process: {reason}"));
                self.did(partition, Deed::begun("process", reason));
                self.heard.note_processed();
                let result = self.process(partition, reason);
                self.did(partition, Deed::ended(&result));
                if let Err(error) = &result {
                    self.node.tell_error(self.master, partition, error);
                }
                result
            }
        }
    }

    /// All but the record, which goes when the hooks have let go, too.
    fn leave(&self, partition: &ComputerPartition) -> Result<(), NodeError> {
        let id = partition.id.as_str();
        services::stop(self.node, &partition.id)?;
        if let Err(error) = self.tidy(id) {
            self.node.reporter.warn(id, &format!("it is free, but: {error}"));
        }
        Ok(())
    }

    fn stop(&self, partition: &ComputerPartition) -> Result<(), NodeError> {
        // Also where nothing is defined any more: a killed run may have got no further than that.
        let defined = services::is_defined(self.node, &partition.id);
        services::stop(self.node, &partition.id)?;
        if defined {
            self.node.reporter.note(partition.id.as_str(), "stopped");
        }
        self.master.instance_stopped(&partition.computer, &partition.id).map_err(NodeError::from)
    }

    fn process(&self, partition: &ComputerPartition, reason: &Reason) -> Result<(), NodeError> {
        let Some(url) = partition.software.clone() else {
            return Ok(());
        };
        let home = Home::of(self.node.config, &partition.id)?;
        let id = &partition.id;
        // Before anything is touched: services without their limits would not be started.
        let limits = self.node.config.service_limits.of(id.as_str())?;
        self.warn_of_limits(partition, limits);
        let state =
            if self.runs(partition) { InstanceState::Started } else { InstanceState::Stopped };
        let place = home.place(id, state);
        let before = self.node.records().load(id.as_str())?;
        let mut record = self.new_record(partition, &url, limits);
        record.restart = before.as_ref().and_then(|before| before.restart.clone());
        let wanted = record.wanted();
        let mut transaction = Transaction::begin(self.node, place, partition, wanted, reason)?;
        self.store(partition, &record)?;
        let result = self.deploy(partition, place, &mut transaction, before.as_ref(), &mut record);
        if let Err(error) = &result {
            self.mark_failure(partition, place.directory, place.owner, error);
        }
        record.at = self.node.clock.now();
        record.outcome = match &result {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.store(partition, &record)?;
        result
    }

    /// The supervisor says so only to its log.
    fn warn_of_limits(&self, partition: &ComputerPartition, limits: &PartitionLimits) {
        if let Some(why) = limits.together.unsupported_here().filter(|_| self.runs(partition)) {
            let text = format!(
                "[service_limits]: {why}; what runs of it goes on without, and nothing of it is started"
            );
            self.node.reporter.warn(partition.id.as_str(), &text);
        }
    }

    fn new_record(
        &self,
        partition: &ComputerPartition,
        url: &SoftwareUrl,
        limits: &PartitionLimits,
    ) -> PartitionRecord {
        PartitionRecord {
            title: partition.instance_title.clone(),
            software: url.clone(),
            software_stamp: software::stamp(&self.node.config.software_root, url)
                .unwrap_or_default(),
            timestamp: partition.timestamp.clone(),
            wish: wish_of(partition),
            state: if self.runs(partition) {
                partition.requested_state
            } else {
                InstanceState::Stopped
            },
            at: self.node.clock.now(),
            outcome: Outcome::Processing,
            restart: None,
            untold: false,
            asks_nothing: false,
            limits: Some(limits.clone()),
            marked: false,
            promises: BTreeMap::new(),
            schedule: None,
        }
    }

    fn deploy(
        &self,
        partition: &ComputerPartition,
        place: Place<'_>,
        transaction: &mut Transaction<'_, '_>,
        before: Option<&PartitionRecord>,
        record: &mut PartitionRecord,
    ) -> Result<(), NodeError> {
        let id = partition.id.as_str();
        let deployed = before.is_some_and(|before| before.outcome == Outcome::Done);
        certificate::update(self.node.config, self.master, partition, place.owner)?;
        let mut worker = Worker::start(place.owner, id, Purpose::Partition)?;
        transaction.before(&mut worker, deployed)?;
        let made = self.configure(partition, &record.software, place, &mut worker);
        let (services, asked, published) = match made {
            Ok(made) => made,
            Err(error) => {
                drop(worker);
                return Err(transaction.failed(error));
            }
        };
        if let Err(error) = transaction.deployed(&mut worker, published) {
            return Err(transaction.failed(error));
        }
        self.note_touched(transaction.has_changed());
        if self.runs(partition) {
            self.bring_up(partition, place, &services, transaction, &mut worker, record)?;
        } else {
            self.leave_stopped(partition)?;
        }
        // One that was never processed never asked either.
        let asked_nothing = before.is_none_or(|before| before.asks_nothing);
        record.asks_nothing = self.tell_asked(partition, asked, asked_nothing);
        self.mark_success(partition, place.directory, &mut worker, record)
    }

    /// Has the services of what was deployed run, asks its promises, and has the transaction judge.
    fn bring_up(
        &self,
        partition: &ComputerPartition,
        place: Place<'_>,
        services: &[Service],
        transaction: &mut Transaction<'_, '_>,
        worker: &mut Worker,
        record: &mut PartitionRecord,
    ) -> Result<(), NodeError> {
        let started = self.start(partition, place, services, record);
        let started = started.and_then(|started| {
            self.note_touched(started);
            services::are_few_enough(services)
        });
        let up = started.and_then(|()| transaction.await_services());
        let asked = up.and_then(|()| {
            let touched = self.touched.load(Ordering::Relaxed);
            let question = Question::test(transaction.grace(touched));
            promises::ask(self.node, worker, partition, question)
        });
        // What cannot be asked has not kept its promises either.
        let (up, mut said) = match asked {
            Ok(said) => (Ok(()), said),
            Err(error) => (Err(error), Told::default()),
        };
        let verdict = transaction.judge(up, &mut said);
        said.remember(record, self.node.clock.now());
        self.heard.note(partition, &said);
        verdict?;
        self.node.reporter.note(partition.id.as_str(), "deployed and started");
        self.master.instance_started(&partition.computer, &partition.id).map_err(NodeError::from)
    }

    /// Has nothing of what was deployed run. Of one that is to be started, only not in this run, the Master
    /// is told nothing.
    fn leave_stopped(&self, partition: &ComputerPartition) -> Result<(), NodeError> {
        services::stop(self.node, &partition.id)?;
        self.node.reporter.note(partition.id.as_str(), "deployed and stopped");
        if partition.requested_state == InstanceState::Started {
            return Ok(());
        }
        self.master.instance_stopped(&partition.computer, &partition.id).map_err(NodeError::from)
    }

    /// Whether the instance is to run now.
    pub(super) fn runs(&self, partition: &ComputerPartition) -> bool {
        partition.requested_state == InstanceState::Started && !self.force_stop
    }

    /// Makes the instance's parts: what is to run, and what it asked and published, if it did. Its
    /// services are not touched.
    fn configure(
        &self,
        partition: &ComputerPartition,
        url: &SoftwareUrl,
        place: Place<'_>,
        worker: &mut Worker,
    ) -> Result<(Vec<Service>, Vec<String>, Published), NodeError> {
        let (asked, published) = Default::default();
        let mut watcher = Watcher { session: self, partition, asked, published };
        let job = self.instance_job(partition, url, place.directory.to_owned());
        let job = Job::Instance(Box::new(job));
        match worker.run(&job, Some(self.node.config.partition_timeout), &mut watcher)? {
            Done::Instance { services } => Ok((services, watcher.asked, watcher.published)),
            other => Err(NodeError::user(format!("the worker of {} answered {other:?}", place.id))),
        }
    }

    fn instance_job(
        &self,
        partition: &ComputerPartition,
        url: &SoftwareUrl,
        directory: PathBuf,
    ) -> InstanceJob {
        let config = self.node.config;
        InstanceJob {
            partition: partition.clone(),
            directory,
            software_directory: software::directory(&config.software_root, url),
            master_url: config.master_url.clone(),
            shared_part_list: config.shared_part_list.clone(),
            build_time_part_list: config.grid.build_time_part_list.clone(),
            certificate: certificate::files(config, partition.id.as_str()),
            storage_home: config.grid.instance_storage_home.clone().unwrap_or_default(),
            global_ipv4_network: config.grid.ipv4_global_network.clone(),
            verbose: config.grid.buildout_debug,
            min_free_space: config.instance_min_free_space,
        }
    }

    /// Takes note of whether something was changed or started: promises, also those of others, may need
    /// a moment then.
    pub(super) fn note_touched(&self, touched: bool) {
        self.touched.fetch_or(touched, Ordering::Relaxed);
    }

    /// Has the services run; anew, if somebody wanted that since they were last started so. Returns
    /// whether any may have been started.
    fn start(
        &self,
        partition: &ComputerPartition,
        place: Place<'_>,
        services: &[Service],
        record: &mut PartitionRecord,
    ) -> Result<bool, NodeError> {
        if partition.restart.is_some() && partition.restart != record.restart {
            let Place { id, directory, owner, .. } = place;
            services::start_anew(self.node, id, directory, owner, services)?;
            record.restart.clone_from(&partition.restart);
            self.node.reporter.note(id.as_str(), "restarted, as somebody asked for at the Master");
            return Ok(true);
        }
        services::define(self.node, place.id, place.directory, place.owner, services)?;
        // Also when the definition is as it was: a killed run may have got no further than that.
        services::start(&services::supervisor(self.node)?, place.id)
    }

    /// Tells what could not be told before the run was decided about, and goes on as else, heard or not.
    fn tell_and_check(&self, partition: &ComputerPartition) -> Result<(), NodeError> {
        let told = self.remind(partition).map(drop);
        let checked = match partition.requested_state {
            InstanceState::Started => self.check(partition),
            _ => Ok(()),
        };
        told.and(checked)
    }

    /// Checks the promises that are due, and tells the Master when that changed anything.
    fn check(&self, partition: &ComputerPartition) -> Result<(), NodeError> {
        let id = partition.id.as_str();
        let records = self.node.records();
        let Some(mut record) = records.load(id)? else {
            return Ok(());
        };
        if !promises::is_due(&record, self.node.clock.now()) {
            // The Master knows; who runs the command is told as long as it is so.
            return promises::judge(record.promises.values());
        }
        let directory = self.node.config.instance_root.join(id);
        let mut worker = Worker::start(&partition_owner(&directory)?, id, Purpose::Partition)?;
        let said = promises::ask(self.node, &mut worker, partition, Question::anomaly())?;
        // It may have been given another.
        record.title.clone_from(&partition.instance_title);
        said.remember(&mut record, self.node.clock.now());
        self.heard.note(partition, &said);
        records.store(id, &record)?;
        said.bang(self.node, self.master, partition);
        let verdict = said.judge();
        match &verdict {
            Err(error) => {
                let error = brought_back::with_what_was_taken_back(&record, error);
                self.node.tell_error(self.master, partition, &error);
            }
            // What was taken back stays an error until another change is requested.
            Ok(()) if partition.is_in_error() && record.outcome == Outcome::Done => {
                self.master
                    .instance_started(&partition.computer, &partition.id)
                    .map_err(NodeError::from)?;
            }
            Ok(()) => {}
        }
        verdict
    }

    fn did(&self, partition: &ComputerPartition, deed: Deed) {
        self.node.did(partition.id.as_str(), deed);
    }

    pub(super) fn store(
        &self,
        partition: &ComputerPartition,
        record: &PartitionRecord,
    ) -> Result<(), NodeError> {
        self.node.records().store(partition.id.as_str(), record)
    }
}

struct Watcher<'a, 's, 'n> {
    session: &'a Session<'s, 'n>,
    partition: &'a ComputerPartition,
    /// The titles of the instances that were asked for.
    asked: Vec<String>,
    published: Published,
}

impl Listener for Watcher<'_, '_, '_> {
    fn event(&mut self, event: slapos_engine::Event) {
        let node = self.session.node;
        node.reporter.part(self.partition.id.as_str(), &event);
        node.journal().event(self.partition.id.as_str(), node.clock.now(), &event);
    }

    fn publish(
        &mut self,
        shared: Option<&str>,
        connection: IndexMap<String, String>,
    ) -> Result<(), String> {
        let ComputerPartition { computer, id, .. } = self.partition;
        let master = &self.session.master;
        let told = match shared {
            None => master.set_connection(computer, id, &connection),
            Some(reference) => master.set_shared_connection(computer, id, reference, &connection),
        };
        told.map_err(|error| error.to_string())?;
        match shared {
            None => self.published.own = Some(connection),
            Some(reference) => drop(self.published.shared.insert(reference.to_owned(), connection)),
        }
        Ok(())
    }

    fn request(
        &mut self,
        request: InstanceRequest,
    ) -> Result<Option<InstanceAnswer>, RequestError> {
        let request = in_name_of(self.partition, request);
        let answer = self.session.master.request(&request)?;
        self.asked.push(request.title.to_string());
        self.published.requests.note(Asked::of(&request));
        Ok(answer)
    }
}

/// The request as the instance in `partition` makes it. What a worker writes must never be able to
/// speak for another partition, nor for a user, whose instances belong to no tree.
fn in_name_of(partition: &ComputerPartition, request: InstanceRequest) -> InstanceRequest {
    InstanceRequest {
        requester: Some((partition.computer.clone(), partition.id.clone())),
        ..request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_asks_for_its_own_partition_only() {
        let partition = ComputerPartition::free("COMP-1".into(), "slappart1".into());
        let mut request = InstanceRequest::new("db", "/s.cfg");
        let own = Some(("COMP-1".into(), "slappart1".into()));
        assert_eq!(in_name_of(&partition, request.clone()).requester, own);
        request.requester = Some(("COMP-1".into(), "slappart0".into()));
        assert_eq!(in_name_of(&partition, request).requester, own);
    }
}
