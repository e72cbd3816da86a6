//! What can be decided about a partition, and the reasons, in words.

use std::fmt;

use slapos_slap::InstanceState;

/// What is to be done with a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Process the instance.
    Process(Reason),
    /// Go on bringing back a generation.
    Restore(u32),
    /// Only look whether promises are due.
    Check,
    /// Tell the Master which generation was brought back, which it has not heard; then as it is else.
    Tell,
    /// Stop its services: it is to be destroyed, which `node report` will do.
    Stop,
    /// Take away what is left of a former instance's definitions.
    Forget,
    /// Nothing.
    Nothing(&'static str),
    /// It cannot be processed.
    Refuse(String),
}

/// Why an instance is processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It never was.
    New,
    /// The operator said so.
    Forced,
    /// The operator wants it stopped, whatever the Master does.
    KeptStopped,
    /// The last run was interrupted.
    Interrupted,
    /// The last run failed.
    Failed,
    /// The Master's timestamp differs.
    Changed,
    /// Another Software Release is wanted, or it was built again.
    Software,
    /// It is started or stopped now and was not then.
    State(InstanceState),
    /// The Master gives it no timestamp, so that nobody can tell whether it changed.
    Undated,
    /// Its `.timestamp` was removed, as people do who want it processed.
    Unmarked,
    /// Its periodicity is over, seconds.
    Periodicity(i64),
    /// It was processed at a time that is in the future.
    Clock,
    /// The supervisor's definition of its services is missing.
    Undefined,
    /// Its services are to have other limits than they were started with.
    Limits,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("it is new"),
            Self::Forced => f.write_str("asked for (--all)"),
            Self::KeptStopped => f.write_str("it is to be kept stopped (--force-stop)"),
            Self::Interrupted => f.write_str("the last run was interrupted"),
            Self::Failed => f.write_str("the last run failed"),
            Self::Changed => f.write_str("the Master changed something"),
            Self::Software => f.write_str("its Software Release changed"),
            Self::State(state) => write!(f, "it is to be {state}"),
            Self::Undated => f.write_str("the Master gives it no timestamp"),
            Self::Unmarked => f.write_str("its .timestamp was removed"),
            Self::Periodicity(seconds) => write!(f, "its periodicity of {seconds} s is over"),
            Self::Clock => f.write_str("the clock was set back since it was processed"),
            Self::Undefined => f.write_str("its services are not defined at the supervisor"),
            Self::Limits => f.write_str("the limits of its services changed in slapos.cfg"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(reason) => write!(f, "process: {reason}"),
            Self::Restore(number) => {
                write!(f, "restore generation {number}: that was interrupted")
            }
            Self::Check => f.write_str("up to date; check the promises that are due"),
            Self::Tell => f.write_str("tell the Master that a former generation was restored"),
            Self::Stop => f.write_str("stop: it is to be destroyed (`slapos node report` does it)"),
            Self::Forget => f.write_str("forget the former instance"),
            Self::Nothing(why) => write!(f, "nothing: {why}"),
            Self::Refuse(why) => write!(f, "cannot be processed: {why}"),
        }
    }
}
