//! Between values of templates and Python literals.

use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use crate::common::Literal;

/// Deepest nesting converted.
const MAX_DEPTH: usize = 100;

/// A literal as templates see it. Sets become sorted lists: templates have no sets.
pub(super) fn to_value(literal: &Literal) -> Value {
    match literal {
        Literal::None => Value::from(()),
        Literal::Bool(truth) => Value::from(*truth),
        Literal::Int(number) => Value::from(*number),
        Literal::Float(number) => Value::from(*number),
        Literal::Str(text) => Value::from(text.as_str()),
        Literal::Bytes(bytes) => Value::from_bytes(bytes.clone()),
        Literal::List(items) => items.iter().map(to_value).collect(),
        Literal::Tuple(items) => {
            Value::from(Tuple::from(items.iter().map(to_value).collect::<Vec<_>>()))
        }
        Literal::Set(items) => {
            let mut sorted = items.clone();
            sorted.sort_by_key(Literal::to_text);
            sorted.iter().map(to_value).collect()
        }
        Literal::Dict(pairs) => {
            Value::from_pairs(pairs.iter().map(|(key, value)| (to_value(key), to_value(value))))
        }
    }
}

/// A value of a template as a literal.
pub(super) fn to_literal(value: &Value) -> Result<Literal, Error> {
    bounded(value, 0)
}

fn bounded(value: &Value, depth: usize) -> Result<Literal, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deeply"));
    }
    let all = |value: &Value| -> Result<Vec<Literal>, Error> {
        value.try_iter()?.map(|item| bounded(&item, depth + 1)).collect()
    };
    Ok(match value.kind() {
        ValueKind::Undefined => {
            return Err(Error::new(ErrorKind::UndefinedError, "an undefined value is used"));
        }
        ValueKind::None => Literal::None,
        ValueKind::Bool => Literal::Bool(value.is_true()),
        ValueKind::Number => number(value)?,
        ValueKind::Bytes => Literal::Bytes(value.as_bytes().unwrap_or_default().to_vec()),
        ValueKind::Seq if value.is_tuple() => Literal::Tuple(all(value)?),
        ValueKind::Seq | ValueKind::Iterable => Literal::List(all(value)?),
        ValueKind::Map => {
            let pair = |key: Value| -> Result<(Literal, Literal), Error> {
                let item = value.get_item(&key)?;
                Ok((bounded(&key, depth + 1)?, bounded(&item, depth + 1)?))
            };
            Literal::Dict(value.try_iter()?.map(pair).collect::<Result<_, _>>()?)
        }
        _ => Literal::Str(value.to_string()),
    })
}

fn number(value: &Value) -> Result<Literal, Error> {
    if value.is_integer() {
        return Ok(Literal::Int(i128::try_from(value.clone())?));
    }
    Ok(Literal::Float(f64::try_from(value.clone())?))
}
