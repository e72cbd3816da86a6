//! What is doubtful in a profile though it may build.
//!
//! Invariant: a finding names a line that somebody wrote. What only a recipe can know is not
//! judged: whether it reads an option of its section, and whether it sets one that is not written.

mod broken;
mod digests;
mod references;
mod shadows;
mod unused;

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::graph::reached;
use super::values::Values;
use crate::source::Span;

/// How many names that lead nowhere are compared with all others.
const MOST_PROPOSALS: usize = 50;

/// What sort of doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A reference that is malformed.
    BadReference,
    /// Options that refer to each other, or sections that are macros of each other.
    Cycle,
    /// A reference, a macro or a part that leads nowhere.
    DeadReference,
    /// A source that is downloaded and checked by MD5 only, which does not protect from forgery.
    Md5Only,
    /// A value that something else replaces.
    ShadowedValue,
    /// An option that nothing reads.
    UnusedOption,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing; often meant.
    Note,
    /// Probably not meant.
    Warning,
    /// Building will fail.
    Error,
}

/// A doubt about a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What sort.
    pub rule: Rule,
    /// How bad.
    pub level: Level,
    /// `file:line`.
    pub at: String,
    /// The section.
    pub section: String,
    /// The option.
    pub option: String,
    /// What is the matter.
    pub message: String,
    /// What to do about it, where that is known.
    pub help: Option<String>,
    #[serde(skip)]
    span: Option<Span>,
}

impl Rule {
    /// As on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadReference => "bad-reference",
            Self::Cycle => "cycle",
            Self::DeadReference => "dead-reference",
            Self::Md5Only => "md5-only",
            Self::ShadowedValue => "shadowed-value",
            Self::UnusedOption => "unused-option",
        }
    }
}

impl Level {
    /// As on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// All doubts, by file in the order of merging and by line.
#[must_use]
pub fn lint(values: &Values<'_>) -> Vec<Finding> {
    let mut report = Report::new(values);
    references::check(&mut report);
    broken::check(&mut report);
    digests::check(&mut report);
    shadows::check(&mut report);
    unused::check(&mut report);
    let order = values.profile().merge_order();
    let position: HashMap<_, _> = order.iter().enumerate().map(|(n, id)| (*id, n)).collect();
    let place = |f: &Finding| f.span.map(|s| (position.get(&s.file).copied(), s.line));
    let mut findings = report.findings;
    findings.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.rule.cmp(&b.rule)));
    findings
}

/// The findings so far, and what several rules ask.
struct Report<'v, 'p> {
    values: &'v Values<'p>,
    findings: Vec<Finding>,
    seen: HashSet<(Rule, Option<Span>, String)>,
    /// The sections that the parts need.
    reached: HashSet<String>,
    /// The sections that are built on each section, directly.
    heirs: HashMap<&'p str, Vec<&'p str>>,
    /// How many more slips of fingers are looked for.
    proposals: usize,
}

impl<'v, 'p> Report<'v, 'p> {
    fn new(values: &'v Values<'p>) -> Self {
        let mut heirs: HashMap<&str, Vec<&str>> = HashMap::new();
        for (name, section) in values.profile().sections() {
            let macros = section.get("<").filter(|_| name != "buildout");
            for parent in macros.into_iter().flat_map(str::lines).map(str::trim) {
                heirs.entry(parent).or_default().push(name);
            }
        }
        let reached = reached(values);
        let (findings, seen) = (Vec::new(), HashSet::new());
        Self { values, findings, seen, reached, heirs, proposals: MOST_PROPOSALS }
    }

    /// Adds a finding, unless the same one is there: lines of macros are seen in each heir.
    fn add(&mut self, rule: Rule, level: Level, span: Option<Span>, found: Found<'_>) {
        let Found { section, option, message, help } = found;
        if !self.seen.insert((rule, span, message.clone())) {
            return;
        }
        self.findings.push(Finding {
            rule,
            level,
            at: span.map_or_else(String::new, |span| self.values.profile().location(span)),
            section: section.to_owned(),
            option: option.to_owned(),
            message,
            help,
            span,
        });
    }

    /// Whether something may still be proposed instead of a name: each looks at all names.
    fn may_propose(&mut self) -> bool {
        let may = self.proposals > 0;
        self.proposals = self.proposals.saturating_sub(1);
        may
    }

    /// Whether other sections are built on this one.
    fn is_macro(&self, section: &str) -> bool {
        self.heirs.contains_key(section)
    }
}

/// What a rule found.
struct Found<'a> {
    section: &'a str,
    option: &'a str,
    message: String,
    help: Option<String>,
}
