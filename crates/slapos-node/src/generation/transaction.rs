//! One deployment, with its way back.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use slapos_slap::{ComputerPartition, Value};

use super::restore::{Place, check_build, put_right, restore};
use super::words::taken_back;
use crate::action::Reason;
use crate::config::Policy;
use crate::error::{NodeError, exit};
use crate::history::{Asked, Generation, History, Requests, Verdict, Wanted};
use crate::node::Node;
use crate::promises::{self, Told};
use crate::services;
use crate::worker::{Done, GenerationJob, Job, Quiet, Worker};

/// What an instance told the Master while its parts were made.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Its own connection parameters, if it did.
    pub(crate) own: Option<IndexMap<String, String>>,
    /// Those of shared instances in it, by their references.
    pub(crate) shared: BTreeMap<String, IndexMap<String, String>>,
    /// The requests that the Master took.
    pub(crate) requests: Requests,
}

/// Whether promises may fail for a while after an instance was processed for this `reason`: services that
/// were just started need time. What consists of the same as before and did not come right then had it.
fn is_patient(reason: &Reason, changed: bool, touched: bool) -> bool {
    match reason {
        _ if changed => true,
        Reason::Failed => false,
        Reason::Interrupted => true,
        _ => touched,
    }
}

/// See the module.
pub(crate) struct Transaction<'a, 'n> {
    node: &'a Node<'n>,
    place: Place<'a>,
    policy: Policy,
    wanted: Wanted,
    reason: Reason,
    /// Whether the instance consists of something else since.
    changed: bool,
    /// What the instance has published, by this deployment or a former one.
    published: IndexMap<String, String>,
    /// The same for the shared instances that are in it.
    shared: BTreeMap<String, IndexMap<String, String>>,
    /// What it asked for in this deployment; `None` before, and where that is too much to be kept.
    requests: Option<Vec<Asked>>,
    history: History,
}

impl<'a, 'n> Transaction<'a, 'n> {
    /// Begins the deployment of `wanted` because of `reason`, in `place`.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub(crate) fn begin(
        node: &'a Node<'n>,
        place: Place<'a>,
        partition: &ComputerPartition,
        wanted: Wanted,
        reason: &Reason,
    ) -> Result<Self, NodeError> {
        let history = node.histories().load(place.id.as_str())?;
        let policy = policy_of(node, partition);
        let published = partition.connection.clone();
        let mut shared = history.current().map(|known| known.shared.clone()).unwrap_or_default();
        shared.retain(|reference, _| hosts(partition, reference));
        Ok(Self {
            node,
            place,
            policy,
            wanted,
            reason: reason.clone(),
            changed: false,
            published,
            shared,
            requests: None,
            history,
        })
    }

    /// Keeps what is in place, if it may have to come back and was never kept: an earlier version
    /// of this program deployed it.
    ///
    /// # Errors
    /// When it cannot be read, or written down.
    pub(crate) fn before(&mut self, worker: &mut Worker, deployed: bool) -> Result<(), NodeError> {
        if self.policy == Policy::Off || !deployed || self.history.current.is_some() {
            return Ok(());
        }
        self.capture(worker, "it was found in place".to_owned())?;
        // Whatever it was, it is better than what does not work.
        self.history.judged(Verdict::Kept);
        self.store()
    }

    /// Keeps what was just deployed, and what it `published` and asked for, if it did. Where nothing is
    /// ever taken back, that it cannot be kept is no reason not to go on.
    ///
    /// # Errors
    /// When it cannot be read, or written down.
    pub(crate) fn deployed(
        &mut self,
        worker: &mut Worker,
        published: Published,
    ) -> Result<(), NodeError> {
        self.published = published.own.unwrap_or(std::mem::take(&mut self.published));
        self.shared.extend(published.shared);
        self.requests = published.requests.all();
        let before = self.history.clone();
        let kept = self
            .capture(worker, self.reason.to_string())
            .and_then(|()| if self.history == before { Ok(()) } else { self.store() });
        self.changed = kept.is_err() || self.history.current != before.current;
        match kept {
            Err(error) if self.policy == Policy::Off => {
                self.history = before;
                let text = format!("this generation is not kept: {error}");
                self.node.reporter.warn(self.place.id.as_str(), &text);
                Ok(())
            }
            other => other,
        }
    }

    /// Where promises decide whether the generation stays, they are asked only once all services
    /// are up: what the former ones left may keep a promise for a moment longer.
    ///
    /// # Errors
    /// The first service that is not up by the deadline.
    pub(crate) fn await_services(&self) -> Result<(), NodeError> {
        if self.policy != Policy::PromiseGated {
            return Ok(());
        }
        let mut late =
            services::await_group(self.node, self.place.id, self.node.config.rollback.deadline)?;
        match late.pop() {
            None => Ok(()),
            Some(service) => {
                let text = format!(
                    "service {} is not up, but {} {}",
                    service.name,
                    service.state.name(),
                    service.description
                );
                Err(NodeError::user(text).code(exit::PROMISE))
            }
        }
    }

    /// Whether what was deployed is something else than what was there before.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

    /// How long promises may fail before that counts, in a run that has `touched` this or another instance.
    /// What may be taken back for it always has its time.
    pub(crate) fn grace(&self, touched: bool) -> Duration {
        let gated = self.policy == Policy::PromiseGated;
        let at_stake = gated && self.history.fallback().is_some();
        match at_stake || is_patient(&self.reason, self.changed, touched) {
            true if gated => self.node.config.rollback.deadline,
            true => promises::GRACE,
            false => Duration::ZERO,
        }
    }

    /// The instance could not be processed because of `error`. Services were not switched; if the
    /// policy says so, configuration is as it was again.
    pub(crate) fn failed(&mut self, error: NodeError) -> NodeError {
        let Some(current) = self.history.current.filter(|_| self.policy >= Policy::Configuration)
        else {
            return error;
        };
        // Not held: what failed is tried again, as always.
        match put_right(self.node, self.place, &self.history, current) {
            Ok(()) => {
                let text =
                    self.history.get(current).map_or(Ok(()), |it| check_build(self.node, it));
                let text = match text {
                    Ok(()) => format!("generation {current} was restored"),
                    Err(_) => {
                        format!("only the configuration of generation {current} was restored")
                    }
                };
                self.node.reporter.note(self.place.id.as_str(), &text);
                error.and(&text)
            }
            Err(second) => {
                error.and(&format!("and generation {current} cannot be restored: {second}"))
            }
        }
    }

    /// The services of what was deployed came to `up`, its promises to what they `said`. If either is
    /// broken and the policy says so, the last generation that kept its promises is restored, and
    /// `said` is what its own say.
    ///
    /// # Errors
    /// What is broken first, and what was done about it.
    pub(crate) fn judge(
        &mut self,
        up: Result<(), NodeError>,
        said: &mut Told,
    ) -> Result<(), NodeError> {
        let verdict = up.and_then(|()| said.judge());
        let before = self.history.clone();
        self.history.judged(match &verdict {
            Ok(()) => Verdict::Kept,
            Err(error) => Verdict::Broken(error.to_string()),
        });
        if self.history != before {
            self.store()?;
        }
        let Err(error) = verdict else { return Ok(()) };
        let fallback = self.history.fallback().map(|generation| generation.number);
        match fallback.filter(|_| self.policy == Policy::PromiseGated) {
            None => Err(error),
            Some(number) => Err(self.go_back(number, error, said)),
        }
    }

    fn go_back(&mut self, number: u32, error: NodeError, said: &mut Told) -> NodeError {
        let failed = self.history.current.unwrap_or_default();
        let held = Some(self.wanted.clone());
        let build = self.history.get(number).map_or(Ok(()), |it| check_build(self.node, it));
        let done =
            build.and_then(|()| restore(self.node, self.place, &mut self.history, number, held));
        match done {
            Ok(restored) => {
                let kept = restored.said.judge();
                *said = restored.said;
                let text = taken_back(failed, number);
                self.node.reporter.warn(self.place.id.as_str(), &text);
                match kept {
                    Ok(()) => error.and(&text),
                    Err(second) => error.and(&format!("{text}; but {second}")),
                }
                .hint("it stays until another change is requested, or `slapos node instance --all`")
            }
            Err(second) => {
                let error =
                    error.and(&format!("and generation {number} cannot be restored: {second}"));
                let next = self.history.fallback().map(|generation| generation.number);
                match next.filter(|next| *next < number) {
                    Some(next) => self.go_back(next, error, said),
                    None => error,
                }
            }
        }
    }

    fn capture(&mut self, worker: &mut Worker, reason: String) -> Result<(), NodeError> {
        let number = self.history.next_number();
        let job = Job::Generation(GenerationJob::Capture {
            directory: self.place.directory.to_owned(),
            number,
            known: self.history.current().map(|generation| generation.digest.clone()),
            kept: self.history.generations.iter().map(|generation| generation.number).collect(),
        });
        let digest = match worker.run(&job, Some(self.node.config.partition_timeout), &mut Quiet)? {
            Done::Captured { digest } => digest,
            other => {
                let text = format!("the worker of {} answered {other:?}", self.place.id);
                return Err(NodeError::user(text));
            }
        };
        let generation = Generation {
            number,
            made: self.node.clock.now(),
            reason,
            wanted: self.wanted.clone(),
            digest,
            connection: Some(self.published.clone()),
            shared: self.shared.clone(),
            requests: self.requests.clone(),
            verdict: Verdict::Untried,
        };
        self.history.deployed(generation, self.node.config.rollback.kept);
        Ok(())
    }

    fn store(&self) -> Result<(), NodeError> {
        self.node.histories().store(self.place.id.as_str(), &self.history)
    }
}

fn hosts(partition: &ComputerPartition, reference: &str) -> bool {
    let mut hosted = partition.slave_instance_list.iter();
    hosted.any(|shared| {
        matches!(shared.get("slave_reference"), Some(Value::Str(known)) if known == reference)
    })
}

/// What the instance was requested with, else what the node's configuration says.
fn policy_of(node: &Node<'_>, partition: &ComputerPartition) -> Policy {
    let default = node.config.rollback.policy;
    let Some(wish) = partition.filter.get("rollback") else { return default };
    wish.parse().unwrap_or_else(|why| {
        let text = format!("`rollback` {why}; the node's own `{default}` holds");
        node.reporter.warn(partition.id.as_str(), &text);
        default
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_changed_or_started_needs_time() {
        for reason in [Reason::Forced, Reason::Periodicity(1), Reason::Changed] {
            assert!(!is_patient(&reason, false, false), "{reason}");
            assert!(
                is_patient(&reason, true, false) && is_patient(&reason, false, true),
                "{reason}"
            );
        }
        assert!(!is_patient(&Reason::Failed, false, true), "it had it");
        assert!(is_patient(&Reason::Failed, true, true), "it is another one");
        assert!(
            is_patient(&Reason::Interrupted, false, false),
            "the killed run may have started it"
        );
    }
}
