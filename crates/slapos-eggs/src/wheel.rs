//! From a wheel to an egg directory: unpacked, its extra directories put where they belong.
//!
//! Nothing of it is run. Its scripts are kept in the metadata, where Buildout looks for them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use slapos_sources::archive::{self, ArchiveError, Limits, Strip};
use slapos_sys::fs;

use crate::metadata::{self, entries_of};
use crate::{Distribution, EggError, Version, Work};

/// What makes a package one that several distributions share, for those whose wheels leave the
/// file out.
const NAMESPACE: &str = "\
try:
    __import__('pkg_resources').declare_namespace(__name__)
except ImportError:
    __path__ = __import__('pkgutil').extend_path(__path__, __name__)
";

/// Unpacks `archive` to `into`, which must not exist.
pub(crate) fn unpack(archive: &Path, into: &Path, work: &dyn Work) -> Result<(), EggError> {
    extract(archive, into, Strip::Never, work)?;
    for data in entries_of(into)? {
        if data.extension().is_some_and(|extension| extension == "data") && data.is_dir() {
            spread(&data, into)?;
        }
    }
    let found = Distribution::read(into, None)?;
    let found = found.ok_or_else(|| {
        EggError::build(format!("install {}", archive.display()), "it has no metadata")
    })?;
    for namespace in found.namespaces()? {
        let file = metadata::namespace_file(into, &namespace);
        if file.parent().is_some_and(Path::is_dir) && !file.exists() {
            fs::write_replace(&file, NAMESPACE.as_bytes(), 0o644)
                .map_err(EggError::io("write", &file))?;
        }
    }
    readable(into)
}

pub(crate) fn extract(
    archive: &Path,
    into: &Path,
    strip: Strip,
    work: &dyn Work,
) -> Result<(), EggError> {
    match archive::extract(archive, into, &Limits::default(), strip, &Watch(work)) {
        Ok(_) => Ok(()),
        Err(ArchiveError::Cancelled) => Err(EggError::Cancelled),
        Err(error) => Err(EggError::build(format!("unpack {}", archive.display()), error)),
    }
}

/// Work as a watcher of bytes.
pub(crate) struct Watch<'a>(pub(crate) &'a dyn Work);

impl slapos_sources::Progress for Watch<'_> {
    fn text(&self, text: &str) {
        self.0.text(text);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

/// Moves what is in `<name>.data/<scheme>` to where it belongs.
fn spread(data: &Path, egg: &Path) -> Result<(), EggError> {
    let info =
        entries_of(egg)?.into_iter().find(|p| p.extension().is_some_and(|e| e == "dist-info"));
    for scheme in entries_of(data)? {
        match (scheme.file_name().and_then(|name| name.to_str()), &info) {
            (Some("scripts"), Some(info)) => merge(&scheme, &info.join("scripts"))?,
            (Some("scripts"), None) => {}
            _ => merge(&scheme, egg)?,
        }
    }
    fs::remove_tree(data).map_err(EggError::io("remove", data))
}

fn merge(from: &Path, into: &Path) -> Result<(), EggError> {
    fs::create_dir_all(into, 0o755).map_err(EggError::io("create", into))?;
    for entry in entries_of(from)? {
        let target = into.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() && !entry.is_symlink() && target.is_dir() {
            merge(&entry, &target)?;
        } else {
            fs::rename(&entry, &target).map_err(EggError::io("move", &entry))?;
        }
    }
    Ok(())
}

/// Lets everybody read everything, and nobody but the owner write.
fn readable(path: &Path) -> Result<(), EggError> {
    let meta = path.symlink_metadata().map_err(EggError::io("look at", path))?;
    if meta.is_symlink() {
        return Ok(());
    }
    let executable = meta.is_dir() || meta.permissions().mode() & 0o100 != 0;
    fs::set_mode(path, if executable { 0o755 } else { 0o644 })
        .map_err(EggError::io("change the mode of", path))?;
    if meta.is_dir() {
        for entry in entries_of(path)? {
            readable(&entry)?;
        }
    }
    Ok(())
}

/// Makes the distribution in `egg` one of `version`, as patched ones are, whatever built it.
pub(crate) fn set_version(egg: &Path, version: &Version) -> Result<(), EggError> {
    let Some(found) = Distribution::read(egg, None)?.filter(|found| found.version != *version)
    else {
        return Ok(());
    };
    let file = found.info.join("METADATA");
    let text = fs::read_to_string(&file).map_err(EggError::io("read", &file))?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(line) = lines.iter_mut().find(|line| line.starts_with("Version:")) {
        *line = format!("Version: {version}");
    }
    let text = lines.join("\n") + "\n";
    fs::write_replace(&file, text.as_bytes(), 0o644).map_err(EggError::io("write", &file))?;
    let name = crate::name::in_file_name(&found.name);
    let new: PathBuf = egg.join(format!("{name}-{version}.dist-info"));
    rename_in_record(&found.info, &new)?;
    fs::rename(&found.info, &new).map_err(EggError::io("rename", &found.info))
}

/// Lets scripts of the old kind be found below `EGG-INFO` too, where profiles look for them. Readers of
/// metadata take no notice of the second name, or find the same under it.
pub(crate) fn keep_old_name(found: &Distribution) -> Result<(), EggError> {
    let link = found.location.join("EGG-INFO");
    let Some(name) = found.info.file_name().filter(|_| found.info.join("scripts").is_dir()) else {
        return Ok(());
    };
    match link.symlink_metadata() {
        Ok(_) => Ok(()),
        Err(_) => fs::symlink_atomic(Path::new(name), &link).map_err(EggError::io("link", &link)),
    }
}

/// The list of files follows the new name of the metadata.
fn rename_in_record(old: &Path, new: &Path) -> Result<(), EggError> {
    let file = old.join("RECORD");
    let Ok(text) = fs::read_to_string(&file) else {
        return Ok(());
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (from, to) = (format!("{}/", name(old)), format!("{}/", name(new)));
    let lines = text.lines().map(|line| match line.strip_prefix(&from) {
        Some(rest) => format!("{to}{rest}\n"),
        None => format!("{line}\n"),
    });
    let text: String = lines.collect();
    fs::write_replace(&file, text.as_bytes(), 0o644).map_err(EggError::io("write", &file))
}
