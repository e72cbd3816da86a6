//! What the Master, and with it other people, may be told of an error: what is useful, without
//! secrets.
//!
//! Hidden are passwords in URLs, and the instance's own parameters and connection parameters whose
//! names say that they are secret, also inside the JSON of `_`.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use slapos_slap::ComputerPartition;

use crate::error::NodeError;

/// The longest text, in bytes: its beginning says what failed, its end why.
const LONGEST: usize = 16 << 10;
/// What is kept of the beginning of a longer one.
const BEGINNING: usize = 2 << 10;
/// Shorter values are not looked for: they would blot out half of a log.
const SHORTEST: usize = 4;
const MASK: &str = "***";
/// In the names of parameters.
const SECRET_NAMES: [&str; 7] =
    ["password", "passwd", "secret", "token", "private", "credential", "passphrase"];

/// The text of `error` for the Master of `partition` (none for a Software Release).
pub(crate) fn for_master(error: &NodeError, partition: Option<&ComputerPartition>) -> String {
    let text = match error.detail_text() {
        Some(detail) => format!("{error}\n{detail}"),
        None => error.to_string(),
    };
    let mut text = without_passwords(text.trim_end());
    for secret in partition.map(secrets).into_iter().flatten() {
        text = text.replace(&secret, MASK);
    }
    shortened(&text)
}

/// What a token follows in the path of a URL.
const TOKEN: &str = "/token/";

/// `text` with stars for the passwords of URLs in it, and for the token that leads a path at our Master.
pub(crate) fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        match authority
            .rsplit_once('@')
            .and_then(|(user, host)| Some((user.split_once(':')?, host)))
        {
            Some(((name, _), host)) => shown.push_str(&format!("{name}:{MASK}@{host}")),
            None => shown.push_str(authority),
        }
        rest = &after[authority.len()..];
        if let Some(path) = rest.strip_prefix(TOKEN) {
            shown.push_str(TOKEN);
            shown.push_str(MASK);
            rest = &path[path.find(ends).unwrap_or(path.len())..];
        }
    }
    shown.push_str(rest);
    shown
}

/// The values that must not be told; the longest first, because one may be part of another.
fn secrets(partition: &ComputerPartition) -> Vec<String> {
    let mut found = BTreeSet::new();
    for parameters in [&partition.parameters, &partition.connection] {
        collect(parameters, &mut found);
    }
    let mut found: Vec<String> = found.into_iter().collect();
    found.sort_by_key(|value| std::cmp::Reverse(value.len()));
    found
}

fn collect(parameters: &IndexMap<String, String>, found: &mut BTreeSet<String>) {
    for (name, value) in parameters {
        if is_secret(name) {
            keep(value, found);
        }
        if name == "_"
            && let Ok(document) = serde_json::from_str(value)
        {
            collect_json(&document, false, found);
        }
    }
}

fn collect_json(value: &serde_json::Value, secret: bool, found: &mut BTreeSet<String>) {
    use serde_json::Value;
    match value {
        Value::String(text) if secret => keep(text, found),
        Value::Array(items) => items.iter().for_each(|item| collect_json(item, secret, found)),
        Value::Object(items) => {
            items.iter().for_each(|(name, item)| {
                collect_json(item, secret || is_secret(name), found);
            });
        }
        _ => {}
    }
}

fn keep(value: &str, found: &mut BTreeSet<String>) {
    if value.len() >= SHORTEST {
        found.insert(value.to_owned());
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_NAMES.iter().any(|word| name.contains(word))
}

fn shortened(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let start = text.floor_char_boundary(BEGINNING);
    let end = text.ceil_char_boundary(text.len() - (LONGEST - BEGINNING));
    format!("{}\n[{} bytes left out]\n{}", &text[..start], end - start, &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_urls_become_stars() {
        let shown = without_passwords;
        assert_eq!(shown("get http://u:p@h/x?y=a@b and on"), "get http://u:***@h/x?y=a@b and on");
        assert_eq!(shown("http://u@h http://h:80/ ://"), "http://u@h http://h:80/ ://");
    }

    #[test]
    fn secrets_of_the_instance_are_not_told() {
        let mut partition = ComputerPartition::free("c".into(), "p".into());
        let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        partition.parameters = [
            own("Admin-Password", "hunter22"),
            own("name", "visible"),
            own("_", r#"{"db": {"token": "t0k3n", "x": ["seen"]}, "secrets": ["inner"]}"#),
        ]
        .into();
        partition.connection = [own("secret-word", "mellon")].into();
        let error = NodeError::user("hunter22 and visible").detail("t0k3n seen inner mellon\n");
        let text = for_master(&error, Some(&partition));
        assert_eq!(text, "*** and visible\n*** seen *** ***");
    }

    #[test]
    fn of_a_long_text_both_ends_are_told() {
        let text = format!("it failed\n{}\nbecause", "é".repeat(LONGEST));
        let error = NodeError::user(text);
        let told = for_master(&error, None);
        assert!(told.len() < LONGEST + 100, "{}", told.len());
        assert!(told.starts_with("it failed") && told.ends_with("because"));
        assert!(told.contains("bytes left out"), "{told}");
    }
}
