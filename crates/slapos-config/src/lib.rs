//! Files in the syntax of Python's `ConfigParser`, with the line of every option.
//!
//! `slapos.cfg` and the supervisor's program files are written in it. Rules: `[section]`,
//! `name = value` or `name: value`, names are lower-cased, indented lines continue a value, lines
//! starting with `#` or `;` are comments, `%(name)s` inserts another option of the section (or of
//! `[DEFAULT]`) and `%%` stands for `%`. Inline comments do not exist: `;` inside a value is data.
//! Pure, but for [`Config::read`].

mod interpolate;
mod parse;
mod shown;

use std::collections::HashMap;
use std::path::Path;

pub use shown::shown_section;

/// What is wrong with a configuration file; `Display` names the file and line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not of the syntax.
    #[error("{file}:{line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u32,
        /// What is wrong and what to write instead.
        message: String,
    },
    /// What an argument gave in place of an option ([`Config::set`]) is not what it should be.
    #[error("{message} (given as an argument)")]
    Argument {
        /// What is wrong and what to write instead.
        message: String,
    },
}

/// One option: where it stands and what it says, before interpolation.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    raw: String,
    value: String,
    line: u32,
    /// Whether it stands in `[DEFAULT]`.
    shared: bool,
}

/// A parsed file.
#[derive(Clone, Debug, Default)]
pub struct Config {
    name: String,
    sections: Vec<Section>,
    index: HashMap<String, usize>,
}

#[derive(Clone, Debug)]
struct Section {
    name: String,
    line: u32,
    entries: Vec<Entry>,
}

impl Config {
    /// Parses `text`; `name` is the file's name, for messages.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`], for the first line that is wrong.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        let mut config = parse::parse(text, name)?;
        interpolate::interpolate(&mut config)?;
        Ok(config)
    }

    /// Reads and parses the file at `path`.
    ///
    /// # Errors
    /// Both kinds of [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&text_of(path)?, &path.display().to_string())
    }

    /// As [`read`](Self::read), but what `%` means in values is for others to say: see
    /// [`expand`](Self::expand).
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_raw(path: &Path) -> Result<Self, ConfigError> {
        Self::parse_raw(&text_of(path)?, &path.display().to_string())
    }

    /// As [`parse`](Self::parse), but what `%` means in values is for others to say: see
    /// [`expand`](Self::expand).
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_raw(text: &str, name: &str) -> Result<Self, ConfigError> {
        let mut config = parse::parse(text, name)?;
        interpolate::share_defaults(&mut config);
        for entry in config.sections.iter_mut().flat_map(|section| &mut section.entries) {
            entry.value = entry.raw.clone();
        }
        Ok(config)
    }

    /// Gives the options of a section the values that `expand` makes of their names and texts.
    ///
    /// # Errors
    /// The first that it refuses, with its place.
    pub fn expand(
        &mut self,
        section: &str,
        expand: impl Fn(&str, &str) -> Result<String, String>,
    ) -> Result<(), ConfigError> {
        let Some(at) = self.index.get(section).copied() else { return Ok(()) };
        for entry in &mut self.sections[at].entries {
            entry.value = expand(&entry.name, &entry.raw).map_err(|message| {
                ConfigError::Syntax { file: self.name.clone(), line: entry.line, message }
            })?;
        }
        Ok(())
    }

    /// The text of an option as it stands in the file.
    pub fn raw(&self, section: &str, option: &str) -> Option<&str> {
        Some(self.entry(section, option)?.raw.as_str())
    }

    /// Gives an option another value, as an argument of a command does; it is taken as it is.
    pub fn set(&mut self, section: &str, option: &str, value: &str) {
        let at = self.index.get(section).copied().unwrap_or_else(|| {
            let empty = Section { name: section.to_owned(), line: 0, entries: Vec::new() };
            self.sections.push(empty);
            self.index.insert(section.to_owned(), self.sections.len() - 1);
            self.sections.len() - 1
        });
        let entries = &mut self.sections[at].entries;
        entries.retain(|entry| entry.name != option);
        let value = value.to_owned();
        let (name, raw) = (option.to_owned(), value.clone());
        entries.push(Entry { name, raw, value, line: 0, shared: false });
    }

    /// The file's name, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the sections, in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|section| section.name.as_str())
    }

    /// The value of an option, interpolated; `None` if the section or option is absent.
    pub fn get(&self, section: &str, option: &str) -> Option<&str> {
        Some(self.entry(section, option)?.value.as_str())
    }

    /// The names and values of a section's options, in the order of the file.
    pub fn items(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.section(section).map_or(&[][..], |section| &section.entries);
        entries.iter().map(|entry| (entry.name.as_str(), entry.value.as_str()))
    }

    /// The options that a section of the file itself has, with their lines: not those of `[DEFAULT]` and
    /// of arguments, nor what is only there to be inserted (`%(name)s`) in others.
    pub fn stated(&self, section: &str) -> impl Iterator<Item = (&str, u32)> {
        let entries = self.section(section).map_or(&[][..], |section| &section.entries);
        let inserted = |name: &str| {
            let insertion = format!("%({name})s");
            entries.iter().any(|entry| entry.raw.to_lowercase().contains(&insertion))
        };
        let own = entries.iter().filter(|entry| !entry.shared && entry.line > 0);
        own.map(|entry| (entry.name.as_str(), entry.line)).filter(move |(name, _)| !inserted(name))
    }

    /// The line on which an option begins, from 1.
    pub fn line(&self, section: &str, option: &str) -> Option<u32> {
        Some(self.entry(section, option)?.line)
    }

    /// The line of a section's header, from 1.
    pub fn section_line(&self, section: &str) -> Option<u32> {
        Some(self.section(section)?.line)
    }

    /// An error about an option of this file, with its place.
    pub fn error(&self, section: &str, option: &str, message: impl Into<String>) -> ConfigError {
        if self.line(section, option) == Some(0) {
            return ConfigError::Argument { message: message.into() };
        }
        let line = self.line(section, option).or_else(|| self.section_line(section)).unwrap_or(1);
        ConfigError::Syntax { file: self.name.clone(), line, message: message.into() }
    }

    fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(*self.index.get(name)?)
    }

    fn entry(&self, section: &str, option: &str) -> Option<&Entry> {
        self.section(section)?.entries.iter().find(|entry| entry.name == option)
    }
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { file: path.display().to_string(), source };
    std::fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config(text: &str) -> Config {
        Config::parse(text, "slapos.cfg").unwrap()
    }

    fn message(text: &str) -> String {
        Config::parse(text, "slapos.cfg").unwrap_err().to_string()
    }

    #[test]
    fn an_argument_takes_the_place_of_an_option() {
        let mut c = config("[slapos]\nx = file\n");
        c.set("slapos", "x", "a % argument");
        c.set("other", "y", "1");
        assert_eq!(c.get("slapos", "x"), Some("a % argument"));
        assert_eq!(c.get("other", "y"), Some("1"));
        let error = c.error("slapos", "x", "`x` must be short");
        assert_eq!(error.to_string(), "`x` must be short (given as an argument)");
    }

    #[test]
    fn values_continue_on_indented_lines() {
        let c = config("[slapos]\nshared_part_list =\n  /a\n  # not here\n  /b\n\nX: y ; z\n");
        assert_eq!(c.get("slapos", "shared_part_list"), Some("\n/a\n/b"));
        assert_eq!(c.get("slapos", "x"), Some("y ; z"));
        assert_eq!(c.line("slapos", "x"), Some(7));
        assert_eq!(c.sections().collect::<Vec<_>>(), ["slapos"]);
    }

    #[test]
    fn interpolates_from_the_section_and_the_defaults() {
        let c = config("[DEFAULT]\nroot = /r\n[a]\nx = %(root)s/x\ny = %(x)s/y 100%%\n");
        assert_eq!(c.get("a", "y"), Some("/r/x/y 100%"));
        assert_eq!(c.get("a", "root"), Some("/r"));
    }

    #[test]
    fn what_a_percent_sign_means_may_be_for_others_to_say() {
        let mut c = Config::parse_raw("[DEFAULT]\nz = 5%\n[a]\nx = %(y)02d\n", "f").unwrap();
        assert_eq!((c.get("a", "x"), c.get("a", "z")), (Some("%(y)02d"), Some("5%")));
        c.expand("a", |option, text| Ok(format!("{option} {}", text.len()))).unwrap();
        assert_eq!((c.get("a", "x"), c.raw("a", "x")), (Some("x 7"), Some("%(y)02d")));
        let error = c.expand("a", |_, _| Err("no".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "f:4: no");
    }

    #[test]
    fn what_a_section_states_is_neither_shared_nor_inserted_nor_an_argument() {
        let text = "[DEFAULT]\nroot = /r\n[a]\nBase = %(root)s/b\nx = %(BASE)s/x\n\ny = 1\n";
        let mut c = config(text);
        c.set("a", "z", "1");
        assert_eq!(c.stated("a").collect::<Vec<_>>(), [("x", 5), ("y", 7)]);
        assert_eq!(c.stated("b").count(), 0);
    }

    #[test]
    fn errors_name_file_line_and_remedy() {
        insta::assert_snapshot!(message("a = 1\n"), @"slapos.cfg:1: `a = 1` stands before the first [section]");
        insta::assert_snapshot!(message("[a]\nnonsense\n"), @"slapos.cfg:2: expected `name = value`, got `nonsense`");
        insta::assert_snapshot!(message("[a]\nx = 1\nx = 2\n"), @"slapos.cfg:3: option `x` of [a] is already set on line 2");
        insta::assert_snapshot!(message("[a]\n[a]\n"), @"slapos.cfg:2: section [a] already begins on line 1");
        insta::assert_snapshot!(message("[a\n"), @"slapos.cfg:1: the section header `[a` lacks its `]`");
        let url = "http://me:secret@m";
        for text in [
            format!("[{url}]\nx = 1\nx = 2\n"),
            format!("[{url}]\n[{url}]\n"),
            format!("[{url}\n"),
            format!("[{url}]\nx = %(y)s\n"),
        ] {
            let message = message(&text);
            assert!(message.contains("http://me:***@m"), "{message}");
        }
        insta::assert_snapshot!(message("[a]\nx = %(y)s\n"), @"slapos.cfg:2: `%(y)s` in `x`: there is no option `y` in [a]");
        insta::assert_snapshot!(message("[a]\nx = %(y)s\ny = %(x)s\n"), @"slapos.cfg:2: `x` refers to itself through %(...)s");
        insta::assert_snapshot!(message("[a]\nx = 5%\n"), @"slapos.cfg:2: a `%` in `x` must be `%%` or `%(name)s`");
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\[a\\]\n|[a-c%()s= \t:#;\n\\[\\]]){0,60}") {
            let _ = Config::parse(&text, "f");
        }

        #[test]
        fn what_is_written_is_read(value in "[ -~&&[^%]]{0,40}") {
            let c = config(&format!("[a]\nx = {value}\n"));
            prop_assert_eq!(c.get("a", "x"), Some(value.trim()));
        }
    }
}
