//! Who is examined: the original, and ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use slapos_slap::SoftwareState;
use slapos_sys::lock::FileLock;
use slapos_testkit::{Original, Person, skipped};

use crate::case::{Case, Step};
use crate::profiles;
use crate::scene::Scene;

/// A SlapOS Node that can be run.
pub(crate) trait Implementation: Sync {
    /// Its program `slapos`, run by [`person`](Implementation::person).
    fn command(&self) -> Command;
    /// Whom it runs as; never root, which the original refuses.
    fn person(&self) -> &Person;
    /// What is this implementation's alone: profiles, and Software Releases that are built.
    fn place(&self) -> &Path;
    /// Which side of [`Step::Differs`] is expected of it.
    fn is_ours(&self) -> bool;

    /// Where the profiles of the cases are.
    fn profiles(&self) -> PathBuf {
        self.place().join("profiles")
    }
}

struct Python {
    original: Original,
    place: Place,
}

impl Implementation for Python {
    fn command(&self) -> Command {
        self.original.command("slapos")
    }

    fn person(&self) -> &Person {
        &self.original.person
    }

    fn place(&self) -> &Path {
        &self.place.path
    }

    fn is_ours(&self) -> bool {
        false
    }
}

struct Rust {
    person: Person,
    place: Place,
}

/// A directory that is this process's alone for as long as it lives.
struct Place {
    path: PathBuf,
    _lock: FileLock,
}

impl Place {
    fn take(name: &str) -> Result<Self, String> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let lock = FileLock::acquire(&path.with_extension("lock"));
        let lock = lock.map_err(|error| format!("cannot lock {}: {error}", path.display()))?;
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("soft")).map_err(|error| error.to_string())?;
        Ok(Self { path, _lock: lock })
    }
}

/// The program under test.
const BINARY: &str = env!("CARGO_BIN_EXE_slapos");

impl Implementation for Rust {
    fn command(&self) -> Command {
        self.person.command(Path::new(BINARY))
    }

    fn person(&self) -> &Person {
        &self.person
    }

    fn place(&self) -> &Path {
        &self.place.path
    }

    fn is_ours(&self) -> bool {
        true
    }
}

/// An implementation with what it has built, made once for all cases.
type Made = OnceLock<Result<Box<dyn Implementation + Send>, String>>;

/// The original, or `None` after saying why `test` is skipped.
pub(crate) fn original(test: &str) -> Option<&'static dyn Implementation> {
    static MADE: Made = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slapos-original");
        let original = Original::at(&directory)?;
        let place = Place::take("conformance-original")?;
        let site = original.site();
        prepared(Box::new(Python { original, place }), &site)
    });
    usable(made, test)
}

/// Ours, or `None` after saying why `test` is skipped.
pub(crate) fn ours(test: &str) -> Option<&'static dyn Implementation> {
    static MADE: Made = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let person = Person::ordinary(Path::new(BINARY))?;
        let place = Place::take("conformance-ours")?;
        // Our node brings what promises need of the original.
        prepared(Box::new(Rust { person, place }), Path::new("/nowhere"))
    });
    usable(made, test)
}

fn usable(
    made: &'static Result<Box<dyn Implementation + Send>, String>,
    test: &str,
) -> Option<&'static dyn Implementation> {
    match made {
        Ok(implementation) => Some(&**implementation),
        Err(why) => {
            skipped(test, why);
            None
        }
    }
}

/// Writes the profiles and builds the Software Releases that cases about instances share.
fn prepared(
    implementation: Box<dyn Implementation + Send>,
    site: &Path,
) -> Result<Box<dyn Implementation + Send>, String> {
    let place = implementation.place();
    profiles::write(&implementation.profiles(), site);
    implementation.person().give(place);
    let steps = profiles::BUILT.map(|name| Step::Supply(name, SoftwareState::Available));
    let mut steps: Vec<_> = steps.into();
    steps.push(Step::Run("node software", 0));
    let case = Case { partitions: 1, built: true, steps };
    let mut scene = Scene::new(&*implementation, 1, Some(&place.join("soft")));
    crate::check::carry_out(&mut scene, &case)?;
    drop(scene);
    Ok(implementation)
}
