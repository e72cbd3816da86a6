//! JSON as Python writes it: the form of the files that the original's tools read.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// `value` on one line, a space after commas and colons, ASCII only.
pub(super) fn text(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Python))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for c in fragment.chars() {
            if matches!(c, ' '..='~') {
                write!(writer, "{c}")?;
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_if_python_had_written_it() {
        let value = serde_json::json!({
            "title": "é \u{1f600} \"x\" \n\u{7f}", "list": [1, 2.0, 1795374245.447769], "none": null,
        });
        insta::assert_snapshot!(text(&value).unwrap(), @r#"{"title": "\u00e9 \ud83d\ude00 \"x\" \n\u007f", "list": [1, 2.0, 1795374245.447769], "none": null}"#);
    }
}
