//! Packs a Software Release for others, as the builder.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use slapos_sys::process;

use crate::prune;
use crate::software::COMPLETED;
use crate::worker::{Done, Failure, PackJob};

/// What says nothing to others: that it is whole here, and what was said while it was built.
const LEFT_OUT: [&str; 2] = [COMPLETED, ".slapos/log"];

/// Writes the archive, unless the Software Release needs something that is not in it.
pub(super) fn pack(job: &PackJob) -> Result<Done, Failure> {
    if let Some(needs) = prune::shared_by(&job.directory, &job.shared_part_list)? {
        return Ok(Done::Packed { needs: Some(needs) });
    }
    let words = |error: io::Error| Failure::io("pack", &job.directory, &error);
    let output = process::inherited_fd(job.fd).map_err(words)?;
    let name = job.directory.file_name().unwrap_or_default();
    write(&job.directory, Path::new(name), File::from(output)).map_err(words)?;
    Ok(Done::Packed { needs: None })
}

/// Everything below `directory`, as below `name`. Links stay links; sockets and pipes are left out.
fn write(directory: &Path, name: &Path, output: impl Write) -> io::Result<()> {
    let packed = GzEncoder::new(BufWriter::new(output), Compression::fast());
    let mut archive = tar::Builder::new(packed);
    archive.follow_symlinks(false);
    let mut rest = vec![PathBuf::new()];
    while let Some(below) = rest.pop() {
        let (path, inside) = (directory.join(&below), name.join(&below));
        let kind = path.symlink_metadata()?.file_type();
        if kind.is_dir() {
            archive.append_dir(&inside, &path)?;
            for entry in std::fs::read_dir(&path)? {
                rest.push(below.join(entry?.file_name()));
            }
            rest.retain(|path| LEFT_OUT.iter().all(|left_out| path != Path::new(left_out)));
        } else if kind.is_file() || kind.is_symlink() {
            archive.append_path_with_name(&path, &inside)?;
        }
    }
    archive.into_inner()?.finish()?.flush()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;

    #[test]
    fn all_is_packed_but_what_is_said_of_this_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(path(".slapos/log")).unwrap();
        std::fs::create_dir(path("bin")).unwrap();
        for name in [".completed", ".slapos/log/a.log", ".slapos/ledger", "bin/tool"] {
            std::fs::write(path(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/nowhere", path("bin/link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        let mut bytes = Vec::new();
        write(dir.path(), Path::new("abc"), &mut bytes).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
        let entries =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned());
        let mut names: Vec<_> = entries.map(|path| path.display().to_string()).collect();
        names.sort();
        let wanted = [
            "abc/",
            "abc/.slapos",
            "abc/.slapos/ledger",
            "abc/bin",
            "abc/bin/link",
            "abc/bin/tool",
        ];
        assert_eq!(
            names.iter().map(|name| name.trim_end_matches('/')).collect::<Vec<_>>(),
            wanted.map(|name| name.trim_end_matches('/'))
        );
    }
}
