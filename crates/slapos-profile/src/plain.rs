//! One text in the form of a profile, taken by itself: no `extends`, no macros, no substitution. For
//! files that programs write in this form, and for a look at a profile before it is loaded.

use indexmap::IndexMap;

use crate::environment::Environment;
use crate::error::ProfileError;
use crate::scan::scan;
use crate::source::Sources;

/// The sections of `text`, the content of a file called `name`, with their options as they are
/// written. An option changed by `+=` or `-=` is there under the name `option +` or as it is
/// spelled. What a text says twice counts the second time.
///
/// # Errors
/// The first wrong line, shown with its number.
pub fn plain_sections(
    name: &str,
    text: &str,
) -> Result<IndexMap<String, IndexMap<String, String>>, ProfileError> {
    let mut sources = Sources::default();
    let file = sources.add(name.to_owned(), None, text, None);
    let text = sources.text(file);
    let scanned = scan(&sources, file, &text, &Environment::host())?;
    let plain = scanned.into_iter().map(|(name, section)| {
        let options = section.entries.into_iter();
        let options = options.map(|(key, entry)| (key.into_owned(), entry.value));
        (name.to_owned(), options.collect())
    });
    Ok(plain.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_as_it_is_written() {
        let text = "[a]\nx = ${b:y}\ny += 1\n<= m\n[b]\n[a]\nx = 2\n";
        let sections = plain_sections("t", text).unwrap();
        assert_eq!(sections["a"]["x"], "2");
        assert_eq!(sections["a"]["y +"], "1");
        assert_eq!(sections["a"]["<"], "m");
        assert!(sections["b"].is_empty());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = plain_sections("t.cfg", "[a]\nx = 1\nwhat\n").unwrap_err();
        insta::assert_snapshot!(error, @"t.cfg:3: this is neither an option nor a section header");
    }
}
