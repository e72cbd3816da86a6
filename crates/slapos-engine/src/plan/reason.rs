//! Why something is done with a part, in words.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What stands for a value that is not shown.
const HIDDEN: &str = "***";
/// Longest value shown in a reason, in characters.
const SHOWN: usize = 60;

/// Why something is done with a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing was ever installed in this directory.
    NeverInstalled,
    /// Other parts are installed, this one is not.
    New,
    /// Buildout itself made it.
    ByBuildout,
    /// The shared part is there; it was not used in this directory.
    SharedElsewhere,
    /// The last run ended while it was at this part.
    Interrupted,
    /// Its last installation failed.
    Failed,
    /// Another recipe makes it now.
    RecipeChanged {
        /// Recipe before.
        old: String,
        /// Recipe now.
        new: String,
    },
    /// The recipe comes to another result than it used to.
    RecipeRenewed,
    /// A section it refers to is not what it was.
    ReferenceChanged {
        /// That section.
        section: String,
    },
    /// An option is not what it was.
    OptionChanged {
        /// The option.
        option: String,
        /// Its value before, or `***` if it must not show; none if it is new.
        old: Option<String>,
        /// Its value now, or `***` if it must not show; none if it is gone.
        new: Option<String>,
        /// `file:line` of the value, if it is written in a profile.
        at: Option<String>,
    },
    /// Something it is made from (say, a template) is not what it was.
    InputChanged {
        /// What.
        input: String,
    },
    /// What it made lies inside something that is made again.
    InsideOf {
        /// The part around it.
        part: String,
    },
    /// Something it made is gone.
    PathMissing {
        /// What.
        path: PathBuf,
    },
    /// The part wants to be updated.
    Asked {
        /// Why.
        why: String,
    },
    /// The profile does not want it any more.
    NoLongerWanted,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverInstalled => f.write_str("never installed"),
            Self::New => f.write_str("new part"),
            Self::ByBuildout => f.write_str("made by Buildout itself"),
            Self::SharedElsewhere => f.write_str("new here, and built already"),
            Self::Interrupted => f.write_str("interrupted last time"),
            Self::Failed => f.write_str("failed last time"),
            Self::RecipeChanged { old, new } => write!(f, "recipe changed: `{old}` → `{new}`"),
            Self::RecipeRenewed => f.write_str("its recipe has a new version"),
            Self::ReferenceChanged { section } => write!(f, "refers to {section}, which changed"),
            Self::OptionChanged { option, old, new, at } => {
                option_changed(f, option, old.as_deref(), new.as_deref())?;
                at.as_ref().map_or(Ok(()), |at| write!(f, " at {at}"))
            }
            Self::InputChanged { input } => write!(f, "content of {input} changed"),
            Self::InsideOf { part } => write!(f, "lies inside {part}, which is made again"),
            Self::PathMissing { path } => write!(f, "{} is missing", path.display()),
            Self::Asked { why } => f.write_str(why),
            Self::NoLongerWanted => f.write_str("no longer wanted"),
        }
    }
}

fn option_changed(
    f: &mut fmt::Formatter<'_>,
    option: &str,
    old: Option<&str>,
    new: Option<&str>,
) -> fmt::Result {
    if is_secret(option) || [old, new].contains(&Some(HIDDEN)) {
        return write!(f, "option `{option}` changed");
    }
    match (old, new) {
        (None, new) => write!(f, "option `{option}` is new: `{}`", shorten(new.unwrap_or(""))),
        (Some(_), None) => write!(f, "option `{option}` is gone"),
        (Some(old), Some(new)) => {
            let (old, new) = first_difference(old, new);
            write!(f, "option `{option}` changed: `{}` → `{}`", shorten(old), shorten(new))
        }
    }
}

/// Values that must not show in logs.
fn is_secret(option: &str) -> bool {
    let option = option.to_ascii_lowercase();
    ["passw", "secret", "token", "private", "credential"].iter().any(|word| option.contains(word))
}

/// What is shown of a value.
pub(super) fn unless_secret(option: &str, value: &str, hide: bool) -> String {
    if hide || is_secret(option) { HIDDEN } else { value }.to_owned()
}

/// The first line in which two values differ, of each; long ones from a little before the place.
fn first_difference<'v>(old: &'v str, new: &'v str) -> (&'v str, &'v str) {
    let mut old_lines = old.lines();
    let mut new_lines = new.lines();
    let (old, new) = loop {
        match (old_lines.next(), new_lines.next()) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => break (a.unwrap_or("").trim(), b.unwrap_or("").trim()),
        }
    };
    let same = old.char_indices().zip(new.chars()).find(|((_, a), b)| a != b);
    let at = same.map_or(old.len().min(new.len()), |((at, _), _)| at);
    if old.chars().count().max(new.chars().count()) <= SHOWN {
        return (old, new);
    }
    // The word in which they differ, or what is before it, tells where it is.
    let start = old[..at].rfind([' ', ':', '=', ',']).map_or(0, |start| start + 1);
    (&old[start..], &new[start..])
}

fn shorten(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or("");
    if line.chars().count() <= SHOWN {
        return line.to_owned();
    }
    let start: String = line.chars().take(SHOWN).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(option: &str, old: &str, new: &str) -> String {
        let (old, new) = (Some(old.to_owned()), Some(new.to_owned()));
        let at = Some("a.cfg:3".to_owned());
        Reason::OptionChanged { option: option.to_owned(), old, new, at }.to_string()
    }

    #[test]
    fn a_changed_option_shows_the_line_that_differs() {
        insta::assert_snapshot!(
            changed("configure-options", "--a\n--b", "--a\n--c"),
            @"option `configure-options` changed: `--b` → `--c` at a.cfg:3"
        );
        insta::assert_snapshot!(
            changed("admin-password", "hunter2", "hunter3"),
            @"option `admin-password` changed at a.cfg:3"
        );
        assert!(changed("x", "", &"y".repeat(100)).contains("yyy…`"));
        let long = |last: &str| format!("{} PATH=/a/b:/c/{last}:/d", "-Wl,-rpath=/x/y ".repeat(9));
        insta::assert_snapshot!(
            changed("environment", &long("one"), &long("two")),
            @"option `environment` changed: `/c/one:/d` → `/c/two:/d` at a.cfg:3"
        );
    }
}
