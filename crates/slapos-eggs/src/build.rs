//! From a source tree to a wheel, by the tree's own build system (PEP 517) in an environment that
//! holds what it asks for and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use slapos_sys::fs;

use crate::{Call, EggError, Interpreter, Work};

const DRIVER: &str = include_str!("driver.py");

/// The build system of a tree that names none.
const LEGACY: &str = "setuptools.build_meta:__legacy__";

/// Options of the command `build_ext` of setuptools: name with underscores → value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BuildExt(pub BTreeMap<String, String>);

/// Patches of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patches {
    /// Files, applied in this order.
    pub files: Vec<PathBuf>,
    /// The program, `patch` or a path.
    pub binary: String,
    /// Its options, words.
    pub options: Vec<String>,
}

impl Patches {
    /// A name for what these patches do.
    pub(crate) fn variant(&self) -> Result<String, EggError> {
        let mut parts: Vec<Vec<u8>> = self.options.iter().map(|o| o.clone().into_bytes()).collect();
        for file in &self.files {
            parts.push(fs::read(file).map_err(EggError::io("read", file))?);
        }
        Ok(short_hash(parts.iter().map(Vec::as_slice)))
    }
}

/// Twelve hexadecimal digits that stand for `parts`.
pub(crate) fn short_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// What `pyproject.toml` says of how the tree is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildSystem {
    pub(crate) requires: Vec<String>,
    pub(crate) backend: String,
    pub(crate) backend_path: Vec<String>,
}

impl BuildSystem {
    pub(crate) fn of(source: &Path) -> Result<Self, EggError> {
        let file = source.join("pyproject.toml");
        match fs::read_to_string(&file) {
            Ok(text) => Self::parse(&text)
                .map_err(|reason| EggError::build(format!("use {}", file.display()), reason)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::legacy()),
            Err(error) => Err(EggError::io("read", &file)(error)),
        }
    }

    fn legacy() -> Self {
        let requires = ["setuptools>=40.8.0", "wheel"].map(str::to_owned).to_vec();
        Self { requires, backend: LEGACY.to_owned(), backend_path: Vec::new() }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document: toml_edit::DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
        let Some(table) = document.get("build-system").and_then(|item| item.as_table_like()) else {
            return Ok(Self::legacy());
        };
        let list = |key: &str| -> Option<Vec<String>> {
            let values = table.get(key)?.as_array()?.iter();
            Some(values.filter_map(|value| Some(value.as_str()?.to_owned())).collect())
        };
        let backend = table.get("build-backend").and_then(|item| item.as_str());
        let legacy = Self::legacy();
        Ok(Self {
            requires: list("requires").unwrap_or(legacy.requires),
            backend: backend.map_or(legacy.backend, str::to_owned),
            backend_path: list("backend-path").unwrap_or_default(),
        })
    }

    /// Whether setuptools builds it.
    pub(crate) fn is_setuptools(&self) -> bool {
        self.backend.starts_with("setuptools.")
    }
}

/// A source tree and what it is built with.
pub(crate) struct Tree<'a> {
    pub(crate) python: &'a Interpreter,
    /// The tree, which is written to.
    pub(crate) source: &'a Path,
    /// A directory for what comes and goes.
    pub(crate) scratch: &'a Path,
    /// Distributions that the build may import.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) build_ext: &'a BuildExt,
}

#[derive(Serialize)]
struct Job<'a> {
    action: &'a str,
    paths: &'a [PathBuf],
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
    backend_path: &'a [String],
    build_ext: &'a BuildExt,
    out: &'a Path,
    result: &'a Path,
    tree: &'a Path,
    #[serde(rename = "final")]
    end: &'a Path,
}

/// A source tree in use, as its build system describes it.
#[derive(Debug, Deserialize)]
pub(crate) struct InPlace {
    pub(crate) name: String,
    pub(crate) location: PathBuf,
    pub(crate) info: PathBuf,
    pub(crate) scripts: Vec<PathBuf>,
}

impl Tree<'_> {
    /// What it needs to be built besides what its `pyproject.toml` says.
    pub(crate) fn requires(
        &self,
        system: &BuildSystem,
        work: &dyn Work,
    ) -> Result<Vec<String>, EggError> {
        self.run("requires", Some(system), work)
    }

    /// Builds a wheel; returns where it is.
    pub(crate) fn wheel(&self, system: &BuildSystem, work: &dyn Work) -> Result<PathBuf, EggError> {
        let name: String = self.run("wheel", Some(system), work)?;
        Ok(self.scratch.join(name))
    }

    /// Makes it usable where it is.
    pub(crate) fn in_place(&self, work: &dyn Work) -> Result<InPlace, EggError> {
        self.run("develop", None, work)
    }

    fn run<R: serde::de::DeserializeOwned>(
        &self,
        action: &str,
        system: Option<&BuildSystem>,
        work: &dyn Work,
    ) -> Result<R, EggError> {
        let result = self.scratch.join(format!("{action}.result"));
        let job = Job {
            action,
            paths: &self.paths,
            backend: system.map(|system| system.backend.as_str()),
            backend_path: system.map_or(&[], |system| system.backend_path.as_slice()),
            build_ext: self.build_ext,
            out: self.scratch,
            result: &result,
            tree: self.source,
            end: self.source,
        };
        let mut environment = self.environment.clone();
        environment.insert("PYTHONPATH".to_owned(), joined(&self.paths));
        drive(self.python, &job, (self.scratch, self.source), &environment, work)?;
        let text = fs::read_to_string(&result).map_err(EggError::io("read", &result))?;
        serde_json::from_str(&text)
            .map_err(|error| EggError::build(format!("build {}", self.source.display()), error))
    }
}

/// Compiles the modules in `tree`, which is going to be `end`. What cannot be compiled stays as it
/// is, as examples and templates do.
pub(crate) fn compile(
    python: &Interpreter,
    (tree, end): (&Path, &Path),
    scratch: &Path,
    environment: &BTreeMap<String, String>,
    work: &dyn Work,
) -> Result<(), EggError> {
    let result = scratch.join("compile.result");
    let job = Job {
        action: "compile",
        paths: &[],
        backend: None,
        backend_path: &[],
        build_ext: &BuildExt::default(),
        out: scratch,
        result: &result,
        tree,
        end,
    };
    drive(python, &job, (scratch, scratch), environment, work)
}

fn drive(
    python: &Interpreter,
    job: &Job<'_>,
    (scratch, directory): (&Path, &Path),
    environment: &BTreeMap<String, String>,
    work: &dyn Work,
) -> Result<(), EggError> {
    let driver = scratch.join("driver.py");
    let file = scratch.join(format!("{}.job", job.action));
    let text = serde_json::to_string(job).map_err(|error| EggError::build("build", error))?;
    for (path, text) in [(&driver, DRIVER), (&file, text.as_str())] {
        fs::write_replace(path, text.as_bytes(), 0o644).map_err(EggError::io("write", path))?;
    }
    let call =
        Call::new(&python.executable, directory).arg("-S").arg(driver).arg(file).envs(environment);
    work.run(&call)
}

/// Paths as `PYTHONPATH` holds them.
pub(crate) fn joined(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(":")
}

/// Applies patches to a tree.
pub(crate) fn patch(
    source: &Path,
    patches: &Patches,
    environment: &BTreeMap<String, String>,
    work: &dyn Work,
) -> Result<(), EggError> {
    for file in &patches.files {
        work.text(&format!("patch {}", file.display()));
        let binary = if patches.binary.is_empty() { "patch" } else { &patches.binary };
        let mut call = Call::new(Path::new(binary), source).envs(environment);
        for option in &patches.options {
            call = call.arg(option);
        }
        work.run(&call.arg("-i").arg(file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_says_how_it_is_built_or_is_built_by_setuptools() {
        let text = "[build-system]\nrequires = [\"flit_core >=3\"]\nbuild-backend = 'flit_core.buildapi'\nbackend-path = ['.']";
        let system = BuildSystem::parse(text).unwrap();
        assert_eq!(system.requires, ["flit_core >=3"]);
        assert_eq!(system.backend, "flit_core.buildapi");
        assert_eq!(system.backend_path, ["."]);
        assert!(!system.is_setuptools());
        assert_eq!(BuildSystem::parse("[tool.x]\na = 1").unwrap(), BuildSystem::legacy());
        assert!(BuildSystem::legacy().is_setuptools());
        assert!(BuildSystem::parse("[").is_err());
    }
}
