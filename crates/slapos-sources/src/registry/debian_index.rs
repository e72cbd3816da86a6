//! The index of one suite's source packages: which file has which digest, and where it is.
//!
//! apt's own form is 50 MB of text per suite; only the lines about files are kept, compressed.
//! Format, after a line naming it: `=BASE` sets the address that follows refer to; else
//! `SHA256 MD5 PACKAGE VERSION DIRECTORY FILE`, separated by tabs.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use crate::Digest;

const HEADER: &str = "slapos-debian-index 1";

/// One file of a source package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexedFile {
    pub(super) sha256: String,
    pub(super) md5: String,
    pub(super) package: String,
    pub(super) version: String,
    pub(super) directory: String,
    pub(super) file: String,
}

/// What is looked up. A file matches by its digest or by its name.
pub(super) struct Wanted<'a> {
    pub(super) digest: Option<&'a Digest>,
    /// Package, version and file name.
    pub(super) name: Option<[&'a str; 3]>,
}

/// A file that was looked up, with the address it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) url: String,
    pub(super) file: IndexedFile,
    /// It has the wanted digest, or none of its kind was wanted.
    pub(super) same_bytes: bool,
}

/// Writes an index; feed it with [`add`](Self::add) and end with [`finish`](Self::finish).
pub(super) struct IndexWriter<W: Write> {
    out: zstd::Encoder<'static, W>,
}

impl<W: Write> IndexWriter<W> {
    pub(super) fn new(out: W) -> io::Result<Self> {
        let mut out = zstd::Encoder::new(out, 1)?;
        writeln!(out, "{HEADER}")?;
        Ok(Self { out })
    }

    /// Adds what a `Sources` file of the repository at `base` lists.
    pub(super) fn add(&mut self, base: &str, sources: impl BufRead) -> io::Result<()> {
        writeln!(self.out, "={base}")?;
        let mut paragraph = Paragraph::default();
        for_each_line(sources, |line| {
            if line.is_empty() {
                std::mem::take(&mut paragraph).write(&mut self.out)
            } else {
                paragraph.take_line(line);
                Ok(())
            }
        })?;
        paragraph.write(&mut self.out)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.out.finish()
    }
}

/// Looks through an index for everything that matches.
pub(super) fn search(index: impl io::Read, wanted: &Wanted<'_>) -> io::Result<Vec<Hit>> {
    let reader = io::BufReader::with_capacity(1 << 17, zstd::Decoder::new(index)?);
    let hex = wanted.digest.map(Digest::hex);
    let mut hits = Vec::new();
    let mut base = String::new();
    let mut first = true;
    for_each_line(reader, |line| {
        if std::mem::take(&mut first) {
            return if line == HEADER {
                Ok(())
            } else {
                Err(io::Error::new(io::ErrorKind::InvalidData, "not an index"))
            };
        }
        if let Some(new_base) = line.strip_prefix('=') {
            base = new_base.to_owned();
        } else if let Some((file, same_bytes)) = matching(line, wanted, hex.as_deref()) {
            let url = format!("{base}{}/{}", file.directory, file.file);
            hits.push(Hit { url, file, same_bytes });
        }
        Ok(())
    })?;
    Ok(hits)
}

fn matching(line: &str, wanted: &Wanted<'_>, hex: Option<&str>) -> Option<(IndexedFile, bool)> {
    let mut fields = line.split('\t');
    let (sha256, md5) = (fields.next()?, fields.next()?);
    let listed = match wanted.digest {
        Some(Digest::Sha256(_)) => Some(sha256),
        Some(Digest::Md5(_)) => Some(md5),
        _ => None,
    };
    let same = listed.is_some_and(|listed| Some(listed) == hex);
    if !same && wanted.name.is_none() {
        return None;
    }
    let (package, version) = (fields.next()?, fields.next()?);
    let (directory, file) = (fields.next()?, fields.next()?);
    if !same && wanted.name != Some([package, version, file]) {
        return None;
    }
    let file = IndexedFile {
        sha256: sha256.into(),
        md5: md5.into(),
        package: package.into(),
        version: version.into(),
        directory: directory.into(),
        file: file.into(),
    };
    Some((file, same || listed.is_none()))
}

/// What is known of one source package while its paragraph is read.
#[derive(Default)]
struct Paragraph {
    package: String,
    version: String,
    directory: String,
    list: List,
    /// SHA-256 and MD5 by file name.
    files: BTreeMap<String, [String; 2]>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum List {
    #[default]
    Other,
    Sha256,
    Md5,
}

impl Paragraph {
    fn take_line(&mut self, line: &str) {
        if let Some(item) = line.strip_prefix(' ') {
            self.take_item(item);
            return;
        }
        self.list = List::Other;
        let Some((name, value)) = line.split_once(':') else {
            return;
        };
        let value = value.trim();
        match name {
            "Package" => self.package = value.into(),
            "Version" => self.version = value.into(),
            "Directory" => self.directory = value.into(),
            "Files" => self.list = List::Md5,
            "Checksums-Sha256" => self.list = List::Sha256,
            _ => {}
        }
    }

    fn take_item(&mut self, item: &str) {
        let place = match self.list {
            List::Other => return,
            List::Sha256 => 0,
            List::Md5 => 1,
        };
        let mut words = item.split_whitespace();
        if let (Some(hex), Some(_size), Some(file)) = (words.next(), words.next(), words.next()) {
            self.files.entry(file.to_owned()).or_default()[place] = hex.to_owned();
        }
    }

    fn write(self, out: &mut impl Write) -> io::Result<()> {
        let Self { package, version, directory, .. } = &self;
        for (file, [sha256, md5]) in &self.files {
            writeln!(out, "{sha256}\t{md5}\t{package}\t{version}\t{directory}\t{file}")?;
        }
        Ok(())
    }
}

/// Calls `each` with every line, without its end; bytes that are not UTF-8 are replaced.
fn for_each_line(
    mut reader: impl BufRead,
    mut each: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        each(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']))?;
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOURCES: &str = "\
Package: nginx
Version: 1.22.1-9
Files:
 11111111111111111111111111111111 1 nginx_1.22.1-9.dsc
 22222222222222222222222222222222 2 nginx_1.22.1.orig.tar.gz
Homepage: x
 33333333333333333333333333333333 3 not-a-file
Checksums-Sha256:
 2222222222222222222222222222222222222222222222222222222222222222 2 nginx_1.22.1.orig.tar.gz
Directory: pool/main/n/nginx

Package: other
Version: 1
Directory: pool/main/o/other
";

    fn index() -> Vec<u8> {
        let mut writer = IndexWriter::new(Vec::new()).unwrap();
        writer.add("http://m/debian/", SOURCES.as_bytes()).unwrap();
        writer.finish().unwrap()
    }

    fn look(digest: Option<&str>, name: Option<[&str; 3]>) -> Vec<(String, bool)> {
        let digest: Option<Digest> = digest.map(|text| text.parse().unwrap());
        let wanted = Wanted { digest: digest.as_ref(), name };
        let hits = search(&index()[..], &wanted).unwrap();
        hits.into_iter().map(|hit| (hit.url, hit.same_bytes)).collect()
    }

    #[test]
    fn finds_by_digest_and_by_name() {
        let url = "http://m/debian/pool/main/n/nginx/nginx_1.22.1.orig.tar.gz".to_owned();
        let name = ["nginx", "1.22.1-9", "nginx_1.22.1.orig.tar.gz"];
        assert_eq!(look(Some(&"2".repeat(64)), None), [(url.clone(), true)]);
        assert_eq!(look(Some(&"2".repeat(32)), None), [(url.clone(), true)]);
        assert_eq!(look(None, Some(name)), [(url.clone(), true)]);
        assert_eq!(look(Some(&"5".repeat(64)), Some(name)), [(url, false)]);
        assert_eq!(look(Some(&"3".repeat(32)), None), []);
        assert_eq!(look(None, Some(["nginx", "1.22.1-8", name[2]])), []);
    }

    #[test]
    fn another_file_is_no_index() {
        let other = zstd::encode_all(&b"something else\n"[..], 1).unwrap();
        let wanted = Wanted { digest: None, name: None };
        assert!(search(&other[..], &wanted).is_err());
    }

    proptest! {
        #[test]
        fn any_sources_text_is_taken(text in "([A-Z][a-z]{0,5}:| |\n|Files:\n|\\PC){0,60}") {
            let mut writer = IndexWriter::new(Vec::new()).unwrap();
            writer.add("b/", text.as_bytes()).unwrap();
            writer.finish().unwrap();
        }
    }
}
