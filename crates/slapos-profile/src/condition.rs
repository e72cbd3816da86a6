//! The expressions of conditional sections, `[name:expression]`: the part of Python, and of the
//! environment markers of Python packages, that profiles use.
//!
//! Invariants: an expression can only look at the [`Environment`]; what is not understood is an
//! error that names it, never a guess. Parts that need not be evaluated (`linux or unknown`) are
//! not, as in Python.

mod facts;
mod parse;

use std::cmp::Ordering;
use std::ops::Range;

use indexmap::IndexMap;

use crate::environment::Environment;
use parse::{Comparison, Expr, Node};

/// Why an expression has no answer.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Bytes of the expression.
    pub(crate) at: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Problem {
    fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: None }
    }
}

/// Whether the section is wanted.
pub(crate) fn evaluate(expression: &str, environment: &Environment) -> Result<bool, Problem> {
    let expr = parse::parse(expression)?;
    Ok(environment.evaluate(&expr)?.is_true())
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    Str(String),
    /// A version of Python, compared number by number.
    Version(String),
    Sequence(Vec<Value>),
    /// A file that was opened: its content.
    File(String),
    Map(IndexMap<String, String>),
}

impl Value {
    fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(b) => *b,
            Self::Int(i) => *i != 0,
            Self::Str(s) | Self::Version(s) => !s.is_empty(),
            Self::Sequence(items) => !items.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::File(_) => true,
        }
    }

    fn as_int(&self) -> Option<i64> {
        match self {
            Self::Bool(b) => Some(i64::from(*b)),
            Self::Int(i) => Some(*i),
            _ => None,
        }
    }

    fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(s) | Self::Version(s) => Some(s),
            _ => None,
        }
    }

    /// `None` if Python would refuse to order them.
    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Version(a), Self::Version(b) | Self::Str(b))
            | (Self::Str(a), Self::Version(b)) => Some(compare_versions(a, b)),
            (Self::Str(a), Self::Str(b)) => Some(a.cmp(b)),
            (Self::Sequence(a), Self::Sequence(b)) => {
                for (x, y) in a.iter().zip(b) {
                    if !x.equals(y) {
                        return x.order(y);
                    }
                }
                Some(a.len().cmp(&b.len()))
            }
            _ => Some(self.as_int()?.cmp(&other.as_int()?)),
        }
    }

    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Map(a), Self::Map(b)) => a == b,
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    /// `item in self`; `None` if that has no meaning.
    fn contains(&self, item: &Self) -> Option<bool> {
        match self {
            Self::Sequence(items) => Some(items.iter().any(|i| i.equals(item))),
            Self::Map(map) => Some(map.contains_key(item.as_str()?)),
            _ => Some(self.as_str()?.contains(item.as_str()?)),
        }
    }
}

/// Compares dotted numbers; missing ones are zero, anything else ends the comparison.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        text.trim().split('.').map_while(|part| part.parse().ok()).collect()
    };
    let (a, b) = (numbers(a), numbers(b));
    let at = |v: &[u64], i: usize| v.get(i).copied().unwrap_or(0);
    (0..a.len().max(b.len()))
        .map(|i| at(&a, i).cmp(&at(&b, i)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

impl Environment {
    fn evaluate(&self, expr: &Expr) -> Result<Value, Problem> {
        match &expr.node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Path(path) => self.path(path, expr),
            Node::Sequence(items) => {
                let items: Result<_, _> = items.iter().map(|item| self.evaluate(item)).collect();
                Ok(Value::Sequence(items?))
            }
            Node::Each(element, name, sequence) => {
                let Value::Sequence(items) = self.evaluate(sequence)? else {
                    return Err(unsupported(sequence, "this is not a list"));
                };
                let items: Result<_, _> = items
                    .iter()
                    .map(|item| {
                        let mut element = (**element).clone();
                        element.bind(name, item);
                        self.evaluate(&element)
                    })
                    .collect();
                Ok(Value::Sequence(items?))
            }
            Node::Not(inner) => Ok(Value::Bool(!self.evaluate(inner)?.is_true())),
            Node::And(left, right) => {
                let left = self.evaluate(left)?;
                if left.is_true() { self.evaluate(right) } else { Ok(left) }
            }
            Node::Or(left, right) => {
                let left = self.evaluate(left)?;
                if left.is_true() { Ok(left) } else { self.evaluate(right) }
            }
            Node::Compare(first, rest) => self.compare(first, rest),
            Node::Index(base, index) => {
                let (base, index) = (self.evaluate(base)?, self.evaluate(index)?);
                item(&base, &index).ok_or_else(|| unsupported(expr, "this index has no value"))
            }
            Node::Slice(base, from, to) => {
                let base = self.evaluate(base)?;
                slice(&base, *from, *to).ok_or_else(|| unsupported(expr, "this cannot be sliced"))
            }
            Node::Call(function, arguments) => self.call(expr, function, arguments),
            Node::Attribute(_, name) => Err(unknown(expr, name)),
        }
    }

    fn path(&self, path: &str, expr: &Expr) -> Result<Value, Problem> {
        facts::fact(self, path).ok_or_else(|| unknown(expr, path))
    }

    fn compare(&self, first: &Expr, rest: &[(Comparison, Expr)]) -> Result<Value, Problem> {
        let (mut left, mut start) = (self.evaluate(first)?, first.at.start);
        for (comparison, expr) in rest {
            let right = self.evaluate(expr)?;
            let order = |wanted: fn(Ordering) -> bool| left.order(&right).map(wanted);
            let holds = match comparison {
                Comparison::Equal => Some(left.equals(&right)),
                Comparison::NotEqual => Some(!left.equals(&right)),
                Comparison::Less => order(Ordering::is_lt),
                Comparison::LessOrEqual => order(Ordering::is_le),
                Comparison::Greater => order(Ordering::is_gt),
                Comparison::GreaterOrEqual => order(Ordering::is_ge),
                Comparison::In => right.contains(&left),
                Comparison::NotIn => right.contains(&left).map(|found| !found),
            };
            match holds {
                Some(true) => {}
                Some(false) => return Ok(Value::Bool(false)),
                None => {
                    return Err(Problem::new(start..expr.at.end, "these cannot be compared"));
                }
            }
            (left, start) = (right, expr.at.start);
        }
        Ok(Value::Bool(true))
    }

    fn call(&self, expr: &Expr, function: &Expr, arguments: &[Expr]) -> Result<Value, Problem> {
        let values: Result<Vec<Value>, Problem> =
            arguments.iter().map(|argument| self.evaluate(argument)).collect();
        // The function is judged first: an unknown one is the better message.
        let (base, name) = match &function.node {
            Node::Path(path) => {
                if let Some(value) = facts::call(self, path) {
                    return if values?.is_empty() {
                        Ok(value)
                    } else {
                        Err(unsupported(expr, "this takes no arguments"))
                    };
                }
                if let Ok(values) = &values
                    && let Some(result) = facts::function(self, path, values)
                {
                    return result.map_err(|message| unsupported(expr, &message));
                }
                let method = path.rsplit_once('.');
                let Some((Some(base), name)) =
                    method.map(|(base, name)| (facts::fact(self, base), name))
                else {
                    return Err(unknown(function, &format!("{path}()")));
                };
                (base, name)
            }
            Node::Attribute(base, name) => (self.evaluate(base)?, name.as_str()),
            _ => return Err(unsupported(function, "this cannot be called")),
        };
        facts::method(&base, name, &values?).ok_or_else(|| unknown(function, &format!("{name}()")))
    }
}

fn unsupported(expr: &Expr, message: &str) -> Problem {
    Problem::new(expr.at.clone(), message)
}

fn unknown(expr: &Expr, name: &str) -> Problem {
    let help = crate::suggest::did_you_mean(name, facts::NAMES.iter().copied());
    let message = format!("`{name}` is not known in the condition of a section");
    let known = "conditions know names such as linux, bits64, python3, platform.machine(), \
                 sys.version_info and sys.platform";
    Problem { at: expr.at.clone(), message, help: help.or_else(|| Some(known.to_owned())) }
}

/// `base[index]`, negative indices from the end.
fn item(base: &Value, index: &Value) -> Option<Value> {
    match base {
        Value::Map(map) => map.get(index.as_str()?).cloned().map(Value::Str),
        Value::Sequence(items) => items.get(position(index.as_int()?, items.len())).cloned(),
        _ => {
            let text: Vec<char> = base.as_str()?.chars().collect();
            text.get(position(index.as_int()?, text.len())).map(|c| Value::Str(c.to_string()))
        }
    }
}

/// `base[from:to]`.
fn slice(base: &Value, from: Option<i64>, to: Option<i64>) -> Option<Value> {
    let bounds = |length: usize| {
        let start = from.map_or(0, |i| position(i, length)).min(length);
        let end = to.map_or(length, |i| position(i, length)).min(length);
        start..end.max(start)
    };
    match base {
        Value::Sequence(items) => Some(Value::Sequence(items[bounds(items.len())].to_vec())),
        _ => {
            let text: Vec<char> = base.as_str()?.chars().collect();
            Some(Value::Str(text[bounds(text.len())].iter().collect()))
        }
    }
}

fn position(index: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let index = if index < 0 { (index.saturating_add(length)).max(0) } else { index };
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
