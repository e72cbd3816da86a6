//! How one file changes what was gathered so far: `=`, `+=`, `-=`.
//!
//! Invariants: within one file `=` comes first, then `+=`, then `-=`, whatever the order of lines;
//! an operator is applied at once, except in a section born with `<=`, where it waits for the
//! macro.

use std::collections::HashSet;

use crate::model::{Map, Operator, OptionValue, Pending, Section, Step};
use crate::scan::{Entry, FileSections};
use crate::source::{LineOrigin, Lines, Span};

/// The option that names the macros of a section.
pub(crate) const MACRO: &str = "<";

/// Merges the sections of one file over the accumulated ones.
pub(crate) fn merge(into: &mut Map<String, Section>, file: FileSections<'_>) {
    for (name, from) in file {
        let known = into.get_index_of(name);
        let waits = known.is_none() && from.set(MACRO).is_some();
        let index =
            known.unwrap_or_else(|| into.insert_full(name.to_owned(), Section::new(from.header)).0);
        let Some((_, section)) = into.get_index_mut(index) else { continue };
        let mut changes = Vec::with_capacity(from.entries.len());
        if known.is_none() {
            section.options.reserve(from.entries.len());
        }
        for (written, entry) in from.entries {
            let Entry { name, op, value, span, lines, replaced } = entry;
            let steps = (op != Operator::Set || !replaced.is_empty()).then(|| {
                let lost = replaced.into_iter().map(|(span, value)| (span, value, true));
                let all = lost.chain([(span, value.clone(), false)]);
                let step = |(span, value, lost)| Step { op, span, value, lost, replaced: false };
                all.map(step).collect()
            });
            let value = OptionValue { value, span, steps, lines };
            if waits && op != Operator::Set {
                let (written, name) = (written.into_owned(), name.to_owned());
                section.pending.push(Pending { written, name, op, value });
            } else {
                changes.push((name, op, value));
            }
        }
        apply(&mut section.options, changes);
    }
}

/// Applies changes: first all `=`, then all `+=`, then all `-=`.
pub(crate) fn apply<N: AsRef<str> + Into<String>>(
    options: &mut Map<String, OptionValue>,
    mut changes: Vec<(N, Operator, OptionValue)>,
) {
    changes.sort_by_key(|(_, op, _)| match op {
        Operator::Set => 0,
        Operator::Add => 1,
        Operator::Remove => 2,
    });
    for (name, op, change) in changes {
        let old = options.get_mut(name.as_ref());
        match (op, old) {
            (Operator::Set, Some(old)) => old.replace_with(change),
            (Operator::Set, None) => {
                options.insert(name.into(), change);
            }
            (Operator::Add | Operator::Remove, old) => {
                let implicit = OptionValue::implicit(change.span);
                let value = match old {
                    Some(old) => old,
                    None => options.entry(name.into()).or_insert(implicit),
                };
                match op {
                    Operator::Remove => value.remove_lines(change),
                    Operator::Add | Operator::Set => value.add_lines(change),
                }
            }
        }
    }
}

impl OptionValue {
    /// The empty text that `+=` and `-=` find when there is no value. `a += b` alone therefore
    /// begins with a newline, as in the fork.
    fn implicit(span: Span) -> Self {
        let lines = Lines::one(LineOrigin { span, column: 0 });
        Self { value: String::new(), span, steps: Some(Vec::new()), lines }
    }

    fn replace_with(&mut self, mut change: Self) {
        let mut history = self.take_steps();
        // Those before one that is replaced are so too: each is marked once, however many follow.
        let fresh = history.iter_mut().rev().take_while(|step| !step.replaced);
        fresh.for_each(|step| step.replaced = true);
        history.append(&mut change.take_steps());
        *self = Self { steps: Some(history), ..change };
    }

    fn add_lines(&mut self, mut change: Self) {
        self.remember(&mut change);
        self.value.push('\n');
        self.value.push_str(&change.value);
        self.lines.append(change.lines);
        self.span = change.span;
    }

    fn remember(&mut self, change: &mut Self) {
        let mut history = self.take_steps();
        history.append(&mut change.take_steps());
        self.steps = Some(history);
    }

    fn remove_lines(&mut self, mut change: Self) {
        self.remember(&mut change);
        let removed: HashSet<&str> = change.value.split('\n').collect();
        let (kept, lines): (Vec<&str>, Vec<LineOrigin>) = self
            .value
            .split('\n')
            .zip(self.lines.iter().copied())
            .filter(|(line, _)| !removed.contains(line))
            .unzip();
        let nothing = LineOrigin { span: change.span, column: 0 };
        let (value, lines) = if kept.is_empty() {
            (String::new(), Lines::one(nothing))
        } else {
            (kept.join("\n"), Lines::of(lines, nothing))
        };
        self.value = value;
        self.lines = lines;
        self.span = change.span;
    }
}
