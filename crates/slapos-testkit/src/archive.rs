//! Source archives, good and hostile, made by hand so that they can be as wrong as a test wants.

use std::io::Write;
use std::process::{Command, Stdio};

/// A member of an archive.
#[derive(Clone, Debug)]
pub struct Entry {
    name: String,
    mode: u32,
    kind: u8,
    link: String,
    content: Vec<u8>,
}

impl Entry {
    /// A file.
    pub fn file(name: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), mode, kind: b'0', link: String::new(), content: content.into() }
    }

    /// A symbolic link.
    pub fn link(name: &str, target: &str) -> Self {
        Self { kind: b'2', link: target.into(), ..Self::file(name, 0o777, "") }
    }

    fn write(&self, tar: &mut Vec<u8>) {
        let mut header = [0_u8; 512];
        put(&mut header, 0, &self.name);
        put(&mut header, 100, &format!("{:07o}", self.mode));
        put(&mut header, 108, "0000000");
        put(&mut header, 116, "0000000");
        put(&mut header, 124, &format!("{:011o}", self.content.len()));
        put(&mut header, 136, "14000000000");
        put(&mut header, 148, "        ");
        header[156] = self.kind;
        put(&mut header, 157, &self.link);
        put(&mut header, 257, "ustar\u{0}00");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        put(&mut header, 148, &format!("{sum:06o}\u{0} "));
        tar.extend_from_slice(&header);
        tar.extend_from_slice(&self.content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
}

/// A gzip-compressed tar archive with these members, names unchecked.
///
/// # Panics
/// When `gzip` cannot be run.
pub fn tar_gz(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    entries.iter().for_each(|entry| entry.write(&mut tar));
    tar.resize(tar.len() + 1024, 0);
    let mut gzip = Command::new("gzip")
        .args(["-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip is installed");
    let mut input = gzip.stdin.take().expect("stdin is piped");
    let writer = std::thread::spawn(move || input.write_all(&tar));
    let output = gzip.wait_with_output().expect("gzip runs");
    writer.join().expect("the writer does not panic").expect("gzip reads");
    output.stdout
}

fn put(header: &mut [u8; 512], at: usize, text: &str) {
    header[at..at + text.len()].copy_from_slice(text.as_bytes());
}
