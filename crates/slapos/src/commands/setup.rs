//! `slapos configure` and `slapos node register`.

use serde_json::json;
use slapos_node::setup::{
    ClientOptions, Credential, LocalOptions, MasterUrls, Registration, Trust, configure_client,
    configure_local,
};
use slapos_node::standalone::{Layout, start_master};
use slapos_node::{NodeError, format, read_token, setup};
use slapos_sys::Secret;
use slapos_sys::terminal::ask_secret;

use super::with_node;
use crate::cli::{Configure, ConfigureLocal, Global, MasterArgs, Register};
use crate::output::{Watch, say, say_json};
use crate::place;

pub(crate) fn configure(global: &Global, configure: &Configure) -> Result<u8, NodeError> {
    match configure {
        Configure::Local(local) => self::local(global, local),
        Configure::Client { master } => client(global, master),
    }
}

fn local(global: &Global, local: &ConfigureLocal) -> Result<u8, NodeError> {
    if place::names_a_node(global) {
        return Err(NodeError::user(
            "the configuration is slapos.cfg in --slapos-configuration-directory",
        ));
    }
    if local.enable_shacache_proxy {
        let message = "--enable-shacache-proxy cannot be honoured: which caches are asked and whose \
                       signatures are believed is for you to say";
        return Err(NodeError::user(message).hint(
            "leave it out; then set `shacache_content_directory`, `shacache_metadata_directory` and \
             the `shacache_upstream_` options of [slapproxy], and [networkcache]",
        ));
    }
    let absolute = place::absolute;
    let config = configure_local(&LocalOptions {
        directory: absolute(&local.slapos_configuration_directory)?,
        software_root: absolute(&local.slapos_software_root)?,
        instance_root: absolute(&local.slapos_instance_root)?,
        home: absolute(&local.slapos_buildout_directory)?,
        host: local.daemon_listen_ip.clone(),
        port: local.daemon_listen_port,
        partition_amount: local.partition_number,
        interface_name: local.interface_name.clone(),
        ipv4_local_network: local.ipv4_local_network.clone(),
    })?;
    with_node(global, &config, |node| {
        let description = format::apply(node, false)?;
        start_master(node)?;
        format::announce(node, &description)
    })?;
    let file = config.file.display();
    match global.json {
        true => say_json(&json!({ "configuration": config.file, "master-url": config.master_url })),
        false => say(&format!("The node is ready: {file}, its Master {}.", config.master_url)),
    }
    let tls = config.proxy.as_ref().and_then(|proxy| proxy.access.tls.as_ref());
    if let (Some(tls), false) = (tls, global.json) {
        say(&format!(
            "Others reach it by https at {}, port {}, and know it by what `slapos proxy ca show \
             --fingerprint` says.",
            tls.host, tls.port
        ));
    }
    Ok(0)
}

fn client(global: &Global, master: &MasterArgs) -> Result<u8, NodeError> {
    let named = match place::names_a_node(global) {
        true => Some(place::config_file(global)),
        false => place::client_file(),
    };
    let config =
        named.ok_or_else(|| NodeError::user("there is no HOME: name the file by --cfg"))?;
    let config = place::absolute(&config)?;
    let token = token(master, "Credential security token")?;
    let watch = Watch::new(global);
    let options = ClientOptions { urls: urls(master), token, config: config.clone() };
    configure_client(&options, &watch)?;
    match global.json {
        true => say_json(&json!({ "configuration": config })),
        false => say(&format!("The configuration is {}.", config.display())),
    }
    Ok(0)
}

pub(crate) fn register(global: &Global, register: &Register) -> Result<u8, NodeError> {
    let credential = credential(register)?;
    let usual = if global.root.is_some() { place::layout(global) } else { Layout::system() };
    let registration = Registration {
        title: register.name.clone(),
        urls: urls(&register.master),
        credential,
        config: place::absolute(&place::config_file(global))?,
        software_root: place::absolute(
            register.software_root.as_ref().unwrap_or(&usual.software_root),
        )?,
        instance_root: place::absolute(
            register.instance_root.as_ref().unwrap_or(&usual.instance_root),
        )?,
        partition_amount: register.partition_number,
        interface_name: register.interface_name.clone(),
        ipv6_interface: register.ipv6_interface.clone(),
        ipv4_local_network: register.ipv4_local_network.clone(),
        create_tap: register.create_tap,
        force: register.force,
        dry_run: register.dry_run,
    };
    let watch = Watch::new(global);
    let computer = setup::register(&registration, &watch)?;
    match (global.json, register.dry_run) {
        (true, dry_run) => say_json(&json!({ "computer": computer, "dry-run": dry_run })),
        (false, true) => say("Nobody was asked, nothing was written (--dry-run)."),
        (false, false) => {
            let boot = place::command(global, "node boot");
            say(&format!("The node is {computer}. Now run `{boot}`, once."));
        }
    }
    Ok(0)
}

fn credential(register: &Register) -> Result<Credential, NodeError> {
    let name = match &register.login {
        // Nobody is asked, and nothing shown.
        _ if register.dry_run => return Ok(Credential::Token(Secret::new(""))),
        Some(name) => name.clone(),
        None if register.login_auth => ask("Login")?.expose().to_owned(),
        None => return token(&register.master, "Computer security token").map(Credential::Token),
    };
    let password = register.password.clone().map(Secret::new);
    let password = password.map_or_else(|| ask("Password"), Ok)?;
    Ok(Credential::Login { name, password })
}

fn urls(master: &MasterArgs) -> MasterUrls {
    let given = &master.trust;
    let trust = match (&given.ca_fingerprint, &given.master_ca_file) {
        (Some(fingerprint), _) => Trust::Fingerprint(fingerprint.clone()),
        (None, Some(file)) => Trust::File(file.clone()),
        (None, None) if given.trust_on_first_use => Trust::FirstUse,
        (None, None) => Trust::Machine,
    };
    let (url, web) = (master.master_url.clone(), master.master_url_web.clone());
    MasterUrls { master: url, web, trust }
}

fn token(master: &MasterArgs, question: &str) -> Result<Secret, NodeError> {
    match (&master.token, &master.token_file) {
        (Some(token), _) => Ok(Secret::new(token.trim())),
        (None, Some(file)) => read_token(file),
        (None, None) => ask(question),
    }
}

fn ask(question: &str) -> Result<Secret, NodeError> {
    ask_secret(question)
        .map_err(|error| NodeError::user(format!("{question}: cannot be read: {error}")))
}
