//! Supervisor's fault codes.

use crate::xmlrpc::Fault;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: i32 = $code;)*

        /// The name of a code, `UNKNOWN` for others.
        pub fn name(code: i32) -> &'static str {
            match code {
                $($code => stringify!($name),)*
                _ => "UNKNOWN",
            }
        }
    };
}

faults! {
    /// There is no such method.
    UNKNOWN_METHOD = 1;
    /// The number or types of the arguments are wrong.
    INCORRECT_PARAMETERS = 2;
    /// The values of the arguments are wrong.
    BAD_ARGUMENTS = 3;
    /// The daemon is shutting down.
    SHUTDOWN_STATE = 6;
    /// There is no such process or group.
    BAD_NAME = 10;
    /// There is no such signal.
    BAD_SIGNAL = 11;
    /// There is no such file.
    NO_FILE = 20;
    /// It did not work, see the text.
    FAILED = 30;
    /// The process ended before it was running.
    ABNORMAL_TERMINATION = 40;
    /// The process could not be started.
    SPAWN_ERROR = 50;
    /// It is already started.
    ALREADY_STARTED = 60;
    /// It is not running.
    NOT_RUNNING = 70;
    /// No fault: the status of one process in an answer about many.
    SUCCESS = 80;
    /// The group is already active.
    ALREADY_ADDED = 90;
    /// A process of the group is still running.
    STILL_RUNNING = 91;
    /// The definitions cannot be read.
    CANT_REREAD = 92;
}

/// A fault with its name and what it is about, `NAME: about`.
pub fn fault(code: i32, about: impl AsRef<str>) -> Fault {
    let about = about.as_ref();
    let name = name(code);
    let text = if about.is_empty() { name.to_owned() } else { format!("{name}: {about}") };
    Fault { code, text }
}
