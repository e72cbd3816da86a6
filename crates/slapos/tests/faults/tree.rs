//! A directory tree as text, to be compared.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Relative path → what is there.
#[derive(Debug)]
pub(crate) struct Tree(BTreeMap<String, String>);

impl Tree {
    pub(crate) fn of(root: &Path) -> Self {
        Self::below(root, &[""])
    }

    /// What is in these places below `root`.
    pub(crate) fn below(root: &Path, places: &[&str]) -> Self {
        let mut all = BTreeMap::new();
        let mut note = |path: &Path| {
            let meta = path.symlink_metadata().unwrap();
            let mode = meta.permissions().mode() & 0o7777;
            let what = if meta.is_symlink() {
                format!("link to {}", std::fs::read_link(path).unwrap().display())
            } else if meta.is_dir() {
                format!("directory {mode:o}")
            } else {
                let bytes = std::fs::read(path).unwrap();
                format!("file {mode:o}\n{}", String::from_utf8_lossy(&bytes))
            };
            all.insert(path.strip_prefix(root).unwrap().display().to_string(), what);
        };
        places.iter().for_each(|place| walk(&root.join(place), &mut note));
        Self(all)
    }

    /// With `from` replaced by `to` in names and contents.
    pub(crate) fn with(self, from: &str, to: &str) -> Self {
        let replaced = |text: String| text.replace(from, to);
        Self(self.0.into_iter().map(|(name, what)| (replaced(name), replaced(what))).collect())
    }

    /// Without what tells when something was done, and how often.
    pub(crate) fn without_history(mut self) -> Self {
        let history = |name: &str| {
            let name = name.strip_prefix("slappart0/").unwrap_or(name);
            name.starts_with(".slapos/log")
                || name.starts_with("var/slapgrid/journal")
                || name.starts_with("var/slapgrid/generations")
                || name.starts_with(".slapos/generations")
                || name.starts_with(".slapgrid")
                || name.ends_with(".log")
                || name == ".completed"
                || name == ".slapos/lock"
                || name.ends_with(".lock")
        };
        self.0.retain(|name, _| !history(name));
        let plain = |what: &str| without_numbers(&without_times(&without_log_trouble(what)));
        Self(self.0.into_iter().map(|(name, what)| (name, plain(&what))).collect())
    }

    /// How this differs from `expected`, in lines; empty if it does not.
    pub(crate) fn differences(&self, expected: &Self) -> String {
        let mut lines = Vec::new();
        for (name, what) in &self.0 {
            match expected.0.get(name) {
                None => lines.push(format!("left over: {name}: {what}")),
                Some(other) if other != what => {
                    lines.push(format!("differs: {name}: {}", first_difference(what, other)));
                }
                Some(_) => {}
            }
        }
        let missing = expected.0.keys().filter(|name| !self.0.contains_key(*name));
        lines.extend(missing.map(|name| format!("missing: {name}")));
        lines.join("\n")
    }

    /// Files below `root` that only a writer that was killed leaves.
    pub(crate) fn temporaries(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        walk(root, &mut |path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(".slapos-") && name.ends_with(".tmp")
                || name.starts_with(".making-")
            {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        });
        found
    }
}

fn first_difference(one: &str, other: &str) -> String {
    let mut lines = one.lines().zip(other.lines()).filter(|(a, b)| a != b);
    lines.next().map_or("its length".to_owned(), |(a, b)| format!("{a}\n  instead of: {b}"))
}

/// A promise that was asked says that its log could not be kept until it is asked again.
fn without_log_trouble(text: &str) -> String {
    const BEGIN: &str = "\\n(its log cannot be kept: ";
    let mut pieces = text.split(BEGIN);
    let first = pieces.next().unwrap_or_default().to_owned();
    let rest = pieces.map(|piece| piece.split_once("))").map_or(piece, |(_, after)| after));
    rest.fold(first, |text, piece| text + piece)
}

/// Records say when something was.
fn without_times(text: &str) -> String {
    let words = text.split_inclusive(['"', ' ', '\n']);
    let plain = words.map(|word| {
        let (time, end) = word.split_at(word.trim_end_matches(['"', ' ', '\n']).len());
        let is_time = time.parse::<slapos_sys::clock::Timestamp>().is_ok();
        format!("{}{end}", if is_time { "TIME" } else { time })
    });
    plain.collect()
}

/// Hashes and times are other ones each time: runs of digits, hexadecimal ones included, that are
/// too long for anything else.
fn without_numbers(text: &str) -> String {
    let mut kept = String::new();
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c) || c == '.';
    for word in text.split_inclusive(|c| !digit(c)) {
        let (run, end) = match word.chars().last() {
            Some(last) if !digit(last) => word.split_at(word.len() - last.len_utf8()),
            _ => (word, ""),
        };
        kept.push_str(if run.len() >= 16 || is_measured(run) { "NUMBER" } else { run });
        kept.push_str(end);
    }
    kept
}

/// As how long something took, in seconds.
fn is_measured(run: &str) -> bool {
    run.split_once('.').is_some_and(|(_, digits)| digits.len() >= 4 && !digits.contains('.'))
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        visit(&path);
        if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            walk(&path, visit);
        }
    }
}
