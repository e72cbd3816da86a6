//! `slapos explain`: why an instance (its partition), a part or a service was last processed, made or restarted, as
//! far as the records tell.

use std::collections::BTreeMap;

use serde::Serialize;
use slapos_engine::Action;
use slapos_sys::fs;

use crate::error::{IoContext, NodeError};
use crate::journal::{Deed, Line};
use crate::node::Node;
use crate::record::Outcome;
use crate::software::is_directory_name;
use crate::watchdog;

/// Lines of the supervisor's log that are shown of a service.
const MOST_CHANGES: usize = 12;
/// How much of the supervisor's log is looked through, bytes.
const LOG_END: u64 = 4 << 20;

/// What is known of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What it is, such as `partition slappart0`, or `partition slappart0 (helloworld)` for who asked
    /// for the instance.
    pub subject: String,
    /// What happened to it and why, oldest first.
    pub story: Vec<String>,
}

/// Everything that is called `name`: an instance, a partition, a Software Release (its directory's name), a part
/// of either, or a service (`NAME` or `GROUP:NAME`).
///
/// # Errors
/// When the records cannot be read, or nothing of that name was ever touched.
pub fn explain(node: &Node<'_>, name: &str) -> Result<Vec<Explanation>, NodeError> {
    let journal = node.journal();
    let mut all = Vec::new();
    for partition in recorded(node, name)? {
        all.push(last_run(node, &partition, &journal.read(&partition))?.of(name));
    }
    for subject in &journal.subjects() {
        let lines = journal.read(subject);
        if subject == name {
            all.push(last_run(node, subject, &lines)?);
        }
        all.extend(part(subject, name, &lines));
    }
    all.extend(services(node, name)?);
    if all.is_empty() {
        for partition in asked(node, name) {
            // What the journal has of one without a record is of who was there before.
            let lines = match node.records().look(&partition)? {
                Some(_) => journal.read(&partition),
                None => Vec::new(),
            };
            all.push(last_run(node, &partition, &lines)?.of(name));
        }
    }
    if all.is_empty() {
        let error = NodeError::user(format!("no record names `{name}`")).code(2);
        return Err(error.hint(
            "give an instance's name, a partition, a part, a service as `slapos node status` shows it, or the directory's name of a Software Release",
        ));
    }
    Ok(all)
}

/// The partitions of the instances that were called `title` when they were processed.
fn recorded(node: &Node<'_>, title: &str) -> Result<Vec<String>, NodeError> {
    let records = node.records();
    let mut found = Vec::new();
    for partition in records.partitions()? {
        if records.look(&partition)?.is_some_and(|record| record.title == title) {
            found.push(partition);
        }
    }
    Ok(found)
}

/// The same by what the Master says now, of those that have no record yet, or one without that title; none
/// if it says nothing.
fn asked(node: &Node<'_>, title: &str) -> Vec<String> {
    let Ok(computer) = node.master().and_then(|master| node.computer(&master)) else {
        return Vec::new();
    };
    let called = computer.partitions.into_iter().filter(|one| one.instance_title == title);
    called.filter(|one| !one.is_free()).map(|one| one.id.to_string()).collect()
}

impl Explanation {
    /// The same, of a partition that was asked for as that instance.
    fn of(mut self, title: &str) -> Self {
        self.subject.push_str(&format!(" ({title})"));
        if self.story.is_empty() {
            self.story.push("it was not processed yet; `slapos node instance` does it".to_owned());
        }
        self
    }
}

/// The last time that `subject` was worked on.
fn last_run(node: &Node<'_>, subject: &str, lines: &[Line]) -> Result<Explanation, NodeError> {
    let begun = lines.iter().rposition(|line| matches!(line.deed, Deed::Begun { .. }));
    let mut story: Vec<_> = lines[begun.unwrap_or(0)..].iter().map(told).collect();
    if is_directory_name(subject) {
        return Ok(Explanation { subject: format!("Software Release {subject}"), story });
    }
    let subject_of = |story| Explanation { subject: format!("partition {subject}"), story };
    let Some(record) = node.records().look(subject)? else {
        return Ok(subject_of(story));
    };
    if record.outcome == Outcome::Processing {
        story.push("it did not come to its end, or is under way".to_owned());
    }
    let history = node.histories().look(subject)?;
    if let Some(current) = history.current() {
        story.push(format!(
            "generation {} is in place, made {} because {}",
            current.number, current.made, current.reason
        ));
    }
    if history.held.is_some() {
        story.push("it was brought back, and stays until another change is requested".to_owned());
    }
    for promise in record.promises.values().filter(|promise| promise.failed) {
        story.push(format!("{} promise {}: {}", promise.date, promise.title, promise.message));
    }
    Ok(subject_of(story))
}

/// The last times that the part `name` of `subject` was made.
fn part(subject: &str, name: &str, lines: &[Line]) -> Option<Explanation> {
    const MOST: usize = 5;
    let about = |line: &&Line| match &line.deed {
        Deed::Part { part, action, .. } => part == name && *action != Action::Keep,
        Deed::PartFailed { part, .. } => part == name,
        _ => false,
    };
    let told: Vec<_> = lines.iter().filter(about).map(told).collect();
    let story = told[told.len().saturating_sub(MOST)..].to_vec();
    (!story.is_empty()).then(|| Explanation { subject: format!("part {name} of {subject}"), story })
}

fn told(line: &Line) -> String {
    let words = match &line.deed {
        Deed::Begun { what, reason } => format!("{what}: {reason}"),
        Deed::Ended { error: None } => "done".to_owned(),
        Deed::Ended { error: Some(error) } => format!("failed: {error}"),
        Deed::Part { part, action, reason } => format!("{action} {part}: {reason}"),
        Deed::PartFailed { part, message } => format!("{part} failed: {message}"),
        Deed::Note { text } => text.clone(),
    };
    format!("{} {words}", line.at.strftime("%Y-%m-%d %H:%M:%S"))
}

/// What the supervisor wrote about services called `name`.
fn services(node: &Node<'_>, name: &str) -> Result<Vec<Explanation>, NodeError> {
    let path = node.supervisor_paths().log();
    let text = match fs::tail(&path, LOG_END) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("read", &path),
    };
    let mut stories: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(service) = service_of(line).filter(|service| is_called(service, name)) {
            stories.entry(service).or_default().push(line.to_owned());
        }
    }
    let explained = |(service, story): (&str, Vec<String>)| Explanation {
        subject: format!("service {service}"),
        story: story[story.len().saturating_sub(MOST_CHANGES)..].to_vec(),
    };
    Ok(stories.into_iter().map(explained).collect())
}

/// `DATE TIME LEVEL GROUP:NAME: what` is about `GROUP:NAME`.
fn service_of(line: &str) -> Option<&str> {
    let word = line.split(' ').nth(3)?.strip_suffix(':')?;
    word.contains(':').then_some(word)
}

/// Of watched programs the supervisor's name has an ending that their file has not.
fn is_called(service: &str, name: &str) -> bool {
    let short = service.split_once(':').map_or(service, |(_, name)| name);
    let file = short.strip_suffix(watchdog::MARK).unwrap_or(short);
    [service, short, file].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_by_any_of_their_names() {
        let line = "2026-11-25 18:16:26,671 INFO p0:web-on-watch: STOPPED -> STARTING: asked";
        let service = service_of(line).unwrap();
        assert_eq!(service, "p0:web-on-watch");
        for name in ["p0:web-on-watch", "web-on-watch", "web"] {
            assert!(is_called(service, name), "{name}");
        }
        assert!(!is_called(service, "p0"));
        assert_eq!(service_of("2026-11-25 18:16:26,671 INFO stopping everything: asked"), None);
    }

    #[test]
    fn the_story_of_a_part_has_its_reasons() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let line = |deed| Line { at, deed };
        let lines = [
            line(Deed::Part { part: "a".into(), action: Action::Install, reason: "new".into() }),
            line(Deed::Part { part: "b".into(), action: Action::Install, reason: "new".into() }),
            line(Deed::PartFailed { part: "a".into(), message: "no".into() }),
        ];
        let story = part("slappart0", "a", &lines).unwrap();
        assert_eq!(story.subject, "part a of slappart0");
        assert_eq!(
            story.story,
            ["2026-01-01 00:00:00 install a: new", "2026-01-01 00:00:00 a failed: no"]
        );
        assert_eq!(part("slappart0", "c", &lines), None);
    }
}
