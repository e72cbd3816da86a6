//! What a run says, line by line, at the levels of the original.

use slapos_engine::{Action, Event};

/// How much a line matters; numbers as in Python's logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Reasons and times.
    Debug = 10,
    /// What is done.
    Info = 20,
    /// What is odd.
    Warning = 30,
}

impl Level {
    /// Whether a line of this level is shown where `threshold` is the least level shown.
    pub fn is_shown(self, threshold: i32) -> bool {
        self as i32 >= threshold
    }
}

/// The least level shown: `[buildout] log-level`, less its `verbosity` and that of the options.
/// `None` when one of the two is none of what the original knows.
pub fn threshold(log_level: &str, verbosity: &str, options: i32) -> Option<i32> {
    let level = match log_level.trim() {
        "" | "INFO" => 20,
        "DEBUG" => 10,
        "WARNING" => 30,
        "ERROR" => 40,
        "CRITICAL" => 50,
        number => number.parse().ok()?,
    };
    let more: i32 = match verbosity.trim() {
        "" => 0,
        number => number.parse().ok()?,
    };
    Some(i32::saturating_sub(level, more).saturating_sub(options))
}

/// The lines that tell of an event, each with its level.
pub fn line(event: &Event) -> Vec<(Level, String)> {
    match event {
        Event::PlanMade { install, update, keep, remove } => vec![(
            Level::Debug,
            format!(
                "Parts: {install} to install, {update} to update, {keep} to keep, {remove} to remove."
            ),
        )],
        Event::PartStarted { part, action, reason } => {
            let doing = match action {
                Action::Install => "Installing",
                Action::Update => "Updating",
                Action::Remove => "Uninstalling",
                Action::Keep => return Vec::new(),
            };
            let why = reason.lines().map(|line| (Level::Debug, format!("{part}: {line}")));
            std::iter::once((Level::Info, format!("{doing} {part}."))).chain(why).collect()
        }
        Event::PartProgress { part, text } => vec![(Level::Info, format!("{part}: {text}"))],
        Event::PartFinished { part, seconds } => {
            vec![(Level::Debug, format!("{part}: done in {seconds:.1} s"))]
        }
        // The whole story comes with the error that ends the run.
        Event::PartFailed { .. } => Vec::new(),
        Event::Warning { part: Some(part), text } => {
            vec![(Level::Warning, format!("{part}: {text}"))]
        }
        Event::Warning { part: None, text } => vec![(Level::Warning, text.clone())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_original() {
        assert_eq!(threshold("INFO", "", 0), Some(20));
        assert_eq!(threshold("15", "", -10), Some(25));
        assert_eq!(threshold("WARNING", "20", 10), Some(0));
        assert_eq!(threshold("loud", "", 0), None);
        assert_eq!(threshold("", "x", 0), None);
        assert!(Level::Info.is_shown(20) && !Level::Info.is_shown(30));
    }

    #[test]
    fn a_part_is_named_by_what_is_done_with_it() {
        let event =
            |action| Event::PartStarted { part: "a".into(), action, reason: "new part".into() };
        let lines = |action| {
            let lines = line(&event(action));
            lines.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" / ")
        };
        assert_eq!(lines(Action::Install), "Installing a. / a: new part");
        assert_eq!(lines(Action::Update), "Updating a. / a: new part");
        assert_eq!(lines(Action::Remove), "Uninstalling a. / a: new part");
        assert_eq!(lines(Action::Keep), "");
    }
}
