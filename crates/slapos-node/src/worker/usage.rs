//! What is said about the usage of a partition.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A job about the usage of one partition.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageJob {
    /// Have reports made, and read them.
    Gather {
        /// The partition's directory.
        directory: PathBuf,
    },
    /// Take reports away that still say the same.
    Discard {
        /// The partition's directory.
        directory: PathBuf,
        /// Which.
        files: Vec<ReportFile>,
    },
}

/// A report as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFile {
    /// The file's name.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// What was gathered in a partition.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered {
    /// One line for each program that failed.
    pub failed: Vec<String>,
    /// What was left out.
    pub warnings: Vec<String>,
    /// The reports, by name.
    pub files: Vec<ReportFile>,
}
