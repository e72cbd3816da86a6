//! Scripts with an exact `sys.path`, in the form that Buildout gives them.

use std::path::{Path, PathBuf};

use crate::EntryPoint;

/// Bytes of a first line that every kernel reads.
const KERNEL_LIMIT: usize = 127;

/// What scripts of one part have in common.
#[derive(Debug, Clone)]
pub struct Scripts<'a> {
    /// The Python that runs them.
    pub python: &'a Path,
    /// Where they are put.
    pub directory: &'a Path,
    /// What comes first on `sys.path`.
    pub paths: Vec<PathBuf>,
    /// Python code that runs before anything is imported.
    pub initialization: &'a str,
    /// What entry points are called with, as Python writes it.
    pub arguments: &'a str,
    /// Paths below this directory are found from where the script is.
    pub relative_to: Option<&'a Path>,
}

/// A script to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Where.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl Scripts<'_> {
    /// A script that calls an entry point.
    pub fn console(&self, name: &str, entry: &EntryPoint) -> Script {
        let path = self.directory.join(name);
        let EntryPoint { module, attrs, .. } = entry;
        let text = format!(
            "{}{}import {module}\n\nif __name__ == '__main__':\n    sys.exit({module}.{attrs}({}))\n",
            self.shebang(),
            self.head(&path, ","),
            self.arguments
        );
        Script { path, text }
    }

    /// A script of the old kind with `sys.path` put in before its first import; `None` when it is
    /// no script of Python.
    pub fn old(&self, name: &str, original: &str) -> Option<Script> {
        let (first, rest) = original.split_once('\n').unwrap_or((original, ""));
        if !first.starts_with("#!") || !first.contains("python") {
            return None;
        }
        let imports = |line: &&str| {
            (line.starts_with("import") || line.starts_with("from")) && !line.contains("__future__")
        };
        let lines: Vec<&str> = rest.split_inclusive('\n').collect();
        let at = lines.iter().position(imports).unwrap_or(lines.len());
        let path = self.directory.join(name);
        let text = format!(
            "{}{}\n{}\n{}",
            self.shebang(),
            lines[..at].concat(),
            self.head(&path, ","),
            lines[at..].concat()
        );
        Some(Script { path, text })
    }

    /// A Python that has these paths: interactive, or with `-c`, `-m` or a file as Python itself.
    pub fn interpreter(&self, name: &str) -> Script {
        let path = self.directory.join(name);
        let comma = if self.paths.is_empty() { "" } else { "," };
        let head = self.head(&path, comma);
        Script { path, text: format!("{}{head}{INTERPRETER}", self.shebang()) }
    }

    /// A first line too long for the kernel goes through the shell, which finds the Python in a
    /// line that is harmless in Python.
    fn shebang(&self) -> String {
        let python = self.python.display().to_string();
        if python.len() + 2 <= KERNEL_LIMIT {
            return format!("#!{python}\n");
        }
        format!("#!/bin/sh\n\"exec\" \"{python}\" \"$0\" \"$@\"\n")
    }

    /// From the first line to the code: what finds the base, `sys.path`, the initialization.
    fn head(&self, script: &Path, comma: &str) -> String {
        let initialization = match self.initialization {
            "" => String::new(),
            text => format!("\n{text}\n"),
        };
        let paths: Vec<String> = self.paths.iter().map(|path| self.shown(path)).collect();
        format!(
            "{}\nimport sys\nsys.path[0:0] = [\n  {}{comma}\n  ]\n{initialization}\n",
            self.base(script),
            paths.join(",\n  ")
        )
    }

    fn base(&self, script: &Path) -> String {
        let Some(base) = self.relative_to else {
            return String::new();
        };
        let directory = script.parent().unwrap_or(script);
        let depth = directory.strip_prefix(base).map_or(0, |below| below.components().count());
        let up = "base = os.path.dirname(base)\n".repeat(depth);
        format!(
            "\nimport os\n\njoin = os.path.join\n\
             base = os.path.dirname(os.path.abspath(os.path.realpath(__file__)))\n{up}"
        )
    }

    fn shown(&self, path: &Path) -> String {
        match self.relative_to.map(|base| path.strip_prefix(base)) {
            Some(Ok(below)) if below.as_os_str().is_empty() => "base".to_owned(),
            Some(Ok(below)) => format!("join(base, {})", repr(&below.to_string_lossy())),
            _ => repr(&path.to_string_lossy()),
        }
    }
}

/// What an interpreter does after `sys.path` is set.
const INTERPRETER: &str = r#"
def _run():
    import getopt
    options, words = getopt.getopt(sys.argv[1:], 'ic:m:')
    space = globals()
    interactive = len(sys.argv) < 2
    for option, value in options:
        if option == '-i':
            interactive = True
        elif option == '-c':
            sys.argv[:] = ['-c'] + words
            words = []
            exec(value, space)
        elif option == '-m':
            import runpy
            sys.argv[:] = [value] + words
            words = []
            runpy.run_module(value, {}, '__main__', True)
    if words:
        sys.argv[:] = words
        space['__file__'] = words[0]
        with open(words[0], 'rb') as script:
            code = compile(script.read(), words[0], 'exec')
        exec(code, space)
    if interactive:
        import code
        code.interact(banner='', local=space)


_run()
"#;

/// A text as Python writes it.
fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if c == quote => shown.extend(['\\', c]),
            c if c.is_control() => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts<'a>(relative: bool) -> Scripts<'a> {
        Scripts {
            python: Path::new("/py/bin/python3"),
            directory: Path::new("/b/bin"),
            paths: vec!["/b/eggs/a.egg".into(), "/o'x".into()],
            initialization: "",
            arguments: "",
            relative_to: relative.then_some(Path::new("/b")),
        }
    }

    fn entry() -> EntryPoint {
        EntryPoint { name: "run".into(), module: "a.b".into(), attrs: "c.d".into() }
    }

    #[test]
    fn a_script_sets_its_path_and_calls_its_entry_point() {
        let script = Scripts { arguments: "1, 2", ..scripts(false) }.console("other", &entry());
        assert_eq!(script.path, Path::new("/b/bin/other"));
        insta::assert_snapshot!(script.text, @r#"
        #!/py/bin/python3

        import sys
        sys.path[0:0] = [
          '/b/eggs/a.egg',
          "/o'x",
          ]

        import a.b

        if __name__ == '__main__':
            sys.exit(a.b.c.d(1, 2))
        "#);
    }

    #[test]
    fn relative_paths_start_where_the_script_is() {
        let script = Scripts { initialization: "import os", ..scripts(true) };
        insta::assert_snapshot!(script.console("run", &entry()).text, @r#"
        #!/py/bin/python3

        import os

        join = os.path.join
        base = os.path.dirname(os.path.abspath(os.path.realpath(__file__)))
        base = os.path.dirname(base)

        import sys
        sys.path[0:0] = [
          join(base, 'eggs/a.egg'),
          "/o'x",
          ]

        import os

        import a.b

        if __name__ == '__main__':
            sys.exit(a.b.c.d())
        "#);
    }

    #[test]
    fn a_python_with_a_long_path_is_found_by_the_shell() {
        let long = format!("/{}/python", "x".repeat(120));
        let script = Scripts { python: Path::new(&long), ..scripts(false) }.console("a", &entry());
        let mut lines = script.text.lines();
        assert_eq!(lines.next(), Some("#!/bin/sh"));
        assert_eq!(lines.next(), Some(format!(r#""exec" "{long}" "$0" "$@""#).as_str()));
        let short = format!("/{}/python", "x".repeat(117));
        let script = Scripts { python: Path::new(&short), ..scripts(false) }.console("a", &entry());
        assert!(script.text.starts_with(&format!("#!{short}\n")));
    }

    #[test]
    fn an_old_script_gets_its_path_before_its_first_import() {
        let original = "#!/usr/bin/env python\n\"\"\"doc\"\"\"\nfrom __future__ import x\nimport y\nprint(1)\n";
        let text = scripts(false).old("tool", original).unwrap().text;
        insta::assert_snapshot!(text, @r#"
        #!/py/bin/python3
        """doc"""
        from __future__ import x


        import sys
        sys.path[0:0] = [
          '/b/eggs/a.egg',
          "/o'x",
          ]


        import y
        print(1)
        "#);
        assert!(scripts(false).old("tool", "#!/bin/sh\necho\n").is_none());
    }
}
