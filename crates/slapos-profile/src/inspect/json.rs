//! Indented JSON, written as it is made: a dump has more text than it is worth to keep twice.
//!
//! Invariant: the text is what serde_json's pretty printer makes of the same maps and lists.

use std::io::{self, Write};

/// How much is written at once, bytes.
const PIECE: usize = 64 << 10;
/// How many bytes are looked at together for one that needs an escape.
const STRIDE: usize = 16;

/// A document being written.
pub(super) struct Json<'o> {
    out: &'o mut dyn Write,
    buffer: Vec<u8>,
    depth: usize,
    /// Nothing is in the innermost map or list yet.
    empty: bool,
}

impl<'o> Json<'o> {
    pub(super) fn new(out: &'o mut dyn Write) -> Self {
        Self { out, buffer: Vec::with_capacity(PIECE + PIECE / 4), depth: 0, empty: true }
    }

    /// A map; `fill` writes its keys and values.
    pub(super) fn map(&mut self, fill: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        self.nested(b'{', fill, b'}')
    }

    /// A list of texts.
    pub(super) fn list<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) -> io::Result<()> {
        let fill = |json: &mut Self| {
            texts.into_iter().try_for_each(|text| {
                json.separate();
                json.text(text)
            })
        };
        self.nested(b'[', fill, b']')
    }

    /// The key of what is written next.
    pub(super) fn key(&mut self, key: &str) -> io::Result<()> {
        self.separate();
        self.text(key)?;
        self.buffer.extend_from_slice(b": ");
        Ok(())
    }

    /// A text.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.buffer.push(b'"');
        self.escaped(text.as_bytes());
        self.buffer.push(b'"');
        self.flush_above(PIECE)
    }

    /// A text and a number, with a colon between them.
    pub(super) fn text_and_number(&mut self, text: &str, mut number: u32) -> io::Result<()> {
        let mut digits = [b'0'; 10];
        let mut start = digits.len();
        while number > 0 || start == digits.len() {
            start -= 1;
            let [digit, ..] = (number % 10).to_le_bytes();
            digits[start] += digit;
            number /= 10;
        }
        self.buffer.push(b'"');
        self.escaped(text.as_bytes());
        self.buffer.push(b':');
        self.buffer.extend_from_slice(&digits[start..]);
        self.buffer.push(b'"');
        self.flush_above(PIECE)
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush_above(0)
    }

    fn nested(
        &mut self,
        open: u8,
        fill: impl FnOnce(&mut Self) -> io::Result<()>,
        close: u8,
    ) -> io::Result<()> {
        self.buffer.push(open);
        self.depth += 1;
        self.empty = true;
        fill(self)?;
        self.depth -= 1;
        if !self.empty {
            self.indent();
        }
        self.empty = false;
        self.buffer.push(close);
        Ok(())
    }

    fn separate(&mut self) {
        if !self.empty {
            self.buffer.push(b',');
        }
        self.empty = false;
        self.indent();
    }

    fn indent(&mut self) {
        self.buffer.push(b'\n');
        self.buffer.resize(self.buffer.len() + 2 * self.depth, b' ');
    }

    fn escaped(&mut self, mut rest: &[u8]) {
        loop {
            let plain = plain_prefix(rest);
            let (before, after) = rest.split_at(plain);
            self.buffer.extend_from_slice(before);
            let Some((&byte, after)) = after.split_first() else { return };
            self.escape(byte);
            rest = after;
        }
    }

    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
                let code = [b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)];
                self.buffer.extend_from_slice(&code);
                return;
            }
        };
        self.buffer.extend_from_slice(&[b'\\', short]);
    }

    fn flush_above(&mut self, limit: usize) -> io::Result<()> {
        if self.buffer.len() > limit {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// How many bytes at the start need no escape.
fn plain_prefix(bytes: &[u8]) -> usize {
    let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    let (strides, _) = bytes.as_chunks::<STRIDE>();
    // Without an early end inside a stride, the compiler looks at all of it at once.
    let plain = |stride: &&[u8; STRIDE]| !stride.iter().fold(false, |any, b| any | special(*b));
    let start = strides.iter().take_while(plain).count() * STRIDE;
    let rest = &bytes[start..];
    start + rest.iter().position(|byte| special(*byte)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Table = std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>;

    fn written(table: &Table) -> String {
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        json.map(|json| {
            table.iter().try_for_each(|(name, options)| {
                json.key(name)?;
                json.map(|json| {
                    options.iter().try_for_each(|(option, value)| {
                        json.key(option)?;
                        json.text(value)
                    })
                })
            })
        })
        .unwrap();
        json.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn it_is_what_serde_json_writes(
            table in prop::collection::btree_map(
                ".*",
                prop::collection::btree_map("[\\x00-\\x7f]{0,40}", ".{0,40}", 0..4),
                0..4,
            ),
        ) {
            prop_assert_eq!(written(&table), serde_json::to_string_pretty(&table).unwrap());
        }

        #[test]
        fn numbers_are_decimal(text in "[a-z/\"]*", number: u32) {
            let mut out = Vec::new();
            let mut json = Json::new(&mut out);
            json.text_and_number(&text, number).unwrap();
            json.finish().unwrap();
            let expected = serde_json::to_string(&format!("{text}:{number}")).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn lists_and_empty_things() {
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        json.map(|json| {
            json.key("none")?;
            json.list([])?;
            json.key("two")?;
            json.list(["a", "b"])?;
            json.key("empty")?;
            json.map(|_| Ok(()))
        })
        .unwrap();
        json.finish().unwrap();
        let expected = serde_json::json!({"none": [], "two": ["a", "b"], "empty": {}});
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read, expected);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            serde_json::to_string_pretty(&expected).unwrap()
        );
    }
}
