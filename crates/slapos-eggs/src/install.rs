//! Bringing one distribution that is missing: chosen, fetched, built if need be, put on its shelf.

use std::path::{Path, PathBuf};

use slapos_sources::archive::Strip;

use crate::archives;
use crate::build::{self, BuildExt, BuildSystem, Tree, short_hash};
use crate::eggs::{Custom, Eggs, Settings};
use crate::index::{Candidate, Choice, Kind};
use crate::resolve::{Resolution, Wanted, not_pinned};
use crate::store::{Compiled, file_name, has_modules_in_c};
use crate::wheel;
use crate::{Distribution, EggError, Pin, Requirement, Specifiers, Version, Work, WorkingSet};

impl Resolution<'_> {
    /// Makes what satisfies `specifiers` and puts it on the shelf of eggs.
    pub(crate) fn obtain(
        &self,
        wanted: &Wanted,
        specifiers: &Specifiers,
    ) -> Result<Distribution, EggError> {
        let job = Install {
            eggs: self.eggs,
            settings: self.settings,
            work: self.work,
            wanted,
            specifiers,
            custom: None,
        };
        if self.has_fallback(wanted) {
            let name = &wanted.requirement.name;
            let text = self.settings.pins.text(name).unwrap_or_default();
            self.work.warn(&format!(
                "{name} {text} is not published: the last release before it is taken"
            ));
        }
        let path = job.path()?;
        let path = self.settings.shelves.shelve(&path, &self.settings.python)?;
        job.read(&path)
    }
}

impl Eggs {
    /// Builds a distribution from its source in a particular way, unless that was done before;
    /// returns where it is kept. [`crate::Shelves::link`] puts it where it is looked at first.
    ///
    /// # Errors
    /// See [`EggError`].
    pub fn custom(
        &self,
        settings: &Settings,
        custom: &Custom,
        work: &dyn Work,
    ) -> Result<PathBuf, EggError> {
        let requirement: Requirement =
            custom.requirement.parse().map_err(|error| EggError::text(&error, ""))?;
        let wanted = Wanted { requirement, required_by: String::new() };
        let specifiers = Resolution::new(self, settings, work).constrain(&wanted)?;
        let job = Install {
            eggs: self,
            settings,
            work,
            wanted: &wanted,
            specifiers: &specifiers,
            custom: Some(custom),
        };
        job.path()
    }
}

/// One distribution to be had.
struct Install<'a> {
    eggs: &'a Eggs,
    settings: &'a Settings,
    work: &'a dyn Work,
    wanted: &'a Wanted,
    specifiers: &'a Specifiers,
    custom: Option<&'a Custom>,
}

impl Install<'_> {
    fn name(&self) -> &str {
        &self.wanted.requirement.name
    }

    fn read(&self, path: &Path) -> Result<Distribution, EggError> {
        Distribution::read(path, Some(self.name()))?
            .ok_or_else(|| self.not_found(format!("{} is another one", path.display())))
    }

    fn not_found(&self, reason: String) -> EggError {
        let specifiers = self.specifiers;
        EggError::NotFound {
            requirement: Requirement {
                specifiers: specifiers.clone(),
                ..self.wanted.requirement.clone()
            }
            .to_string(),
            required_by: self.wanted.required_by.clone(),
            reason,
        }
    }

    /// Where the egg is, made if need be.
    fn path(&self) -> Result<PathBuf, EggError> {
        let pin = self.settings.pins.get(self.name());
        let pin = pin.map_err(|error| EggError::text(&error, &self.wanted.required_by))?;
        let pin = pin.or_else(|| self.own_patch());
        let fixed = self.specifiers.single();
        let patched = pin.as_ref().and_then(|pin| pin.patched.as_ref());
        let variant = self.variant(patched.is_some())?;
        let shelves = &self.settings.shelves;
        let python = &self.settings.python;
        let kind = Compiled { python, by: &self.settings.compiled_by() };
        if let Some(version) = fixed
            && let Some(path) = shelves.stored(&kind, self.name(), version, &variant)?
        {
            return Ok(path);
        }
        if self.settings.offline {
            return Err(self.not_found(self.absent()));
        }
        let source = patched.map(Specifiers::exactly);
        let wheels = self.settings.prefer_wheels || pin.as_ref().is_some_and(|pin| pin.wheel);
        let candidate = self.choose(source.as_ref(), wheels, patched.is_some())?;
        let version = match patched {
            Some(_) => fixed.cloned().unwrap_or_else(|| candidate.version.clone()),
            None => candidate.version.clone(),
        };
        let named = (self.name(), &version, variant.as_str());
        shelves.make(&kind, named, self.work, |egg, aside| {
            self.install(&candidate, &version, egg, aside)?;
            if patched.is_some() {
                wheel::set_version(egg, &version)?;
            }
            wheel::keep_old_name(&self.read(egg)?)?;
            let here = candidate.kind == Kind::Source && has_modules_in_c(egg)?;
            let end = shelves.home(&kind, here).join(file_name(&self.read(egg)?, python, &variant));
            build::compile(python, (egg, &end), aside, &self.settings.environment, self.work)?;
            Ok(end)
        })
    }

    /// A requirement may itself ask for a patched version.
    fn own_patch(&self) -> Option<Pin> {
        let version = self.specifiers.single().filter(|version| version.has_local())?;
        let pins = crate::Pins::new([(self.name(), version.to_string())]);
        pins.get(self.name()).ok().flatten().filter(|pin| pin.patched.is_some())
    }

    fn absent(&self) -> String {
        let Settings { shelves, .. } = self.settings;
        let develop = shelves.develop.iter().map(|develop| develop.display().to_string());
        let places: Vec<String> = develop.chain([shelves.eggs.display().to_string()]).collect();
        format!("nothing may be fetched, and it is not in {}", places.join(" or "))
    }

    /// What tells this build from others of the same version; empty for the ordinary one.
    fn variant(&self, patched: bool) -> Result<String, EggError> {
        let mut parts: Vec<String> = Vec::new();
        if patched {
            parts.push(self.patches()?.variant()?);
        }
        if let Some(custom) = self.custom {
            parts.extend(custom.build_ext.0.iter().map(|(name, value)| format!("{name}={value}")));
            parts.extend(
                custom.setup_eggs.iter().map(|egg| {
                    format!("{egg} {}", self.settings.pins.text(egg).unwrap_or_default())
                }),
            );
            parts.extend(custom.identity.iter().cloned());
            parts.push("custom".to_owned());
        }
        if parts.is_empty() {
            return Ok(String::new());
        }
        Ok(short_hash(parts.iter().map(String::as_bytes)))
    }

    fn patches(&self) -> Result<&build::Patches, EggError> {
        self.settings.patches.get(&self.wanted.requirement.key()).ok_or_else(|| {
            self.not_found(format!(
                "it is a patched version, and only a part that has the option \
                 `{}-patches` can build it",
                self.name()
            ))
        })
    }

    fn choose(
        &self,
        source: Option<&Specifiers>,
        wheels: bool,
        patched: bool,
    ) -> Result<Candidate, EggError> {
        let choice = Choice {
            specifiers: source.unwrap_or(self.specifiers),
            wheels,
            source_only: patched || self.custom.is_some(),
            prefer_final: self.settings.prefer_final,
            hosts: &self.settings.hosts,
        };
        let Settings { python, places, allow_picked_versions, .. } = self.settings;
        let found = self.eggs.index.choose(python, self.name(), places, choice, self.work)?;
        let fixed = self.specifiers.single().is_some()
            || self
                .settings
                .pins
                .get(self.name())
                .is_ok_and(|p| p.is_some_and(|p| p.fallback.is_some()));
        if !fixed && !allow_picked_versions {
            let version = found.ok().map(|candidate| candidate.version.to_string());
            return Err(not_pinned(self.wanted, version));
        }
        found.map_err(|reason| self.not_found(reason))
    }

    /// Fills `egg`, using the directory `aside` for what comes and goes.
    fn install(
        &self,
        candidate: &Candidate,
        version: &Version,
        egg: &Path,
        aside: &Path,
    ) -> Result<(), EggError> {
        let name = self.name();
        self.work.text(&format!("fetch {}", candidate.file.name));
        let archive = archives::bring(
            self.eggs.index.fetcher(),
            &candidate.file,
            self.settings.archives.as_deref(),
            self.work,
        )?;
        match candidate.kind {
            Kind::Wheel(_) => wheel::unpack(&archive, egg, self.work)?,
            Kind::Source => {
                self.work.text(&format!("build {name} {version}"));
                let named = format!("{name} {version}");
                let wheel = self.build(&archive, aside).map_err(|error| error.of(&named))?;
                wheel::unpack(&wheel, egg, self.work)?;
            }
        }
        Ok(())
    }

    fn build(&self, archive: &Path, aside: &Path) -> Result<PathBuf, EggError> {
        let source = aside.join("source");
        wheel::extract(archive, &source, Strip::Auto, self.work)?;
        let environment = &self.settings.environment;
        if let Some(patches) = self.settings.patches.get(&self.wanted.requirement.key()) {
            build::patch(&source, patches, environment, self.work)?;
        }
        let plain = BuildExt::default();
        let (build_ext, extra) = match self.custom {
            Some(custom) => (&custom.build_ext, custom.setup_eggs.as_slice()),
            None => (&plain, [].as_slice()),
        };
        let site = BuildSite { eggs: self.eggs, settings: self.settings, work: self.work };
        let (tree, system) = site.prepare(self.name(), &source, aside, build_ext, extra)?;
        tree.wheel(&system, self.work)
    }
}

/// Where source trees are built.
pub(crate) struct BuildSite<'a> {
    pub(crate) eggs: &'a Eggs,
    pub(crate) settings: &'a Settings,
    pub(crate) work: &'a dyn Work,
}

impl<'a> BuildSite<'a> {
    /// A tree with all that its build may import: `extra`, what `pyproject.toml` asks for, and
    /// what the build system then asks for. Pins hold as far as they satisfy the requirements.
    pub(crate) fn prepare<'t>(
        &self,
        name: &str,
        source: &'t Path,
        scratch: &'t Path,
        build_ext: &'t BuildExt,
        extra: &[String],
    ) -> Result<(Tree<'t>, BuildSystem), EggError>
    where
        'a: 't,
    {
        let system = BuildSystem::of(source)?;
        let settings = self.settings.for_build_of(name)?;
        // What a profile lists to be there comes as the profile has it.
        let extra = self.eggs.working_set(self.settings, extra, self.work)?;
        let mut requires = system.requires.clone();
        let mut tree = Tree {
            python: &self.settings.python,
            source,
            scratch,
            paths: Vec::new(),
            environment: &self.settings.environment,
            build_ext,
        };
        tree.paths = self.paths(&settings, name, &requires, &extra)?;
        let more = tree.requires(&system, self.work)?;
        if !more.is_empty() {
            requires.extend(more);
            tree.paths = self.paths(&settings, name, &requires, &extra)?;
        }
        Ok((tree, system))
    }

    fn paths(
        &self,
        settings: &Settings,
        name: &str,
        requires: &[String],
        extra: &WorkingSet,
    ) -> Result<Vec<PathBuf>, EggError> {
        let given = |text: &&String| {
            let requirement = text.parse::<Requirement>().ok();
            let found = requirement.and_then(|r| Some((extra.get(&r.name)?.version.clone(), r)));
            found.is_some_and(|(version, requirement)| requirement.specifiers.contains(&version))
        };
        let requires: Vec<String> = requires.iter().filter(|r| !given(r)).cloned().collect();
        let mut settings = settings.clone();
        // Each turn loses a pin, so this ends.
        let set = loop {
            match self.eggs.working_set(&settings, &requires, self.work) {
                Err(EggError::PinRefused { requirement, name: pinned, pin, .. }) => {
                    self.work.warn(&format!(
                        "building {name} needs {requirement}: the pin `{pinned} = {pin}` cannot \
                         be kept there"
                    ));
                    settings.pins = settings.pins.without(&pinned);
                }
                other => break other?,
            }
        };
        let mut paths = set.paths();
        paths.extend(extra.paths().into_iter().filter(|path| !set.paths().contains(path)));
        Ok(paths)
    }
}
