//! Text of an expression to a tree with the place of each node.
//!
//! Invariant: nesting is bounded, so no expression exhausts the stack.

use std::ops::Range;

use super::{Problem, Value};

/// How deep parentheses, `not` and operators may nest.
const MAX_DEPTH: usize = 60;

#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) at: Range<usize>,
    pub(super) node: Node,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value),
    /// A name, or names joined by dots.
    Path(String),
    Attribute(Box<Expr>, String),
    Sequence(Vec<Expr>),
    /// `[element for name in sequence]`.
    Each(Box<Expr>, String, Box<Expr>),
    Call(Box<Expr>, Vec<Expr>),
    Index(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Option<i64>, Option<i64>),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Int(i64),
    Str(String),
    Symbol(&'static str),
}

pub(super) fn parse(text: &str) -> Result<Expr, Problem> {
    let tokens = tokenise(text)?;
    let end = text.trim_end().len();
    let mut parser = Parser { tokens, next: 0, depth: 0, each: false, end };
    let expr = parser.or()?;
    match parser.tokens.get(parser.next) {
        None => Ok(expr),
        Some((at, _)) => Err(not_understood(at.start..end)),
    }
}

fn not_understood(at: Range<usize>) -> Problem {
    let help = "conditions are made of names, numbers, texts, tuples, comparisons, and, or, not";
    let message = "this is not understood in the condition of a section";
    Problem { at, message: message.to_owned(), help: Some(help.to_owned()) }
}

struct Parser {
    tokens: Vec<(Range<usize>, Token)>,
    next: usize,
    depth: usize,
    /// There is a `for`: a second one could make nested lists of any size.
    each: bool,
    /// Where the expression ends.
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    /// Where the next token is.
    fn here(&self) -> Range<usize> {
        self.tokens.get(self.next).map_or(self.end..self.end, |(at, _)| at.clone())
    }

    /// Where the last token ended.
    fn behind(&self) -> usize {
        self.next.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(0, |(at, _)| at.end)
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(s)) if *s == symbol);
        self.next += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if name == word);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Problem> {
        if self.symbol(symbol) {
            return Ok(());
        }
        let here = self.here();
        if here.is_empty() {
            return Err(Problem::new(0..self.end, format!("`{symbol}` is missing at the end")));
        }
        Err(not_understood(here.start..self.end))
    }

    fn or(&mut self) -> Result<Expr, Problem> {
        let mut left = self.and()?;
        let mut count = 0;
        while self.word("or") {
            count = self.limit(count)?;
            let right = self.and()?;
            let at = left.at.start..right.at.end;
            left = Expr { at, node: Node::Or(Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, Problem> {
        let mut left = self.not()?;
        let mut count = 0;
        while self.word("and") {
            count = self.limit(count)?;
            let right = self.not()?;
            let at = left.at.start..right.at.end;
            left = Expr { at, node: Node::And(Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    /// Chains of operators nest to the left, so their length is bounded too.
    fn limit(&self, count: usize) -> Result<usize, Problem> {
        if count >= MAX_DEPTH {
            return Err(Problem::new(self.here(), "this expression is too long"));
        }
        Ok(count + 1)
    }

    fn not(&mut self) -> Result<Expr, Problem> {
        let start = self.here().start;
        if self.depth >= MAX_DEPTH {
            return Err(Problem::new(self.here(), "this expression is nested too deeply"));
        }
        self.depth += 1;
        let expr = if self.word("not") {
            let inner = self.not()?;
            Expr { at: start..inner.at.end, node: Node::Not(Box::new(inner)) }
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn comparison(&mut self) -> Result<Expr, Problem> {
        let first = self.postfix()?;
        let mut rest = Vec::new();
        while let Some(comparison) = self.comparator() {
            rest.push((comparison, self.postfix()?));
        }
        let Some((_, last)) = rest.last() else {
            return Ok(first);
        };
        let at = first.at.start..last.at.end;
        Ok(Expr { at, node: Node::Compare(Box::new(first), rest) })
    }

    fn comparator(&mut self) -> Option<Comparison> {
        let symbols = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<", Comparison::Less),
            ("<=", Comparison::LessOrEqual),
            (">", Comparison::Greater),
            (">=", Comparison::GreaterOrEqual),
        ];
        for (symbol, comparison) in symbols {
            if self.symbol(symbol) {
                return Some(comparison);
            }
        }
        if self.word("in") {
            return Some(Comparison::In);
        }
        let before = self.next;
        if self.word("not") && self.word("in") {
            return Some(Comparison::NotIn);
        }
        self.next = before;
        None
    }

    fn postfix(&mut self) -> Result<Expr, Problem> {
        let mut expr = self.atom()?;
        let mut count = 0;
        loop {
            let start = expr.at.start;
            count = self.limit(count)?;
            let node = if self.symbol(".") {
                let Some(Token::Name(name)) = self.peek().cloned() else {
                    return Err(not_understood(start..self.end));
                };
                self.next += 1;
                match expr.node {
                    Node::Path(path) => Node::Path(format!("{path}.{name}")),
                    node => Node::Attribute(Box::new(Expr { at: expr.at, node }), name),
                }
            } else if self.symbol("(") {
                let arguments = self.items(")")?.0;
                Node::Call(Box::new(expr), arguments)
            } else if self.symbol("[") {
                self.subscript(expr)?
            } else {
                return Ok(expr);
            };
            expr = Expr { at: start..self.behind(), node };
        }
    }

    fn subscript(&mut self, base: Expr) -> Result<Node, Problem> {
        if self.symbol(":") {
            let to = self.bound()?;
            self.expect("]")?;
            return Ok(Node::Slice(Box::new(base), None, to));
        }
        let index = self.or()?;
        let node = match (&index.node, self.symbol(":")) {
            (Node::Literal(Value::Int(from)), true) => {
                Node::Slice(Box::new(base), Some(*from), self.bound()?)
            }
            (_, true) => return Err(not_understood(index.at)),
            (_, false) => Node::Index(Box::new(base), Box::new(index)),
        };
        self.expect("]")?;
        Ok(node)
    }

    /// The end of a slice, if it has one.
    fn bound(&mut self) -> Result<Option<i64>, Problem> {
        if matches!(self.peek(), Some(Token::Symbol("]"))) {
            return Ok(None);
        }
        let expr = self.atom()?;
        match expr.node {
            Node::Literal(Value::Int(bound)) => Ok(Some(bound)),
            _ => Err(not_understood(expr.at)),
        }
    }

    /// Expressions separated by commas, up to a closing symbol; whether there was a comma.
    fn items(&mut self, close: &str) -> Result<(Vec<Expr>, bool), Problem> {
        let mut items = Vec::new();
        let mut comma = false;
        while !self.symbol(close) {
            items.push(self.or()?);
            if self.symbol(",") {
                comma = true;
            } else {
                self.expect(close)?;
                break;
            }
        }
        Ok((items, comma))
    }

    /// What follows a `[` that begins a list.
    fn list(&mut self) -> Result<Node, Problem> {
        if self.symbol("]") {
            return Ok(Node::Sequence(Vec::new()));
        }
        let first = self.or()?;
        let at = self.here();
        if !self.word("for") {
            let mut items = vec![first];
            if self.symbol(",") {
                items.extend(self.items("]")?.0);
            } else {
                self.expect("]")?;
            }
            return Ok(Node::Sequence(items));
        }
        let Some(Token::Name(name)) = self.peek().cloned().filter(|_| !self.each) else {
            return Err(not_understood(at.start..self.end));
        };
        self.each = true;
        self.next += 1;
        if !self.word("in") {
            return Err(not_understood(at.start..self.end));
        }
        let sequence = self.or()?;
        self.expect("]")?;
        Ok(Node::Each(Box::new(first), name, Box::new(sequence)))
    }

    fn atom(&mut self) -> Result<Expr, Problem> {
        let at = self.here();
        let Some(token) = self.peek().cloned() else {
            return Err(Problem::new(0..self.end, "this condition is incomplete"));
        };
        self.next += 1;
        let node = match token {
            Token::Int(value) => Node::Literal(Value::Int(value)),
            Token::Str(value) => Node::Literal(Value::Str(value)),
            Token::Symbol("-") => match self.peek() {
                Some(Token::Int(value)) => {
                    let value = -*value;
                    self.next += 1;
                    Node::Literal(Value::Int(value))
                }
                _ => return Err(not_understood(at)),
            },
            Token::Symbol("(") => {
                let (mut items, comma) = self.items(")")?;
                match items.pop() {
                    Some(only) if items.is_empty() && !comma => only.node,
                    last => {
                        items.extend(last);
                        Node::Sequence(items)
                    }
                }
            }
            Token::Symbol("[") => self.list()?,
            Token::Name(name)
                if !matches!(name.as_str(), "and" | "or" | "not" | "in" | "is" | "for") =>
            {
                Node::Path(name)
            }
            Token::Symbol(_) | Token::Name(_) => return Err(not_understood(at)),
        };
        Ok(Expr { at: at.start..self.behind(), node })
    }
}

/// Longer symbols first.
const SYMBOLS: &[&str] =
    &["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", ".", ":", "-"];

fn tokenise(text: &str) -> Result<Vec<(Range<usize>, Token)>, Problem> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let start = at;
        let token = if first.is_ascii_digit() {
            let digits = run(rest, |c| c.is_ascii_digit());
            at += digits.len();
            let number = digits.parse().map_err(|_| not_understood(start..at))?;
            Token::Int(number)
        } else if first.is_alphabetic() || first == '_' {
            let name = run(rest, |c| c.is_alphanumeric() || c == '_');
            at += name.len();
            Token::Name(name.to_owned())
        } else if first == '"' || first == '\'' {
            let (length, value) = string(rest, first).ok_or_else(|| {
                Problem::new(start..text.trim_end().len(), "this text has no end")
            })?;
            at += length;
            Token::Str(value)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            at += symbol.len();
            Token::Symbol(symbol)
        } else {
            return Err(not_understood(start..start + first.len_utf8()));
        };
        tokens.push((start..at, token));
    }
    Ok(tokens)
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    &text[..end]
}

/// The bytes and the value of the quoted text at the start; `None` if it does not end. `#` and
/// `;` cannot be written in a header, so they come as `\x23` and `\x3b`.
fn string(text: &str, quote: char) -> Option<(usize, String)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((at + 1, value));
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        match chars.next()?.1 {
            'n' => value.push('\n'),
            't' => value.push('\t'),
            'x' => {
                let digits = text.get(at + 2..at + 4)?;
                value.push(char::from(u8::from_str_radix(digits, 16).ok()?));
                chars.nth(1)?;
            }
            escaped @ ('\\' | '\'' | '"') => value.push(escaped),
            other => value.extend(['\\', other]),
        }
    }
    None
}

impl Expr {
    /// Puts a value wherever the name is used.
    pub(super) fn bind(&mut self, name: &str, value: &Value) {
        match &mut self.node {
            Node::Path(path) if path == name => self.node = Node::Literal(value.clone()),
            Node::Path(path) => {
                let rest = path.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
                if let Some(method) = rest.filter(|rest| !rest.contains('.')) {
                    let base = Self { at: self.at.clone(), node: Node::Literal(value.clone()) };
                    self.node = Node::Attribute(Box::new(base), method.to_owned());
                }
            }
            Node::Literal(_) => {}
            Node::Attribute(base, _) | Node::Slice(base, _, _) | Node::Not(base) => {
                base.bind(name, value);
            }
            Node::Index(a, b) | Node::And(a, b) | Node::Or(a, b) | Node::Each(a, _, b) => {
                a.bind(name, value);
                b.bind(name, value);
            }
            Node::Sequence(items) => items.iter_mut().for_each(|item| item.bind(name, value)),
            Node::Call(function, items) => {
                function.bind(name, value);
                items.iter_mut().for_each(|item| item.bind(name, value));
            }
            Node::Compare(first, rest) => {
                first.bind(name, value);
                rest.iter_mut().for_each(|(_, other)| other.bind(name, value));
            }
        }
    }
}
