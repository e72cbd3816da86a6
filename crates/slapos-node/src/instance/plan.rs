//! Which partitions are due, and why: a pure function of what the Master wants and what is
//! recorded.

use slapos_slap::{ComputerPartition, InstanceState};
use slapos_sys::clock::{SignedDuration, Timestamp};

use crate::action::{Action, Reason};
use crate::generation::held_by;
use crate::record::{Outcome, PartitionRecord};

/// What is known of a partition on this machine.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The last record.
    pub record: Option<PartitionRecord>,
    /// The content of the Software Release's `.completed`; `None` if it is not built.
    pub software_stamp: Option<String>,
    /// The Software Release's `periodicity` file, or the node's maximum, seconds; negative: never.
    pub periodicity: i64,
    /// Whether the supervisor has a definition of the partition's services.
    pub defined: bool,
    /// Whether a former generation was brought back, to stay while what is wanted now is wanted.
    pub held: bool,
    /// The generation that is to be put in place: bringing it back was interrupted, or its services
    /// are not defined though they are to run.
    pub restoring: Option<u32>,
    /// Whether the partition has its `.timestamp`.
    pub marked: bool,
    /// Whether its services are to have other limits than they were started with.
    pub limits_changed: bool,
}

/// Decides about one partition; `force` is why it is processed in any case.
pub fn decide(
    now: Timestamp,
    wanted: &ComputerPartition,
    observed: &Observed,
    force: Option<Reason>,
) -> Action {
    let Some(software) = &wanted.software else {
        return match observed.record.is_some() || observed.defined {
            true => Action::Forget,
            false => Action::Nothing("it is free"),
        };
    };
    if wanted.requested_state == InstanceState::Destroyed {
        return Action::Stop;
    }
    let Some(stamp) = &observed.software_stamp else {
        return Action::Refuse(format!(
            "its Software Release {software} is not built yet (`slapos node software` builds what is supplied)"
        ));
    };
    let Some(record) = &observed.record else {
        return Action::Process(Reason::New);
    };
    if let Some(reason) = force {
        return Action::Process(reason);
    }
    if observed.held {
        return held(wanted, record, observed);
    }
    if let Some(reason) = reason_in_record(record, wanted, stamp) {
        return Action::Process(reason);
    }
    if let Some(reason) = reason_of_time(now, record, observed) {
        return Action::Process(reason);
    }
    match wanted.requested_state {
        InstanceState::Started if !observed.defined => Action::Process(Reason::Undefined),
        InstanceState::Started if observed.limits_changed => Action::Process(Reason::Limits),
        _ if is_untold(wanted, record) => Action::Tell,
        InstanceState::Started => Action::Check,
        _ => Action::Nothing("it is stopped and up to date"),
    }
}

/// What is wanted was tried and taken back: it is not tried again.
fn held(wanted: &ComputerPartition, record: &PartitionRecord, observed: &Observed) -> Action {
    match (observed.restoring, wanted.requested_state) {
        (Some(number), _) => Action::Restore(number),
        (None, _) if is_untold(wanted, record) => Action::Tell,
        (None, InstanceState::Started) => Action::Check,
        (None, _) => Action::Nothing("a former generation was restored, and it is stopped"),
    }
}

/// Whether the Master has not heard which generation was brought back, or says something else of it than
/// the record: a run may have been killed before it told. A Master that tells no reports is believed to
/// know.
fn is_untold(wanted: &ComputerPartition, record: &PartitionRecord) -> bool {
    let (Outcome::Failed(text), Some(report)) = (&record.outcome, &wanted.access_status) else {
        return record.untold;
    };
    let held = held_by(text);
    record.untold || (held.is_some() && held != held_by(report))
}

/// Whether it was processed too long ago, or in what is the future by now: a clock that was set back
/// must not keep an instance waiting for as long.
fn reason_of_time(now: Timestamp, record: &PartitionRecord, observed: &Observed) -> Option<Reason> {
    /// By so much clocks are put right all the time.
    const SLACK: SignedDuration = SignedDuration::from_secs(60);
    if record.marked && !observed.marked {
        return Some(Reason::Unmarked);
    }
    let (periodicity, age) = (observed.periodicity, now.duration_since(record.at));
    let over = match periodicity {
        ..0 => false,
        0 => true,
        _ if age < -SLACK => return Some(Reason::Clock),
        seconds => age > SignedDuration::from_secs(seconds),
    };
    over.then_some(Reason::Periodicity(periodicity))
}

/// What is wanted that was not when it was last processed.
fn change(record: &PartitionRecord, wanted: &ComputerPartition, stamp: &str) -> Option<Reason> {
    if Some(&record.software) != wanted.software.as_ref() || record.software_stamp != stamp {
        return Some(Reason::Software);
    }
    if record.state != wanted.requested_state {
        return Some(Reason::State(wanted.requested_state));
    }
    let dated = wanted.timestamp.is_some();
    (dated && record.timestamp != wanted.timestamp).then_some(Reason::Changed)
}

fn reason_in_record(
    record: &PartitionRecord,
    wanted: &ComputerPartition,
    stamp: &str,
) -> Option<Reason> {
    match &record.outcome {
        Outcome::Processing => return Some(Reason::Interrupted),
        // What is wanted now is not what failed.
        Outcome::Failed(_) => return change(record, wanted, stamp).or(Some(Reason::Failed)),
        Outcome::Done => {}
    }
    // What promises of a deployment that was well have said since is no reason: it is told to the
    // Master, which has the tree deployed again where a promise calls for that.
    change(record, wanted, stamp).or_else(|| wanted.timestamp.is_none().then_some(Reason::Undated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use slapos_slap::SoftwareUrl;

    fn now() -> Timestamp {
        "2026-01-02T00:00:00Z".parse().unwrap()
    }

    fn wanted() -> ComputerPartition {
        let mut partition = ComputerPartition::free("c".into(), "slappart0".into());
        partition.software = Some(SoftwareUrl::new("/s.cfg"));
        partition.requested_state = InstanceState::Started;
        partition.timestamp = Some("1.5".into());
        partition
    }

    fn observed() -> Observed {
        let record = PartitionRecord {
            title: String::new(),
            software: SoftwareUrl::new("/s.cfg"),
            software_stamp: "b1".into(),
            timestamp: Some("1.5".into()),
            wish: String::new(),
            state: InstanceState::Started,
            at: "2026-01-01T23:00:00Z".parse().unwrap(),
            outcome: Outcome::Done,
            asks_nothing: false,
            limits: None,
            marked: true,
            promises: std::collections::BTreeMap::default(),
            restart: None,
            untold: false,
            schedule: None,
        };
        Observed {
            record: Some(record),
            software_stamp: Some("b1".to_owned()),
            periodicity: 86_400,
            defined: true,
            marked: true,
            ..Observed::default()
        }
    }

    fn decided(change: impl FnOnce(&mut ComputerPartition, &mut Observed)) -> String {
        let (mut wanted, mut observed) = (wanted(), observed());
        change(&mut wanted, &mut observed);
        decide(now(), &wanted, &observed, None).to_string()
    }

    #[test]
    fn an_unchanged_instance_is_left_alone_until_its_periodicity_is_over() {
        assert_eq!(decided(|_, _| {}), "up to date; check the promises that are due");
        assert_eq!(
            decided(|_, o| o.periodicity = 3599),
            "process: its periodicity of 3599 s is over"
        );
        assert_eq!(
            decided(|_, o| o.periodicity = -1),
            "up to date; check the promises that are due"
        );
        assert_eq!(decided(|_, o| o.periodicity = 0), "process: its periodicity of 0 s is over");
    }

    #[test]
    fn a_clock_that_was_set_back_silences_no_instance() {
        let at = |at: &str| decided(|_, o| o.record.as_mut().unwrap().at = at.parse().unwrap());
        let future = "process: the clock was set back since it was processed";
        assert_eq!(at("2026-01-03T00:00:00Z"), future);
        assert_eq!(at("2026-01-02T00:00:30Z"), "up to date; check the promises that are due");
    }

    #[test]
    fn every_change_is_a_reason() {
        let with =
            |change: fn(&mut PartitionRecord)| decided(|_, o| change(o.record.as_mut().unwrap()));
        assert_eq!(
            with(|r| r.outcome = Outcome::Processing),
            "process: the last run was interrupted"
        );
        assert_eq!(
            with(|r| r.outcome = Outcome::Failed("x".into())),
            "process: the last run failed"
        );
        assert_eq!(
            with(|r| (r.outcome, r.timestamp) = (Outcome::Failed("x".into()), Some("1".into()))),
            "process: the Master changed something"
        );
        assert_eq!(with(|r| r.timestamp = None), "process: the Master changed something");
        assert_eq!(
            with(|r| r.software_stamp = "b0".into()),
            "process: its Software Release changed"
        );
        assert_eq!(with(|r| r.state = InstanceState::Stopped), "process: it is to be started");
        assert_eq!(decided(|_, o| o.marked = false), "process: its .timestamp was removed");
        assert_eq!(decided(|w, _| w.timestamp = None), "process: the Master gives it no timestamp");
        assert_eq!(decided(|_, o| o.record = None), "process: it is new");
        assert_eq!(
            decided(|_, o| o.defined = false),
            "process: its services are not defined at the supervisor"
        );
        assert_eq!(
            decided(|_, o| o.limits_changed = true),
            "process: the limits of its services changed in slapos.cfg"
        );
        let stopped = decided(|w, o| {
            (w.requested_state, o.limits_changed) = (InstanceState::Stopped, true);
            o.record.as_mut().unwrap().state = InstanceState::Stopped;
        });
        assert_eq!(stopped, "nothing: it is stopped and up to date", "it has no services");
    }

    #[test]
    fn what_was_taken_back_is_not_tried_again() {
        let failed = |o: &mut Observed, restoring| {
            o.held = true;
            o.restoring = restoring;
            o.record.as_mut().unwrap().outcome = Outcome::Failed("x".into());
        };
        assert_eq!(decided(|_, o| failed(o, None)), "up to date; check the promises that are due");
        assert_eq!(
            decided(|_, o| failed(o, Some(3))),
            "restore generation 3: that was interrupted"
        );
        let (wanted, mut observed) = (wanted(), observed());
        failed(&mut observed, None);
        let forced = |why| decide(now(), &wanted, &observed, Some(why)).to_string();
        assert_eq!(forced(Reason::Forced), "process: asked for (--all)");
        let stopped = "process: it is to be kept stopped (--force-stop)";
        assert_eq!(forced(Reason::KeptStopped), stopped);
    }

    #[test]
    fn what_the_master_has_not_heard_is_told_first() {
        let tell = "tell the Master that a former generation was restored";
        let untold = |state: InstanceState, held| {
            decided(|w, o| {
                (w.requested_state, o.held) = (state, held);
                let record = o.record.as_mut().unwrap();
                (record.state, record.untold) = (state, true);
            })
        };
        assert_eq!(untold(InstanceState::Started, true), tell);
        assert_eq!(untold(InstanceState::Stopped, true), tell);
        assert_eq!(untold(InstanceState::Started, false), tell, "what is wanted was brought back");
        let reported = |words: &str| {
            decided(|w, o| {
                o.held = true;
                let text = "generation 3 was taken back, generation 2 restored".to_owned();
                o.record.as_mut().unwrap().outcome = Outcome::Failed(text);
                w.access_status = Some(words.to_owned());
            })
        };
        assert_eq!(reported("#access Instance correctly started"), tell);
        let known = "#error: generation 3 was taken back, generation 2 restored; but";
        assert_eq!(reported(known), "up to date; check the promises that are due");
    }

    #[test]
    fn free_destroyed_and_unbuilt_partitions_are_not_processed() {
        assert_eq!(decided(|w, _| w.software = None), "forget the former instance");
        assert_eq!(
            decided(|w, o| {
                w.software = None;
                *o = Observed::default();
            }),
            "nothing: it is free"
        );
        assert_eq!(
            decided(|w, _| w.requested_state = InstanceState::Destroyed),
            "stop: it is to be destroyed (`slapos node report` does it)"
        );
        assert_eq!(
            decided(|_, o| o.software_stamp = None),
            "cannot be processed: its Software Release /s.cfg is not built yet (`slapos node software` builds what is supplied)"
        );
    }
}
