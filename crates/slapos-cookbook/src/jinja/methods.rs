//! Methods of Python's strings, lists and mappings that templates call, beyond those that
//! `minijinja-contrib` knows. None of them changes its object.

use minijinja::value::{Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

/// Called for a method that a value does not have itself.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => string(text, method, args)?,
        (ValueKind::Map | ValueKind::Seq, _) if method == "copy" => {
            let () = from_args(args)?;
            Some(value.clone())
        }
        (ValueKind::Seq, _) if method == "index" => {
            let (wanted,): (Value,) = from_args(args)?;
            let found = value.try_iter()?.position(|item| item == wanted);
            Some(Value::from(found.ok_or_else(|| error("the value is not in the list"))?))
        }
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn error(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn string(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            partition(text, separator, method == "rpartition")?
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            rsplit(text, separator, most)?
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            let width = width.min(10_000).saturating_sub(sign.len());
            Value::from(format!("{sign}{digits:0>width$}"))
        }
        "ljust" | "rjust" => {
            let (width, fill): (usize, Option<char>) = from_args(args)?;
            let missing = width.min(10_000).saturating_sub(text.chars().count());
            let fill: String = std::iter::repeat_n(fill.unwrap_or(' '), missing).collect();
            Value::from(if method == "ljust" { format!("{text}{fill}") } else { fill + text })
        }
        "index" => {
            let (part,): (&str,) = from_args(args)?;
            let at = text.find(part).ok_or_else(|| error("substring not found"))?;
            Value::from(text[..at].chars().count())
        }
        _ => return Ok(None),
    }))
}

fn partition(text: &str, separator: &str, last: bool) -> Result<Value, Error> {
    if separator.is_empty() {
        return Err(error("empty separator"));
    }
    let found = if last { text.rsplit_once(separator) } else { text.split_once(separator) };
    let parts = match (found, last) {
        (Some((before, after)), _) => [before, separator, after],
        (None, false) => [text, "", ""],
        (None, true) => ["", "", text],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

fn rsplit(text: &str, separator: Option<&str>, most: Option<i64>) -> Result<Value, Error> {
    let limit = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX - 1);
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(error("empty separator")),
        Some(separator) => text.rsplitn(limit + 1, separator).collect(),
        None => {
            let text = text.trim();
            let parts = text.rsplitn(limit + 1, char::is_whitespace).map(str::trim);
            parts.filter(|part| !part.is_empty()).collect()
        }
    };
    parts.reverse();
    Ok(parts.into_iter().map(Value::from).collect())
}
