//! What kind of archive a file is, told by its first bytes and never by its name.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use liblzma::stream::Stream;

use super::{ArchiveError, Stop, failed};

/// Most memory that unpacking xz or lzip may take: the largest preset of xz needs 65 MiB.
const XZ_MEMORY: u64 = 512 << 20;

/// The kinds of archive that can be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Tar,
    TarGz,
    TarBz2,
    TarXz,
    TarLzip,
    TarZst,
    Zip,
}

impl Format {
    /// Looks at the beginning of `file` and rewinds it.
    pub(super) fn of(mut file: &File, path: &Path) -> Result<Self, ArchiveError> {
        let mut head = Vec::with_capacity(512);
        file.take(512)
            .read_to_end(&mut head)
            .and_then(|_| file.rewind())
            .map_err(failed("read", path))?;
        Self::of_bytes(&head)
            .map_err(|reason| ArchiveError::Format { archive: path.to_owned(), reason })
    }

    fn of_bytes(head: &[u8]) -> Result<Self, String> {
        const KNOWN: [(&[u8], Format); 7] = [
            (b"\x1f\x8b", Format::TarGz),
            (b"BZh", Format::TarBz2),
            (b"\xfd7zXZ\0", Format::TarXz),
            (b"LZIP", Format::TarLzip),
            (b"\x28\xb5\x2f\xfd", Format::TarZst),
            (b"PK\x03\x04", Format::Zip),
            (b"PK\x05\x06", Format::Zip),
        ];
        const OTHERS: [(&[u8], &str); 5] = [
            (b"7z\xbc\xaf", "it is a 7z archive"),
            (b"Rar!", "it is a rar archive"),
            (b"\x1f\x9d", "it is compressed with compress (.Z)"),
            (b"!<arch>", "it is an ar archive (a .deb or .a file)"),
            (b"\xed\xab\xee\xdb", "it is an rpm package"),
        ];
        if let Some((_, format)) = KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Ok(*format);
        }
        if is_tar_header(head) {
            return Ok(Self::Tar);
        }
        if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(format!("{what}, which is not supported; {SUPPORTED}"));
        }
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        if head.is_empty() {
            Err("it is empty".into())
        } else if text.contains("<html") || text.trim_start().starts_with("<!doctype") {
            Err("it is a web page: the server answered with a page in place of the file".into())
        } else {
            Err(format!("it is no archive of a known kind; {SUPPORTED}"))
        }
    }

    /// The stream of the tar archive in `file`.
    pub(super) fn decoder(self, file: File) -> Result<Box<dyn Read>, Stop> {
        let file = BufReader::with_capacity(1 << 16, file);
        let damaged = |error: io::Error| Stop::Damaged(error.to_string());
        Ok(match self {
            Self::Tar | Self::Zip => Box::new(file),
            Self::TarGz => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::TarBz2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            Self::TarXz | Self::TarLzip => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = match self {
                    Self::TarXz => Stream::new_stream_decoder(XZ_MEMORY, flags),
                    _ => Stream::new_lzip_decoder(XZ_MEMORY, flags),
                };
                let stream = stream.map_err(|error| damaged(error.into()))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(file, stream))
            }
            Self::TarZst => Box::new(zstd::Decoder::with_buffer(file).map_err(damaged)?),
        })
    }
}

const SUPPORTED: &str = "supported are zip, and tar, plain or with gzip, bzip2, xz, lzip or zstd";

/// True for a block whose checksum is that of a tar header.
pub(super) fn is_tar_header(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<512>() else {
        return false;
    };
    let Some(written) = std::str::from_utf8(&block[148..156])
        .ok()
        .and_then(|text| u32::from_str_radix(text.trim_matches([' ', '\0']), 8).ok())
    else {
        return false;
    };
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    written == sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_it_is_not() {
        let reason = |bytes: &[u8]| Format::of_bytes(bytes).unwrap_err();
        assert_eq!(reason(b""), "it is empty");
        assert!(reason(b"\n<!DOCTYPE html><p>").contains("web page"));
        assert!(reason(b"Rar!\x1a").contains("rar archive"));
        assert!(reason(b"#!/bin/sh").contains("no archive of a known kind"));
        assert!(reason(&[0; 512]).contains("no archive of a known kind"));
    }
}
