//! `slapos buildout`, as those use it who run it by hand: what it says, makes and removes, what it
//! refuses, and whether the original does the same.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

mod errors;
mod original;
mod runs;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use slapos_testkit::{Entry, tar_gz};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_slapos");

/// A directory to build in, with a home beside it.
struct Yard(TempDir);

impl Yard {
    fn new() -> Self {
        let yard = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(yard.path("")).unwrap();
        std::fs::create_dir(yard.root().join("home")).unwrap();
        yard
    }

    /// With this text as `buildout.cfg`.
    fn with(profile: &str) -> Self {
        let yard = Self::new();
        yard.write("buildout.cfg", profile);
        yard
    }

    fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    /// A path in the directory that is built in.
    fn path(&self, name: &str) -> PathBuf {
        self.root().join("b").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("HOME", self.root().join("home")).env("PATH", "/usr/bin:/bin");
        command.current_dir(self.path(""));
        command
    }

    /// Runs `slapos buildout`, one job at a time.
    fn run(&self, words: &[&str]) -> Output {
        self.command(BINARY).args(["buildout", "-j1"]).args(words).output().unwrap()
    }

    /// What it says: standard output, standard error, and the exit code if it is not 0.
    fn said(&self, words: &[&str]) -> String {
        self.shown(&self.run(words))
    }

    fn shown(&self, output: &Output) -> String {
        let text = String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap();
        let text = text.replace(&*self.root().to_string_lossy(), "");
        match output.status.code() {
            Some(0) => text,
            code => format!("{text}exit {}", code.unwrap_or(-1)),
        }
    }
}

/// An archive whose `configure` writes a Makefile that installs `word` as `bin/out`.
fn archive(word: &str) -> Vec<u8> {
    let configure = format!(
        "#!/bin/sh\nfor a in \"$@\"; do case $a in --prefix=*) prefix=${{a#--prefix=}};; esac; done\n\
         printf 'all:\\n\\techo {word} > out\\ninstall:\\n\\tmkdir -p %s/bin\\n\\tcp out %s/bin/out\\n' \
         $prefix $prefix > Makefile\n"
    );
    tar_gz(&[Entry::file("tool-1/configure", 0o755, configure)])
}
