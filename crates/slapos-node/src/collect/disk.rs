//! How much a partition has on disk, as `du` counts: blocks, each file once, links not followed,
//! except those of `DATA` to directories elsewhere.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is not more counts as an empty partition, KiB.
pub(super) const EMPTY: u64 = 1024;
/// How long counting may take; what was counted by then is told.
const LIMIT: Duration = Duration::from_secs(600);

/// KiB in use below `partition`. To be called with the partition's rights: its trees may change, and
/// lead elsewhere, while they are walked.
pub(super) fn usage(partition: &Path) -> u64 {
    let mut count = Count::new(MOST);
    count.tree(partition);
    for entry in std::fs::read_dir(partition.join("DATA")).into_iter().flatten().flatten() {
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if let Some(place) = is_link.then(|| std::fs::canonicalize(entry.path()).ok()).flatten()
            && place.is_dir()
            && !place.starts_with(partition)
        {
            count.tree(&place);
        }
    }
    count.bytes.div_ceil(1024)
}

struct Count {
    /// Files of several names, by device and number.
    seen: BTreeSet<(u64, u64)>,
    bytes: u64,
    end: Instant,
    most: Most,
}

/// How much is kept in mind of a tree, which others make as they like.
#[derive(Clone, Copy)]
struct Most {
    /// Files of several names. Of more, each name counts for its share.
    links: usize,
    /// Bytes of the paths of directories that are still to be entered. More are not entered.
    paths: usize,
}

const MOST: Most = Most { links: 1 << 18, paths: 16 << 20 };

impl Count {
    fn new(most: Most) -> Self {
        Self { seen: BTreeSet::new(), bytes: 0, end: Instant::now() + LIMIT, most }
    }

    fn tree(&mut self, root: &Path) {
        self.entry(root);
        let mut waiting = vec![root.to_owned()];
        let mut room = self.most.paths;
        while let Some(directory) = waiting.pop() {
            room += directory.as_os_str().len();
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                if Instant::now() > self.end {
                    return;
                }
                let path = entry.path();
                let length = path.as_os_str().len();
                if self.entry(&path) && length <= room {
                    room -= length;
                    waiting.push(path);
                }
            }
        }
    }

    /// Counts what is at `path`, without what is below it; whether that is a directory.
    fn entry(&mut self, path: &Path) -> bool {
        let Ok(meta) = std::fs::symlink_metadata(path) else { return false };
        let bytes = meta.blocks().saturating_mul(512);
        let names = if meta.is_dir() { 1 } else { meta.nlink().max(1) };
        let known = (meta.dev(), meta.ino());
        let counts = match names {
            1 => bytes,
            _ if self.seen.contains(&known) => 0,
            _ if self.seen.len() >= self.most.links => bytes / names,
            _ => {
                self.seen.insert(known);
                bytes
            }
        };
        self.bytes = self.bytes.saturating_add(counts);
        meta.is_dir()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;

    #[test]
    fn it_counts_as_du_does() {
        let dir = tempfile::tempdir().unwrap();
        let (partition, data) = (dir.path().join("p"), dir.path().join("data"));
        for path in [&partition.join("deep/er"), &partition.join("DATA"), &data] {
            std::fs::create_dir_all(path).unwrap();
        }
        std::fs::write(partition.join("deep/er/file"), vec![1; 300_000]).unwrap();
        std::fs::hard_link(partition.join("deep/er/file"), partition.join("again")).unwrap();
        std::os::unix::fs::symlink("/", partition.join("root")).unwrap();
        std::os::unix::fs::symlink(&partition, partition.join("DATA/loop")).unwrap();
        let output = slapos_sys::process::Command::new("du")
            .arg("-sk")
            .arg(&partition)
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let theirs: u64 = text.split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(usage(&partition), theirs);
        std::fs::write(data.join("more"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink(&data, partition.join("DATA/extra")).unwrap();
        assert!(usage(&partition) >= theirs + 98);
    }

    #[test]
    fn what_is_kept_in_mind_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let count = |most| {
            let mut count = Count::new(most);
            count.tree(dir.path());
            (count.bytes, count.seen.len())
        };
        for name in ["a", "b", "c"] {
            std::fs::write(dir.path().join(name), vec![1; 1 << 20]).unwrap();
            std::fs::hard_link(dir.path().join(name), dir.path().join(format!("{name}2"))).unwrap();
        }
        let (all, seen) = count(MOST);
        assert_eq!(seen, 3);
        assert_eq!(count(Most { links: 1, ..MOST }), (all, 1), "each name counts for its share");
        std::fs::create_dir(dir.path().join("deep")).unwrap();
        std::fs::write(dir.path().join("deep/file"), vec![1; 1 << 20]).unwrap();
        assert!(count(Most { paths: 0, ..MOST }).0 < count(MOST).0);
    }
}
