//! `slapos node agent`, `cron`, `bang`: what makes the commands of a node run.

use serde_json::json;
use slapos_node::agent::{self, Setup};
use slapos_node::cron::{self, Arrangement, CRON_FILE, Options, Runner, Step};
use slapos_node::error::exit;
use slapos_node::{NodeConfig, NodeError, master};

use super::with_node;
use crate::cli::{Cron, Global};
use crate::output::{Watch, say, say_json};
use crate::place;

pub(crate) fn agent(global: &Global, unless_running: bool) -> Result<u8, NodeError> {
    let watch = Watch::new(global);
    // Cron starts one every minute, beside the one that runs.
    let read = || match unless_running {
        true => place::config_of_routine(global, &[]),
        false => place::config(global),
    };
    let mut words = vec!["--verbose".to_owned(); usize::from(global.verbosity())];
    words.extend(global.quiet.then(|| "--quiet".to_owned()));
    match agent::run(&Setup { read: &read, reporter: &watch, words }) {
        Err(error) if unless_running && error.exit_code() == exit::BUSY => Ok(0),
        other => other.map(|()| 0),
    }
}

pub(crate) fn bang(
    global: &Global,
    config: &NodeConfig,
    message: &str,
    dry_run: bool,
) -> Result<u8, NodeError> {
    if dry_run {
        return with_node(global, config, |node| {
            let (master, computer) = (&config.master_url, &config.computer_id);
            let text = format!(
                "tell {master} to have every instance of {computer} processed again: {message}"
            );
            node.reporter.note("bang", &text);
            Ok(0)
        });
    }
    let master = master(config)?;
    if !global.json {
        say(&format!("Banging to '{}'", config.master_url));
    }
    master.computer_bang(&config.computer_id, message)?;
    match global.json {
        true => say_json(&json!({ "computer": config.computer_id, "message": message })),
        false => say(&format!("Bang with message '{message}'")),
    }
    Ok(0)
}

pub(crate) fn cron(global: &Global, config: &NodeConfig, cron: &Cron) -> Result<u8, NodeError> {
    let by_systemd = cron.systemd || (cron.cron_file.is_none() && cron::systemd_runs());
    let runner = if by_systemd { Runner::Systemd } else { Runner::Cron };
    let options = Options {
        wanted: match (cron.install, cron.agent) {
            (true, true) => Arrangement::Agent(runner),
            (true, false) => Arrangement::Commands(runner),
            (false, _) => Arrangement::Nothing,
        },
        cron_file: cron.cron_file.clone().unwrap_or_else(|| CRON_FILE.into()),
        unit_directory: cron.systemd_directory.clone(),
        force: cron.force,
        dry_run: cron.dry_run,
    };
    if cron.show {
        show_installed(global, &cron::installed(&options)?);
        return Ok(0);
    }
    let steps = with_node(global, config, |node| cron::arrange(node, &options))?;
    show_steps(global, &steps, cron.dry_run);
    Ok(0)
}

fn show_installed(global: &Global, files: &[(std::path::PathBuf, String)]) {
    if global.json {
        let files = files.iter().map(|(path, text)| json!({ "path": path, "text": text }));
        return say_json(&json!(files.collect::<Vec<_>>()));
    }
    if files.is_empty() {
        say("Nothing is installed. `slapos node cron --install` installs it.");
    }
    for (path, text) in files {
        say(&format!("==> {} <==\n{text}", path.display()));
    }
}

fn show_steps(global: &Global, steps: &[Step], dry_run: bool) {
    if global.json {
        let steps = steps.iter().map(|step| json!(step.to_string()));
        return say_json(&json!({ "dry-run": dry_run, "steps": steps.collect::<Vec<_>>() }));
    }
    if steps.is_empty() {
        say("Nothing is to be done.");
    }
    steps.iter().for_each(|step| say(&step.to_string()));
    if dry_run && !steps.is_empty() {
        say("Nothing was done (--dry-run).");
    }
}
