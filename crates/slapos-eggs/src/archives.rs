//! Bringing the file of a distribution: from the directory that keeps such files (`download-cache` of
//! `[buildout]`), or from where the index says; then it is kept there.
//!
//! Invariant: what is kept is used only if it has the digest that the index gives, if it gives one.

use std::path::{Path, PathBuf};

use slapos_sources::{FetchError, Fetcher, PythonFile, Source, SourceUrl};
use slapos_sys::fs;

use crate::wheel::Watch;
use crate::{EggError, Work};

/// The file, to be read only.
pub(crate) fn bring(
    fetcher: &Fetcher,
    file: &PythonFile,
    kept: Option<&Path>,
    work: &dyn Work,
) -> Result<PathBuf, EggError> {
    let place = kept.map(|directory| directory.join(&file.name));
    if let Some(place) = place.as_ref().filter(|place| place.is_file()) {
        let source = Source::new(SourceUrl::File(place.clone()));
        let source = match &file.source.digest {
            Some(digest) => source.with_digest(*digest),
            None => source,
        };
        match fetcher.fetch(&source, &Watch(work)) {
            Ok(fetched) => return Ok(fetched.path),
            Err(FetchError::Cancelled) => return Err(EggError::Cancelled),
            // It is brought anew, and replaced.
            Err(error) => work.warn(&format!("{} is not used: {error}", place.display())),
        }
    }
    let fetched = fetcher.fetch(&file.source, &Watch(work)).map_err(|error| match error {
        FetchError::Cancelled => EggError::Cancelled,
        other => EggError::build(format!("fetch {}", file.name), other),
    })?;
    if let Some(place) = place
        && let Err(error) = keep(&fetched.path, &place)
    {
        work.warn(&format!("{} is not kept: {error}", place.display()));
    }
    Ok(fetched.path)
}

fn keep(file: &Path, place: &Path) -> std::io::Result<()> {
    let directory = place.parent().unwrap_or(place);
    fs::create_dir_all(directory, 0o755)?;
    let aside = fs::temp_dir_in(directory, ".keeping-")?;
    let copy = aside.path().join("file");
    std::fs::copy(file, &copy)?;
    fs::set_mode(&copy, 0o644)?;
    fs::rename(&copy, place)
}
