//! JSON as Python's standard library writes it by default, and JSON values as Python's `str()` gives
//! them: clients compare the former, SLAP stores the latter.

use std::io;

use serde::Serialize as _;
use serde_json::Value as Json;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use slapos_slap::Value;

/// A document in ASCII, with a space after each comma and colon.
pub(super) fn write(json: &Json) -> String {
    let mut out = Vec::new();
    // Nothing fails: the keys are texts, and memory takes everything.
    let _ = json.serialize(&mut Serializer::with_formatter(&mut out, Python));
    String::from_utf8(out).unwrap_or_default()
}

/// What becomes of a parameter that is not text.
pub(super) fn text(json: &Json) -> String {
    Value::from(json).to_text()
}

/// How Python shows a value in a message.
pub(super) fn repr(json: &Json) -> String {
    Value::from(json).repr()
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut units = [0; 2];
        for character in fragment.chars() {
            if character.is_ascii() {
                CompactFormatter.write_string_fragment(out, character.encode_utf8(&mut [0; 4]))?;
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents() {
        let document =
            json!({"b": [1, 1.5, true, null], "a": {"é\"\n": "\u{1F600}\u{7}"}, "c": []});
        insta::assert_snapshot!(write(&document), @r#"{"b": [1, 1.5, true, null], "a": {"\u00e9\"\n": "\ud83d\ude00\u0007"}, "c": []}"#);
    }

    #[test]
    fn texts_of_values() {
        let texts =
            json!(["x", 1, 1.0, true, null, {"b": "it's", "a": [1]}, 18446744073709551615_u64]);
        let texts: Vec<_> = texts.as_array().unwrap().iter().map(text).collect();
        insta::assert_snapshot!(texts.join(" "), @r#"x 1 1.0 True None {'b': "it's", 'a': [1]} 18446744073709551615"#);
    }
}
