//! "Instance XML": the older form of parameters, `<instance><parameter id="k">v</parameter>…`.
//! It is what Masters store and what the HATEOAS documents carry.

use std::fmt::Write as _;

use indexmap::IndexMap;

use crate::marshal::MarshalError;
use crate::xml::{Cursor, Token, is_xml};

/// The document of parameters, sorted by name, pretty printed, with a trailing newline.
///
/// # Errors
/// When a name or value has a character that XML cannot carry.
pub fn dict2xml(parameters: &IndexMap<String, String>) -> Result<String, MarshalError> {
    let mut out = "<?xml version='1.0' encoding='utf-8'?>\n".to_owned();
    if parameters.is_empty() {
        out.push_str("<instance/>\n");
        return Ok(out);
    }
    out.push_str("<instance>\n");
    let mut sorted: Vec<_> = parameters.iter().collect();
    sorted.sort();
    for (id, value) in sorted {
        let (id, value) = (escape(id, true)?, escape(value, false)?);
        let _ = writeln!(out, "  <parameter id=\"{id}\">{value}</parameter>");
    }
    out.push_str("</instance>\n");
    Ok(out)
}

/// The parameters of a document. Empty text has none; a parameter given twice has its values
/// joined by a space.
///
/// # Errors
/// When it is not XML, or has another form.
pub fn xml2dict(text: &str) -> Result<IndexMap<String, String>, MarshalError> {
    let mut parameters: IndexMap<String, String> = IndexMap::new();
    if text.trim().is_empty() {
        return Ok(parameters);
    }
    let mut cursor = Cursor::new(text);
    let form = |at: u64, reason: &str| MarshalError::Form { at, reason: reason.to_owned() };
    match cursor.next_tag()? {
        Token::Open(tag) if tag.name == "instance" => {}
        _ => return Err(form(cursor.at(), "the document must be an <instance>")),
    }
    loop {
        match cursor.next_tag()? {
            Token::Close => break,
            Token::Open(tag) if tag.name == "parameter" => {
                let id = tag.get("id").unwrap_or("").to_owned();
                let value = cursor.text_content()?;
                match parameters.entry(id) {
                    indexmap::map::Entry::Occupied(mut known) => {
                        let _ = write!(known.get_mut(), " {value}");
                    }
                    indexmap::map::Entry::Vacant(place) => {
                        place.insert(value);
                    }
                }
            }
            _ => {
                return Err(form(cursor.at(), "only <parameter> may be in an <instance>"));
            }
        }
    }
    cursor.finish()?;
    Ok(parameters)
}

fn escape(text: &str, attribute: bool) -> Result<String, MarshalError> {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\t' | '\n' if attribute => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            '\r' => out.push_str("&#13;"),
            c if is_xml(c) => out.push(c),
            character => {
                let text = text.chars().take(40).collect();
                return Err(MarshalError::Character { character, text });
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_the_original_writes_it() {
        let parameters = [("url", "http://[::1]/?a=1&b=<é>"), ("a", "1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        insta::assert_snapshot!(dict2xml(&parameters.into()).unwrap(), @r#"
        <?xml version='1.0' encoding='utf-8'?>
        <instance>
          <parameter id="a">1</parameter>
          <parameter id="url">http://[::1]/?a=1&amp;b=&lt;é&gt;</parameter>
        </instance>
        "#);
        assert_eq!(
            dict2xml(&IndexMap::new()).unwrap(),
            "<?xml version='1.0' encoding='utf-8'?>\n<instance/>\n"
        );
    }

    #[test]
    fn reading_is_lenient_about_space_and_repetition() {
        let text = "<?xml version='1.0' encoding='utf-8'?>\n<instance>\n <parameter id='a'>1\
                    </parameter><parameter id=\"a\">2</parameter><parameter id='e'/></instance>";
        let found = xml2dict(text).unwrap();
        assert_eq!(found["a"], "1 2");
        assert_eq!(found["e"], "");
        assert!(xml2dict("  ").unwrap().is_empty());
        assert!(xml2dict("<instances/>").is_err());
        assert!(xml2dict("<instance><x/></instance>").is_err());
        assert!(xml2dict("<instance><parameter><x/></parameter></instance>").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            parameters in prop::collection::btree_map("[ -~é\\n\\t\\r]{0,8}", "[ -~é\\n\\t\\r&<>]{0,12}", 0..6)
        ) {
            let parameters: IndexMap<String, String> = parameters.into_iter().collect();
            prop_assert_eq!(xml2dict(&dict2xml(&parameters).unwrap()).unwrap(), parameters);
        }
    }
}
