//! Rendering one template, and saying where it failed.

use indexmap::IndexMap;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};

use super::{builtins, convert, methods};
use crate::common::Literal;

/// How many lines before the failing one are shown.
const BEFORE: usize = 2;

/// Why a template could not be rendered.
pub(super) struct Failure {
    /// `template:line: what is wrong`.
    pub(super) message: String,
    /// The lines around it.
    pub(super) excerpt: Vec<String>,
    /// What to do about it.
    pub(super) help: Option<String>,
}

/// Renders the template `text`, which people know as `name`.
pub(super) fn render(
    name: &str,
    text: &str,
    context: &IndexMap<String, Literal>,
) -> Result<String, Failure> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_debug(true);
    environment.set_unknown_method_callback(methods::call);
    builtins::add_to(&mut environment);
    let values = context.iter().map(|(name, value)| (name.as_str(), convert::to_value(value)));
    let values = Value::from_pairs(values);
    environment
        .template_from_named_str(name, text)
        .and_then(|template| template.render(values))
        .map_err(|error| failure(&error, name, text))
}

fn failure(error: &Error, name: &str, text: &str) -> Failure {
    let mut innermost = error;
    while let Some(source) = std::error::Error::source(innermost) {
        match source.downcast_ref::<Error>() {
            Some(source) => innermost = source,
            None => break,
        }
    }
    let line = innermost.line().or(error.line());
    let place = line.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
    let detail = match innermost.detail() {
        Some(detail) => format!("{}: {detail}", innermost.kind()),
        None => innermost.kind().to_string(),
    };
    Failure {
        message: format!("the template fails at {place}: {detail}"),
        excerpt: line.map(|line| excerpt(text, line)).unwrap_or_default(),
        help: help(&detail),
    }
}

fn excerpt(text: &str, line: usize) -> Vec<String> {
    let first = line.saturating_sub(BEFORE).max(1);
    let numbered = text.lines().enumerate().map(|(index, text)| (index + 1, text));
    numbered
        .skip(first - 1)
        .take(line + 1 - first)
        .map(|(number, text)| {
            let mark = if number == line { '>' } else { ' ' };
            format!("{mark} {number:>4} | {text}")
        })
        .collect()
}

fn help(detail: &str) -> Option<String> {
    let mutating = ["append", "extend", "update", "setdefault", "pop", "insert", "__setitem__"];
    if mutating.iter().any(|method| detail.contains(&format!("no method named {method}"))) {
        return Some(
            "lists and mappings cannot be changed by templates of this version".to_owned(),
        );
    }
    if detail.contains("use % operator") {
        return Some("`%` does not format text here: use `~` or the filter `format`".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Result<String, String> {
        let context = [
            ("x", Literal::from("v")),
            ("d", Literal::parse("{'b': [1, 2], 'a': {'k': None}}").unwrap()),
        ];
        let context = context.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        render("t.in", text, &context).map_err(|failure| failure.message)
    }

    #[test]
    fn python_is_near_enough() {
        for (template, expected) in [
            ("{{ x }}\n", "v"),
            ("{{ x }}\n\n", "v\n"),
            ("{{ dumps(d) }}", "!py!{'a': {'k': None}, 'b': [1, 2]}"),
            ("{{ d | tojson }}", r#"{"a": {"k": null}, "b": [1, 2]}"#),
            ("{{ repr(x) }} {{ str(1) }} {{ int('7') + 1 }} {{ len(d) }}", "'v' 1 8 2"),
            ("{% for i, v in enumerate(sorted(d)) %}{{ i }}{{ v }}{% endfor %}", "0a1b"),
            ("{% for k, v in d.items() %}{{ k }}{% endfor %}", "ba"),
            ("{{ d.get('zz', 'none') }}{{ d.get('b')[0] }}", "none1"),
            ("{% for a, b in zip([1,2], 'xy') %}{{ a }}{{ b }}{% endfor %}", "1x2y"),
            ("{{ list('ab') }}{{ set([2,1,2]) }}{{ dict(a=1) }}", "['a', 'b'][2, 1]{'a': 1}"),
            ("{{ 'a.b.c'.rsplit('.', 1)[1] }}{{ 'a=b'.partition('=')[2] }}", "cb"),
            ("{{ 'prefix-x'.removeprefix('prefix-') }}{{ '7'.zfill(3) }}", "x007"),
            (
                "{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
                "01",
            ),
            ("{{ assert(true) }}{{ max(1, 2) }}{{ min([3, 2]) }}{{ sum([1, 2]) }}", "223"),
            ("{{ any([0, 1]) }} {{ all([0, 1]) }} {{ bool('') }}", "True False False"),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn failures_name_template_and_line() {
        insta::assert_snapshot!(rendered("a\n{{ nope }}").unwrap_err(), @"the template fails at t.in:2: undefined value: `nope` is undefined");
        insta::assert_snapshot!(rendered("{% if %}").unwrap_err(), @"the template fails at t.in:1: syntax error: unexpected end of block");
        insta::assert_snapshot!(rendered("{{ assert(x == 'w', 'x is ' ~ x) }}").unwrap_err(), @"the template fails at t.in:1: invalid operation: assertion failed: x is v");
        assert_eq!(excerpt("a\nb\nc\nd", 3), ["     1 | a", "     2 | b", ">    3 | c"]);
    }
}
