//! Reading values, with the tolerances that exist in the wild: the root `<marshal>` may be
//! missing, `id` is optional, white space between elements is ignored, `<unicode>` and `<long>`
//! are accepted, and text that was escaped only once is read like text escaped twice.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::{Class, MAX_DEPTH, MAX_NODES, MarshalError, Value};
use crate::xml::{Cursor, Tag, Token, XmlError};

/// The value of a document.
///
/// # Errors
/// When it is not XML, not this dialect, too big, or holds an object of another class than the
/// four of SLAP.
pub fn loads(text: &str) -> Result<Value, MarshalError> {
    let mut reader = Reader {
        cursor: Cursor::new(text),
        kept: text.contains("<reference").then(HashMap::new),
        depth: 0,
        nodes: 0,
    };
    let value = match reader.element()? {
        Some(tag) if tag.name == "marshal" => {
            let tag = reader.require_element("a value")?;
            let value = reader.value(&tag)?;
            reader.require_close("marshal")?;
            value
        }
        Some(tag) => reader.value(&tag)?,
        None => return Err(reader.form("the document is empty")),
    };
    reader.cursor.finish()?;
    Ok(value)
}

impl From<XmlError> for MarshalError {
    fn from(error: XmlError) -> MarshalError {
        MarshalError::Xml { at: error.at, reason: error.reason }
    }
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    /// Containers by id, with their sizes; `None` inside while they are still open. Absent
    /// altogether when the document has no reference, because keeping costs a copy.
    kept: Option<HashMap<String, Option<(Value, usize)>>>,
    depth: usize,
    nodes: usize,
}

impl Reader<'_> {
    /// The next start tag, or `None` at an end tag or the end of the document.
    fn element(&mut self) -> Result<Option<Tag>, MarshalError> {
        match self.cursor.next_tag()? {
            Token::Open(tag) => Ok(Some(tag)),
            Token::Close | Token::End => Ok(None),
            Token::Text(_) => Err(self.form("text where an element must be")),
        }
    }

    fn require_element(&mut self, what: &str) -> Result<Tag, MarshalError> {
        self.element()?.ok_or_else(|| self.form(format!("{what} is missing")))
    }

    fn require_close(&mut self, of: &str) -> Result<(), MarshalError> {
        match self.element()? {
            None => Ok(()),
            Some(tag) => Err(self.form(format!("<{}> is one too many in <{of}>", tag.name))),
        }
    }

    fn form(&self, reason: impl Into<String>) -> MarshalError {
        MarshalError::Form { at: self.cursor.at(), reason: reason.into() }
    }

    fn count(&mut self, nodes: usize) -> Result<(), MarshalError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(MarshalError::TooBig(format!("more than {MAX_NODES} values")));
        }
        Ok(())
    }

    /// The value whose start tag was just read, up to and with its end tag.
    fn value(&mut self, tag: &Tag) -> Result<Value, MarshalError> {
        self.count(1)?;
        match tag.name.as_str() {
            "none" => self.cursor.text_content().map(|_| Value::None).map_err(Into::into),
            "bool" => Ok(Value::Bool(self.number::<i64>("bool")? != 0)),
            "int" | "long" => Ok(Value::Int(self.number("int")?)),
            "float" => Ok(Value::Float(self.number("float")?)),
            "string" | "unicode" => Ok(Value::Str(unescape(&self.cursor.text_content()?))),
            "reference" => self.reference(tag),
            "list" | "tuple" | "dictionary" | "object" => self.container(tag),
            other => Err(self.form(format!("<{other}> is not a kind of value"))),
        }
    }

    fn number<T: std::str::FromStr>(&mut self, kind: &str) -> Result<T, MarshalError> {
        let text = self.cursor.text_content()?;
        text.trim().parse().map_err(|_| self.form(format!("{text:?} is not a <{kind}>")))
    }

    fn container(&mut self, tag: &Tag) -> Result<Value, MarshalError> {
        if self.depth >= MAX_DEPTH {
            return Err(MarshalError::TooBig(format!("nested deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let before = self.nodes;
        let id = tag.get("id");
        if let (Some(id), Some(kept)) = (id, &mut self.kept) {
            kept.insert(id.to_owned(), None);
        }
        let value = match tag.name.as_str() {
            "list" => Value::List(self.items()?),
            "tuple" => Value::Tuple(self.items()?),
            "dictionary" => Value::Dict(self.entries()?),
            _ => self.object(tag)?,
        };
        self.depth -= 1;
        if let (Some(id), true) = (id, self.kept.is_some()) {
            let size = self.nodes - before + 1;
            self.count(size)?;
            if let Some(kept) = &mut self.kept {
                kept.insert(id.to_owned(), Some((value.clone(), size)));
            }
        }
        Ok(value)
    }

    fn items(&mut self) -> Result<Vec<Value>, MarshalError> {
        let mut items = Vec::new();
        while let Some(tag) = self.element()? {
            items.push(self.value(&tag)?);
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<IndexMap<String, Value>, MarshalError> {
        let mut entries = IndexMap::new();
        while let Some(tag) = self.element()? {
            let Value::Str(key) = self.value(&tag)? else {
                return Err(self.form("a dictionary key that is not text"));
            };
            let tag = self.require_element(&format!("the value of {key:?}"))?;
            let value = self.value(&tag)?;
            entries.insert(key, value);
        }
        Ok(entries)
    }

    fn object(&mut self, tag: &Tag) -> Result<Value, MarshalError> {
        let (module, name) = (tag.get("module").unwrap_or(""), tag.get("class").unwrap_or(""));
        let class = Class::from_wire(module, name).ok_or_else(|| MarshalError::ForbiddenClass {
            module: module.to_owned(),
            class: name.to_owned(),
        })?;
        let first = self.require_element("the tuple of an object")?;
        let Value::Tuple(initargs) = self.value(&first)? else {
            return Err(self.form("an object must begin with a tuple"));
        };
        let second = self.require_element("the dictionary of an object")?;
        let Value::Dict(attributes) = self.value(&second)? else {
            return Err(self.form("the attributes of an object must be a dictionary"));
        };
        self.require_close("object")?;
        Ok(Value::object(class, initargs, attributes))
    }

    fn reference(&mut self, tag: &Tag) -> Result<Value, MarshalError> {
        self.require_close("reference")?;
        let id = tag.get("id").unwrap_or("");
        match self.kept.as_ref().and_then(|kept| kept.get(id)) {
            Some(Some((value, size))) => {
                let (value, size) = (value.clone(), *size);
                self.count(size)?;
                Ok(value)
            }
            Some(None) => Err(self.form(format!("the value {id} contains itself"))),
            None => Err(self.form(format!("reference to {id:?}, which was not seen before"))),
        }
    }
}

/// Undoes the marshaller's own escaping; XML's was undone before.
fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
