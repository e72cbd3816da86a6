//! The words as the parser of arguments gets them: what stands behind `buildout` is not for it.

use std::ffi::OsString;
use std::path::Path;

/// The command that reads its words itself.
const BUILDOUT: &str = "buildout";
/// Options of all commands that have a value.
const WITH_VALUE: [&str; 5] = ["--cfg", "--root", "--log-file", "--logfile", "--log_file"];

/// The words of this process. A program called `buildout` (a link to this one) is that command.
pub(crate) fn words(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = given.into_iter().collect();
    let called = words.first().map(Path::new).and_then(Path::file_name);
    if called.is_some_and(|name| name == BUILDOUT) {
        words.insert(1, BUILDOUT.into());
    }
    if let Some(at) = command(&words).filter(|at| words[*at] == BUILDOUT) {
        words.insert(at + 1, "--".into());
    }
    words
}

/// Where the first word is that is neither an option nor the value of one.
fn command(words: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        let word = words.get(at)?.to_string_lossy();
        at += match &*word {
            option if WITH_VALUE.contains(&option) => 2,
            option if option.starts_with('-') => 1,
            _ => return Some(at),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_buildout_is_passed_on() {
        let read = |text: &str| {
            let words = words(text.split(' ').map(OsString::from));
            words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(read("slapos buildout -v -c x"), "slapos buildout -- -v -c x");
        assert_eq!(read("/b/bin/buildout -v"), "/b/bin/buildout buildout -- -v");
        assert_eq!(read("/b/bin/buildout"), "/b/bin/buildout buildout --");
        assert_eq!(
            read("slapos --json --cfg buildout buildout -h"),
            "slapos --json --cfg buildout buildout -- -h"
        );
        assert_eq!(read("slapos destroy buildout"), "slapos destroy buildout");
        assert_eq!(read("slapos"), "slapos");
    }
}
