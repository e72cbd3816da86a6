//! Scripts whose `#!` line is longer than a kernel reads: they are put behind a launcher.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use slapos_engine::PartError;
use slapos_sys::fs;

use crate::common::shell_quote;

/// Bytes of a script in which a kernel looks for the end of its first line.
const KERNEL_LIMIT: usize = 128;
/// Longest first line that is repaired.
const MAX_LINE: usize = 4096;

/// Puts launchers in front of the scripts in `bin` and `sbin` of `location` that need one: the
/// script becomes `<name>.shebang`.
pub(super) fn shorten(location: &Path) -> Result<(), PartError> {
    for directory in ["bin", "sbin"] {
        let directory = location.join(directory);
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let entry = entry.map_err(|error| PartError::io("read", &directory, &error))?;
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                let path = entry.path();
                repair(&path).map_err(|error| PartError::io("shorten", &path, &error))?;
            }
        }
    }
    Ok(())
}

fn repair(path: &Path) -> std::io::Result<()> {
    let mut start = Vec::new();
    let file = slapos_sys::fs::open_ordinary(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    file.take(MAX_LINE as u64).read_to_end(&mut start)?;
    if !start.starts_with(b"#!") || start.iter().take(KERNEL_LIMIT).any(|byte| *byte == b'\n') {
        return Ok(());
    }
    let Some(end) = start.iter().position(|byte| *byte == b'\n') else {
        return Ok(());
    };
    let line = String::from_utf8_lossy(&start[2..end]).trim().to_owned();
    let mut moved = PathBuf::from(path).into_os_string();
    moved.push(".shebang");
    let moved = PathBuf::from(moved);
    fs::rename(path, &moved)?;
    let script = shell_quote(&moved.to_string_lossy());
    let launcher = format!("#!/bin/sh -e\nexec {line} {script} \"$@\"\n");
    fs::write_replace(path, launcher.as_bytes(), mode)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    #[test]
    fn only_long_first_lines_get_a_launcher() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let interpreter = format!("/bin{}/sh", "/.".repeat(100));
        std::fs::write(bin.join("long"), format!("#!{interpreter}\necho $1\n")).unwrap();
        std::fs::write(bin.join("short"), "#!/bin/sh\n").unwrap();
        shorten(dir.path()).unwrap();
        let launcher = std::fs::read_to_string(bin.join("long")).unwrap();
        assert!(launcher.starts_with(&format!("#!/bin/sh -e\nexec {interpreter} ")), "{launcher}");
        assert!(bin.join("long.shebang").exists() && !bin.join("short.shebang").exists());
    }
}
