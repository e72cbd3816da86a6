//! Values as Python prints them. SLAP stores every parameter as text, and the text of what is
//! not text is defined by Python's `str()`.

use std::fmt::Write as _;

use super::Value;

/// Python's `repr()` of a value.
pub(super) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(value, &mut out);
    out
}

fn write_repr(value: &Value, out: &mut String) {
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(truth) => out.push_str(if *truth { "True" } else { "False" }),
        Value::Int(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Str(text) => quote(text, out),
        Value::List(items) => sequence('[', items, "]", out),
        Value::Tuple(items) => sequence('(', items, if items.len() == 1 { ",)" } else { ")" }, out),
        Value::Dict(items) => {
            out.push('{');
            for (place, (key, item)) in items.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                quote(key, out);
                out.push_str(": ");
                write_repr(item, out);
            }
            out.push('}');
        }
        Value::Object(object) => {
            let _ = write!(out, "<{}>", object.class.as_str());
        }
    }
}

fn sequence(open: char, items: &[Value], close: &str, out: &mut String) {
    out.push(open);
    for (place, item) in items.iter().enumerate() {
        out.push_str(if place == 0 { "" } else { ", " });
        write_repr(item, out);
    }
    out.push_str(close);
}

/// A Python string literal: single quotes unless only they occur inside.
fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == mark => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(mark);
}

/// Python's text of a double: the shortest digits that read back, with an exponent when it is
/// below -4 or above 15.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_python_prints_them() {
        let cases = [
            (1.5, "1.5"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e30, "1e+30"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (number, text) in cases {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn containers_as_python_prints_them() {
        let value = Value::dict([
            ("a", Value::dict([("b", Value::Int(1))])),
            ("l", Value::List(vec![Value::None, Value::Bool(true), Value::str("it's")])),
            ("t", Value::Tuple(vec![Value::str("x\n\"'")])),
        ]);
        insta::assert_snapshot!(value.to_text(), @r#"{'a': {'b': 1}, 'l': [None, True, "it's"], 't': ('x\n"\'',)}"#);
        assert_eq!(Value::str("as is").to_text(), "as is");
    }
}
