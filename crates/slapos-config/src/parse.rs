//! Lines to sections and options.

use std::collections::HashMap;

use crate::{Config, ConfigError, Entry, Section, shown_section};

pub(crate) fn parse(text: &str, name: &str) -> Result<Config, ConfigError> {
    let mut parser = Parser {
        config: Config { name: name.to_owned(), sections: Vec::new(), index: HashMap::new() },
        line: 0,
        open: false,
    };
    for line in text.lines() {
        parser.line += 1;
        parser.take(line.trim_end())?;
    }
    Ok(parser.config)
}

struct Parser {
    config: Config,
    line: u32,
    /// An option is open for continuation lines.
    open: bool,
}

impl Parser {
    fn take(&mut self, line: &str) -> Result<(), ConfigError> {
        let text = line.trim_start();
        if text.is_empty() || text.starts_with(['#', ';']) {
            return Ok(());
        }
        let indented = text.len() < line.len();
        if indented && self.open {
            self.continue_value(text);
            return Ok(());
        }
        if let Some(header) = text.strip_prefix('[') {
            return self.open_section(header, text);
        }
        self.add_option(text)
    }

    fn continue_value(&mut self, text: &str) {
        let entry = self.config.sections.last_mut().and_then(|section| section.entries.last_mut());
        if let Some(entry) = entry {
            entry.raw.push('\n');
            entry.raw.push_str(text);
        }
    }

    fn open_section(&mut self, header: &str, text: &str) -> Result<(), ConfigError> {
        let Some(end) = header.find(']') else {
            let shown = shown_section(text);
            return self.fail(format!("the section header `{shown}` lacks its `]`"));
        };
        let name = header[..end].to_owned();
        if let Some(&old) = self.config.index.get(&name) {
            let (shown, first) = (shown_section(&name), self.config.sections[old].line);
            return self.fail(format!("section [{shown}] already begins on line {first}"));
        }
        self.open = false;
        self.config.index.insert(name.clone(), self.config.sections.len());
        self.config.sections.push(Section { name, line: self.line, entries: Vec::new() });
        Ok(())
    }

    fn add_option(&mut self, text: &str) -> Result<(), ConfigError> {
        let Some((name, value)) = text.split_once(['=', ':']) else {
            return self.fail(format!("expected `name = value`, got `{text}`"));
        };
        let name = name.trim_end().to_lowercase();
        if name.is_empty() {
            return self.fail(format!("expected `name = value`, got `{text}`"));
        }
        let Some(section) = self.config.sections.last_mut() else {
            return self.fail(format!("`{text}` stands before the first [section]"));
        };
        if let Some(old) = section.entries.iter().find(|entry| entry.name == name) {
            let message = format!(
                "option `{name}` of [{}] is already set on line {}",
                shown_section(&section.name),
                old.line
            );
            return self.fail(message);
        }
        let raw = value.trim().to_owned();
        let value = String::new();
        section.entries.push(Entry { name, raw, value, line: self.line, shared: false });
        self.open = true;
        Ok(())
    }

    fn fail<T>(&self, message: String) -> Result<T, ConfigError> {
        Err(ConfigError::Syntax { file: self.config.name.clone(), line: self.line, message })
    }
}
