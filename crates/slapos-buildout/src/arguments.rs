//! The words of the command line: options and assignments in any order, then a command and its
//! arguments, as the original reads them.

use slapos_profile::Assignment;

use crate::error::Error;

/// What assignments of the command line are called in messages.
const ORIGIN: &str = "<command line>";

/// Commands, for "did you mean".
const COMMANDS: [&str; 7] =
    ["install", "annotate", "query", "bootstrap", "init", "setup", "runsetup"];

/// What `--help` prints.
pub const HELP: &str = "\
Usage: slapos buildout [options] [assignments] [command [arguments]]

Installs the parts of a profile in the directory of that profile.

Options, which may be mixed with assignments:
  -c FILE     The profile, a path or a URL [default: buildout.cfg]
  -U          Do not read the defaults of the user ($BUILDOUT_HOME/default.cfg, else
              ~/.buildout/default.cfg)
  -v, -q      Say more, say less; may be repeated
  -o, -O      Offline, not offline: buildout:offline=true, buildout:offline=false
  -n, -N      Profiles of other places are brought anew, or taken as they were brought before:
              buildout:newest=true, buildout:newest=false
  -t SECONDS  How long to wait for a server: buildout:socket-timeout=SECONDS
  -j NUMBER   Processes that may build at once [default: the number of processors]
  --keep-going
              After a part failed, still install those that do not need it
  --dry-run   Show what would be done, and why
  --json      Print what `annotate` and `query` find as JSON
  -h, --help  Print this
  --version   Print the version

Assignments override what files say: section:option=value, or option=value for [buildout];
+= adds lines, -= removes lines.

Commands:
  install [PARTS]      Install the parts of the profile and remove those that it no longer wants;
                       with PARTS, install these and what they refer to, and remove nothing.
                       This is what is done without a command
  annotate [SECTIONS]  Print the profile with the lines that gave each option its value
  query SECTION:OPTION Print the value of an option
  bootstrap            Make the directories of the buildout and `buildout` in its bin directory
  init                 Write a buildout.cfg without parts, then bootstrap
";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The profile: a path or a URL.
    pub profile: String,
    /// Whether the defaults of the user count.
    pub user_defaults: bool,
    /// Ten for each `-v`, ten less for each `-q`.
    pub verbosity: i32,
    /// In their order.
    pub assignments: Vec<Assignment>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// After a part failed, others that do not need it are still installed.
    pub keep_going: bool,
    /// Results are printed as JSON.
    pub json: bool,
    /// How many processes may build at once; `None` for the number of processors.
    pub jobs: Option<usize>,
    /// What to do.
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Install all parts, or those named.
    Install(Vec<String>),
    /// Print all sections, or those named, with where their values are from.
    Annotate(Vec<String>),
    /// Print one value.
    Query(String),
    /// Make directories and the program's link.
    Bootstrap,
    /// Write a first profile, then bootstrap.
    Init,
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// Reads the words behind the command's name.
///
/// # Errors
/// [`Error::Usage`] for the first word that makes no sense, or asks for what this program cannot
/// do.
pub fn parse(words: &[String]) -> Result<Invocation, Error> {
    let mut reading = Reading {
        found: Invocation {
            profile: "buildout.cfg".to_owned(),
            user_defaults: true,
            verbosity: 0,
            assignments: Vec::new(),
            dry_run: false,
            keep_going: false,
            json: false,
            jobs: None,
            command: Command::Install(Vec::new()),
        },
        rest: words.iter(),
    };
    while let Some(word) = reading.rest.next() {
        if let Some(command) = reading.word(word)? {
            reading.found.command = command;
            break;
        }
    }
    Ok(reading.found)
}

struct Reading<'w> {
    found: Invocation,
    rest: std::slice::Iter<'w, String>,
}

impl Reading<'_> {
    /// Takes one word; the command if it is its name.
    fn word(&mut self, word: &str) -> Result<Option<Command>, Error> {
        match word {
            "--help" => return Ok(Some(Command::Help)),
            "--version" => return Ok(Some(Command::Version)),
            "--dry-run" => self.dry_run(),
            "--json" => self.found.json = true,
            "--keep-going" => self.found.keep_going = true,
            _ if word.starts_with("--") => return Err(unknown_option(word)),
            _ if word.len() > 1 && word.starts_with('-') => return self.letters(word),
            _ if word.contains('=') => {
                let assignment = Assignment::parse(word, ORIGIN)?;
                self.found.assignments.push(assignment);
            }
            _ => return self.command(word).map(Some),
        }
        Ok(None)
    }

    fn set(&mut self, option: &str, value: &str) {
        self.found.assignments.push(Assignment::new("buildout", option, value, ORIGIN));
    }

    fn dry_run(&mut self) {
        self.found.dry_run = true;
        self.set("dry-run", "true");
    }

    /// Options of one letter, written together; the last one may want a value.
    fn letters(&mut self, word: &str) -> Result<Option<Command>, Error> {
        for (at, letter) in word.char_indices().skip(1) {
            match letter {
                'v' => self.found.verbosity = self.found.verbosity.saturating_add(10),
                'q' => self.found.verbosity = self.found.verbosity.saturating_sub(10),
                'U' => self.found.user_defaults = false,
                'o' => self.set("offline", "true"),
                'O' => self.set("offline", "false"),
                'n' => self.set("newest", "true"),
                'N' => self.set("newest", "false"),
                'h' => return Ok(Some(Command::Help)),
                'c' | 't' | 'j' => {
                    let value = self.value(letter, &word[at + 1..])?;
                    self.valued(letter, value)?;
                    return Ok(None);
                }
                'D' => {
                    return Err(Error::usage(
                        "`-D` starts the debugger of Python, and no Python runs here",
                        "run without it: errors show their place, and each part has a log in \
                         .slapos/log",
                    ));
                }
                _ => return Err(unknown_option(&format!("-{letter}"))),
            }
        }
        Ok(None)
    }

    /// The rest of the word, or the next one.
    fn value(&mut self, letter: char, attached: &str) -> Result<String, Error> {
        if !attached.is_empty() {
            return Ok(attached.to_owned());
        }
        let (what, example) = match letter {
            'c' => ("a profile", "-c buildout.cfg"),
            't' => ("a number of seconds", "-t 30"),
            _ => ("a number of processes", "-j 4"),
        };
        let value = self.rest.next().cloned();
        value.ok_or_else(|| {
            let help = format!("write it behind the option: {example}");
            Error::usage(format!("`-{letter}` needs {what}"), help)
        })
    }

    fn valued(&mut self, letter: char, value: String) -> Result<(), Error> {
        let number = value.parse::<u32>().ok().filter(|number| *number > 0);
        let not_a_number = |what: &str| {
            Error::usage(
                format!("`-{letter}` needs {what}, not `{value}`"),
                "write a whole number above 0",
            )
        };
        match letter {
            't' => {
                number.ok_or_else(|| not_a_number("a number of seconds"))?;
                self.set("socket-timeout", &value);
            }
            'j' => {
                let jobs = number.ok_or_else(|| not_a_number("a number of processes"))?;
                self.found.jobs = Some(usize::try_from(jobs).unwrap_or(usize::MAX));
            }
            _ => self.found.profile = value,
        }
        Ok(())
    }

    fn command(&mut self, name: &str) -> Result<Command, Error> {
        let arguments: Vec<String> = self.rest.by_ref().cloned().collect();
        match (name, arguments.as_slice()) {
            ("install", _) => Ok(Command::Install(arguments)),
            ("annotate", _) => Ok(Command::Annotate(arguments)),
            ("query", [option]) => Ok(Command::Query(option.clone())),
            ("query", _) => Err(Error::usage(
                format!("`query` needs the name of one option, and got {}", arguments.len()),
                "write `query SECTION:OPTION`, such as `query buildout:parts`",
            )),
            ("bootstrap", []) => Ok(Command::Bootstrap),
            ("init", []) => Ok(Command::Init),
            ("bootstrap", [word, ..]) => Err(Error::usage(
                format!("`bootstrap` takes no arguments, and got `{word}`"),
                "options and assignments go before the command",
            )),
            ("init", [word, ..]) => Err(Error::usage(
                format!("`init` cannot write a profile for the Python packages `{word}` ..."),
                "run `init` alone, then write the section for an interpreter into buildout.cfg",
            )),
            ("setup" | "runsetup", _) => Err(Error::usage(
                format!("`{name}` runs a setup script with the Python of buildout: there is none"),
                "run `python3 -m pip` or `python3 setup.py` instead",
            )),
            _ => Err(unknown_command(name)),
        }
    }
}

fn unknown_option(option: &str) -> Error {
    let help = match option {
        "--skip-signature-check" => {
            "what a part was made of always counts; `install PARTS` works on these parts only"
        }
        _ => "`slapos buildout --help` lists the options",
    };
    Error::usage(format!("there is no option `{option}`"), help)
}

fn unknown_command(name: &str) -> Error {
    let help = match slapos_engine::closest(name, COMMANDS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "an assignment is written section:option=value; `slapos buildout --help` lists \
                 the commands"
            .to_owned(),
    };
    Error::usage(format!("there is no command `{name}`"), help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slapos_profile::Operator;

    fn words(text: &str) -> Result<Invocation, Error> {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    /// What is wrong, and what to do.
    fn refused(text: &str) -> String {
        let error = words(text).unwrap_err();
        format!("{error} | {}", error.help().unwrap_or("-"))
    }

    #[test]
    fn options_and_assignments_are_mixed_and_a_command_ends_them() {
        let found = words(
            "-Uvvo x=1 -c a.cfg s:o+=2 -Nt 5 s:p-=3 -j2 --keep-going --dry-run install -v b=1",
        );
        let found = found.unwrap();
        assert!(!found.user_defaults && found.dry_run && found.keep_going);
        assert_eq!((found.verbosity, found.jobs, &*found.profile), (20, Some(2), "a.cfg"));
        assert_eq!(found.command, Command::Install(vec!["-v".into(), "b=1".into()]));
        let shown = |a: &Assignment| {
            let Assignment { section, option, op, value, .. } = a;
            format!("{section}:{option}{}{value}", op.as_str())
        };
        let assignments: Vec<_> = found.assignments.iter().map(shown).collect();
        insta::assert_snapshot!(assignments.join(" "), @"buildout:offline=true buildout:x=1 s:o+=2 buildout:newest=false buildout:socket-timeout=5 s:p-=3 buildout:dry-run=true");
        assert_eq!(found.assignments[2].op, Operator::Add);
    }

    #[test]
    fn without_words_the_profile_here_is_installed() {
        let found = words("").unwrap();
        assert_eq!((&*found.profile, found.command), ("buildout.cfg", Command::Install(vec![])));
        assert_eq!(words("-qqv").unwrap().verbosity, -10);
        assert_eq!(words("-cx.cfg -vh nonsense").unwrap().command, Command::Help);
        assert_eq!(words("query a:b").unwrap().command, Command::Query("a:b".into()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused: Vec<String> = [
            "-x",
            "--nothing",
            "-c",
            "-t",
            "-t soon",
            "-j 0",
            "-D",
            "--skip-signature-check",
            "instal",
            "frobnicate",
            "query",
            "query a b",
            "bootstrap x",
            "init six",
            "setup x.py",
            "a:b:c=1",
            "=1",
        ]
        .iter()
        .map(|text| format!("{text}: {}", refused(text)))
        .collect();
        insta::assert_snapshot!(refused.join("\n"), @r"
        -x: there is no option `-x` | `slapos buildout --help` lists the options
        --nothing: there is no option `--nothing` | `slapos buildout --help` lists the options
        -c: `-c` needs a profile | write it behind the option: -c buildout.cfg
        -t: `-t` needs a number of seconds | write it behind the option: -t 30
        -t soon: `-t` needs a number of seconds, not `soon` | write a whole number above 0
        -j 0: `-j` needs a number of processes, not `0` | write a whole number above 0
        -D: `-D` starts the debugger of Python, and no Python runs here | run without it: errors show their place, and each part has a log in .slapos/log
        --skip-signature-check: there is no option `--skip-signature-check` | what a part was made of always counts; `install PARTS` works on these parts only
        instal: there is no command `instal` | did you mean `install`?
        frobnicate: there is no command `frobnicate` | an assignment is written section:option=value; `slapos buildout --help` lists the commands
        query: `query` needs the name of one option, and got 0 | write `query SECTION:OPTION`, such as `query buildout:parts`
        query a b: `query` needs the name of one option, and got 2 | write `query SECTION:OPTION`, such as `query buildout:parts`
        bootstrap x: `bootstrap` takes no arguments, and got `x` | options and assignments go before the command
        init six: `init` cannot write a profile for the Python packages `six` ... | run `init` alone, then write the section for an interpreter into buildout.cfg
        setup x.py: `setup` runs a setup script with the Python of buildout: there is none | run `python3 -m pip` or `python3 setup.py` instead
        a:b:c=1: `a:b:c=1` is not an assignment | -
        =1: `=1` is not an assignment | -
        ");
    }
}
