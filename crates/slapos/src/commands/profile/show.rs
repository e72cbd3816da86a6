//! A profile as people read it.

use slapos_profile::inspect::{Change, Effect, Finding, Level, Why};

/// Sections as in a profile, each option followed by the lines that gave it.
pub(super) fn annotated(sections: &[(String, Vec<Why>)]) -> String {
    let mut text = String::new();
    for (name, options) in sections {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("[{name}]\n"));
        for option in options {
            text.push_str(&assignment(option));
            for change in &option.changes {
                text.push_str(&format!(
                    "#   {:2} {}{}\n",
                    change.op,
                    change.at,
                    remark(option, change)
                ));
            }
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn assignment(option: &Why) -> String {
    match option.value.contains('\n') {
        false => format!("{} = {}\n", option.option, option.value).replace("= \n", "=\n"),
        true => {
            let lines =
                option.value.lines().map(|line| format!("    {line}").trim_end().to_owned());
            format!("{} =\n{}\n", option.option, lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// What is worth knowing about a change beside its place.
fn remark(option: &Why, change: &Change) -> String {
    let mut words = Vec::new();
    if change.section != option.section {
        words.push(format!("in [{}]", change.section));
    }
    match change.effect {
        Effect::Used => {}
        Effect::Replaced => words.push("replaced".to_owned()),
        Effect::Lost => words.push("lost: the same file assigns it again".to_owned()),
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

/// The life of one option.
pub(super) fn why(why: &Why) -> String {
    let mut text = format!("[{}] {}\n", why.section, why.option);
    for change in &why.changes {
        text.push_str(&format!("\n{}{}\n", change.at, remark(why, change)));
        for at in &change.extended_at {
            text.push_str(&format!("  extended at {at}\n"));
        }
        text.push_str(&block(change.op, &change.value));
    }
    text.push('\n');
    text.push_str(&block("value", &why.value));
    if let Some(resolved) = why.resolved.as_ref().filter(|resolved| **resolved != why.value) {
        text.push_str(&block("resolved", resolved));
    }
    if !why.unresolved.is_empty() {
        text.push_str(&block("unresolved", &why.unresolved.join(" ")));
    }
    text.truncate(text.trim_end().len());
    text
}

fn block(title: &str, value: &str) -> String {
    match value.contains('\n') {
        false => format!("    {title} {value}").trim_end().to_owned() + "\n",
        true => {
            let lines = value.lines().map(|line| format!("        {line}").trim_end().to_owned());
            format!("    {title}\n{}\n", lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// One line for each finding, as compilers print them, and how many there are.
pub(super) fn findings(found: &[Finding], colour: bool) -> String {
    let mut text = String::new();
    for finding in found {
        let (on, off) = match (colour, finding.level) {
            (false, _) => ("", ""),
            (true, Level::Error) => ("\x1b[1;31m", "\x1b[0m"),
            (true, Level::Warning) => ("\x1b[33m", "\x1b[0m"),
            (true, Level::Note) => ("\x1b[36m", "\x1b[0m"),
        };
        let Finding { rule, level, at, section, option, message, help, .. } = finding;
        let (level, rule) = (level.as_str(), rule.as_str());
        text.push_str(&format!("{at}: {on}{level}{off}: {section}:{option}: {message} [{rule}]\n"));
        if let Some(help) = help {
            text.push_str(&format!("    help: {help}\n"));
        }
    }
    let count = |level| found.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings, notes) =
        (count(Level::Error), count(Level::Warning), count(Level::Note));
    text.push_str(&format!("errors: {errors}, warnings: {warnings}, notes: {notes}"));
    text
}
