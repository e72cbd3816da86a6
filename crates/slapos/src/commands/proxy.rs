//! `slapos proxy ...`: the embedded Master.

pub(super) mod dashboard;
mod database;
mod identity;
mod rehearsal;
mod rekey;

use std::path::PathBuf;
use std::time::Duration;

use slapos_master::{
    Access, Keep, Master, MasterConfig, Protocols, Rate, ShacacheConfig, TlsAccess,
};
use slapos_node::config::{ProtocolsConfig, ProxyAccess};
use slapos_node::{NodeError, OperatorConfig, Reporter as _, keep_token, new_token, read_token};
use slapos_slap::Overview;
use slapos_sys::Secret;
use slapos_sys::process::Command;
use slapos_sys::user::{Identity, is_root};

use super::{instances, proxy_requests};
use crate::cli::identity::Authority;
use crate::cli::{Global, Proxy, Show, database as named_database};
use crate::output::{Table, Watch, log_descriptor, say, say_json};
use crate::place;

pub(crate) fn run(global: &Global, command: &Proxy) -> Result<u8, NodeError> {
    let given = match command {
        Proxy::Start(start) => start.settings()?,
        _ => Vec::new(),
    };
    let config = place::operator_config(global, &given)?;
    if !(is_done_at_the_database(command) && config.is_anothers()) {
        place::warn_of(global, &config.client.unread);
    }
    let desk = || identity::Desk::new(global, &config);
    match command {
        Proxy::Start(_) => start(global, &config, &given),
        Proxy::Backup { file } => database::backup(global, &config, file),
        Proxy::Restore { file, force, dry_run: true } => {
            rehearsal::restore(global, &config, file, *force)
        }
        Proxy::Restore { file, force, .. } => database::restore(global, &config, file, *force),
        Proxy::Migrate { to, dry_run: true } => rehearsal::migrate(global, &config, *to),
        Proxy::Migrate { to, .. } => database::migrate(global, &config, *to),
        Proxy::User(user) => desk()?.user(user),
        Proxy::Project(project) => desk()?.project(project),
        Proxy::Token(token) => desk()?.token(token),
        Proxy::Computer(computer) => desk()?.computer(computer),
        Proxy::Ca(Authority::Show { fingerprint }) => desk()?.show_authority(*fingerprint),
        Proxy::Ca(Authority::Rekey { former_token_file }) => {
            rekey::run(global, &config, former_token_file)
        }
        Proxy::Orphans { destroy, tree } => {
            instances::orphans(global, &config.master()?, *destroy, tree.as_deref())
        }
        Proxy::Audit { limit } => desk()?.audit(*limit),
        Proxy::Show(show) => {
            is_asked(&config, show)?;
            let overview = config.master()?.overview()?;
            show_overview(global, show, &overview);
            if !global.json && show.all() {
                say(&format!("dashboard  {}", dashboard::page(&config.client.master_url)));
            }
            Ok(0)
        }
        Proxy::Dashboard { open } => dashboard::run(global, &config, *open),
    }
}

/// Whether a command is done once more by this program as the user who has the database, if that is another.
fn is_done_at_the_database(command: &Proxy) -> bool {
    use Proxy::{Backup, Migrate, Restore, Start};
    matches!(command, Start(_) | Backup { .. } | Restore { .. } | Migrate { .. })
}

fn start(
    global: &Global,
    config: &OperatorConfig,
    given: &[(&str, String)],
) -> Result<u8, NodeError> {
    let proxy = config.embedded()?;
    if let Some(user) = prepared(global, config)? {
        let words = given.iter();
        let words = words.map(|(option, value)| format!("--{}={value}", option.replace('_', "-")));
        let error = as_user(global, config, &user, &["start"]).args(words).exec();
        return Err(not_as(&user, &error));
    }
    if is_root() {
        let (user, directory) = (&proxy.user, proxy.directory.display());
        let text = format!(
            "it runs as root, because {directory} is root's: `chown -R {user} {directory}`"
        );
        Watch::new(global).warn("master", &text);
    }
    let Some(path) = config.token_file() else {
        return Err(NodeError::user("the Master has no token, and it trusts nobody without"));
    };
    let is_new = !path.exists();
    let token = if is_new { new_token()? } else { read_token(path)? };
    let keep = is_new.then(|| keep(path.to_owned(), token.clone()));
    let master = MasterConfig {
        host: proxy.host.clone(),
        port: proxy.port,
        database: database::of(proxy)?,
        token,
        computer_id: config.home(),
        access: access(&proxy.access),
        protocols: protocols(&proxy.protocols),
        requests: proxy_requests::requests(&proxy.requests)?,
    };
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let bound = match keep {
            Some(keep) => Master::bind_new(master, keep).await,
            None => Master::bind(master).await,
        };
        bound?.serve(interrupted()).await
    });
    // Threads that fetch for the network cache cannot be stopped, and are not waited for.
    runtime.shutdown_background();
    served.map_err(|error| NodeError::user(error.to_string()))?;
    Ok(0)
}

/// What puts a new token into the file.
fn keep(path: PathBuf, token: Secret) -> Keep {
    Box::new(move || match keep_token(&path, &token) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{} was made in the same moment: start again", path.display())),
        Err(error) => Err(error.to_string()),
    })
}

/// How the Master may be reached, as configured.
fn access(options: &ProxyAccess) -> Access {
    let mut access = Access {
        tls: options.tls.as_ref().map(|tls| TlsAccess {
            host: tls.host.clone(),
            port: tls.port,
            names: tls.names.clone(),
            files: tls.files.clone(),
        }),
        allow_plain_http: options.allow_plain_http,
        connections: options.connections,
        listeners: options.listeners,
        trusted_proxies: options.trusted_proxies.clone(),
        ..Access::default()
    };
    if let Some(per_second) = options.requests_per_second {
        access.callers = Rate { per_second, burst: (per_second * 10.0).max(1.0) };
    }
    if let Some(per_minute) = options.failures_per_minute {
        access.failures =
            Rate { per_second: per_minute / 60.0, burst: (per_minute / 2.0).max(1.0) };
    }
    if let Some(days) = options.certificate_days {
        access.certificate_life = Duration::from_secs_f64(days * 86_400.0).as_secs().max(1);
    }
    access
}

fn protocols(config: &ProtocolsConfig) -> Protocols {
    Protocols {
        products: config.products.iter().cloned().collect(),
        shacache: config.shacache.clone().map(|cache| ShacacheConfig {
            content: cache.content,
            metadata: cache.metadata,
            upstream_cache: cache.upstream_cache,
            upstream_dir: cache.upstream_dir,
            anonymous_download: cache.anonymous_download,
            shared: cache.shared,
            largest: cache.largest,
        }),
    }
}

/// Makes what the Master needs; the user that it runs as, if that is another.
fn prepared(global: &Global, config: &OperatorConfig) -> Result<Option<Identity>, NodeError> {
    config.prepare(&Watch::new(global))
}

fn runtime() -> Result<tokio::runtime::Runtime, NodeError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| NodeError::user(format!("cannot start: {error}")))
}

/// `slapos proxy WORDS` as `user`, who may not be able to open the log that is named: it goes on in ours.
fn as_user(global: &Global, config: &OperatorConfig, user: &Identity, words: &[&str]) -> Command {
    let mut command = Command::current_exe();
    command.arg0("slapos").arg("proxy").args(words).arg("--cfg").arg(&config.file);
    command.args(manner(global));
    if let Some(fd) = log_descriptor() {
        command.arg(format!("--log-descriptor={fd}")).pass_fds(&[fd]);
    }
    command.inherit_env(&["PATH", "SLAPOS_LOG", "NO_COLOR", "TERM"]).user(user);
    command
}

/// The words that say how a command is to speak.
fn manner(global: &Global) -> Vec<&'static str> {
    let mut words = vec!["-v"; usize::from(global.verbosity())];
    words.extend(global.quiet.then_some("-q"));
    words.extend(global.json.then_some("--json"));
    words.extend(global.log_time.then_some("--log-time"));
    words
}

fn not_as(user: &Identity, error: &std::io::Error) -> NodeError {
    NodeError::user(format!("this program cannot be started as {}: {error}", user.name))
}

/// Ends when this process is asked to.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Refuses to show what is in another database than that of the Master, who is asked.
fn is_asked(config: &OperatorConfig, show: &Show) -> Result<(), NodeError> {
    let Some(named) = &show.database_uri else { return Ok(()) };
    let named = named_database(named)?;
    let known = config.proxy.as_ref().map(|proxy| proxy.database_uri.expose());
    if known == Some(named.as_str()) {
        return Ok(());
    }
    let message = "--database-uri cannot be honoured: the Master is asked, and slapos.cfg does not \
                   say that this is its database";
    Err(NodeError::user(message).hint("name the configuration of that Master by --cfg"))
}

fn show_overview(global: &Global, show: &Show, overview: &Overview) {
    if global.json {
        return say_json(&serde_json::json!(overview));
    }
    let shown = [
        (show.computers, "computers", computers(overview)),
        (show.software, "software", software(overview)),
        (show.partitions, "partitions", partitions(overview)),
        (show.slaves, "slaves", shared(overview)),
        (show.params, "params", params(overview)),
        (show.network, "network", network(overview)),
    ];
    for (_, name, table) in shown.iter().filter(|(chosen, ..)| *chosen || show.all()) {
        match table.is_empty() {
            true => say(&format!("{name}: empty\n")),
            false => say(&format!("{name}:\n{table}\n")),
        }
    }
}

fn computers(overview: &Overview) -> Table {
    let mut table = Table::new(&["computer", "address", "formatted at", "scope"]);
    for computer in &overview.computers {
        let formatted = computer.formatted_at.clone().unwrap_or_else(|| "never".to_owned());
        let scope = computer.settings.as_ref().map(|settings| settings.allocation_scope.as_str());
        let scope = scope.unwrap_or_default().to_owned();
        table.row([computer.reference.to_string(), computer.address.clone(), formatted, scope]);
    }
    table
}

fn software(overview: &Overview) -> Table {
    let mut table = Table::new(&["computer", "software release", "md5", "wanted", "reported"]);
    for software in &overview.software {
        table.row([
            software.computer.to_string(),
            software.url.to_string(),
            software.md5.clone(),
            software.requested_state.to_string(),
            reported(software.reported.as_ref()),
        ]);
    }
    table
}

fn partitions(overview: &Overview) -> Table {
    let mut table =
        Table::new(&["computer", "partition", "instance", "type", "wanted", "reported"]);
    for instance in &overview.instances {
        table.row([
            instance.computer.to_string(),
            instance.partition.to_string(),
            instance.title.clone(),
            instance.software_type.clone(),
            instance.requested_state.to_string(),
            reported(instance.reported.as_ref()),
        ]);
    }
    table
}

fn shared(overview: &Overview) -> Table {
    let mut table = Table::new(&["computer", "partition", "shared instance", "type", "published"]);
    for shared in &overview.shared {
        table.row([
            shared.computer.to_string(),
            shared.partition.to_string(),
            shared.reference.clone(),
            shared.software_type.clone(),
            format!("{} values", shared.connection.len()),
        ]);
    }
    table
}

fn params(overview: &Overview) -> Table {
    let mut table = Table::new(&["partition", "instance", "parameter", "value"]);
    let own = overview.instances.iter().map(|one| (&one.partition, &one.title, &one.parameters));
    let shared =
        overview.shared.iter().map(|one| (&one.partition, &one.reference, &one.parameters));
    for (partition, name, parameters) in own.chain(shared) {
        for (key, value) in parameters {
            table.row([partition.to_string(), name.clone(), key.clone(), value.clone()]);
        }
    }
    table
}

fn network(overview: &Overview) -> Table {
    let mut table = Table::new(&["computer", "partition", "addresses"]);
    for partition in &overview.partitions {
        let addresses: Vec<_> = partition.ip_list.iter().map(|(_, ip)| ip.to_string()).collect();
        table.row([
            partition.computer.to_string(),
            partition.reference.to_string(),
            addresses.join(", "),
        ]);
    }
    table
}

fn reported(report: Option<&slapos_slap::Report>) -> String {
    let Some(report) = report else {
        return "nothing yet".to_owned();
    };
    match report.message.lines().next() {
        Some(message) => format!("{}: {message}", report.state),
        None => report.state.clone(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn who_goes_on_speaks_as_he_was_asked_to() {
        let manner = |words: &str| {
            let words = format!("slapos {words} proxy audit");
            manner(&Cli::parse_from(words.split(' ')).global).join(" ")
        };
        assert_eq!(manner("--debug --log-time"), "-v -v --log-time");
        assert_eq!(manner("-q --json"), "-q --json");
    }
}
