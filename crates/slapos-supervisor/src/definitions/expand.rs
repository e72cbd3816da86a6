//! What `%` means in the values of a definition, as in supervisor: `%%`, `%(name)s` and, for numbers,
//! `%(name)02d`. The names are those of the process that is defined, not of other options.

use std::path::Path;

use indexmap::IndexMap;

/// What the names stand for.
pub(super) struct Names<'a> {
    /// The file's name.
    pub(super) file: &'a str,
    /// The section's.
    pub(super) program: &'a str,
    /// The group in which the process is.
    pub(super) group: &'a str,
    /// Which of the section's processes it is, and how many there are.
    pub(super) number: Option<(u32, u32)>,
    /// The process's own environment.
    pub(super) variables: IndexMap<String, String>,
}

/// Wider than any number is.
const WIDEST: usize = 20;
const KNOWN: &str = "here, host_node_name, program_name, group_name, process_num, numprocs and \
                     ENV_X for each X of `environment`";

enum Value {
    Text(String),
    Number(u32),
}

impl<'a> Names<'a> {
    /// Those of a section without processes of its own.
    pub(super) fn of(file: &'a str, name: &'a str) -> Self {
        Self { file, program: name, group: name, number: None, variables: IndexMap::new() }
    }

    /// `text`, the value of `option`, with all that it names.
    pub(super) fn expand(&self, option: &str, text: &str) -> Result<String, String> {
        let mut value = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            value.push_str(before);
            rest = self.expand_one(option, after, &mut value)?;
        }
        value.push_str(rest);
        Ok(value)
    }

    /// Expands what follows a `%` and returns what is left of the text.
    fn expand_one<'t>(
        &self,
        option: &str,
        after: &'t str,
        value: &mut String,
    ) -> Result<&'t str, String> {
        if let Some(rest) = after.strip_prefix('%') {
            value.push('%');
            return Ok(rest);
        }
        let wrong = || {
            format!("a `%` in `{option}` must be `%%`, `%(name)s` or, for numbers, `%(name)02d`")
        };
        let named = after.strip_prefix('(').and_then(|text| text.split_once(')'));
        let (name, form) = named.ok_or_else(wrong)?;
        let found = self.look(name).map_err(|why| format!("`%({name})` in `{option}`: {why}"))?;
        let digits = form.find(|c: char| !c.is_ascii_digit()).unwrap_or(form.len());
        let (width, kind) = form.split_at(digits);
        let filled = width.starts_with('0');
        let width: usize = if width.is_empty() { 0 } else { width.parse().map_err(|_| wrong())? };
        match (found, kind.chars().next()) {
            _ if width > WIDEST => return Err(wrong()),
            (Value::Number(number), Some('d')) if filled => {
                value.push_str(&format!("{number:0width$}"));
            }
            (Value::Number(number), Some('d' | 's')) => value.push_str(&format!("{number:width$}")),
            (Value::Text(text), Some('s')) => value.push_str(&format!("{text:>width$}")),
            _ => return Err(wrong()),
        }
        Ok(&kind[1..])
    }

    fn look(&self, name: &str) -> Result<Value, String> {
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        match (name, self.number) {
            ("here", _) => {
                let directory = Path::new(self.file).parent();
                text(&directory.unwrap_or(Path::new("")).to_string_lossy())
            }
            ("host_node_name", _) => host_name().map(Value::Text),
            ("program_name", _) => text(self.program),
            ("group_name", _) => text(self.group),
            ("process_num", Some((number, _))) => Ok(Value::Number(number)),
            ("numprocs", Some((_, all))) => Ok(Value::Number(all)),
            _ => self.variable(name).map(Value::Text),
        }
    }

    fn variable(&self, name: &str) -> Result<String, String> {
        let Some(variable) = name.strip_prefix("ENV_") else {
            return Err(format!("there is no such name here; known are {KNOWN}"));
        };
        self.variables.get(variable).cloned().ok_or_else(|| {
            format!(
                "`environment` of this section sets no {variable}; services get nothing of the \
                 supervisor's own environment"
            )
        })
    }
}

fn host_name() -> Result<String, String> {
    let name = slapos_sys::fs::read_to_string(Path::new("/proc/sys/kernel/hostname"));
    name.map(|name| name.trim_end().to_owned())
        .map_err(|error| format!("the machine's name cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_expanded_as_by_supervisor() {
        let mut names = Names::of("/i/etc/supervisord.conf.d/web.conf", "web");
        names.group = "site";
        names.number = Some((7, 12));
        names.variables.insert("HOME".into(), "/h".into());
        let expand = |text: &str| names.expand("command", text);
        for (text, wanted) in [
            ("100%% of %(program_name)s", "100% of web"),
            ("%(group_name)s:%(process_num)02d/%(numprocs)d", "site:07/12"),
            ("[%(process_num)s] [%(process_num)3d] [%(process_num)003d]", "[7] [  7] [007]"),
            ("%(here)s", "/i/etc/supervisord.conf.d"),
            ("%(ENV_HOME)s/%(program_name)5s", "/h/  web"),
        ] {
            assert_eq!(expand(text).unwrap(), wanted);
        }
        let host = expand("%(host_node_name)s").unwrap();
        assert!(!host.is_empty() && !host.contains('\n'), "{host:?}");
    }

    #[test]
    fn what_cannot_be_expanded_is_told() {
        let error = |text: &str| Names::of("a.conf", "a").expand("command", text).unwrap_err();
        insta::assert_snapshot!(error("5%"), @"a `%` in `command` must be `%%`, `%(name)s` or, for numbers, `%(name)02d`");
        insta::assert_snapshot!(error("%(program_name)d"), @"a `%` in `command` must be `%%`, `%(name)s` or, for numbers, `%(name)02d`");
        insta::assert_snapshot!(error("%(program_name)999s"), @"a `%` in `command` must be `%%`, `%(name)s` or, for numbers, `%(name)02d`");
        insta::assert_snapshot!(error("%(program_name"), @"a `%` in `command` must be `%%`, `%(name)s` or, for numbers, `%(name)02d`");
        insta::assert_snapshot!(error("%(directory)s"), @"`%(directory)` in `command`: there is no such name here; known are here, host_node_name, program_name, group_name, process_num, numprocs and ENV_X for each X of `environment`");
        insta::assert_snapshot!(error("%(ENV_HOME)s"), @"`%(ENV_HOME)` in `command`: `environment` of this section sets no HOME; services get nothing of the supervisor's own environment");
    }
}
