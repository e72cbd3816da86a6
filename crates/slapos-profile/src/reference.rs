//! Finds `${section:option}` in a text, and the `$$` that protects what follows it.
//!
//! Invariant: one pass, nothing nested; the pieces are the whole text in order.

use std::ops::Range;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Copied as it is, `$$` included.
    Literal(&'a str),
    /// A reference; an empty section means the own one.
    Reference { section: Range<usize>, option: Range<usize>, whole: Range<usize> },
    /// Looks like a reference and is not one: what is wrong, and where.
    Bad { whole: Range<usize>, problem: &'static str },
}

/// Whether a value has anything to substitute or protect.
pub(crate) fn needs_substitution(text: &str) -> bool {
    text.contains("${")
}

/// Splits a text into its pieces.
pub(crate) fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut literal = 0;
    let mut at = 0;
    // The next brace and the next `$$`, looked for again only when passed: one pass in all.
    let mut close = Next::default();
    let mut dollars = Next::default();
    while let Some(found) = text[at..].find('$') {
        let dollar = at + found;
        let rest = &text[dollar + 1..];
        // `$$` is kept, and the second dollar opens nothing.
        if rest.starts_with('$') {
            at = dollar + 2;
            continue;
        }
        at = dollar + 1;
        if !rest.starts_with('{') {
            continue;
        }
        // A reference ends at the first brace, and never reaches over a `$$`.
        let Some(end) = close.find(text, dollar + 1, "}") else {
            break;
        };
        if dollars.find(text, dollar + 1, "$$").is_some_and(|protected| protected < end) {
            continue;
        }
        let whole = dollar..end + 1;
        if literal < dollar {
            pieces.push(Piece::Literal(&text[literal..dollar]));
        }
        at = whole.end;
        literal = whole.end;
        pieces.push(classify(text, whole));
    }
    if literal < text.len() {
        pieces.push(Piece::Literal(&text[literal..]));
    }
    pieces
}

/// Remembers where a pattern was found, for searches that only move forward.
#[derive(Default)]
struct Next {
    searched: bool,
    found: Option<usize>,
}

impl Next {
    fn find(&mut self, text: &str, from: usize, pattern: &str) -> Option<usize> {
        if !self.searched || self.found.is_some_and(|at| at < from) {
            self.found = text[from..].find(pattern).map(|at| from + at);
            self.searched = true;
        }
        self.found
    }
}

fn classify(text: &str, whole: Range<usize>) -> Piece<'_> {
    let inside = whole.start + 2..whole.end - 1;
    let content = &text[inside.clone()];
    let bad = |problem| Piece::Bad { whole: whole.clone(), problem };
    let Some((section, option)) = content.split_once(':') else {
        return bad("has no colon");
    };
    if option.contains(':') {
        return bad("has too many colons");
    }
    if !section.chars().all(is_name_char) {
        return bad("has invalid characters in its section name");
    }
    if option.is_empty() {
        return bad("names no option");
    }
    if !option.chars().all(is_name_char) {
        return bad("has invalid characters in its option name");
    }
    let colon = inside.start + section.len();
    Piece::Reference { section: inside.start..colon, option: colon + 1..inside.end, whole }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | ' ' | '.' | '_')
}

/// What a recipe reads of a value: `$${` becomes `${`, any other `$$` stays.
#[must_use]
pub fn unescape(text: &str) -> String {
    text.replace("$${", "${")
}

/// Protects a text from substitution: [`unescape`] gives it back.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let show = |piece: &Piece<'_>| match piece {
            Piece::Literal(literal) => format!("'{literal}'"),
            Piece::Reference { section, option, .. } => {
                format!("<{}|{}>", &text[section.clone()], &text[option.clone()])
            }
            Piece::Bad { whole, problem } => format!("!{} {problem}!", &text[whole.clone()]),
        };
        split(text).iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn references_are_found() {
        let cases = [
            ("", ""),
            ("plain $x $ {", "'plain $x $ {'"),
            ("${a:b}", "<a|b>"),
            ("x${:b}y${c d:e.f-g_h}", "'x' <|b> 'y' <c d|e.f-g_h>"),
            ("$${a:b}", "'$${a:b}'"),
            ("$$${a:b}", "'$$' <a|b>"),
            ("$$$${a:b}", "'$$$${a:b}'"),
            ("${a:b", "'${a:b'"),
            ("${a$$b:c}", "'${a$$b:c}'"),
            ("${a${b:c}}", "!${a${b:c} has invalid characters in its section name! '}'"),
            ("${a}", "!${a} has no colon!"),
            ("${a:b:c}", "!${a:b:c} has too many colons!"),
            ("${a/b:c}", "!${a/b:c} has invalid characters in its section name!"),
            ("${a:b/c}", "!${a:b/c} has invalid characters in its option name!"),
            ("${a:}", "!${a:} names no option!"),
            ("é${a:b}é", "'é' <a|b> 'é'"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "for {text}");
        }
    }

    #[test]
    fn escapes_come_back() {
        for text in ["${a:b}", "$${", "$$${x", "$", "{", "a$$b"] {
            assert_eq!(unescape(&escape(text)), text);
        }
        assert_eq!(unescape("$${a} $$ $x"), "${a} $$ $x");
    }
}
