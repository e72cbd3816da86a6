//! The arguments of `slapos profile`.

use clap::{Args, Subcommand, ValueEnum};
use slapos_profile::inspect::Level;

/// None of these needs a node, a configuration or a build.
#[derive(Debug, Subcommand)]
pub(crate) enum Profile {
    /// Print a profile as JSON: `files`, `sections` and `source` ("file:line" of each option)
    Dump {
        #[command(flatten)]
        profile: Source,
        /// How far to work it out
        #[arg(long, value_enum, default_value_t = Stage::Expanded)]
        stage: Stage,
    },
    /// Print a profile with the lines that gave each option its value
    Annotate {
        #[command(flatten)]
        profile: Source,
        /// Only this section
        section: Option<String>,
    },
    /// Show how an option got its value: all lines that changed it, in order
    Why {
        #[command(flatten)]
        profile: Source,
        /// The option; of `buildout` if no section is named
        #[arg(value_name = "SECTION:OPTION")]
        option: String,
    },
    /// Print the value of an option
    Query {
        #[command(flatten)]
        profile: Source,
        /// The option; of `buildout` if no section is named
        #[arg(value_name = "SECTION:OPTION")]
        option: String,
        /// How far to work it out
        #[arg(long, value_enum, default_value_t = Stage::Expanded)]
        stage: Stage,
    },
    /// Print which sections the parts need
    Graph {
        #[command(flatten)]
        profile: Source,
        /// DOT, the language of Graphviz, or JSON
        #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
        format: GraphFormat,
    },
    /// Find what is doubtful: dead references, md5 without sha256, shadowed values, unused options
    Lint {
        #[command(flatten)]
        profile: Source,
        /// Show what is at least this bad
        #[arg(long, value_enum, default_value_t = LintLevel::Note)]
        level: LintLevel,
        /// Only lines of the profile itself, not of the files it extends
        #[arg(long)]
        own: bool,
    },
}

/// Which profile.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// Path or URL of the profile
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Override an option, as on the command line of buildout; may be repeated
    #[arg(long, value_name = "SECTION:OPTION=VALUE")]
    pub(crate) set: Vec<String>,
}

/// How far a profile is worked out.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Stage {
    /// All files merged; macros (`<=`) not applied
    Merged,
    /// Macros applied; references not replaced
    Expanded,
    /// References replaced, except those to options that only building gives
    Resolved,
}

impl From<Stage> for slapos_profile::inspect::Stage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Merged => Self::Merged,
            Stage::Expanded => Self::Expanded,
            Stage::Resolved => Self::Resolved,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    Dot,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LintLevel {
    /// Worth knowing; often meant
    Note,
    /// Probably not meant
    Warning,
    /// Building will fail
    Error,
}

impl From<LintLevel> for Level {
    fn from(level: LintLevel) -> Self {
        match level {
            LintLevel::Note => Self::Note,
            LintLevel::Warning => Self::Warning,
            LintLevel::Error => Self::Error,
        }
    }
}
