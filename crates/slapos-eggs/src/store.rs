//! Where eggs are: on the shelves of one buildout, and in the store that all of a node share.
//!
//! An egg is `<name>-<version>-pyX.Y.egg`, with `-<variant>` before `.egg` where the same version
//! was built in a particular way. In the store, `<store>/<abi>/` holds it, or, if modules in it were
//! compiled here, `<store>/<abi>/<by>/`, where `<by>` stands for the Python and the compiling
//! environment: the binary interface says that such a module can be loaded, but not where it looks for
//! libraries, which are those of the Software Release it was compiled for. Python alone and wheels
//! that came compiled are the same for all. The shelf then has a link, so that the buildout's own
//! directory says what belongs to it; a link to what was compiled by another Python is none. Without a
//! store the shelf holds the egg. Beside the eggs are `.locks`, and while something is made
//! `.making-*`, which whoever makes the same next takes away should a run have been killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use slapos_sys::fs;
use slapos_sys::lock::FileLock;

use crate::metadata::entries_of;
use crate::name::{in_file_name, normalise};
use crate::{Distribution, EggError, Interpreter, Specifiers, Version, Work};

/// Beside the eggs: what is only needed to build others.
const BUILD: &str = ".build";
/// How often an egg that another one makes is looked at again.
const POLL: Duration = Duration::from_millis(100);

/// Directories of eggs of one buildout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelves {
    /// Ordinary eggs, or links to them.
    pub eggs: PathBuf,
    /// Eggs built in a particular way, and links (`*.egg-link`) to source trees. Looked at first.
    pub develop: Option<PathBuf>,
    /// The store that all buildouts of the node share.
    pub store: Option<PathBuf>,
}

/// How modules are compiled.
#[derive(Clone, Copy)]
pub(crate) struct Compiled<'a> {
    pub(crate) python: &'a Interpreter,
    /// Stands for the Python and the environment.
    pub(crate) by: &'a str,
}

/// An egg by its file name.
struct Named<'a> {
    name: &'a str,
    version: Version,
    python: &'a str,
    rest: &'a str,
}

impl<'a> Named<'a> {
    fn of(file_name: &'a str) -> Option<Self> {
        let stem = file_name.strip_suffix(".egg")?;
        let mut parts = stem.splitn(4, '-');
        let (name, version, python) = (parts.next()?, parts.next()?, parts.next()?);
        // An underscore in a version stands for the `-` of a local one.
        let version = version.replace('_', "-").parse().ok()?;
        Some(Self { name, version, python, rest: parts.next().unwrap_or_default() })
    }
}

impl Shelves {
    /// Where eggs are really put: the place below the store for this Python, or the shelf.
    pub(crate) fn place(&self, python: &Interpreter) -> PathBuf {
        match &self.store {
            Some(store) => store.join(&python.abi),
            None => self.eggs.clone(),
        }
    }

    /// Where an egg is really put that has modules compiled here, or not.
    pub(crate) fn home(&self, kind: &Compiled<'_>, here: bool) -> PathBuf {
        let place = self.place(kind.python);
        if here && self.store.is_some() { place.join(kind.by) } else { place }
    }

    /// Shelves for what is only needed to build other distributions.
    pub(crate) fn for_builds(&self, python: &Interpreter, by: &str) -> Self {
        Self { eggs: self.place(python).join(BUILD).join(by), develop: None, store: None }
    }

    /// Whether what is on a shelf is for whoever compiles as `kind` says.
    fn is_for(&self, path: &Path, kind: &Compiled<'_>) -> bool {
        let Some(store) = &self.store else { return true };
        let Ok(target) = std::fs::read_link(path) else { return true };
        let homes = [false, true].map(|here| self.home(kind, here));
        !target.starts_with(store) || homes.iter().any(|home| target.parent() == Some(home))
    }

    /// The best distribution of `name` that is there and satisfies `specifiers`: a source tree in
    /// use, else one built in a particular way, else the newest; final ones first if wanted.
    pub(crate) fn find(
        &self,
        python: &Interpreter,
        compiled: Option<&Compiled<'_>>,
        name: &str,
        specifiers: &Specifiers,
        prefer_final: bool,
    ) -> Result<Option<Distribution>, EggError> {
        if let Some(found) = self.linked(name, specifiers)? {
            return Ok(Some(found));
        }
        for shelf in self.develop.iter().chain([&self.eggs]) {
            let mut eggs = eggs_in(shelf, python, name, specifiers)?;
            // What was built in a particular way is for whoever finds it.
            let kind = compiled.filter(|_| *shelf == self.eggs);
            eggs.retain(|(_, path)| kind.is_none_or(|kind| self.is_for(path, kind)));
            // From the best to the worst.
            eggs.sort_by(|(a, _), (b, _)| {
                let early = |version: &Version| prefer_final && version.is_prerelease();
                early(a).cmp(&early(b)).then_with(|| b.cmp(a))
            });
            for (_, path) in eggs {
                // A link to what was removed is no egg.
                if let Some(found) = Distribution::read(&path, Some(name))? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// A source tree in use.
    fn linked(
        &self,
        name: &str,
        specifiers: &Specifiers,
    ) -> Result<Option<Distribution>, EggError> {
        let Some(develop) = &self.develop else {
            return Ok(None);
        };
        for path in entries_of(develop)? {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_none_or(|extension| extension != "egg-link")
                || normalise(&stem) != normalise(name)
            {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(EggError::io("read", &path))?;
            let location = PathBuf::from(text.lines().next().unwrap_or_default().trim());
            let found = Distribution::read(&location, Some(name))?;
            if let Some(found) = found.filter(|found| specifiers.contains(&found.version)) {
                return Ok(Some(found.in_use()));
            }
        }
        Ok(None)
    }

    /// An egg that is whole, in the store or on the shelf.
    pub(crate) fn stored(
        &self,
        kind: &Compiled<'_>,
        name: &str,
        version: &Version,
        variant: &str,
    ) -> Result<Option<PathBuf>, EggError> {
        let mut all = named(&self.home(kind, true), kind.python, name)?;
        all.extend(named(&self.place(kind.python), kind.python, name)?);
        let mut all = all.into_iter();
        let found = all.find(|(found, path)| {
            let text = path.file_name().unwrap_or_default().to_string_lossy();
            let rest = Named::of(&text).map_or("", |named| named.rest);
            // What Buildout itself made names its platform there.
            let same = rest == variant || (variant.is_empty() && rest.starts_with("linux"));
            found == version && same
        });
        Ok(found.map(|(_, path)| path))
    }

    /// Makes an egg unless it is there by then, alone among all that want the same: `make` fills
    /// the directory it gets, and says under which path that appears when it is whole.
    pub(crate) fn make(
        &self,
        kind: &Compiled<'_>,
        (name, version, variant): (&str, &Version, &str),
        work: &dyn Work,
        make: impl FnOnce(&Path, &Path) -> Result<PathBuf, EggError>,
    ) -> Result<PathBuf, EggError> {
        let python = kind.python;
        let place = self.place(python);
        let locks = place.join(".locks");
        fs::create_dir_all(&locks, 0o755).map_err(EggError::io("create", &locks))?;
        let stem = format!("{}-{version}-{}{variant}", normalise(name), python.egg_tag());
        let stem = in_file_name(&stem);
        let _lock = lock(&locks.join(&stem), work)?;
        if let Some(path) = self.stored(kind, name, version, variant)? {
            return Ok(path);
        }
        let aside = fs::temp_dir_named(&place, &format!(".making-{stem}"))
            .map_err(EggError::io("create in", &place))?;
        let egg = aside.path().join("egg");
        let path = make(&egg, aside.path())?;
        let found = Distribution::read(&egg, Some(name))?.ok_or_else(|| {
            EggError::build(format!("install {name} {version}"), "it is another distribution")
        })?;
        if found.version != *version {
            let reason = format!("it says that it is version {}", found.version);
            return Err(EggError::build(format!("install {name} {version}"), reason));
        }
        let home = path.parent().unwrap_or(&place);
        fs::create_dir_all(home, 0o755).map_err(EggError::io("create", home))?;
        fs::sync_filesystem(&egg).map_err(EggError::io("bring to disk", &egg))?;
        fs::rename(&egg, &path).map_err(EggError::io("rename", &egg))?;
        Ok(path)
    }

    /// Where the egg at `path` is going to be among those that are looked at first.
    ///
    /// # Errors
    /// When its metadata cannot be read.
    pub fn special_place(&self, path: &Path, python: &Interpreter) -> Result<PathBuf, EggError> {
        let shelf = self.develop.as_ref().unwrap_or(&self.eggs);
        Ok(shelf.join(file_name(&known(path)?, python, "")))
    }

    /// Puts the egg at `path` on the shelf of eggs under its own name; returns where it is there.
    pub(crate) fn shelve(&self, path: &Path, python: &Interpreter) -> Result<PathBuf, EggError> {
        if path.parent() == Some(&self.eggs) {
            return Ok(path.to_owned());
        }
        let link = self.eggs.join(file_name(&known(path)?, python, ""));
        Self::link(path, &link)?;
        Ok(link)
    }

    /// Has `link` lead to the egg at `path`, whatever was there.
    ///
    /// # Errors
    /// When the file system does not let it.
    pub fn link(path: &Path, link: &Path) -> Result<(), EggError> {
        let shelf = link.parent().unwrap_or(link);
        fs::create_dir_all(shelf, 0o755).map_err(EggError::io("create", shelf))?;
        if link.is_dir() && !link.is_symlink() {
            // An egg of an earlier time, before there was a store.
            fs::remove_tree(link).map_err(EggError::io("remove", link))?;
        }
        fs::symlink_atomic(path, link).map_err(EggError::io("link", link))
    }
}

/// Whether an egg has modules that were compiled from C.
pub(crate) fn has_modules_in_c(egg: &Path) -> Result<bool, EggError> {
    let mut rest = vec![egg.to_owned()];
    while let Some(directory) = rest.pop() {
        for path in entries_of(&directory)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                rest.push(path);
            } else if name.ends_with(".so") || name.contains(".so.") {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn known(path: &Path) -> Result<Distribution, EggError> {
    let found = Distribution::read(path, None)?;
    found.ok_or_else(|| EggError::build(format!("use {}", path.display()), "it has no metadata"))
}

/// The name of an egg.
pub(crate) fn file_name(dist: &Distribution, python: &Interpreter, variant: &str) -> String {
    let variant = if variant.is_empty() { String::new() } else { format!("-{variant}") };
    let version = in_file_name(&dist.version.to_string());
    format!("{}-{version}-{}{variant}.egg", in_file_name(&dist.name), python.egg_tag())
}

/// Eggs of `name` in a directory that are for this Python and satisfy `specifiers`.
fn eggs_in(
    shelf: &Path,
    python: &Interpreter,
    name: &str,
    specifiers: &Specifiers,
) -> Result<Vec<(Version, PathBuf)>, EggError> {
    let ordinary = |path: &Path| {
        let text = path.file_name().unwrap_or_default().to_string_lossy();
        Named::of(&text).is_some_and(|egg| egg.rest.is_empty() || egg.rest.starts_with("linux"))
    };
    let all = named(shelf, python, name)?.into_iter();
    Ok(all.filter(|(version, path)| specifiers.contains(version) && ordinary(path)).collect())
}

fn named(
    shelf: &Path,
    python: &Interpreter,
    name: &str,
) -> Result<Vec<(Version, PathBuf)>, EggError> {
    let (wanted, tag) = (normalise(name), python.egg_tag());
    Ok(entries_of(shelf)?
        .into_iter()
        .filter_map(|path| {
            let text = path.file_name()?.to_string_lossy().into_owned();
            let egg = Named::of(&text)?;
            let fits = normalise(egg.name) == wanted && egg.python == tag;
            fits.then_some((egg.version, path))
        })
        .collect())
}

fn lock(path: &Path, work: &dyn Work) -> Result<FileLock, EggError> {
    let mut said = false;
    loop {
        match FileLock::try_acquire(path) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) if work.cancelled() => return Err(EggError::Cancelled),
            Ok(None) => {
                if !said {
                    work.text("waiting for another build that makes the same egg");
                    said = true;
                }
                std::thread::sleep(POLL);
            }
            Err(error) => return Err(EggError::io("lock", path)(error)),
        }
    }
}
