//! Whether a template can be rendered natively with the very text that Jinja2 gives.
//!
//! The native engine knows a subset, and in places gives another text where it should give an
//! error. So a template counts as common to both only if everything in it is known to be: its
//! statements, filters, functions, methods and operators are looked up in lists of what was
//! compared. What is doubtful is left to Jinja2 itself.

use std::collections::BTreeSet;

/// Statements that an extension brings.
const OF_EXTENSIONS: [(&str, &str); 3] = [
    ("do", "jinja2.ext.do"),
    ("break", "jinja2.ext.loopcontrols"),
    ("continue", "jinja2.ext.loopcontrols"),
];
/// Statements.
const STATEMENTS: [&str; 13] = [
    "if", "elif", "else", "endif", "for", "endfor", "set", "endset", "macro", "endmacro", "raw",
    "endraw", "endcall",
];
/// Filters, and tests that are written like functions.
const FILTERS: [&str; 24] = [
    "abs",
    "capitalize",
    "d",
    "default",
    "dictsort",
    "escape",
    "first",
    "indent",
    "int",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "reject",
    "rejectattr",
    "replace",
    "select",
    "selectattr",
    "sort",
    "string",
    "tojson",
    "trim",
];
/// Filters that are not in the list above for room's sake only.
const MORE_FILTERS: [&str; 2] = ["unique", "upper"];
/// Functions.
const FUNCTIONS: [&str; 20] = [
    "abs",
    "all",
    "any",
    "assert",
    "bool",
    "dict",
    "dumps",
    "enumerate",
    "int",
    "len",
    "list",
    "max",
    "min",
    "range",
    "repr",
    "sorted",
    "str",
    "sum",
    "tuple",
    "zip",
];
/// Methods.
const METHODS: [&str; 17] = [
    "endswith",
    "get",
    "items",
    "join",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
];
const MORE_METHODS: [&str; 2] = ["upper", "zfill"];
/// Words of the expression language.
const WORDS: [&str; 12] =
    ["and", "or", "not", "in", "is", "if", "else", "defined", "none", "true", "false", "recursive"];
/// Attributes that are methods in Python, so that naming them without calling means the method.
const PYTHON_ATTRIBUTES: [&str; 8] =
    ["clear", "copy", "count", "get", "index", "items", "keys", "values"];

/// A piece of code in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Name(&'t str),
    /// A number with a point or an exponent is told from an integer.
    Number {
        is_float: bool,
    },
    Text,
    Sign(char),
}

/// True if the native engine renders `text` as Jinja2 does with these extensions.
pub(super) fn is_common(text: &str, extensions: &[String]) -> bool {
    let Some(blocks) = blocks(text) else {
        return false;
    };
    let mut macros = BTreeSet::new();
    blocks.iter().all(|(is_statement, tokens)| {
        if let [Token::Name("macro"), Token::Name(name), ..] = tokens.as_slice() {
            macros.insert(*name);
        }
        is_common_block(*is_statement, tokens, &macros, extensions)
    })
}

fn is_common_block(
    is_statement: bool,
    tokens: &[Token<'_>],
    macros: &BTreeSet<&str>,
    extensions: &[String],
) -> bool {
    let mut rest = tokens;
    if is_statement {
        match tokens.first() {
            Some(Token::Name(keyword)) if is_statement_of(keyword, extensions) => {
                rest = &tokens[1..];
            }
            _ => return false,
        }
        if tokens.first() == Some(&Token::Name("macro")) {
            // The name is followed by a parenthesis, but not called.
            rest = tokens.get(2..).unwrap_or_default();
        }
    }
    (0..rest.len()).all(|at| is_common_token(rest, at, macros))
}

fn is_statement_of(keyword: &str, extensions: &[String]) -> bool {
    let brought = OF_EXTENSIONS.iter().find(|(statement, _)| *statement == keyword);
    match brought {
        Some((_, extension)) => extensions.iter().any(|known| known == extension),
        None => STATEMENTS.contains(&keyword),
    }
}

fn is_common_token(tokens: &[Token<'_>], at: usize, macros: &BTreeSet<&str>) -> bool {
    let before = at.checked_sub(1).map(|before| tokens[before]);
    let called = tokens.get(at + 1) == Some(&Token::Sign('('));
    match tokens[at] {
        Token::Number { is_float } => !is_float,
        // Numbers that are no integers are printed otherwise, and `%` formats text.
        Token::Sign('%' | '/') => false,
        // A sign of a number, which the native engine does not know.
        Token::Sign('+') => {
            !matches!(before, None | Some(Token::Sign('(' | ',' | '[' | '=' | '+')))
        }
        Token::Sign(_) | Token::Text => true,
        Token::Name(name) => match before {
            Some(Token::Sign('|')) => FILTERS.contains(&name) || MORE_FILTERS.contains(&name),
            Some(Token::Sign('.')) if called => {
                METHODS.contains(&name) || MORE_METHODS.contains(&name)
            }
            Some(Token::Sign('.')) => !PYTHON_ATTRIBUTES.contains(&name) && !name.starts_with('_'),
            _ if called && !WORDS.contains(&name) => {
                FUNCTIONS.contains(&name) || macros.contains(name)
            }
            _ => !matches!(name, "varargs" | "kwargs" | "caller" | "self" | "six" | "set"),
        },
    }
}

/// The code of a template: whether each block is a statement, and its tokens. `None` where it is
/// not understood.
fn blocks(text: &str) -> Option<Vec<(bool, Vec<Token<'_>>)>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let code = &rest[start..];
        let after = code.get(2..).unwrap_or_default();
        rest = if code.starts_with("{#") {
            &after[after.find("#}")? + 2..]
        } else if code.starts_with("{{") {
            let (tokens, rest) = tokens(after, "}}")?;
            blocks.push((false, tokens));
            rest
        } else if code.starts_with("{%") {
            let (tokens, rest) = tokens(after, "%}")?;
            let is_raw = tokens == [Token::Name("raw")];
            blocks.push((true, tokens));
            // What is raw is no code, up to its end.
            if is_raw {
                &rest[rest.find("endraw").map(|end| rest[..end].rfind("{%"))??..]
            } else {
                rest
            }
        } else {
            &code[1..]
        };
    }
    Some(blocks)
}

/// The tokens up to `end`, and what follows it.
fn tokens<'t>(text: &'t str, end: &str) -> Option<(Vec<Token<'t>>, &'t str)> {
    let mut tokens = Vec::new();
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(end) {
            return Some((tokens, after));
        }
        let trimmed = rest.strip_prefix('-').or(rest.strip_prefix('+'));
        if let Some(after) = trimmed.and_then(|rest| rest.strip_prefix(end)) {
            return Some((tokens, after));
        }
        let first = rest.chars().next()?;
        let length = match first {
            '"' | '\'' => {
                tokens.push(Token::Text);
                quoted(rest, first)?
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let length = length.unwrap_or(rest.len());
                tokens.push(Token::Name(&rest[..length]));
                length
            }
            c if c.is_ascii_digit() => {
                let (length, is_float) = number(rest);
                tokens.push(Token::Number { is_float });
                length
            }
            c => {
                tokens.push(Token::Sign(c));
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
}

/// Length of a quoted text, its quotes included.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Length of a number, and whether it is none of the integers.
fn number(text: &str) -> (usize, bool) {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = text.find(|c: char| !is_digit(c)).unwrap_or(text.len());
    let has_point = text[length..].starts_with('.')
        && text[length + 1..].starts_with(|c: char| c.is_ascii_digit());
    if has_point {
        let fraction = &text[length + 1..];
        let end = fraction.find(|c: char| !is_digit(c)).unwrap_or(fraction.len());
        return (length + 1 + end, true);
    }
    (length, text[..length].contains(['e', 'E']) && !text.starts_with("0x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extensions() -> Vec<String> {
        vec!["jinja2.ext.do".to_owned()]
    }

    #[test]
    fn what_was_compared_is_common() {
        for text in [
            "no code { at } all $%",
            "{{ a }} {# % import #} {%- if a is defined and b -%} x {%- endif %}",
            "{% for k, v in d.items() %}{{ k ~ '%s' }}{{ loop.index0 }}{% endfor %}",
            "{% macro m(a, b=1) %}{{ a }}{% endmacro %}{{ m(1) }}",
            "{{ d.get('x', [])[0] | join(', ') }}{{ dumps(d) }}{{ 1 + 2 }}",
            "{% raw %}{{ x % y }}{% endraw %}{{ a }}",
            "{% do assert(x not in (1, 2), \"no\") %}{% set x = 'a' if b else none %}",
        ] {
            assert!(is_common(text, &extensions()), "{text}");
        }
    }

    #[test]
    fn what_is_doubtful_is_not() {
        for text in [
            "{{ '%s' % a }}",
            "{% do l.append(1) %}",
            "{% for i in a %}{% break %}{% endfor %}",
            "{{ 7 / 2 }}",
            "{% import 'x' as y %}",
            "{% set x = [] %}{% do x.update({}) %}",
            "{{ unknown(1) }}",
            "{{ a | urlencode }}",
            "{{ d.items }}",
            "{{ 1.5 }}{{ 1e3 }}",
            "{{ set([1]) }}",
            "{{ +1 }}",
            "{{ f(-1, +1) }}",
            "{{ unfinished",
            "{{ 'unfinished }}",
            "{{ x.__class__ }}",
            "{% raw %} never ends",
        ] {
            assert!(!is_common(text, &extensions()), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_an_answer(text in "[{}%#'\"a-z.|(+ 0-9é-]{0,60}") {
            let _ = is_common(&text, &[]);
        }
    }
}
