//! The arguments of `slapos node format`, in the original's spelling and in ours.

use std::path::PathBuf;

use clap::Args;

/// Each option goes over that of the same name in `slapos.cfg`.
#[derive(Debug, Args)]
pub(crate) struct Format {
    /// Show what would be done, and why
    #[arg(short = 'n', long, alias = "dry_run")]
    pub(crate) dry_run: bool,
    /// Where what was made is recorded, and known from by the next run
    #[arg(short = 'x', long, alias = "computer_xml", value_name = "FILE")]
    pub(crate) computer_xml: Option<PathBuf>,
    /// Where the same is written as JSON
    #[arg(long, alias = "computer_json", value_name = "FILE")]
    pub(crate) computer_json: Option<PathBuf>,
    /// A file that says what the partitions are, their addresses included
    #[arg(short = 'i', long, alias = "input_definition_file", value_name = "FILE")]
    pub(crate) input_definition_file: Option<PathBuf>,
    /// Where such a file is written
    #[arg(short = 'o', long, alias = "output_definition_file", value_name = "FILE")]
    pub(crate) output_definition_file: Option<PathBuf>,
    /// Whether users may be created and changed
    #[arg(long, alias = "alter_user", value_name = "True|False", value_parser = truth)]
    pub(crate) alter_user: Option<bool>,
    /// Whether addresses, interfaces and routes may be made
    #[arg(long, alias = "alter_network", value_name = "True|False", value_parser = truth)]
    pub(crate) alter_network: Option<bool>,
    /// Wait a random time of at most this many seconds first
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) maximal_delay: u32,
    /// Do not wait, whatever --maximal-delay says
    #[arg(long)]
    pub(crate) now: bool,
    /// Obsolete in the original, too: what is said is on standard error in any case
    #[arg(short, long, hide = true, value_name = "CONSOLE")]
    console: Option<String>,
}

fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("it must be True or False".to_owned()),
    }
}
