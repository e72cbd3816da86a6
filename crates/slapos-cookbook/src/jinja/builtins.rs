//! Python's functions that templates of SlapOS take for granted, and the filter `tojson`.

#![allow(
    clippy::needless_pass_by_value,
    reason = "the template engine passes arguments by the types that functions declare"
)]

use minijinja::value::{Kwargs, Rest, Tuple, Value};
use minijinja::{Environment, Error, ErrorKind};

use super::convert::{to_literal, to_value};
use super::json::{self, Style};
use crate::common::Literal;

/// Names that a context must not define again.
pub(super) const NAMES: [&str; 40] = [
    "abs",
    "all",
    "any",
    "assert",
    "bin",
    "bool",
    "bytes",
    "callable",
    "chr",
    "complex",
    "dict",
    "divmod",
    "dumps",
    "enumerate",
    "filter",
    "float",
    "format",
    "frozenset",
    "hex",
    "int",
    "isinstance",
    "iter",
    "len",
    "list",
    "map",
    "max",
    "min",
    "next",
    "oct",
    "ord",
    "pow",
    "range",
    "repr",
    "reversed",
    "round",
    "set",
    "six",
    "sorted",
    "str",
    "sum",
];

/// Adds all functions to `environment`; `range` and `dict` are there already.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("tojson", tojson);
    environment.add_function("assert", assert);
    environment.add_function("dumps", |value: Value| Ok::<_, Error>(to_literal(&value)?.dumps()));
    environment
        .add_function("repr", |value: Value| Ok::<_, Error>(to_literal(&value)?.to_string()));
    environment.add_function("str", |value: Option<Value>| match value {
        Some(value) => Ok::<_, Error>(to_literal(&value)?.to_text()),
        None => Ok(String::new()),
    });
    environment.add_function("int", int);
    environment.add_function("float", float);
    environment.add_function("bool", |value: Value| value.is_true());
    environment.add_function("len", |value: Value| {
        value.len().ok_or_else(|| wrong(format!("a {} has no length", value.kind())))
    });
    environment.add_function("abs", |value: Value| match to_literal(&value)? {
        Literal::Int(number) => Ok(to_value(&Literal::Int(number.abs()))),
        Literal::Float(number) => Ok(Value::from(number.abs())),
        other => Err(wrong(format!("abs of {other}"))),
    });
    add_sequences(environment);
    add_characters(environment);
}

fn add_sequences(environment: &mut Environment<'_>) {
    environment.add_function("list", |value: Option<Value>| all(value.as_ref()));
    environment.add_function("tuple", |value: Option<Value>| {
        all(value.as_ref()).map(|items| Value::from(Tuple::from(items)))
    });
    environment.add_function("set", distinct);
    environment.add_function("frozenset", distinct);
    environment.add_function("reversed", |value: Value| {
        all(Some(&value)).map(|items| items.into_iter().rev().collect::<Vec<_>>())
    });
    environment.add_function("sorted", sorted);
    environment.add_function("enumerate", |value: Value, start: Option<i64>| {
        let start = start.unwrap_or(0);
        let items = all(Some(&value))?.into_iter();
        let pairs =
            (start..).zip(items).map(|(index, item)| Tuple::from([Value::from(index), item]));
        Ok::<_, Error>(pairs.map(Value::from).collect::<Vec<_>>())
    });
    environment.add_function("zip", zip);
    environment.add_function("any", |value: Value| {
        Ok::<_, Error>(value.try_iter()?.any(|item| item.is_true()))
    });
    environment.add_function("all", |value: Value| {
        Ok::<_, Error>(value.try_iter()?.all(|item| item.is_true()))
    });
    environment.add_function("min", |args: Rest<Value>| extreme(&args, true));
    environment.add_function("max", |args: Rest<Value>| extreme(&args, false));
    environment.add_function("sum", sum);
}

fn add_characters(environment: &mut Environment<'_>) {
    environment.add_function("chr", |code: u32| {
        char::from_u32(code).ok_or_else(|| wrong(format!("{code} is no character")))
    });
    environment.add_function("ord", |text: &str| {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(only), None) => Ok(u32::from(only)),
            _ => Err(wrong("ord expects one character".to_owned())),
        }
    });
    environment.add_function("hex", |number: i64| radix(number, "0x", |n| format!("{n:x}")));
    environment.add_function("oct", |number: i64| radix(number, "0o", |n| format!("{n:o}")));
    environment.add_function("bin", |number: i64| radix(number, "0b", |n| format!("{n:b}")));
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn radix(number: i64, prefix: &str, digits: impl Fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{prefix}{}", digits(number.unsigned_abs()))
}

fn all(value: Option<&Value>) -> Result<Vec<Value>, Error> {
    value.map_or_else(|| Ok(Vec::new()), |value| Ok(value.try_iter()?.collect()))
}

fn distinct(value: Option<Value>) -> Result<Vec<Value>, Error> {
    let mut items: Vec<Value> = Vec::new();
    for item in all(value.as_ref())? {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(items)
}

fn sorted(value: Value, options: Kwargs) -> Result<Vec<Value>, Error> {
    let reverse: Option<bool> = options.get("reverse")?;
    options.assert_all_used()?;
    let mut items = all(Some(&value))?;
    items.sort();
    if reverse.unwrap_or(false) {
        items.reverse();
    }
    Ok(items)
}

fn zip(columns: Rest<Value>) -> Result<Vec<Value>, Error> {
    let columns: Vec<Vec<Value>> =
        columns.iter().map(|column| all(Some(column))).collect::<Result<_, _>>()?;
    let length = columns.iter().map(Vec::len).min().unwrap_or(0);
    let row = |index: usize| -> Vec<Value> {
        columns.iter().map(|column| column[index].clone()).collect()
    };
    Ok((0..length).map(|index| Value::from(Tuple::from(row(index)))).collect())
}

fn extreme(args: &[Value], smallest: bool) -> Result<Value, Error> {
    let items = match args {
        [only] => all(Some(only))?,
        several => several.to_vec(),
    };
    let found = if smallest { items.into_iter().min() } else { items.into_iter().max() };
    found.ok_or_else(|| wrong("min or max of nothing".to_owned()))
}

fn sum(value: Value) -> Result<Value, Error> {
    let mut whole: i128 = 0;
    let mut float: Option<f64> = None;
    for item in value.try_iter()? {
        match to_literal(&item)? {
            Literal::Int(number) => whole = whole.saturating_add(number),
            Literal::Bool(truth) => whole = whole.saturating_add(i128::from(truth)),
            Literal::Float(number) => *float.get_or_insert(0.0) += number,
            other => return Err(wrong(format!("sum of {other}"))),
        }
    }
    Ok(match float {
        #[allow(clippy::cast_precision_loss, reason = "Python adds integers to floats likewise")]
        Some(float) => Value::from(float + whole as f64),
        None => to_value(&Literal::Int(whole)),
    })
}

fn int(value: Option<Value>, base: Option<u32>) -> Result<i128, Error> {
    let Some(value) = value else { return Ok(0) };
    match to_literal(&value)? {
        Literal::Int(number) => Ok(number),
        Literal::Bool(truth) => Ok(i128::from(truth)),
        #[allow(clippy::cast_possible_truncation, reason = "Python cuts the fraction off, too")]
        Literal::Float(number) if number.is_finite() => Ok(number.trunc() as i128),
        Literal::Str(text) => {
            let digits = text.trim().replace('_', "");
            i128::from_str_radix(&digits, base.filter(|b| (2..=36).contains(b)).unwrap_or(10))
                .map_err(|_| wrong(format!("int of {}", Literal::Str(text))))
        }
        other => Err(wrong(format!("int of {other}"))),
    }
}

fn float(value: Value) -> Result<f64, Error> {
    match to_literal(&value)? {
        Literal::Float(number) => Ok(number),
        other => {
            let text = other.to_text();
            text.trim().parse().map_err(|_| wrong(format!("float of {other}")))
        }
    }
}

fn assert(condition: Value, words: Rest<Value>) -> Result<&'static str, Error> {
    if condition.is_true() {
        return Ok("");
    }
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let said = if words.is_empty() { String::new() } else { format!(": {}", words.join(" ")) };
    Err(wrong(format!("assertion failed{said}")))
}

fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let style = Style { indent: indent.map(|indent| indent.min(40)), html_safe: true };
    Ok(json::text(&to_literal(&value)?, style))
}
