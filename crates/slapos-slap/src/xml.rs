//! A small pull reader over `quick-xml` for the two XML dialects of SLAP.
//!
//! Invariants: no document type is accepted, so there is no entity but XML's own five and
//! character references; every character that comes out is one that XML can carry; what it holds
//! is never larger than the document.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

/// Whether XML 1.0 has the character: all but most control characters.
pub fn is_xml(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The next thing of a document.
#[derive(Debug, PartialEq)]
pub(crate) enum Token {
    /// A start tag; an empty element is one followed by its [`Token::Close`].
    Open(Tag),
    /// An end tag; the reader checked that it matches.
    Close,
    /// Text, with character data sections and references resolved.
    Text(String),
    /// The end of the document.
    End,
}

/// A start tag.
#[derive(Debug, PartialEq)]
pub(crate) struct Tag {
    /// Its name.
    pub(crate) name: String,
    /// Its attributes in order, with references resolved.
    pub(crate) attributes: Vec<(String, String)>,
}

impl Tag {
    /// The value of an attribute.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What is wrong, and where (in bytes).
#[derive(Debug)]
pub(crate) struct XmlError {
    pub(crate) at: u64,
    pub(crate) reason: String,
}

/// A position in a document.
pub(crate) struct Cursor<'a> {
    reader: Reader<&'a [u8]>,
    /// A tag that was read while text was being gathered.
    pending: Option<Token>,
    open: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Cursor<'a> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Cursor { reader, pending: None, open: 0 }
    }

    /// Where the cursor is, in bytes.
    pub(crate) fn at(&self) -> u64 {
        self.reader.buffer_position()
    }

    /// An error at the cursor.
    pub(crate) fn fail(&self, reason: impl Into<String>) -> XmlError {
        XmlError { at: self.at(), reason: reason.into() }
    }

    /// The next token; adjoining text comes as one.
    pub(crate) fn next(&mut self) -> Result<Token, XmlError> {
        if let Some(token) = self.pending.take() {
            return Ok(token);
        }
        let mut text: Option<String> = None;
        loop {
            let event = self.reader.read_event().map_err(|error| XmlError {
                at: self.reader.error_position(),
                reason: error.to_string(),
            })?;
            let token = match event {
                Event::Text(part) => {
                    text.get_or_insert_default().push_str(&part.xml10_content());
                    continue;
                }
                Event::CData(part) => {
                    text.get_or_insert_default().push_str(&part.xml10_content());
                    continue;
                }
                Event::GeneralRef(name) => {
                    let character = self.resolve(&name)?;
                    text.get_or_insert_default().push(character);
                    continue;
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
                Event::DocType(_) => return Err(self.fail("a document type is not accepted")),
                Event::Start(tag) | Event::Empty(tag) => {
                    self.open += 1;
                    Token::Open(self.tag(&tag)?)
                }
                Event::End(_) => {
                    self.open = self.open.saturating_sub(1);
                    Token::Close
                }
                Event::Eof if self.open > 0 => {
                    return Err(self.fail("the document ends inside an element"));
                }
                Event::Eof => Token::End,
            };
            return self.deliver(text, token);
        }
    }

    /// The gathered text first, keeping the tag that ended it.
    fn deliver(&mut self, text: Option<String>, token: Token) -> Result<Token, XmlError> {
        let Some(text) = text else { return Ok(token) };
        self.check(&text)?;
        self.pending = Some(token);
        Ok(Token::Text(text))
    }

    /// The next token that is not white space.
    pub(crate) fn next_tag(&mut self) -> Result<Token, XmlError> {
        match self.next()? {
            Token::Text(text) if text.trim().is_empty() => self.next(),
            token => Ok(token),
        }
    }

    /// The text up to the end tag of the element that was just opened.
    pub(crate) fn text_content(&mut self) -> Result<String, XmlError> {
        match self.next()? {
            Token::Close => Ok(String::new()),
            Token::Text(text) => match self.next()? {
                Token::Close => Ok(text),
                _ => Err(self.fail("an element where only text may be")),
            },
            _ => Err(self.fail("an element where only text may be")),
        }
    }

    /// Requires that nothing but white space is left.
    pub(crate) fn finish(&mut self) -> Result<(), XmlError> {
        match self.next_tag()? {
            Token::End => Ok(()),
            _ => Err(self.fail("something follows the end of the document")),
        }
    }

    fn tag(&self, tag: &BytesStart<'_>) -> Result<Tag, XmlError> {
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| self.fail(error.to_string()))?;
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Explicit1_0)
                .map_err(|error| self.fail(error.to_string()))?;
            self.check(&value)?;
            attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        Ok(Tag { name: tag.name().as_ref().to_owned(), attributes })
    }

    fn resolve(&self, name: &BytesRef<'_>) -> Result<char, XmlError> {
        let character = name.resolve_char_ref().map_err(|error| self.fail(error.to_string()))?;
        match (character, name.as_ref()) {
            (Some(character), _) => Ok(character),
            (None, "amp") => Ok('&'),
            (None, "lt") => Ok('<'),
            (None, "gt") => Ok('>'),
            (None, "quot") => Ok('"'),
            (None, "apos") => Ok('\''),
            (None, other) => Err(self.fail(format!("unknown entity &{other};"))),
        }
    }

    fn check(&self, text: &str) -> Result<(), XmlError> {
        match text.chars().find(|character| !is_xml(*character)) {
            None => Ok(()),
            Some(c) => Err(self.fail(format!("the character U+{:04X} is not XML", u32::from(c)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<Token>, XmlError> {
        let mut cursor = Cursor::new(text);
        let mut all = Vec::new();
        loop {
            match cursor.next()? {
                Token::End => return Ok(all),
                token => all.push(token),
            }
        }
    }

    #[test]
    fn text_is_gathered_over_comments_references_and_sections() {
        let found = tokens("<a b='1&amp;2'>x&lt;<!-- no --><![CDATA[<&]]>&#233;\r\ny</a>").unwrap();
        let open =
            Tag { name: "a".to_owned(), attributes: vec![("b".to_owned(), "1&2".to_owned())] };
        assert_eq!(found, [Token::Open(open), Token::Text("x<<&é\ny".to_owned()), Token::Close]);
    }

    #[test]
    fn what_is_not_plain_xml_is_refused() {
        for (text, reason) in [
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "a document type is not accepted"),
            ("<a>&b;</a>", "unknown entity &b;"),
            ("<a>", "the document ends inside an element"),
            ("<a>\u{1}</a>", "the character U+0001 is not XML"),
            ("<a>&#2;</a>", "the character U+0002 is not XML"),
            ("<a b='&#2;'/>", "the character U+0002 is not XML"),
        ] {
            assert_eq!(tokens(text).unwrap_err().reason, reason, "{text}");
        }
        assert!(tokens("<a></b>").is_err());
    }
}
