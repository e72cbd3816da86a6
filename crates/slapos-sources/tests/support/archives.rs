//! Archives made in the test, however hostile, and a place to unpack them in.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use slapos_sources::Silent;
use slapos_sources::archive::{ArchiveError, Extracted, Limits, Strip, extract};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// An archive in the making; names are written as they are, however hostile.
pub(crate) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(crate) fn entry(
        mut self,
        kind: EntryType,
        name: &str,
        link: &str,
        mode: u32,
        body: &[u8],
    ) -> Self {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_000_000_000);
        header.set_size(body.len() as u64);
        header.set_cksum();
        self.0.append(&header, body).unwrap();
        self
    }

    pub(crate) fn file(self, name: &str, body: &str) -> Self {
        self.entry(EntryType::Regular, name, "", 0o644, body.as_bytes())
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", 0o555, b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, 0o777, b"")
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, 0o644, b"")
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// A place to unpack in, with something beside it that must stay as it is.
pub(crate) struct Place {
    /// Holds `archive`, `outside`, and `work` with the target.
    pub(crate) dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        fs::write(dir.path().join("outside"), "untouched").unwrap();
        Self { dir }
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.dir.path().join("work/target")
    }

    pub(crate) fn extract(
        &self,
        bytes: &[u8],
        limits: &Limits,
        strip: Strip,
    ) -> Result<Extracted, ArchiveError> {
        let archive = self.dir.path().join("archive");
        fs::write(&archive, bytes).unwrap();
        extract(&archive, &self.target(), limits, strip, &Silent)
    }

    pub(crate) fn unpack(&self, bytes: &[u8]) -> Result<Extracted, ArchiveError> {
        self.extract(bytes, &Limits::default(), Strip::Never)
    }

    /// The message of a refusal, after which nothing may be left.
    pub(crate) fn refusal(&self, bytes: &[u8]) -> String {
        let error = self.unpack(bytes).unwrap_err();
        self.assert_clean();
        self.message(&error)
    }

    pub(crate) fn message(&self, error: &ArchiveError) -> String {
        error.to_string().replace(self.dir.path().to_str().unwrap(), "")
    }

    pub(crate) fn assert_clean(&self) {
        let left = fs::read_dir(self.dir.path().join("work")).unwrap().count();
        assert_eq!(left, 0, "something was left behind");
        let outside = fs::read_to_string(self.dir.path().join("outside")).unwrap();
        assert_eq!(outside, "untouched");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.target().join(name)).unwrap()
    }
}

pub(crate) fn good() -> Vec<u8> {
    Tar::new()
        .directory("pkg-1.0/")
        .entry(EntryType::Regular, "pkg-1.0/configure", "", 0o4777, b"#!/bin/sh")
        .file("pkg-1.0/src/a.c", "int a;")
        .symlink("pkg-1.0/link", "src/a.c")
        .hard_link("pkg-1.0/hard", "pkg-1.0/src/a.c")
        .bytes()
}

pub(crate) fn compress(kind: &str, bytes: &[u8]) -> Vec<u8> {
    match kind {
        "gz" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        "bz2" => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        "xz" => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        "lz" => lzip(bytes),
        _ => zstd::encode_all(bytes, 1).unwrap(),
    }
}

/// One member of an lzip file: a header, the LZMA stream with its end marked, and a trailer.
fn lzip(bytes: &[u8]) -> Vec<u8> {
    let mut options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    options.dict_size(1 << 20);
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(bytes).unwrap();
    let lzma = encoder.finish().unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let mut out = b"LZIP\x01\x14".to_vec();
    // What comes before the stream there is in the header here.
    out.extend(&lzma[13..]);
    out.extend(crc.sum().to_le_bytes());
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend((out.len() as u64 + 8).to_le_bytes());
    out
}

pub(crate) fn zip_of(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, body) in entries {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::from_date_and_time(2001, 9, 9, 1, 46, 40).unwrap())
            .unix_permissions(mode & 0o777);
        if mode & 0o170_000 == 0o120_000 {
            let target = std::str::from_utf8(body).unwrap();
            zip.add_symlink(*name, target, options).unwrap();
        } else {
            zip.start_file(*name, options).unwrap();
            zip.write_all(body).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}
