//! What parts are at, as people read it.

use slapos_engine::Event;

/// An event in words, with how much it matters. Texts of events show no secrets.
pub(crate) fn words(event: &Event) -> Option<(&'static str, String)> {
    Some(match event {
        Event::PlanMade { install, update, keep, remove } => (
            "INFO",
            format!(
                "parts: {install} to install, {update} to update, {keep} to keep, {remove} to remove"
            ),
        ),
        Event::PartStarted { part, action, reason } => {
            ("INFO", format!("{action} {part}: {reason}"))
        }
        Event::PartProgress { part, text } => ("DEBUG", format!("{part}: {text}")),
        Event::PartFinished { part, seconds } => {
            ("DEBUG", format!("{part} done in {seconds:.1} s"))
        }
        Event::PartFailed { part, message, tail, at, .. } => {
            let tail: String = tail.iter().map(|line| format!("\n  {line}")).collect();
            ("ERROR", format!("{part} failed ({at}): {message}{tail}"))
        }
        Event::Warning { part: Some(part), text } => ("WARNING", format!("{part}: {text}")),
        Event::Warning { part: None, text } => ("WARNING", text.clone()),
    })
}
