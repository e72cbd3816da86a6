//! What a user asks of a Master.

use indexmap::IndexMap;
use serde_json::json;
use slapos_node::{NodeError, generation};
use slapos_slap::{
    ComputerId, InstanceAnswer, InstanceInfo, InstanceRequest, InstanceState, SlapClient,
    SoftwareState, SoftwareUrl, check_title,
};

use super::{instances, parameters};
use crate::cli::{Global, Request, Service, Supply, Wish};
use crate::output::{Table, say, say_json};
use crate::place;

pub(crate) fn supply(global: &Global, supply: &Supply) -> Result<u8, NodeError> {
    set_software(global, supply, SoftwareState::Available, "is supplied to")
}

pub(crate) fn remove(global: &Global, supply: &Supply) -> Result<u8, NodeError> {
    set_software(global, supply, SoftwareState::Destroyed, "is to be removed from")
}

fn set_software(
    global: &Global,
    supply: &Supply,
    state: SoftwareState,
    words: &str,
) -> Result<u8, NodeError> {
    let config = place::client_config(global)?;
    let master = config.master()?;
    // What is removed may be gone already.
    let url = match state {
        _ if supply.software.starts_with(PRODUCT) => product(&master, &supply.software)?,
        SoftwareState::Available => place::software_url(&supply.software)?,
        SoftwareState::Destroyed => place::software_url(&supply.software)
            .unwrap_or_else(|_| SoftwareUrl::new(supply.software.as_str())),
    };
    let computer = match &supply.computer {
        Some(name) => ComputerId::new(name.as_str()),
        None => config.computer_id.clone().ok_or_else(|| {
            NodeError::user("name the computer: the configuration is a user's, and has none")
        })?,
    };
    let absent = state == SoftwareState::Destroyed && is_not_supplied(&master, &computer, &url);
    if !absent {
        master.supply(&url, &computer, state)?;
    }
    match (global.json, absent) {
        (true, _) => {
            say_json(&json!({ "software-url": url, "computer": computer, "state": state }));
        }
        (_, true) => {
            say(&format!("{url} is not supplied to {computer}: nothing is to be removed."));
        }
        _ => say(&format!("{url} {words} {computer}; `slapos node software` does it.")),
    }
    Ok(0)
}

/// Whether it is known that `computer` has nothing of `url` to remove. A Master need not tell a user
/// about a computer.
fn is_not_supplied(master: &SlapClient, computer: &ComputerId, url: &SoftwareUrl) -> bool {
    let known = master.full_computer_information(computer);
    known.is_ok_and(|computer| computer.software.iter().all(|release| release.url != *url))
}

pub(crate) fn request(global: &Global, request: &Request) -> Result<u8, NodeError> {
    let config = place::client_config(global)?;
    let master = config.master()?;
    let url = match request.software.starts_with(PRODUCT) {
        true => product(&master, &request.software)?,
        false => place::software_url(&request.software).or_else(|error| match request.state {
            Some(InstanceState::Destroyed) => Ok(SoftwareUrl::new(request.software.as_str())),
            _ => Err(error),
        })?,
    };
    let mut wish = request.wish.clone();
    if let Some(file) = &request.parameters_file {
        let subject = parameters::Subject {
            master: &master,
            software: &url,
            software_type: wish.software_type.as_deref().unwrap_or_default(),
            shared: request.slave,
        };
        let read = parameters::from_file(file, request.force_serialisation, &subject)?;
        wish.parameters = Some(read.into_iter().collect());
    }
    let mut wanted = InstanceRequest::new(request.name.as_str(), url);
    wanted.state = request.state;
    wanted.shared = request.slave;
    wanted.sla = request.node.iter().cloned().collect();
    for key in slapos_slap::sla::unknown_keys(&wanted.sla) {
        tracing::warn!("nobody knows {key:?} of --node: a slip of the pen? It is ignored");
    }
    require_title(&master, &wanted)?;
    let (wanted, ends) = complete(&master, wanted, &wish)?;
    if wish.software_type.is_some() && wanted.state != Some(InstanceState::Destroyed) {
        let strange = parameters::strange_type(&master, &wanted.software, &wanted.software_type);
        strange.iter().for_each(|words| tracing::warn!("{words}"));
    }
    if request.check {
        return instances::check(global, &master, &wanted, ends.as_deref());
    }
    let mut answer = granted(&master, &wanted, ends.as_deref())?;
    if wanted.shared && wanted.state == Some(InstanceState::Destroyed) {
        // Masters tell no state of shared instances: who is granted this has it.
        answer.state = InstanceState::Destroyed;
    }
    for word in not_followed(&wanted, &answer) {
        tracing::warn!("{word}");
    }
    show_answer(global, &request.name, &answer);
    Ok(0)
}

/// Requires a title that is read as what it is; of an instance that is there, any.
fn require_title(master: &SlapClient, wanted: &InstanceRequest) -> Result<(), NodeError> {
    let title = wanted.title.as_str();
    let Err(why) = check_title(title) else { return Ok(()) };
    let known = || master.instance(title).is_ok_and(|found| found.is_some());
    match wanted.state == Some(InstanceState::Destroyed) || known() {
        true => Ok(()),
        false => Err(NodeError::user(format!("the title {title:?} {why}"))),
    }
}

/// What of a request that was granted does not come about.
fn not_followed(wanted: &InstanceRequest, answer: &InstanceAnswer) -> Vec<String> {
    let title = &wanted.title;
    let mut words = Vec::new();
    let stopped = InstanceState::Stopped;
    if wanted.shared && wanted.state == Some(stopped) && answer.state != stopped {
        words.push(format!(
            "{title} is to be {}, not stopped: the Master does not stop shared instances by \
             themselves, but what serves them",
            answer.state,
        ));
    }
    let named = wanted.sla.get("computer_guid").filter(|named| !named.is_empty());
    // What another Master serves is on a computer of that.
    if let Some(named) = named.filter(|named| **named != answer.computer.as_str())
        && answer.master_url.is_none()
    {
        words.push(format!(
            "{title} stays on {}: an instance is not moved to the computer that is asked for, \
             {named}",
            answer.computer
        ));
    }
    words
}

/// How the name of a Software Product begins.
const PRODUCT: &str = "product.";

/// The Software Release that the Master knows by that name.
fn product(master: &SlapClient, text: &str) -> Result<SoftwareUrl, NodeError> {
    let name = text.strip_prefix(PRODUCT).unwrap_or(text);
    master.software_product(name)?.into_iter().next().ok_or_else(|| {
        NodeError::user(format!("the Master knows no Software Product {name}"))
            .hint("its operator names them: `software_product_list` in [slapproxy]")
    })
}

/// Requests an instance. What the wish leaves open stays as it is, if the instance exists.
pub(super) fn ask(
    master: &SlapClient,
    wanted: InstanceRequest,
    wish: &Wish,
) -> Result<InstanceAnswer, NodeError> {
    let (wanted, ends) = complete(master, wanted, wish)?;
    granted(master, &wanted, ends.as_deref())
}

/// What comes of the request, which ends the rollback `ends` of the instance.
fn granted(
    master: &SlapClient,
    wanted: &InstanceRequest,
    ends: Option<&str>,
) -> Result<InstanceAnswer, NodeError> {
    let answer = master.request(wanted)?;
    if let Some(former) = ends {
        tracing::warn!("{}", instances::it_ends(wanted.title.as_str(), former, "ends"));
    }
    answer.ok_or_else(|| {
        NodeError::user("the Master has not allocated the instance yet")
            .hint("run the same command again in a while")
            .code(2)
    })
}

/// The request with what the wish leaves open, and the rollback that it ends, which only the former one
/// tells. Where it goes is the Master's to say, as with the original: also what a node's configuration asks
/// for need not live on that node.
fn complete(
    master: &SlapClient,
    mut wanted: InstanceRequest,
    wish: &Wish,
) -> Result<(InstanceRequest, Option<String>), NodeError> {
    let existing = master.instance(wanted.title.as_str())?;
    let ends = existing.as_ref().and_then(|_| instances::rollback_that_ends(master, &wanted));
    if let Some(parameters) = &wish.parameters {
        wanted.parameters = unique(parameters)?;
    } else if let Some(existing) = &existing {
        wanted.parameters.clone_from(&existing.parameters);
    }
    if let Some(software_type) = &wish.software_type {
        wanted.software_type.clone_from(software_type);
    } else if let Some(existing) = &existing {
        wanted.software_type.clone_from(&existing.software_type);
    }
    Ok((wanted, ends))
}

fn unique(pairs: &[(String, String)]) -> Result<IndexMap<String, String>, NodeError> {
    let mut map = IndexMap::new();
    for (key, value) in pairs {
        if map.insert(key.clone(), value.clone()).is_some() {
            return Err(NodeError::user(format!("the parameter `{key}` is given twice")));
        }
    }
    Ok(map)
}

fn show_answer(global: &Global, name: &str, answer: &InstanceAnswer) {
    if global.json {
        return say_json(&json!({
            "name": name,
            "state": answer.state,
            "software-url": answer.software_url,
            "software-type": answer.software_type,
            "computer": answer.computer,
            "partition": answer.partition,
            "parameters": answer.parameters,
            "connection-parameters": answer.connection,
        }));
    }
    say(&format!("Instance requested.\nState is : {}.", answer.state));
    say("Connection parameters of instance are:");
    answer.connection.iter().for_each(|(key, value)| say(&format!("  {key} = {value}")));
    say("You can rerun the command to get up-to-date information.");
}

pub(crate) fn service(global: &Global, command: &Service) -> Result<u8, NodeError> {
    let master = place::client_config(global)?.master()?;
    match command {
        Service::List => {
            let mut instances = master.instance_trees()?;
            instances.sort_by(|a, b| a.title.cmp(&b.title));
            let elsewhere = instances::served_elsewhere(&master)?;
            if global.json {
                say_json(&instances::all_roots(instances, elsewhere).into());
                return Ok(0);
            }
            let mut table = Table::new(&["instance", "software release"]);
            for instance in instances {
                table.row([instance.title, instance.software.to_string()]);
            }
            match table.is_empty() {
                true if elsewhere.is_empty() => say("There is no instance."),
                true => {}
                false => say(&table.to_string()),
            }
            instances::elsewhere(&elsewhere);
            Ok(0)
        }
        Service::Info { name } => {
            if let Some(info) = master.instance(name)? {
                show_info(global, &info);
                return Ok(0);
            }
            let there = instances::root_elsewhere(&master, name)?.ok_or_else(|| absent(name))?;
            instances::show_elsewhere(global, &there);
            Ok(0)
        }
        Service::Restart { name, tree } => instances::restart(global, &master, name, *tree),
    }
}

/// The instance called `name`.
pub(super) fn find(master: &SlapClient, name: &str) -> Result<InstanceInfo, NodeError> {
    master.instance(name)?.ok_or_else(|| absent(name))
}

pub(super) fn absent(name: &str) -> NodeError {
    NodeError::user(format!("there is no instance `{name}`"))
        .hint("`slapos service list` lists those that there are")
        .code(2)
}

fn show_info(global: &Global, info: &InstanceInfo) {
    let (state, message) = info.reported().unwrap_or_default();
    let held = generation::held_by(message);
    if global.json {
        return say_json(&json!({
            "name": info.title,
            "software-url": info.software,
            "software-type": info.software_type,
            "shared": info.shared,
            "requested-state": info.requested_state,
            "status": info.status(),
            "reported-state": state,
            "reported-message": message,
            "held-generation": held,
            "news": info.news,
            "instance-parameters": info.parameters,
            "connection-parameters": info.connection,
        }));
    }
    let mut table = Table::new(&[&info.title, ""]);
    // Of a shared one Masters have no state to tell: its host's is what counts.
    let state = if info.shared { "that of its host" } else { &info.requested_state };
    table.row(["requested state".into(), state.to_owned()]);
    show_reports(&mut table, info, held);
    table.row(["software release".into(), info.software.to_string()]);
    table.row(["software type".into(), info.software_type.clone()]);
    for (key, value) in &info.parameters {
        table.row([format!("parameter {key}"), value.clone()]);
    }
    for (key, value) in &info.connection {
        table.row([format!("connection {key}"), value.clone()]);
    }
    say(&table.to_string());
}

/// How the instance and its tree fare, as far as the Master tells.
fn show_reports(table: &mut Table, info: &InstanceInfo, held: Option<u32>) {
    match info.reported() {
        Some((state, message)) => {
            table.row(["reported state".into(), state.to_owned()]);
            if !message.is_empty() {
                table.explained("reported message", message);
            }
        }
        None if info.news.is_some() && !info.shared => {
            table.row(["reported state".into(), "nothing was heard of it yet".into()]);
        }
        None => {}
    }
    if let Some(number) = held {
        let text = format!("{number}, until another change is requested");
        table.row(["held generation".into(), text]);
    }
    for (title, message) in info.broken_members() {
        table.explained(&format!("error of {title}"), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_followed_is_said() {
        let mut wanted = InstanceRequest::new("web", "s");
        let mut answer = InstanceAnswer::to(&wanted, "COMP-1", "slappart0");
        assert!(not_followed(&wanted, &answer).is_empty());
        wanted.state = Some(InstanceState::Stopped);
        assert!(not_followed(&wanted, &answer).is_empty(), "its tree may be less alive");
        wanted.shared = true;
        wanted.state = Some(InstanceState::Destroyed);
        assert!(not_followed(&wanted, &answer).is_empty(), "it is destroyed");
        wanted.state = Some(InstanceState::Stopped);
        wanted.sla = [("computer_guid".to_owned(), "COMP-2".to_owned())].into();
        insta::assert_snapshot!(not_followed(&wanted, &answer).join("\n"), @r"
        web is to be started, not stopped: the Master does not stop shared instances by themselves, but what serves them
        web stays on COMP-1: an instance is not moved to the computer that is asked for, COMP-2
        ");
        answer.master_url = Some("http://m".to_owned());
        wanted.state = None;
        assert!(not_followed(&wanted, &answer).is_empty());
    }
}
