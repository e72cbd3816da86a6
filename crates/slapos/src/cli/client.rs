//! Arguments of what people ask of a Master, beside those that are everybody's.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use slapos_slap::InstanceState;

use super::{Wish, instance_name, key_value};

#[derive(Debug, Args)]
pub(crate) struct Request {
    /// Name of the instance
    #[arg(value_parser = instance_name)]
    pub(crate) name: String,
    /// Path or URL of the Software Release, or product.NAME for what the Master knows by that name
    pub(crate) software: String,
    #[command(flatten)]
    pub(crate) wish: Wish,
    /// Parameters of the instance, from a file: JSON, or XML if it is called so
    #[arg(long, value_name = "FILE", conflicts_with = "parameters")]
    pub(crate) parameters_file: Option<PathBuf>,
    /// How --parameters-file is passed on [default: as the Software Release's schema says]
    #[arg(long, value_name = "FORM", requires = "parameters_file")]
    pub(crate) force_serialisation: Option<Serialisation>,
    /// A shared instance: a place in one that exists
    #[arg(long)]
    pub(crate) slave: bool,
    /// started, stopped or destroyed [default: as it is, or started]
    #[arg(long)]
    pub(crate) state: Option<InstanceState>,
    /// Where it may live, such as computer_guid=COMP-1; project_guid=NAME says in which project it is,
    /// for who is in several
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = key_value)]
    pub(crate) node: Vec<(String, String)>,
    /// Ask for nothing: show what would be done, and why (for a Master of this program)
    #[arg(short = 'n', long, visible_alias = "dry-run")]
    pub(crate) check: bool,
}

/// How parameters are passed to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Serialisation {
    /// Each as a text of its own.
    Xml,
    /// All as one JSON document, in the parameter `_`.
    JsonInXml,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Computer {
    /// The computers
    List,
    /// One computer
    Info {
        /// The computer's reference
        reference: String,
    },
    /// A token by which another machine can be registered as a computer
    Token,
}

#[derive(Debug, Args)]
pub(crate) struct Console {
    /// The Python to run
    #[arg(long, default_value = "python3", value_name = "PROGRAM")]
    pub(crate) python: PathBuf,
    /// As is usual: plain Python (an option of the original)
    #[arg(short = 'p', long = "plain", alias = "python-shell", hide = true)]
    plain: bool,
    /// Refused: another shell than Python's
    #[arg(short, long, hide = true)]
    ipython: bool,
    /// Refused: another shell than Python's
    #[arg(short, long, hide = true)]
    bpython: bool,
    /// Refused: the Master and who asks are in a configuration
    #[arg(short = 'u', long = "master_url", alias = "master-url", hide = true, value_name = "URL")]
    master_url: Option<String>,
    /// Refused, as --master_url
    #[arg(short, long = "key_file", alias = "key-file", hide = true, value_name = "FILE")]
    key_file: Option<String>,
    /// Refused, as --master_url
    #[arg(short, long = "cert_file", alias = "cert-file", hide = true, value_name = "FILE")]
    cert_file: Option<String>,
    /// A script to run instead, with its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) script: Vec<String>,
}

impl Console {
    /// An argument of the original that cannot be honoured, and what to do.
    pub(crate) fn refused(&self) -> Option<(&'static str, &'static str)> {
        let named =
            "`slapos configure client` writes a configuration with it, and --cfg names that";
        let shell = "leave it out: it is Python's own shell";
        let refused = [
            (self.ipython, "--ipython", shell),
            (self.bpython, "--bpython", shell),
            (self.master_url.is_some(), "--master_url", named),
            (self.key_file.is_some(), "--key_file", named),
            (self.cert_file.is_some(), "--cert_file", named),
        ];
        let mut given = refused.into_iter().filter(|(given, ..)| *given);
        given.next().map(|(_, option, what)| (option, what))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheLookup {
    /// A Software Release that was built elsewhere
    BinarySr {
        /// Its URL, or the MD5 of that
        software: String,
    },
    /// A file that builds download
    Url {
        /// Its URL
        url: String,
    },
    /// A Python distribution
    Pypi {
        /// Its name
        name: String,
        /// Its version
        version: String,
    },
}
