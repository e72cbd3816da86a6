//! What runs in a partition, as the kernel has it.

use std::path::Path;

use slapos_testkit::wait_for;

/// The environments of the processes that were started in `directory`.
fn environments(directory: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let here = processes.filter(|process| {
        let place = std::fs::read_link(process.path().join("cwd"));
        place.is_ok_and(|place| place.starts_with(directory))
    });
    here.filter_map(|process| {
        let bytes = std::fs::read(process.path().join("environ")).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    })
    .collect()
}

/// Waits until exactly one process is there, which was started with that word.
pub(crate) fn one_with(word: &str, directory: &Path, what: &str) {
    let wanted = format!("WORD={word}");
    wait_for(&format!("one process with {wanted} and no other: {what}"), 60, || {
        let found = environments(directory);
        let [only] = found.as_slice() else { return None };
        only.split('\0').any(|variable| variable == wanted).then_some(())
    });
}
