//! Reading Python literals. Depth is bounded, so that no text can exhaust the stack.

use super::{Literal, LiteralError};

/// Deepest nesting accepted.
const MAX_DEPTH: usize = 100;

pub(super) fn parse(text: &str) -> Result<Literal, LiteralError> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0 };
    let literal = reader.value(0)?;
    reader.skip_blanks();
    match reader.peek() {
        None => Ok(literal),
        Some(_) => Err(reader.error("text after the end of the value")),
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn error(&self, reason: impl Into<String>) -> LiteralError {
        LiteralError { at: self.at, reason: reason.into() }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn take_text(&mut self, wanted: &str) -> bool {
        let found = self.chars[self.at..].iter().copied().take(wanted.chars().count());
        let found = found.eq(wanted.chars());
        if found {
            self.at += wanted.chars().count();
        }
        found
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        self.skip_blanks();
        match self.peek() {
            None => Err(self.error("the text ends where a value should be")),
            Some('[') => Ok(Literal::List(self.items(']', depth)?.0)),
            Some('(') => self.parenthesised(depth),
            Some('{') => self.braces(depth),
            Some('\'' | '"') => self.strings(),
            Some('b') if matches!(self.chars.get(self.at + 1), Some('\'' | '"')) => self.bytes(),
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            Some(_) => self.word(depth),
        }
    }

    /// Items up to `close`, and whether the last one was followed by a comma.
    fn items(&mut self, close: char, depth: usize) -> Result<(Vec<Literal>, bool), LiteralError> {
        self.at += 1;
        let mut items = Vec::new();
        let mut comma = true;
        loop {
            self.skip_blanks();
            if self.take(close) {
                return Ok((items, comma));
            }
            if !comma {
                return Err(self.error(format!("expected `,` or `{close}`")));
            }
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            comma = self.take(',');
        }
    }

    fn parenthesised(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        let (mut items, comma) = self.items(')', depth)?;
        if items.len() == 1 && !comma {
            return Ok(items.remove(0));
        }
        Ok(Literal::Tuple(items))
    }

    fn braces(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        self.at += 1;
        let (mut pairs, mut members) = (Vec::new(), Vec::new());
        let mut comma = true;
        loop {
            self.skip_blanks();
            if self.take('}') {
                break;
            }
            if !comma {
                return Err(self.error("expected `,` or `}`"));
            }
            let key = self.value(depth + 1)?;
            self.skip_blanks();
            if self.take(':') {
                pairs.push((key, self.value(depth + 1)?));
            } else {
                members.push(key);
            }
            if !pairs.is_empty() && !members.is_empty() {
                return Err(self.error("a mapping and a set at once"));
            }
            self.skip_blanks();
            comma = self.take(',');
        }
        Ok(if members.is_empty() { Literal::Dict(pairs) } else { Literal::Set(members) })
    }

    /// Adjacent strings are one, as in Python.
    fn strings(&mut self) -> Result<Literal, LiteralError> {
        let mut text = String::new();
        while let Some(quote @ ('\'' | '"')) = self.peek() {
            for code in self.quoted(quote)? {
                text.push(char::from_u32(code).ok_or_else(|| self.error("no such character"))?);
            }
            self.skip_blanks();
        }
        Ok(Literal::Str(text))
    }

    fn bytes(&mut self) -> Result<Literal, LiteralError> {
        self.at += 1;
        let quote = self.peek().ok_or_else(|| self.error("unfinished bytes"))?;
        let codes = self.quoted(quote)?;
        let bytes: Result<Vec<u8>, _> = codes.into_iter().map(u8::try_from).collect();
        bytes.map(Literal::Bytes).map_err(|_| self.error("bytes hold only codes up to 255"))
    }

    /// The character codes between quotes.
    fn quoted(&mut self, quote: char) -> Result<Vec<u32>, LiteralError> {
        self.at += 1;
        let mut codes = Vec::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(self.error("the string has no end"));
            };
            self.at += 1;
            match c {
                '\\' => codes.extend(self.escape()?),
                '\n' => return Err(self.error("the string has no end on its line")),
                c if c == quote => return Ok(codes),
                c => codes.push(u32::from(c)),
            }
        }
    }

    fn escape(&mut self) -> Result<Option<u32>, LiteralError> {
        let Some(c) = self.peek() else {
            return Err(self.error("the string has no end"));
        };
        self.at += 1;
        let code = match c {
            '\n' => return Ok(None),
            'n' => 10,
            'r' => 13,
            't' => 9,
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            '\\' | '\'' | '"' => u32::from(c),
            'x' => self.hexadecimal(2)?,
            'u' => self.hexadecimal(4)?,
            'U' => self.hexadecimal(8)?,
            '0'..='7' => {
                self.at -= 1;
                self.octal()
            }
            other => return Err(self.error(format!("unknown escape `\\{other}`"))),
        };
        Ok(Some(code))
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<u32, LiteralError> {
        let end = self.at + digits;
        let text: Option<String> =
            self.chars.get(self.at..end).map(|digits| digits.iter().collect());
        let code = text
            .filter(|text| text.chars().all(|c| c.is_ascii_hexdigit()))
            .and_then(|text| u32::from_str_radix(&text, 16).ok())
            .ok_or_else(|| self.error(format!("expected {digits} hexadecimal digits")))?;
        self.at = end;
        Ok(code)
    }

    fn octal(&mut self) -> u32 {
        let mut code = 0;
        for _ in 0..3 {
            match self.peek().and_then(|c| c.to_digit(8)) {
                Some(digit) => code = code * 8 + digit,
                None => break,
            }
            self.at += 1;
        }
        code
    }

    fn number(&mut self) -> Result<Literal, LiteralError> {
        let start = self.at;
        let part = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        while self.peek().is_some_and(part) {
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().filter(|c| **c != '_').collect();
        if let Ok(number) = text.parse::<i128>() {
            return Ok(Literal::Int(number));
        }
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let number = text.parse::<f64>().ok().filter(|_| {
            digits == "inf" || digits.contains(['.', 'e', 'E']) && !digits.contains("inf")
        });
        number.map(Literal::Float).ok_or_else(|| {
            self.at = start;
            self.error(format!("`{text}` is no number that can be read"))
        })
    }

    fn word(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        for (word, literal) in [
            ("None", Literal::None),
            ("True", Literal::Bool(true)),
            ("False", Literal::Bool(false)),
            // What a number too large for a float is printed as.
            ("inf", Literal::Float(f64::INFINITY)),
        ] {
            if self.take_text(word) {
                return Ok(literal);
            }
        }
        let set = ["frozenset(", "set("].into_iter().any(|call| self.take_text(call));
        if set {
            return self.call(depth, |argument| match argument {
                None => Some(Literal::Set(Vec::new())),
                Some(Literal::Set(items) | Literal::List(items) | Literal::Tuple(items)) => {
                    Some(Literal::Set(items))
                }
                Some(_) => None,
            });
        }
        if self.take_text("bytearray(") {
            return self.call(depth, |argument| {
                argument.filter(|argument| matches!(argument, Literal::Bytes(_)))
            });
        }
        Err(self.error("expected a literal"))
    }

    /// The rest of a call with at most one argument.
    fn call(
        &mut self,
        depth: usize,
        build: impl Fn(Option<Literal>) -> Option<Literal>,
    ) -> Result<Literal, LiteralError> {
        self.skip_blanks();
        let argument = if self.peek() == Some(')') { None } else { Some(self.value(depth + 1)?) };
        self.skip_blanks();
        if !self.take(')') {
            return Err(self.error("expected `)`"));
        }
        build(argument).ok_or_else(|| self.error("an argument that cannot be used here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_texts_are_read() {
        for (text, printed) in [
            ("{'a': [1, 2.5, (3,), ()], \"b\": None}", "{'a': [1, 2.5, (3,), ()], 'b': None}"),
            ("frozenset({'x'})", "{'x'}"),
            ("set()", "set()"),
            ("{}", "{}"),
            (r"'\x24\u00e9\101'", "'$éA'"),
            ("'a' \"b\"", "'ab'"),
            ("(1)", "1"),
            ("-7", "-7"),
            ("1e+20", "1e+20"),
            ("[1e999, -1e999]", "[inf, -inf]"),
            ("[inf, -inf]", "[inf, -inf]"),
            (r"bytearray(b'\x00')", r"b'\x00'"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn anything_that_computes_is_refused() {
        for text in ["", "__import__('os')", "1 + 1", "[1", "{'a': 1, 2}", "'x", "open('f')"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().reason.contains("deeply"));
    }
}
