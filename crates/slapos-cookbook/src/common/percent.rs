//! Python's `%` formatting with names, as far as recipes use it: `%(name)s` and `%%`.

use std::fmt;

/// Why a text cannot be formatted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PercentError {
    /// `%(name)s` with a name that has no value.
    Unknown(String),
    /// A `%` that is neither `%(name)s` nor `%%`; the text from it on.
    Malformed(String),
}

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "`%({name})s` has no value"),
            Self::Malformed(text) => {
                write!(
                    f,
                    "`{text}` is neither `%(name)s` nor `%%` (a percent sign is written `%%`)"
                )
            }
        }
    }
}

/// `text` with each `%(name)s` replaced by what `lookup` knows of the name.
pub(crate) fn format<'v>(
    text: &str,
    lookup: impl Fn(&str) -> Option<&'v str>,
) -> Result<String, PercentError> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        let directive = &rest[at..];
        if let Some(after) = directive.strip_prefix("%%") {
            result.push('%');
            rest = after;
            continue;
        }
        let named = directive.strip_prefix("%(").and_then(|named| named.split_once(')'));
        let Some((name, after)) = named.and_then(|(name, a)| Some((name, a.strip_prefix('s')?)))
        else {
            return Err(PercentError::Malformed(directive.chars().take(12).collect()));
        };
        result.push_str(lookup(name).ok_or_else(|| PercentError::Unknown(name.to_owned()))?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &str) -> Result<String, PercentError> {
        format(text, |name| (name == "a").then_some("1%"))
    }

    #[test]
    fn names_and_percent_signs() {
        assert_eq!(formatted("x %(a)s %% %(a)s").unwrap(), "x 1% % 1%");
        assert_eq!(formatted("").unwrap(), "");
    }

    #[test]
    fn mistakes_are_named() {
        insta::assert_snapshot!(formatted("%(b)s").unwrap_err(), @"`%(b)s` has no value");
        insta::assert_snapshot!(formatted("date +%F").unwrap_err(), @"`%F` is neither `%(name)s` nor `%%` (a percent sign is written `%%`)");
        assert!(formatted("%(a").is_err());
        assert!(formatted("%").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_survives_when_its_percent_signs_are_doubled(text in ".*") {
            let doubled = text.replace('%', "%%");
            proptest::prop_assert_eq!(formatted(&doubled).unwrap(), text);
        }
    }
}
