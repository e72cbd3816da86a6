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
    let mut count = Count { seen: BTreeSet::new(), bytes: 0, end: Instant::now() + LIMIT };
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
}

impl Count {
    fn tree(&mut self, root: &Path) {
        let mut waiting = vec![root.to_owned()];
        while let Some(path) = waiting.pop() {
            if Instant::now() > self.end {
                return;
            }
            let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
            if meta.nlink() > 1 && !meta.is_dir() && !self.seen.insert((meta.dev(), meta.ino())) {
                continue;
            }
            self.bytes = self.bytes.saturating_add(meta.blocks().saturating_mul(512));
            if meta.is_dir() {
                let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
                waiting.extend(entries.map(|entry| entry.path()));
            }
        }
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
}
