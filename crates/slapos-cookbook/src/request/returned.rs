//! What an instance publishes, as options of the section that asked for it.

use std::fmt::Write as _;

use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};
use slapos_engine::PartInit;
use slapos_slap::InstanceAnswer;
use slapos_sys::Secret;

use crate::common::Literal;
use crate::slapconfiguration::of_json;

/// Words of names whose values must not show.
const SECRET_WORDS: [&str; 8] =
    ["passw", "passphrase", "secret", "token", "private", "credential", "api-key", "apikey"];

/// Sets `connection-<k>` for each `<k>` of `return`. Says what is missing, if something is.
pub(super) fn tell(
    init: &mut PartInit<'_>,
    answer: Option<&InstanceAnswer>,
    serialised: bool,
) -> Option<String> {
    let names = init.get("return").unwrap_or_default().to_owned();
    let names: Vec<&str> = names.split_whitespace().collect();
    let published = answer.map_or(Ok(IndexMap::new()), |answer| published(answer, serialised));
    let values = published.as_ref().ok();
    let mut missing = Vec::new();
    for name in names {
        let value = values.and_then(|values| values.get(name));
        if value.is_none() {
            missing.push(format!("`{name}`"));
        }
        set(init, name, value.unwrap_or(&Literal::Str(String::new())));
    }
    let why = published.err().map(|why| format!(" ({why})")).unwrap_or_default();
    (!missing.is_empty()).then(|| missing.join(", ") + &why)
}

/// What it publishes, by name.
fn published(
    answer: &InstanceAnswer,
    serialised: bool,
) -> Result<IndexMap<String, Literal>, String> {
    let connection = answer.connection.iter();
    if !serialised {
        return Ok(connection.map(|(name, text)| (name.clone(), text.as_str().into())).collect());
    }
    let Some(text) = answer.connection.get("_") else {
        return Ok(IndexMap::new());
    };
    match serde_json::from_str(text).map(|json: serde_json::Value| of_json(&json)) {
        Ok(Literal::Dict(pairs)) => {
            Ok(pairs.into_iter().map(|(name, value)| (name.to_text(), value)).collect())
        }
        Ok(_) => Err("its `_` is JSON, but no object".to_owned()),
        Err(error) => Err(format!("its `_` is no JSON: {error}")),
    }
}

fn set(init: &mut PartInit<'_>, name: &str, value: &Literal) {
    let option = format!("connection-{name}");
    let text = value.to_option();
    if !text.is_empty() && is_secret(name, value) {
        init.add_input(&format!("option `{option}`"), &digest(&text));
        init.set_secret(&option, Secret::new(text));
    } else {
        init.set(&option, &text);
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Whether a value must not show.
fn is_secret(name: &str, value: &Literal) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let named = SECRET_WORDS.iter().any(|word| name.contains(word));
    named
        || match value {
            Literal::Str(text) => has_password(text),
            Literal::List(items) => items.iter().any(|item| is_secret("", item)),
            Literal::Dict(pairs) => {
                pairs.iter().any(|(name, value)| is_secret(&name.to_text(), value))
            }
            _ => false,
        }
}

/// Whether a text holds a URL like `scheme://user:password@host`.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ', '\n']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.and_then(|user| user.split_once(':')).is_some_and(|(_, word)| !word.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urls_betray_secrets() {
        let secret = |name: &str, value: &str| is_secret(name, &Literal::of_option(value));
        assert!(secret("password", "x") && secret("API_KEY", "x") && secret("a-token", "x"));
        assert!(secret("url", "mysql://root:x@10.0.0.1:3306/db"));
        assert!(secret("urls", "http://a/ http://u:p@b/"));
        assert!(secret("database", "!py!{'host': 'h', 'list': [{'passwd': 'x'}]}"));
        assert!(secret("list", "!py!['http://u:p@b/']"));
        for plain in ["http://[::1]:80/", "http://u@h:80/", "http://h/a:b@c", "http://:@h", "x:y@z"]
        {
            assert!(!secret("url", plain), "{plain}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            has_password(&text);
        }
    }
}
