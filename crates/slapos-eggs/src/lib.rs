//! Python distributions: found by name and version, built, kept once, composed to working sets.
//!
//! [`Eggs`] turns requirements into a [`WorkingSet`]: distributions in Buildout's order, each an
//! unzipped egg directory with its `*.dist-info` inside. What is missing comes from the index that
//! pip is configured for on this machine; a source distribution is built by the Python it is for,
//! in an environment that holds what its `pyproject.toml` asks for and nothing else. Neither pip
//! nor uv nor setuptools need to be installed in that Python.
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//! use slapos_eggs::{Direct, Eggs, Pins, Settings, Shelves};
//! use slapos_sources::{Fetcher, FetcherConfig};
//!
//! let eggs = Eggs::new(Arc::new(Fetcher::new(FetcherConfig::new("/srv/cache"))));
//! let python = eggs.interpreter(Path::new("python3"))?;
//! let shelves = Shelves { eggs: "/srv/eggs".into(), develop: None, store: None };
//! let settings = Settings {
//!     pins: Pins::new([("setuptools", "67.8.0"), ("Jinja2", "3.1.6")]),
//!     prefer_wheels: true,
//!     ..Settings::new(python, shelves)
//! };
//! let wanted = ["slapos.recipe.cmmi".to_owned(), "Jinja2".to_owned()];
//! let paths = eggs.working_set(&settings, &wanted, &Direct)?.paths();
//! # Ok::<(), slapos_eggs::EggError>(())
//! ```
//!
//! Invariants: an egg is whole or not there (made aside, renamed); one process makes an egg at a
//! time, others wait for it; files are readable by all; nothing of a wheel is run when it is
//! installed; the order of a working set depends on requirements and metadata only, never on what
//! was installed first or on how many are built at once.
//!
//! Absent on purpose: no host name, no parts or options of a profile, and no solver. As in
//! Buildout, a version that was chosen is never reconsidered: what contradicts it is an error.

mod archives;
mod build;
mod develop;
mod eggs;
mod error;
mod hosts;
mod index;
mod install;
mod interpreter;
mod marker;
mod metadata;
mod name;
mod pins;
mod requirement;
mod resolve;
mod script;
mod specifier;
mod store;
mod tags;
mod version;
mod wheel;
mod work;

pub use build::{BuildExt, Patches};
pub use develop::EggLink;
pub use eggs::{Custom, Eggs, Settings};
pub use error::EggError;
pub use hosts::Hosts;
pub use interpreter::Interpreter;
pub use marker::{Marker, MarkerValues};
pub use metadata::{Distribution, EntryPoint};
pub use name::normalise;
pub use pins::{Pin, PinError, Pins};
pub use requirement::{Requirement, RequirementError};
pub use resolve::WorkingSet;
pub use script::{Script, Scripts};
pub use slapos_sources::PythonPlaces;
pub use specifier::Specifiers;
pub use store::Shelves;
pub use version::{Version, VersionError};
pub use work::{Call, Direct, Work};
