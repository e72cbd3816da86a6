//! Which wheels a Python takes, and which of them it prefers (PEP 425, 600).

use std::collections::HashMap;

use crate::interpreter::Answer;

/// Names that older wheels use for a version of the C library.
const OLD_NAMES: [(u64, &str); 3] =
    [(17, "manylinux2014"), (12, "manylinux2010"), (5, "manylinux1")];

/// Tags that are taken, each with its rank; the lowest is preferred.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tags(HashMap<String, usize>);

impl Tags {
    pub(crate) fn of(answer: &Answer) -> Self {
        let mut tags = Tags::default();
        let platforms = platforms(answer);
        let Answer { major, minor, short, abi, .. } = answer;
        let own = format!("{short}{major}{minor}");
        let mut add = |python: &str, abi: &str, platforms: &[String]| {
            for platform in platforms {
                let rank = tags.0.len();
                tags.0.entry(format!("{python}-{abi}-{platform}")).or_insert(rank);
            }
        };
        let stable = short == "cp" && *major == 3 && abi.ends_with(|c: char| c.is_ascii_digit());
        add(&own, abi, &platforms);
        if stable {
            add(&own, "abi3", &platforms);
        }
        add(&own, "none", &platforms);
        for older in (2..*minor).rev().filter(|_| stable) {
            add(&format!("cp3{older}"), "abi3", &platforms);
        }
        let any = ["any".to_owned()];
        let generic = generic(*major, *minor);
        for python in &generic {
            add(python, "none", &platforms);
        }
        add(&own, "none", &any);
        for python in &generic {
            add(python, "none", &any);
        }
        tags
    }

    /// The rank of a wheel whose name ends in these tags (`py2.py3`, `none`, `any`); `None` when
    /// it does not fit.
    pub(crate) fn rank(&self, python: &str, abi: &str, platform: &str) -> Option<usize> {
        let mut best: Option<usize> = None;
        for python in python.split('.') {
            for abi in abi.split('.') {
                for platform in platform.split('.') {
                    let found = self.0.get(&format!("{python}-{abi}-{platform}")).copied();
                    best = [best, found].into_iter().flatten().min();
                }
            }
        }
        best
    }

    #[cfg(test)]
    pub(crate) fn sorted(&self) -> Vec<&str> {
        let mut tags: Vec<(&String, &usize)> = self.0.iter().collect();
        tags.sort_by_key(|(_, rank)| **rank);
        tags.into_iter().map(|(tag, _)| tag.as_str()).collect()
    }
}

/// `py311`, `py3`, `py310`, ... `py30`.
fn generic(major: u64, minor: u64) -> Vec<String> {
    let mut names = vec![format!("py{major}{minor}"), format!("py{major}")];
    names.extend((0..minor).rev().map(|older| format!("py{major}{older}")));
    names
}

/// From the newest C library downwards; at last those for exactly this machine.
fn platforms(answer: &Answer) -> Vec<String> {
    let own = answer.platform.clone();
    let Some(machine) = own.strip_prefix("linux_") else {
        return vec![own];
    };
    let oldest = if matches!(machine, "x86_64" | "i686") { 5 } else { 17 };
    let mut platforms = Vec::new();
    if let Some((2, newest)) = answer.libc {
        for minor in (oldest..=newest).rev() {
            platforms.push(format!("manylinux_2_{minor}_{machine}"));
            let old = OLD_NAMES.iter().filter(|(version, _)| *version == minor);
            platforms.extend(old.map(|(_, name)| format!("{name}_{machine}")));
        }
    }
    platforms.push(own);
    platforms
}

#[cfg(test)]
mod tests {
    use crate::Interpreter;
    use slapos_testkit::skipped;
    use std::path::Path;

    /// The Python's own pip says which wheels it takes, in the same order.
    #[test]
    fn tags_are_those_of_pip() {
        let python = Interpreter::examine(Path::new("python3")).unwrap();
        let mut command = slapos_sys::process::Command::new(&python.executable);
        let script = "from pip._vendor.packaging.tags import sys_tags\n\
                      print('\\n'.join(map(str, sys_tags())))";
        let output = command.args(["-c", script]).output().unwrap();
        if !output.status.success() {
            return skipped("tags_are_those_of_pip", "python3 has no pip");
        }
        let theirs = String::from_utf8(output.stdout).unwrap();
        // Only newer ones list `cp311-none-any`.
        let common = |tag: &&str| !(tag.starts_with("cp") && tag.ends_with("-none-any"));
        let theirs: Vec<&str> = theirs.lines().filter(common).collect();
        let ours: Vec<&str> = python.tags.sorted().into_iter().filter(common).collect();
        let differ = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
        assert_eq!(differ, None);
        assert_eq!(ours.len(), theirs.len());
    }
}
