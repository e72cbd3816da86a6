//! Typed values: the `!py!` texts by which options hold lists, mappings and other Python values.
//!
//! A text is the `repr` of the value, mappings sorted by key, on one line, with `$` and `;` of
//! strings written as `\x24` and `\x3b` so that nothing in it is substituted or taken for a
//! comment. Reading accepts the literals that Python prints, nothing that computes.

use std::fmt;

mod parse;

/// What marks a typed value.
const PREFIX: &str = "!py!";

/// A Python value that has a literal form.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer; larger ones than 128 bits are refused.
    Int(i128),
    /// A number with a point or an exponent.
    Float(f64),
    /// Text.
    Str(String),
    /// `b'...'`.
    Bytes(Vec<u8>),
    /// `[...]`.
    List(Vec<Literal>),
    /// `(...)`.
    Tuple(Vec<Literal>),
    /// `{...}` without colons, or `set()`, in the order of the text; printed sorted.
    Set(Vec<Literal>),
    /// `{key: value}` in the order of the text; printed sorted by key.
    Dict(Vec<(Literal, Literal)>),
}

/// Why a text is no literal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a Python literal, at character {at}: {reason}")]
pub struct LiteralError {
    /// Where, counted in characters from 0.
    pub at: usize,
    /// What is wrong there.
    pub reason: String,
}

impl Literal {
    /// Reads a literal as Python prints it.
    ///
    /// # Errors
    /// When `text` is anything else.
    pub fn parse(text: &str) -> Result<Self, LiteralError> {
        parse::parse(text)
    }

    /// The value of an option: typed if it is marked as such and well formed, else a string.
    pub fn of_option(value: &str) -> Self {
        match value.strip_prefix(PREFIX).map(Self::parse) {
            Some(Ok(literal)) => literal,
            _ => Self::Str(value.to_owned()),
        }
    }

    /// The text of an option that holds this value. Strings stay as they are, unless they look
    /// like a typed value.
    pub fn to_option(&self) -> String {
        match self {
            Self::Str(text) if !text.starts_with("!py") => text.clone(),
            other => other.dumps(),
        }
    }

    /// The marked text of this value, strings included.
    pub fn dumps(&self) -> String {
        format!("{PREFIX}{}", self.printed(true))
    }

    /// As Python's `str`: strings as they are, everything else as its `repr`.
    pub fn to_text(&self) -> String {
        match self {
            Self::Str(text) => text.clone(),
            other => other.printed(false),
        }
    }

    fn printed(&self, escaped: bool) -> String {
        let printed = self.print();
        if escaped { printed.escaped } else { printed.plain }
    }

    fn print(&self) -> Printed {
        let mut out = Printed::default();
        match self {
            Self::None => out.push("None"),
            Self::Bool(true) => out.push("True"),
            Self::Bool(false) => out.push("False"),
            Self::Int(number) => out.push(&number.to_string()),
            Self::Float(number) => out.push(&float(*number)),
            Self::Str(text) => out.print(|out, escaped| print_str(out, text, escaped)),
            Self::Bytes(bytes) => out.print(|out, escaped| print_bytes(out, bytes, escaped)),
            Self::List(items) => out.items("[", items.iter().map(Self::print), "]"),
            Self::Tuple(items) if items.len() == 1 => {
                out.items("(", items.iter().map(Self::print), ",)");
            }
            Self::Tuple(items) => out.items("(", items.iter().map(Self::print), ")"),
            Self::Set(items) if items.is_empty() => out.push("set()"),
            Self::Set(items) => {
                let mut sorted: Vec<Printed> = items.iter().map(Self::print).collect();
                sorted.sort_by(|a, b| a.plain.cmp(&b.plain));
                out.items("{", sorted, "}");
            }
            Self::Dict(pairs) => print_dict(&mut out, pairs),
        }
        out
    }
}

/// A value as Python prints it, and the same as an option holds it. Both are made at once, and
/// each value once: what sorts by the one and prints the other would double with each level.
#[derive(Default)]
struct Printed {
    plain: String,
    escaped: String,
}

impl Printed {
    /// Adds what reads the same in both.
    fn push(&mut self, text: &str) {
        self.plain.push_str(text);
        self.escaped.push_str(text);
    }

    fn append(&mut self, other: &Self) {
        self.plain.push_str(&other.plain);
        self.escaped.push_str(&other.escaped);
    }

    /// Adds what `print` writes, plainly and escaped.
    fn print(&mut self, print: impl Fn(&mut dyn fmt::Write, bool) -> fmt::Result) {
        // Writing to a string cannot fail.
        let _ = print(&mut self.plain, false);
        let _ = print(&mut self.escaped, true);
    }

    fn items(&mut self, open: &str, items: impl IntoIterator<Item = Self>, close: &str) {
        self.push(open);
        for (index, item) in items.into_iter().enumerate() {
            self.push(if index > 0 { ", " } else { "" });
            self.append(&item);
        }
        self.push(close);
    }
}

impl fmt::Display for Literal {
    /// As Python's `repr`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print().plain)
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

fn print_dict(out: &mut Printed, pairs: &[(Literal, Literal)]) {
    let printed = pairs.iter().map(|(key, value)| {
        let text = key.print();
        let order = match key {
            Literal::Str(text) => text.clone(),
            _ => text.plain.clone(),
        };
        (order, text, value)
    });
    let mut sorted: Vec<_> = printed.collect();
    sorted.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let items = sorted.into_iter().map(|(_, mut text, value)| {
        text.push(": ");
        text.append(&value.print());
        text
    });
    out.items("{", items, "}");
}

/// The quote that Python's `repr` takes.
fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn print_str(out: &mut dyn fmt::Write, text: &str, escaped: bool) -> fmt::Result {
    let quote = quote_for(text.contains('\''), text.contains('"'));
    out.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '$' if escaped => out.write_str("\\x24")?,
            ';' if escaped => out.write_str("\\x3b")?,
            c if c == quote => write!(out, "\\{c}")?,
            c if c.is_control() || is_unprintable(c) => print_code(out, u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char(quote)
}

/// Separators that Python does not print as they are, as far as they occur in practice.
fn is_unprintable(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{ad}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{3000}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}')
}

fn print_code(out: &mut dyn fmt::Write, code: u32) -> fmt::Result {
    match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    }
}

fn print_bytes(out: &mut dyn fmt::Write, bytes: &[u8], escaped: bool) -> fmt::Result {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    write!(out, "b{quote}")?;
    for byte in bytes {
        match byte {
            b'\\' => out.write_str("\\\\")?,
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'\t' => out.write_str("\\t")?,
            b'$' | b';' if escaped => print_code(out, u32::from(*byte))?,
            byte if char::from(*byte) == quote => write!(out, "\\{quote}")?,
            0x20..=0x7e => out.write_char(char::from(*byte))?,
            byte => print_code(out, u32::from(*byte))?,
        }
    }
    out.write_char(quote)
}

/// As Python prints a float: shortest digits, an exponent below 1e-4 and from 1e16 on.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) =
            exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = format!("{number}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_python_prints_them() {
        let value = Literal::Dict(vec![
            ("b".into(), Literal::List(vec![Literal::Int(1), Literal::Float(0.5), Literal::None])),
            ("a".into(), Literal::Tuple(vec![Literal::Bool(true)])),
            ("it's".into(), Literal::Set(vec!["y".into(), "x".into()])),
            ("é\n".into(), Literal::Bytes(vec![0, b'a'])),
        ]);
        insta::assert_snapshot!(value, @r#"{'a': (True,), 'b': [1, 0.5, None], "it's": {'x', 'y'}, 'é\n': b'\x00a'}"#);
        assert_eq!(Literal::from("a$;").dumps(), r"!py!'a\x24\x3b'");
        assert_eq!(float(1e20), "1e+20");
        assert_eq!(float(1e-7), "1e-07");
        assert_eq!(float(3.0), "3.0");
    }

    #[test]
    fn options_hold_strings_plainly_and_the_rest_marked() {
        assert_eq!(Literal::from("text").to_option(), "text");
        assert_eq!(Literal::from("!py!1").to_option(), "!py!'!py!1'");
        assert_eq!(Literal::List(vec![]).to_option(), "!py![]");
        assert_eq!(Literal::of_option("!py!{1, 2}").to_text(), "{1, 2}");
        assert_eq!(Literal::of_option("!py!oops("), Literal::from("!py!oops("));
        assert_eq!(Literal::of_option("plain"), Literal::from("plain"));
    }

    #[test]
    fn nested_sets_and_keys_do_not_double_the_work() {
        let open = "{0, ".repeat(90);
        let text = format!("{open}1{}", "}".repeat(90));
        assert_eq!(Literal::parse(&text).unwrap().to_text(), text);
        let keys = format!("{}1{}", "{(".repeat(45), ",): 1, 2: 3}".repeat(45));
        assert!(Literal::parse(&keys).unwrap().dumps().len() < 2000);
    }

    fn literals() -> impl proptest::strategy::Strategy<Value = Literal> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(Literal::None),
            any::<bool>().prop_map(Literal::Bool),
            any::<i64>().prop_map(|number| Literal::Int(i128::from(number))),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Literal::Float),
            ".*".prop_map(Literal::Str),
            any::<Vec<u8>>().prop_map(Literal::Bytes),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Literal::List),
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Literal::Tuple),
                (".*", inner)
                    .prop_map(|(key, value)| Literal::Dict(vec![(key.as_str().into(), value)])),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_is_read_again(literal in literals()) {
            let text = literal.dumps();
            proptest::prop_assert!(!text.contains(['$', ';', '\n']));
            proptest::prop_assert_eq!(Literal::parse(&text["!py!".len()..]).unwrap(), literal);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".*") {
            let _ = Literal::parse(&text);
        }
    }
}
