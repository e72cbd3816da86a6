//! Who runs a program that refuses root: root's tests lend it an ordinary user.

use std::path::Path;
use std::process::Command;

use crate::Run;

/// An ordinary user that every machine has.
const NOBODY: &str = "nobody";
/// With it a program is found, and read, below directories that are closed to its user, such as
/// root's home. It may write nothing more for that.
const READS_ALL: [&str; 2] = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];

/// Whom a program runs as; see [`Person::ordinary`].
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// `setpriv` and its options; empty: the user of this process.
    prefix: Vec<String>,
}

impl Person {
    /// This process's user or, if that is root, `nobody`; either can execute `program`.
    ///
    /// # Errors
    /// Why there is no such user.
    pub fn ordinary(program: &Path) -> Result<Self, String> {
        Self::able_to_run(program, "--version")
    }

    fn able_to_run(program: &Path, word: &str) -> Result<Self, String> {
        if !crate::is_root() {
            return Ok(Self::default());
        }
        let (uid, gid) = (number(&["-u", NOBODY])?, number(&["-g", NOBODY])?);
        let drop = ["setpriv".into(), format!("--reuid={uid}"), format!("--regid={gid}")];
        let mut plain: Vec<String> = drop.into();
        plain.push("--clear-groups".to_owned());
        let mut reading = plain.clone();
        reading.extend(READS_ALL.map(str::to_owned));
        let candidates = [plain, reading].map(|prefix| Self { prefix });
        let able = candidates.into_iter().find(|person| {
            let output = person.command(program).arg(word).output();
            output.is_ok_and(|output| output.status.success())
        });
        able.ok_or_else(|| format!("{NOBODY} cannot execute {}", program.display()))
    }

    /// Runs one test of this program again, which refuses to be root's.
    ///
    /// # Errors
    /// As [`Person::ordinary`].
    ///
    /// # Panics
    /// When it fails, or there is none of that name.
    pub fn runs_again(test: &str) -> Result<(), String> {
        let program = std::env::current_exe().expect("this program has a file");
        let person = Self::able_to_run(&program, "--list")?;
        let run = Run::well(person.command(&program).args([test, "--exact", "--nocapture"]));
        assert!(run.out.contains(" 1 passed"), "{test}: {}", run.out);
        Ok(())
    }

    /// `program`, run by this person.
    pub fn command(&self, program: &Path) -> Command {
        match self.prefix.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        }
    }

    /// The person's name.
    ///
    /// # Panics
    /// When this process's user has none.
    pub fn name(&self) -> String {
        match self.prefix.is_empty() {
            true => text(&["-un"]).expect("the user of this process has a name"),
            false => NOBODY.to_owned(),
        }
    }

    /// Gives a directory and everything in it to this person.
    ///
    /// # Panics
    /// When that is not possible.
    pub fn give(&self, directory: &Path) {
        if !self.prefix.is_empty() {
            let mut chown = Command::new("chown");
            let done = chown.args(["-hR", &format!("{NOBODY}:")]).arg(directory).status();
            assert!(done.is_ok_and(|status| status.success()), "root can give away its own");
        }
    }
}

fn number(words: &[&str]) -> Result<u32, String> {
    text(words)?.parse().map_err(|_| format!("id {words:?} gives no number"))
}

fn text(words: &[&str]) -> Result<String, String> {
    let output = Command::new("id").args(words).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("there is no user {}", words.join(" "))),
    }
}
