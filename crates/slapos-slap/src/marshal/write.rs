//! Writing values, byte for byte as the Python marshaller does.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::{MODULE, MarshalError, Object, Value, python};
use crate::xml::is_xml;

/// The number of the first container.
pub(super) const FIRST_ID: usize = 2;

/// The document of one value: `<marshal>…</marshal>`.
///
/// # Errors
/// When a text has a character that XML cannot carry (control characters).
pub fn dumps(value: &Value) -> Result<String, MarshalError> {
    let mut writer = Writer::begun("<marshal>".to_owned());
    writer.value(value)?;
    writer.out.push_str("</marshal>");
    Ok(writer.out)
}

/// A document that is being written.
pub(super) struct Writer {
    pub(super) out: String,
    /// The number of the next container, in document order.
    next_id: usize,
}

impl Writer {
    /// One that begins so.
    pub(super) fn begun(out: String) -> Writer {
        Writer { out, next_id: FIRST_ID }
    }

    fn value(&mut self, value: &Value) -> Result<(), MarshalError> {
        match value {
            Value::None => self.out.push_str("<none/>"),
            Value::Bool(truth) => {
                let _ = write!(self.out, "<bool>{}</bool>", u8::from(*truth));
            }
            Value::Int(number) => {
                let _ = write!(self.out, "<int>{number}</int>");
            }
            Value::Float(number) => {
                let _ = write!(self.out, "<float>{}</float>", python::float(*number));
            }
            Value::Str(text) => self.text(text)?,
            Value::List(items) => {
                let id = self.id();
                self.sequence("list", &format!(" id=\"i{id}\""), items)?;
            }
            Value::Tuple(items) => self.sequence("tuple", "", items)?,
            Value::Dict(items) => self.dictionary(items)?,
            Value::Object(object) => self.object(object)?,
        }
        Ok(())
    }

    fn id(&mut self) -> usize {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn sequence(&mut self, tag: &str, id: &str, items: &[Value]) -> Result<(), MarshalError> {
        if items.is_empty() {
            let _ = write!(self.out, "<{tag}{id}/>");
            return Ok(());
        }
        let _ = write!(self.out, "<{tag}{id}>");
        for item in items {
            self.value(item)?;
        }
        let _ = write!(self.out, "</{tag}>");
        Ok(())
    }

    fn dictionary(&mut self, items: &IndexMap<String, Value>) -> Result<(), MarshalError> {
        let id = self.id();
        if items.is_empty() {
            let _ = write!(self.out, "<dictionary id=\"i{id}\"/>");
            return Ok(());
        }
        let _ = write!(self.out, "<dictionary id=\"i{id}\">");
        let mut sorted: Vec<_> = items.iter().collect();
        sorted.sort_by_key(|(key, _)| *key);
        for (key, item) in sorted {
            self.text(key)?;
            self.value(item)?;
        }
        self.out.push_str("</dictionary>");
        Ok(())
    }

    fn object(&mut self, object: &Object) -> Result<(), MarshalError> {
        let (id, class) = (self.id(), object.class.as_str());
        let _ = write!(self.out, "<object id=\"i{id}\" module=\"{MODULE}\" class=\"{class}\">");
        self.sequence("tuple", "", &object.initargs)?;
        self.dictionary(&object.attributes)?;
        self.out.push_str("</object>");
        Ok(())
    }

    /// Text is escaped twice: once by the marshaller of the original and once by its XML writer.
    pub(super) fn text(&mut self, text: &str) -> Result<(), MarshalError> {
        self.out.push_str("<string>");
        // Most texts are plain from end to end: what is plain is copied as a whole.
        let mut plain = 0;
        for (index, character) in text.char_indices() {
            let replacement = match character {
                '&' => "&amp;amp;",
                '<' => "&amp;lt;",
                '>' => "&amp;gt;",
                '\t' | '\n' | ' '..='~' => continue,
                c if c == '\r' || is_xml(c) => "",
                character => {
                    let text = text.chars().take(40).collect();
                    return Err(MarshalError::Character { character, text });
                }
            };
            self.out.push_str(&text[plain..index]);
            plain = index + character.len_utf8();
            match replacement {
                "" => {
                    let _ = write!(self.out, "&#{};", u32::from(character));
                }
                replacement => self.out.push_str(replacement),
            }
        }
        self.out.push_str(&text[plain..]);
        self.out.push_str("</string>");
        Ok(())
    }
}
