//! JSON as Python's `json.dumps` writes it: keys sorted, non-ASCII escaped, blanks after `,`, `:`.

use std::fmt::Write as _;

use crate::common::Literal;

/// How JSON is written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Style {
    /// Blanks per level; everything on one line without.
    pub(crate) indent: Option<usize>,
    /// Escape `<`, `>`, `&` and `'`, as the filter `tojson` does.
    pub(crate) html_safe: bool,
}

/// The JSON text of a literal, on one line.
pub(crate) fn of_literal(literal: &Literal) -> String {
    text(literal, Style::default())
}

/// The JSON text of a literal.
pub(crate) fn text(literal: &Literal, style: Style) -> String {
    let mut out = String::new();
    write(&mut out, literal, style, 0);
    out
}

/// The JSON value of a literal.
pub(crate) fn value(literal: &Literal) -> serde_json::Value {
    serde_json::from_str(&of_literal(literal)).unwrap_or(serde_json::Value::Null)
}

fn write(out: &mut String, literal: &Literal, style: Style, level: usize) {
    match literal {
        Literal::None => out.push_str("null"),
        Literal::Bool(true) => out.push_str("true"),
        Literal::Bool(false) => out.push_str("false"),
        Literal::Float(number) if !number.is_finite() => out.push_str("null"),
        Literal::Int(_) | Literal::Float(_) => out.push_str(&literal.to_text()),
        Literal::Str(text) => write_string(out, text, style),
        Literal::Bytes(bytes) => write_string(out, &String::from_utf8_lossy(bytes), style),
        Literal::List(items) | Literal::Tuple(items) | Literal::Set(items) => {
            write_all(out, ['[', ']'], items.iter(), style, level, |out, item| {
                write(out, item, style, level + 1);
            });
        }
        Literal::Dict(pairs) => {
            let mut sorted: Vec<(String, &Literal)> =
                pairs.iter().map(|(key, value)| (key_text(key), value)).collect();
            sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            write_all(out, ['{', '}'], sorted.iter(), style, level, |out, (key, value)| {
                write_string(out, key, style);
                out.push_str(": ");
                write(out, value, style, level + 1);
            });
        }
    }
}

/// Python writes keys that are no text as the JSON of their value.
fn key_text(key: &Literal) -> String {
    match key {
        Literal::Str(text) => text.clone(),
        other => of_literal(other),
    }
}

fn write_all<T>(
    out: &mut String,
    [open, close]: [char; 2],
    items: impl ExactSizeIterator<Item = T>,
    style: Style,
    level: usize,
    mut each: impl FnMut(&mut String, T),
) {
    let empty = items.len() == 0;
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_str(if style.indent.is_some() { "," } else { ", " });
        }
        new_line(out, style, level + 1);
        each(out, item);
    }
    if !empty {
        new_line(out, style, level);
    }
    out.push(close);
}

fn new_line(out: &mut String, style: Style, level: usize) {
    if let Some(indent) = style.indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent * level));
    }
}

fn write_string(out: &mut String, text: &str, style: Style) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\'' if style.html_safe => escape(out, c),
            ' '..='~' => out.push(c),
            other => escape(out, other),
        }
    }
    out.push('"');
}

fn escape(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_pythons() {
        let literal = Literal::parse("{'b': [1, 2.0, None], 'a': 'é<😀', 3: {}}").unwrap();
        insta::assert_snapshot!(of_literal(&literal), @r#"{"3": {}, "a": "\u00e9<\ud83d\ude00", "b": [1, 2.0, null]}"#);
        let style = Style { indent: Some(2), html_safe: true };
        insta::assert_snapshot!(text(&literal, style), @r#"
        {
          "3": {},
          "a": "\u00e9\u003c\ud83d\ude00",
          "b": [
            1,
            2.0,
            null
          ]
        }
        "#);
    }

    proptest::proptest! {
        #[test]
        fn any_string_is_read_back(string in ".*") {
            let json = of_literal(&Literal::Str(string.clone()));
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), string);
        }
    }
}
