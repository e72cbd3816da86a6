//! Which configuration a command uses, and what a Software Release's argument means.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Once;

use slapos_node::config::DEFAULT_FILE;
use slapos_node::standalone::Layout;
use slapos_node::{ClientConfig, NodeConfig, NodeError, OperatorConfig, Reporter as _};
use slapos_slap::SoftwareUrl;

use crate::cli::Global;
use crate::output::Watch;

/// The configuration file: named by `--cfg` (or `SLAPOS_CONFIGURATION`), `--root` or `--system`;
/// else the standard one if it exists; else that of a node that `up` made without arguments.
pub(crate) fn config_file(global: &Global) -> PathBuf {
    match &global.cfg {
        Some(cfg) => cfg.clone(),
        None => layout(global).config,
    }
}

/// Where a new node goes.
pub(crate) fn layout(global: &Global) -> Layout {
    match &global.root {
        Some(root) => Layout::under(&std::path::absolute(root).unwrap_or_else(|_| root.clone())),
        None if global.system || Path::new(DEFAULT_FILE).exists() => Layout::system(),
        None => Layout::under(&Layout::default_root()),
    }
}

/// `slapos WORDS` for the node that the arguments of this command mean, to be proposed to people.
pub(crate) fn command(global: &Global, words: &str) -> String {
    let option = match (&global.cfg, &global.root, global.system) {
        (Some(cfg), ..) => format!(" --cfg {}", quoted(cfg)),
        (None, Some(root), _) => format!(" --root {}", quoted(root)),
        (None, None, true) => " --system".to_owned(),
        (None, None, false) => String::new(),
    };
    format!("slapos {words}{option}")
}

/// As a shell reads it as one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Reads the configuration.
pub(crate) fn config(global: &Global) -> Result<NodeConfig, NodeError> {
    config_with(global, &[])
}

/// Reads the configuration; options of `[slapos]` that arguments give stand in place of those of
/// the file.
pub(crate) fn config_with(
    global: &Global,
    arguments: &[(&str, String)],
) -> Result<NodeConfig, NodeError> {
    let config = read(global, arguments)?;
    speak_of(global, &config);
    Ok(config)
}

/// The same for what runs every minute where nobody looks on, most often: a log would say the same of the
/// file for ever. `node format`, which runs every hour, does so there.
pub(crate) fn config_of_routine(
    global: &Global,
    arguments: &[(&str, String)],
) -> Result<NodeConfig, NodeError> {
    let config = read(global, arguments)?;
    if std::io::stderr().is_terminal() {
        speak_of(global, &config);
    }
    Ok(config)
}

fn read(global: &Global, arguments: &[(&str, String)]) -> Result<NodeConfig, NodeError> {
    Ok(NodeConfig::read_with(&absolute(&config_file(global))?, arguments)?)
}

/// Says what of the file nobody reads, and what is not done.
fn speak_of(global: &Global, config: &NodeConfig) {
    warn_of(global, &config.unread);
    tell_of(global, config);
}

/// Says what the file asks for and is not done, once.
fn tell_of(global: &Global, config: &NodeConfig) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let watch = Watch::new(global);
        config.without_effect.iter().for_each(|text| watch.note("configuration", text));
    });
}

/// Warns of options that nobody reads, once.
pub(crate) fn warn_of(global: &Global, unread: &[String]) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let watch = Watch::new(global);
        unread.iter().for_each(|text| watch.warn("configuration", text));
    });
}

/// What a user's commands need to know: from the file that is named, else from the user's own (named
/// by `SLAPOS_CLIENT_CONFIGURATION`, or in the home directory), else from the node's.
pub(crate) fn client_config(global: &Global) -> Result<ClientConfig, NodeError> {
    let own = client_file().filter(|file| !names_a_node(global) && file.exists());
    let file = own.unwrap_or_else(|| config_file(global));
    let config = ClientConfig::read(&absolute(&file)?)?;
    warn_of(global, &config.unread);
    Ok(config)
}

/// What the commands of `slapos proxy` need to know; they warn themselves. Options of `[slapproxy]`
/// that arguments give stand in place of those of the file.
pub(crate) fn operator_config(
    global: &Global,
    arguments: &[(&str, String)],
) -> Result<OperatorConfig, NodeError> {
    Ok(OperatorConfig::read(&absolute(&config_file(global))?, arguments)?)
}

/// Whether a configuration file is named, in any way.
pub(crate) fn names_a_node(global: &Global) -> bool {
    global.cfg.is_some() || global.root.is_some() || global.system
}

/// Where a user's own configuration is, as the original has it.
pub(crate) fn client_file() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = variable("SLAPOS_CLIENT_CONFIGURATION").map(PathBuf::from);
    named.or_else(|| Some(Path::new(&variable("HOME")?).join(".slapos/slapos-client.cfg")))
}

/// A Software Release as people write it: a URL stays as it is, a path becomes absolute, so that
/// it means the same wherever the next command is run.
pub(crate) fn software_url(text: &str) -> Result<SoftwareUrl, NodeError> {
    if text.contains("://") {
        return Ok(SoftwareUrl::new(text));
    }
    let path = Path::new(text);
    let found = path.canonicalize().map_err(|error| {
        NodeError::user(format!("there is no Software Release at {text}: {error}"))
            .hint("name the profile itself, for example software/helloworld/software.cfg, or a URL")
    })?;
    if !found.is_file() {
        return Err(NodeError::user(format!("{text} is no file")).hint(format!(
            "name the profile itself, perhaps {}",
            path.join("software.cfg").display()
        )));
    }
    match found.to_str() {
        Some(path) => Ok(SoftwareUrl::new(path)),
        None => Err(NodeError::user(format!("{} is not UTF-8", found.display()))),
    }
}

/// The path, wherever this process is.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, NodeError> {
    std::path::absolute(path)
        .map_err(|error| NodeError::user(format!("cannot find {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        global: Global,
    }

    #[test]
    fn a_proposed_command_means_the_same_node() {
        let proposed = |words: &[&str]| {
            let words = ["slapos"].iter().chain(words);
            command(&Alone::parse_from(words).global, "up")
        };
        let configured = std::env::var_os("SLAPOS_CONFIGURATION").is_some();
        assert_eq!(proposed(&["--cfg", "/a/slapos.cfg"]), "slapos up --cfg /a/slapos.cfg");
        if !configured {
            assert_eq!(proposed(&[]), "slapos up");
            assert_eq!(proposed(&["--system"]), "slapos up --system");
            assert_eq!(proposed(&["--root", "/it's a"]), r"slapos up --root '/it'\''s a'");
        }
    }
}
