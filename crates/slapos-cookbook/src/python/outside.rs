//! What the host has others do for a part: bring files, unpack archives, find distributions.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use slapos_engine::{PartInit, ProfileError};
use slapos_python::{Outside, Wanted};
use slapos_sources::archive::{self, Limits, Strip};
use slapos_sources::{Digest, Source, SourceUrl};

use super::{Packages, Python};
use crate::common::boolean;

/// What the host has others do for one part.
#[derive(Clone)]
pub(crate) struct ForPart {
    python: Python,
    packages: Packages,
    /// The part takes what the network answers where it names no digest.
    allow_unverified: bool,
}

impl ForPart {
    /// The distributions of the part's profile.
    pub(crate) fn packages(&self) -> &Packages {
        &self.packages
    }

    /// For a part that may say `allow-unverified = true`.
    pub(crate) fn of_part(python: &Python, init: &mut PartInit<'_>) -> Result<Self, ProfileError> {
        let packages = Packages::of_part(init)?;
        let allow_unverified = boolean(init, "allow-unverified", false)?;
        Ok(Self { python: python.clone(), packages, allow_unverified })
    }

    fn source(&self, wanted: &Wanted) -> Result<Source, String> {
        let spelling = |error: slapos_sources::SpellingError| error.to_string();
        let mut source = match wanted.url.contains(':') {
            true => wanted.url.parse::<Source>().map_err(spelling)?,
            false => Source::new(SourceUrl::File(PathBuf::from(&wanted.url))),
        };
        if let Some(digest) = wanted.md5sum.as_deref().filter(|text| !text.is_empty()) {
            let digest = digest.parse::<Digest>().map_err(|error| error.to_string())?;
            source = source.with_digest(digest);
        }
        if let Some(alternate) = wanted.alternate.as_deref().filter(|text| !text.is_empty()) {
            source.alternates.push(alternate.parse().map_err(spelling)?);
        }
        let is_local = matches!(source.primary, SourceUrl::File(_));
        if source.digest.is_some() || is_local {
            return Ok(source);
        }
        match self.allow_unverified {
            true => Ok(source.allow_unverified()),
            false => Err(format!(
                "{} is downloaded without a checksum: give the MD5 sum, or the part \
                 `allow-unverified = true`",
                wanted.url
            )),
        }
    }
}

impl Outside for ForPart {
    fn download(&self, wanted: &Wanted) -> Result<PathBuf, String> {
        let source = self.source(wanted)?;
        let fetched = self.python.fetcher().fetch_as(&source, wanted.offline, self.packages.work());
        fetched.map(|fetched| fetched.path).map_err(|error| error.to_string())
    }

    fn unpack(&self, file: &Path, into: &Path, strip: Option<bool>) -> Result<(), String> {
        let strip = match strip {
            None => Strip::Auto,
            Some(true) => Strip::Always,
            Some(false) => Strip::Never,
        };
        archive::extract(file, into, &Limits::default(), strip, self.packages.work())
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn distributions(&self, request: &Value) -> Result<Value, String> {
        let requirements = request.get("requirements").and_then(Value::as_array);
        let requirements: Vec<String> = requirements
            .into_iter()
            .flatten()
            .filter_map(|requirement| requirement.as_str().map(str::to_owned))
            .collect();
        let set = self.packages.working_set(&self.python, &requirements);
        let set = set.map_err(|error| error.to_string())?;
        let described = set.distributions().iter().map(|dist| {
            json!({
                "name": dist.name,
                "version": dist.version.to_string(),
                "location": dist.location.to_string_lossy(),
            })
        });
        Ok(described.collect())
    }
}
