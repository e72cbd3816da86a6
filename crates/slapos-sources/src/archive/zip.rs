//! Reading zip archives.

use std::fs::File;
use std::io::{BufReader, Read};

use ::zip::result::ZipError;
use ::zip::{CompressionMethod, ExtraField, ZipArchive};

use super::Stop;
use super::meter::Meter;
use super::tree::{Attributes, Tree, shown};

const TYPE_BITS: u32 = 0o170_000;
const TYPE_LINK: u32 = 0o120_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_DIRECTORY: u32 = 0o040_000;

/// Puts everything in a zip archive into `tree`.
pub(super) fn unpack(file: File, tree: &mut Tree, meter: &Meter<'_>) -> Result<(), Stop> {
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| explain(&error))?;
    let declared = archive.decompressed_size().and_then(|size| u64::try_from(size).ok());
    for index in 0..archive.len() {
        match put(&mut archive, index, tree, meter) {
            Err(Stop::Full { .. }) => {
                return Err(Stop::Full { needed: declared.unwrap_or_else(|| meter.unpacked()) });
            }
            result => result?,
        }
    }
    Ok(())
}

fn put(
    archive: &mut ZipArchive<BufReader<File>>,
    index: usize,
    tree: &mut Tree,
    meter: &Meter<'_>,
) -> Result<(), Stop> {
    let entry = archive.by_index(index).map_err(|error| explain(&error))?;
    let name = entry.name_raw().to_owned();
    let hostile = |reason: String| Err(Stop::hostile(shown(&name), reason));
    if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        return hostile(format!(
            "is compressed with {}, which is not supported",
            entry.compression()
        ));
    }
    let mode = entry.unix_mode().unwrap_or(0o644);
    let has = Attributes { mode, modified: modified(&entry) };
    let directory = name.ends_with(b"/") || entry.is_dir();
    let size = entry.size();
    let mut content = meter.metered(entry);
    match mode & TYPE_BITS {
        TYPE_LINK => {
            let mut target = Vec::new();
            let read = content.by_ref().take(1 << 16).read_to_end(&mut target);
            read.map_err(|error| meter.explain(&error))?;
            tree.add_symlink(&name, &target)
        }
        _ if directory => tree.add_directory(&name, has),
        0 | TYPE_FILE => {
            let before = tree.bytes();
            tree.add_file(&name, has, &mut content, meter)?;
            if tree.bytes() - before < size {
                return Err(Stop::Damaged("it ends too early".into()));
            }
            Ok(())
        }
        TYPE_DIRECTORY => tree.add_directory(&name, has),
        _ => hostile("is a device or pipe".into()),
    }
}

/// The exact time of an extra field, else the local time of the archive's maker taken as UTC.
fn modified<R: Read>(entry: &::zip::read::ZipFile<'_, R>) -> u64 {
    for field in entry.extra_data_fields() {
        if let ExtraField::ExtendedTimestamp(times) = field
            && let Some(seconds) = times.mod_time()
        {
            return u64::from(seconds);
        }
    }
    let civil = entry.last_modified().and_then(|time| {
        let part = |value: u8| i8::try_from(value).ok();
        let year = i16::try_from(time.year()).ok()?;
        let (month, day) = (part(time.month())?, part(time.day())?);
        let (hour, minute) = (part(time.hour())?, part(time.minute())?);
        let second = part(time.second())?.min(59);
        jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()
    });
    civil
        .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .and_then(|zoned| u64::try_from(zoned.timestamp().as_second()).ok())
        .unwrap_or(0)
}

fn explain(error: &ZipError) -> Stop {
    Stop::Damaged(match error {
        ZipError::UnsupportedArchive(what) => format!("{what} (not supported)"),
        other => other.to_string(),
    })
}
