//! Reads the options of one section, each by one rule, with errors that name its line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use slapos_config::{Config, ConfigError, shown_section};

use crate::size::parse_size;

/// Reads the options of one section.
pub(crate) struct Reader<'a> {
    config: &'a Config,
    pub(super) section: &'a str,
    /// A section whose options come before those of `section`.
    over: Option<&'a str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn of(config: &'a Config, section: &'a str) -> Self {
        Self { config, section, over: None }
    }

    /// `[slapformat]`, over which `[slapos]` goes.
    pub(crate) fn of_format(config: &'a Config) -> Self {
        Self { config, section: "slapformat", over: Some("slapos") }
    }

    pub(crate) fn optional(&self, option: &str) -> Option<&'a str> {
        #[cfg(test)]
        super::documented::asked(self.section, option);
        self.config.get(self.section_of(option), option).filter(|value| !value.is_empty())
    }

    /// The section that an option is taken from.
    fn section_of(&self, option: &str) -> &'a str {
        let over = self
            .over
            .filter(|over| self.config.get(over, option).is_some_and(|value| !value.is_empty()));
        over.unwrap_or(self.section)
    }

    pub(super) fn required(&self, option: &str) -> Result<&'a str, ConfigError> {
        self.optional(option).ok_or_else(|| {
            let section = shown_section(self.section);
            self.error(option, format!("[{section}] needs the option `{option}`"))
        })
    }

    /// Requires these options, so that all that are missing are told at once.
    pub(super) fn require(&self, options: &[&str]) -> Result<(), ConfigError> {
        let missing = options.iter().filter(|option| self.optional(option).is_none());
        let words: Vec<_> = missing.map(|option| format!("`{option}`")).collect();
        let list = match words.as_slice() {
            [] => return Ok(()),
            [one] => format!("option {one}"),
            [others @ .., last] => format!("options {} and {last}", others.join(", ")),
        };
        let message = format!("[{}] needs the {list}", shown_section(self.section));
        Err(self.error("", message))
    }

    pub(super) fn absolute_path(&self, option: &str) -> Result<PathBuf, ConfigError> {
        let path = PathBuf::from(self.required(option)?);
        self.check_absolute(option, path)
    }

    pub(crate) fn optional_path(&self, option: &str) -> Result<Option<PathBuf>, ConfigError> {
        self.optional(option).map(|path| self.check_absolute(option, path.into())).transpose()
    }

    pub(super) fn path_or(&self, option: &str, default: PathBuf) -> Result<PathBuf, ConfigError> {
        Ok(self.optional_path(option)?.unwrap_or(default))
    }

    pub(super) fn path_list(&self, option: &str) -> Result<Vec<PathBuf>, ConfigError> {
        let lines = self.optional(option).unwrap_or_default().lines();
        let paths = lines.map(str::trim).filter(|line| !line.is_empty());
        paths.map(|path| self.check_absolute(option, path.into())).collect()
    }

    fn check_absolute(&self, option: &str, path: PathBuf) -> Result<PathBuf, ConfigError> {
        if path.is_absolute() {
            return Ok(path);
        }
        let message = format!("`{option}` must be an absolute path, not `{}`", path.display());
        Err(self.error(option, message))
    }

    pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        option: &str,
        default: T,
    ) -> Result<T, ConfigError> {
        let Some(text) = self.optional(option) else {
            return Ok(default);
        };
        text.parse().map_err(|error| self.error(option, format!("`{option}` = `{text}`: {error}")))
    }

    pub(crate) fn seconds(&self, option: &str, default: u64) -> Result<Duration, ConfigError> {
        self.parsed(option, default).map(Duration::from_secs)
    }

    pub(super) fn some_seconds(&self, option: &str, default: u64) -> Result<Duration, ConfigError> {
        match self.seconds(option, default)? {
            Duration::ZERO => Err(self.error(option, format!("`{option}` must be 1 or more"))),
            seconds => Ok(seconds),
        }
    }

    /// Seconds, where a negative number means never.
    pub(super) fn periodicity(&self, option: &str, default: i64) -> Result<Duration, ConfigError> {
        let seconds: i64 = self.parsed(option, default)?;
        Ok(u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs))
    }

    /// Which of two spellings of an option the file has.
    pub(super) fn spelling<'o>(&self, option: &'o str, other: &'o str) -> &'o str {
        if self.optional(other).is_some() { other } else { option }
    }

    pub(super) fn size(&self, option: &str, default: u64) -> Result<u64, ConfigError> {
        let Some(text) = self.optional(option) else {
            return Ok(default);
        };
        parse_size(text).ok_or_else(|| {
            self.error(
                option,
                format!("`{option}` must be a size such as 500M or 2G, not `{text}`"),
            )
        })
    }

    pub(crate) fn boolean(&self, option: &str, default: bool) -> Result<bool, ConfigError> {
        match self.optional(option).map(str::to_lowercase).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => {
                let message = format!("`{option}` must be true or false, not `{other}`");
                Err(self.error(option, message))
            }
        }
    }

    /// A name that becomes part of paths and user names.
    pub(super) fn name(&self, option: &str, default: &str) -> Result<String, ConfigError> {
        let name = self.optional(option).unwrap_or(default);
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if name.chars().all(fine) && name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Ok(name.to_owned());
        }
        let message = format!(
            "`{option}` must be lower-case letters, digits, `_` and `-`, and start with a letter, not `{name}`"
        );
        Err(self.error(option, message))
    }

    pub(crate) fn error(&self, option: &str, message: String) -> ConfigError {
        self.config.error(self.section_of(option), option, message)
    }
}
