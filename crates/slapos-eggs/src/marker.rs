//! Conditions of requirements (PEP 508): `python_version < "3.8" and extra == "test"`.

use std::collections::BTreeMap;

use crate::name::normalise;
use crate::specifier::Specifiers;
use crate::version::Version;

/// Names that markers use → what they are for one Python.
pub type MarkerValues = BTreeMap<String, String>;

/// Depth of parentheses that is accepted.
const MAX_DEPTH: usize = 50;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// One of these must hold.
    Any(Vec<Marker>),
    /// All of these must hold.
    All(Vec<Marker>),
    /// Two values compared.
    Compare(Value, String, Value),
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A name such as `python_version`.
    Name(String),
    /// A text in quotes.
    Text(String),
}

impl Marker {
    /// Reads a condition.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let marker = parser.any(0)?;
        match parser.peek() {
            None => Ok(marker),
            Some(token) => Err(format!("`{}` is not expected in the condition", token.text())),
        }
    }

    /// Whether it holds where names have `values`, for a distribution wanted with `extra`.
    pub fn holds(&self, values: &MarkerValues, extra: &str) -> bool {
        match self {
            Self::Any(markers) => markers.iter().any(|marker| marker.holds(values, extra)),
            Self::All(markers) => markers.iter().all(|marker| marker.holds(values, extra)),
            Self::Compare(left, operator, right) => {
                let of_extra = [left, right].iter().any(|v| **v == Value::Name("extra".into()));
                let [left, right] = [left, right].map(|value| {
                    let text = value.of(values, extra);
                    if of_extra { normalise(&text) } else { text }
                });
                compare(&left, operator, &right)
            }
        }
    }
}

impl Value {
    fn of(&self, values: &MarkerValues, extra: &str) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Name(name) if name == "extra" => extra.to_owned(),
            Self::Name(name) => values.get(name).cloned().unwrap_or_default(),
        }
    }
}

/// As versions where both are versions, else as texts.
fn compare(left: &str, operator: &str, right: &str) -> bool {
    match operator {
        "in" => return right.contains(left),
        "not in" => return !right.contains(left),
        _ => {}
    }
    if let (Ok(specifiers), Ok(version)) =
        (format!("{operator}{right}").parse::<Specifiers>(), left.parse::<Version>())
    {
        return specifiers.contains(&version);
    }
    match operator {
        "==" | "===" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        _ => false,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Operator(String),
    Word(String),
    Text(String),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::Operator(text) | Self::Word(text) | Self::Text(text) => text,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => {
                tokens.push(if first == '(' { Token::Open } else { Token::Close });
                1
            }
            '\'' | '"' => {
                let end = rest[1..].find(first).ok_or("a quote is not closed in the condition")?;
                tokens.push(Token::Text(rest[1..=end].to_owned()));
                end + 2
            }
            '<' | '>' | '=' | '!' | '~' => {
                let end = rest.find(|c| !"<>=!~".contains(c)).unwrap_or(rest.len());
                tokens.push(Token::Operator(rest[..end].to_owned()));
                end
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let word = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
                let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
            other => return Err(format!("`{other}` is not expected in the condition")),
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<&Token, String> {
        let token = self.tokens.get(self.at).ok_or("the condition ends too early")?;
        self.at += 1;
        Ok(token)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(&Token::Word(word.to_owned()));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<Marker, String> {
        if depth > MAX_DEPTH {
            return Err("the condition has too many parentheses".to_owned());
        }
        let mut markers = vec![self.all(depth)?];
        while self.word("or") {
            markers.push(self.all(depth)?);
        }
        Ok(single(markers, Marker::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Marker, String> {
        let mut markers = vec![self.one(depth)?];
        while self.word("and") {
            markers.push(self.one(depth)?);
        }
        Ok(single(markers, Marker::All))
    }

    fn one(&mut self, depth: usize) -> Result<Marker, String> {
        if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let marker = self.any(depth + 1)?;
            return match self.next()? {
                Token::Close => Ok(marker),
                other => Err(format!("`)` is expected in the condition, not `{}`", other.text())),
            };
        }
        let left = self.value()?;
        let operator = self.operator()?;
        Ok(Marker::Compare(left, operator, self.value()?))
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next()? {
            Token::Text(text) => Ok(Value::Text(text.clone())),
            Token::Word(word) => Ok(Value::Name(modern(word))),
            other => Err(format!("`{}` is not expected in the condition", other.text())),
        }
    }

    fn operator(&mut self) -> Result<String, String> {
        if self.word("in") {
            return Ok("in".to_owned());
        }
        if self.word("not") && self.word("in") {
            return Ok("not in".to_owned());
        }
        match self.next()? {
            Token::Operator(operator) => Ok(operator.clone()),
            other => Err(format!("`{}` is no comparison", other.text())),
        }
    }
}

fn single(mut markers: Vec<Marker>, several: impl Fn(Vec<Marker>) -> Marker) -> Marker {
    match markers.len() {
        1 => markers.remove(0),
        _ => several(markers),
    }
}

/// Names as they were spelled before PEP 508 mean the same.
fn modern(name: &str) -> String {
    match name {
        "python_implementation" => "platform_python_implementation".to_owned(),
        other => other.replace('.', "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(text: &str, extra: &str) -> bool {
        let values = [
            ("python_version", "3.11"),
            ("python_full_version", "3.11.7"),
            ("sys_platform", "linux"),
            ("os_name", "posix"),
            ("platform_python_implementation", "CPython"),
        ];
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Marker::parse(text).unwrap().holds(&values, extra)
    }

    #[test]
    fn versions_are_compared_as_versions_and_texts_as_texts() {
        assert!(holds("python_version >= '3.9'", ""));
        assert!(!holds("python_version < \"3.2\"", ""));
        assert!(holds("'3.8' < python_version", ""));
        assert!(holds("sys_platform != 'win32' and os.name == 'posix'", ""));
        assert!(holds("sys_platform in 'linux darwin'", ""));
        assert!(holds("python_implementation == 'CPython'", ""));
        assert!(holds("python_version == '2.7' or (os_name == 'posix')", ""));
        assert!(!holds("platform_python_implementation not in 'CPython'", ""));
    }

    #[test]
    fn extras_are_compared_by_normal_name() {
        assert!(holds("extra == 'S3_Store'", "s3-store"));
        assert!(!holds("extra == 'test'", ""));
        assert!(holds("python_version > '3' and extra == 'a' or extra == 'b'", "b"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "python_version", "a ==", "a = ", "(a == 'b'", "a == 'b", "a == 'b' c"] {
            assert!(Marker::parse(text).is_err(), "{text}");
        }
        assert!(Marker::parse(&"(".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-z_.()'\" <>=!~é]{0,40}") {
            let _ = Marker::parse(&text);
        }
    }
}
