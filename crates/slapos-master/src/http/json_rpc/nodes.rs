//! Methods about computers and the Software Releases on them.

use axum::http::StatusCode;
use serde_json::{Map, Value as Json, json};
use slapos_slap::convert::partition_id;
use slapos_slap::usage::read_journal;
use slapos_slap::{
    Address, ComputerDescription, PartitionDescription, SoftwareState, TapDescription,
};

use super::instances::name_of;
use super::schema::{Kind, Others, Schema};
use super::{Answer, Call, RpcError, certified, list, method, refused_by, success};
use crate::error::StoreError;
use crate::http::access::{Audited, May, Route, Rule};
use crate::http::certificates::Pair;
use crate::store::{InstanceDocument, Scope};

/// People and nodes, about computers that are theirs.
const COMPUTER: Rule = Rule { user: May::Own, ..Rule::NODE };

const NOTHING: Schema = Schema::of(&[], &[]);
const COMPUTER_ALONE: Schema = Schema::of(&["computer_guid"], &[("computer_guid", Kind::Text)]);
const SUPPLY: Schema = Schema::of(
    &["software_release_uri", "computer_guid"],
    &[
        ("software_release_uri", Kind::Text),
        ("computer_guid", Kind::Text),
        ("state", Kind::Word(&["available", "destroyed"])),
    ],
);
const SOFTWARE_STATE: Schema = Schema::of(
    &["software_release_uri", "computer_guid", "reported_state"],
    &[
        ("software_release_uri", Kind::Text),
        ("computer_guid", Kind::Text),
        ("reported_state", Kind::Word(&["available", "destroyed", "building"])),
    ],
);
const SOFTWARE_ERROR: Schema = Schema::of(
    &["software_release_uri", "computer_guid", "message"],
    &[("software_release_uri", Kind::Text), ("computer_guid", Kind::Text), ("message", Kind::Text)],
);
const BANG: Schema = Schema::of(
    &["computer_guid", "message"],
    &[("message", Kind::Text), ("computer_guid", Kind::Text)],
);
const USAGE: Schema = Schema::of(
    &["computer_guid", "tioxml"],
    &[("computer_guid", Kind::Text), ("tioxml", Kind::Text)],
);
const FORMAT: Schema = Schema::of(
    &["compute_partition_list", "computer_guid"],
    &[("computer_guid", Kind::Text), ("compute_partition_list", Kind::List(&PARTITION))],
);
const PARTITION: Schema = Schema {
    required: &["partition_id"],
    fields: &[("ip_list", Kind::List(&ADDRESS)), ("partition_id", Kind::Text)],
    others: Others::Ignored,
};
const ADDRESS: Schema = Schema {
    required: &["ip-address"],
    fields: &[
        ("gateway-ip-address", Kind::Text),
        ("network-address", Kind::Text),
        ("netmask", Kind::Text),
        ("ip-address", Kind::Text),
        ("network-interface", Kind::Text),
    ],
    others: Others::Ignored,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        method("/slapos.get.v0.hateoas_url", Rule::KNOWN, &NOTHING, hateoas_url),
        method("/slapos.get.v0.compute_node_status", COMPUTER, &COMPUTER_ALONE, status),
        method("/slapos.post.v0.compute_node_certificate", COMPUTER, &COMPUTER_ALONE, certificate)
            .audited(Audited::Everybody),
        method(
            "/slapos.remove.v0.compute_node_certificate",
            COMPUTER,
            &COMPUTER_ALONE,
            remove_certificate,
        )
        .audited(Audited::Everybody),
        method("/slapos.post.v0.compute_node_usage", Rule::NODE, &USAGE, usage),
        method("/slapos.put.v0.compute_node_format", Rule::NODE, &FORMAT, format),
        method("/slapos.put.v0.compute_node_bang", COMPUTER, &BANG, bang),
        method("/slapos.post.v0.software_installation", Rule::USER, &SUPPLY, supply),
        method(
            "/slapos.allDocs.v0.compute_node_software_installation_list",
            COMPUTER,
            &COMPUTER_ALONE,
            software_list,
        ),
        method(
            "/slapos.put.v0.software_installation_reported_state",
            Rule::NODE,
            &SOFTWARE_STATE,
            software_state,
        ),
        method(
            "/slapos.put.v0.software_installation_error",
            Rule::NODE,
            &SOFTWARE_ERROR,
            software_error,
        ),
        method(
            "/slapos.allDocs.v0.compute_node_instance_list",
            COMPUTER,
            &COMPUTER_ALONE,
            instance_list,
        ),
        method("/slapos.allDocs.WIP.compute_node_list", Rule::USER, &NOTHING, computer_list),
    ]
}

async fn hateoas_url(call: Call) -> Answer {
    Ok(json!({ "hateoas_url": call.hateoas }))
}

/// When its node was heard of last, in the words of the original's large Master.
async fn status(call: Call) -> Answer {
    let computer = call.computer().await?;
    known(&call, call.app.store.last_contact(&computer).await)?;
    call.app.computer_status(&computer).await.map_err(refused_by)
}

/// A new certificate for a computer; where there is no TLS none is of use, and the texts are empty.
async fn certificate(call: Call) -> Answer {
    let computer = call.computer().await?;
    known(&call, call.app.store.software_on(&computer).await)?;
    let pair = match call.app.authority() {
        Ok(_) => call.app.new_certificate(&computer, None).await.map_err(refused_by)?,
        Err(_) => Pair::none(),
    };
    Ok(certified(&pair))
}

async fn remove_certificate(call: Call) -> Answer {
    known(&call, call.app.store.revoke_certificates(&call.computer().await?).await)?;
    success("Ignored")
}

async fn usage(call: Call) -> Answer {
    let computer = call.computer().await?;
    let invalid = |error| {
        let title = format!("The tioxml does not validate the xsd: {error}");
        RpcError::new(StatusCode::BAD_REQUEST, title)
    };
    let journal = read_journal(call.text("tioxml")).map_err(invalid)?;
    known(&call, call.app.store.consumed(&computer, &journal).await)?;
    success("Usage reported")
}

async fn bang(call: Call) -> Answer {
    known(&call, call.app.store.bang_computer(&call.computer().await?).await)?;
    success("Ignored")
}

async fn format(call: Call) -> Answer {
    let partitions = call.body.get("compute_partition_list").and_then(Json::as_array);
    let partitions = partitions.into_iter().flatten().filter_map(Json::as_object);
    let partitions = partitions.map(described).collect::<Result<Vec<_>, _>>()?;
    call.app.store.format(&ComputerDescription::new(call.computer().await?, partitions)).await?;
    success("Formatted")
}

async fn supply(call: Call) -> Answer {
    let (url, computer) = (call.software(), call.computer().await?);
    let state = match call.text("state") {
        "destroyed" => SoftwareState::Destroyed,
        _ => SoftwareState::Available,
    };
    known(&call, call.app.store.supply(&url, &computer, state).await)?;
    success(format!("Supplied {url} to be {state}"))
}

async fn software_list(call: Call) -> Answer {
    let computer = call.computer().await?;
    call.heard_of(&computer).await?;
    let software = known(&call, call.app.store.software_on(&computer).await)?;
    let row = |release: &slapos_slap::SoftwareRelease| json!({ "software_release_uri": release.url, "state": release.state });
    list(software.iter().map(row).collect())
}

async fn software_state(call: Call) -> Answer {
    let (url, computer) = (call.software(), call.computer().await?);
    match call.text("reported_state") {
        "destroyed" => {
            call.app.store.software_destroyed(&url, &computer).await?;
            success("Destroyed")
        }
        state => {
            known(&call, call.app.store.report_software(&url, &computer, state, "").await)?;
            success("Ignored")
        }
    }
}

async fn software_error(call: Call) -> Answer {
    let (url, computer, message) = (call.software(), call.computer().await?, call.text("message"));
    known(&call, call.app.store.report_software(&url, &computer, "error", message).await)?;
    success("Ignored")
}

async fn instance_list(call: Call) -> Answer {
    let computer = call.computer().await?;
    call.heard_of(&computer).await?;
    let instances = known(&call, call.app.store.instances_on(&computer).await)?;
    let scope = call.app.seen_by(&call.caller).await.map_err(refused_by)?;
    let seen = |instance: &InstanceDocument| match &scope {
        Scope::Projects(own) => own.contains(&instance.project),
        Scope::All | Scope::Computer(_) => true,
    };
    let rows = instances.into_iter().filter(seen).map(|instance| {
        json!({
            "title": instance.title,
            "instance_guid": name_of(&instance).to_string(),
            "state": instance.state,
            "compute_partition_id": instance.partition,
            "software_release_uri": instance.software,
        })
    });
    list(rows.collect())
}

async fn computer_list(call: Call) -> Answer {
    let computers = call.app.computers(&call.caller).await.map_err(refused_by)?;
    list(computers.iter().map(|computer| json!({ "computer_guid": computer })).collect())
}

/// What the store says, where an unknown computer is refused in this API's words.
fn known<T>(call: &Call, result: Result<T, StoreError>) -> Result<T, RpcError> {
    result.map_err(|error| match error {
        StoreError::NotFound(_) => {
            RpcError::forbidden(format!("{} is not registered.", call.text("computer_guid")))
        }
        other => other.into(),
    })
}

/// A partition as its node describes it here: an address with a gateway is what its tap interface is
/// routed by, the others are its own.
fn described(partition: &Map<String, Json>) -> Result<PartitionDescription, RpcError> {
    let name = text(partition, "partition_id");
    let mut described = PartitionDescription::new(partition_id(name)?, Vec::new());
    let addresses = partition.get("ip_list").and_then(Json::as_array).into_iter().flatten();
    for address in addresses.filter_map(Json::as_object) {
        let text = |field| text(address, field);
        let addr = text("ip-address");
        let wrong = || RpcError::forbidden(format!("{addr} of {name} is not an IP address"));
        let interface = text("network-interface");
        if !text("gateway-ip-address").is_empty() {
            described.tap.ipv4_addr = addr.to_owned();
            described.tap.ipv4_netmask = text("netmask").to_owned();
            described.tap.ipv4_gateway = text("gateway-ip-address").to_owned();
            described.tap.ipv4_network = text("network-address").to_owned();
            let tap = interface.strip_prefix("route_").unwrap_or(interface);
            keep_interface(&mut described.tap, name, tap)?;
            continue;
        }
        keep_interface(&mut described.tap, name, interface)?;
        let addr = addr.parse().map_err(|_| wrong())?;
        described.addresses.push(Address { addr, netmask: text("netmask").to_owned() });
    }
    if described.tap.name == name {
        // That is what addresses are listed under where there is no tap interface.
        described.tap.name.clear();
    }
    Ok(described)
}

/// All addresses of a partition are on one interface.
fn keep_interface(
    tap: &mut TapDescription,
    partition: &str,
    interface: &str,
) -> Result<(), RpcError> {
    if interface.is_empty() || tap.name == interface {
        return Ok(());
    }
    if !tap.name.is_empty() {
        let message = format!(
            "the addresses of {partition} are on {} and {interface}: a partition has one interface",
            tap.name
        );
        return Err(RpcError::forbidden(message));
    }
    interface.clone_into(&mut tap.name);
    Ok(())
}

fn text<'a>(object: &'a Map<String, Json>, field: &str) -> &'a str {
    object.get(field).and_then(Json::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(ip_list: &Json) -> Result<PartitionDescription, RpcError> {
        let partition = json!({"partition_id": "slappart0", "ip_list": ip_list});
        described(partition.as_object().unwrap())
    }

    #[test]
    fn addresses_and_routes() {
        let found = partition(&json!([
            {"ip-address": "10.0.0.1", "netmask": "255.255.255.255", "network-interface": "tap0"},
            {"ip-address": "fd00::1", "network-interface": "tap0"},
            {"ip-address": "10.1.0.2", "netmask": "255.255.0.0", "network-interface": "route_tap0",
             "gateway-ip-address": "10.1.0.1", "network-address": "10.1.0.0"},
        ]))
        .unwrap();
        assert_eq!(found.interface_name(), "tap0");
        assert_eq!(found.addresses.len(), 2);
        let route = found.route().unwrap();
        assert_eq!((route.interface.as_str(), route.gateway.as_str()), ("route_tap0", "10.1.0.1"));
    }

    #[test]
    fn the_partitions_own_name_is_no_tap() {
        let found = partition(&json!([{"ip-address": "::1", "network-interface": "slappart0"}]));
        assert_eq!(found.unwrap().tap.name, "");
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let refused = |ip_list: Json| partition(&ip_list).unwrap_err().title;
        insta::assert_snapshot!(refused(json!([{"ip-address": "x"}])), @"x of slappart0 is not an IP address");
        insta::assert_snapshot!(refused(json!([{"ip-address": "::1", "network-interface": "a"}, {"ip-address": "::2", "network-interface": "b"}])), @"the addresses of slappart0 are on a and b: a partition has one interface");
    }
}
