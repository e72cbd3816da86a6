//! What the command line of `node format` says over the configuration.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::NodeConfig;

/// Options of one run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only show the plan.
    pub dry_run: bool,
    /// Wait a random part of this first, so that the computers of a Master do not all come at once.
    pub maximal_delay: Duration,
    /// Instead of `computer_xml`.
    pub computer_xml: Option<PathBuf>,
    /// Instead of `computer_json`.
    pub computer_json: Option<PathBuf>,
    /// Instead of `input_definition_file`.
    pub input_definition_file: Option<PathBuf>,
    /// Instead of `output_definition_file`.
    pub output_definition_file: Option<PathBuf>,
    /// Instead of `alter_user`.
    pub alter_user: Option<bool>,
    /// Instead of `alter_network`.
    pub alter_network: Option<bool>,
}

impl Options {
    /// `config` as it is for this run. Paths are taken from the working directory.
    pub fn over(&self, config: &NodeConfig) -> NodeConfig {
        let mut config = config.clone();
        let format = &mut config.format;
        let whole = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if let Some(path) = &self.computer_xml {
            format.computer_xml = whole(path);
        }
        for (given, option) in [
            (&self.computer_json, &mut format.computer_json),
            (&self.input_definition_file, &mut format.input_definition_file),
            (&self.output_definition_file, &mut format.output_definition_file),
        ] {
            if let Some(path) = given {
                *option = Some(whole(path));
            }
        }
        format.alter_user = self.alter_user.unwrap_or(format.alter_user);
        format.network.alter_network = self.alter_network.or(format.network.alter_network);
        config
    }
}
