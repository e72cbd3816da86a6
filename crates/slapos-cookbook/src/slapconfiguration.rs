//! `slapos.cookbook:slapconfiguration` and `.serialised`: what the Master says of this instance.
//!
//! Options read: `computer`, `partition`, `url`, `key`, `cert` and the like are accepted, so that
//! profiles of the original work, and ignored: the run already knows its partition.
//!
//! Options set (typed values are marked `!py!`):
//! - `configuration`: mapping of the parameters; `configuration.<name>`: each of them (names with
//!   `=` or `:` only in the mapping). `.serialised` takes them from the JSON of parameter `_`;
//! - `ipv4`, `ipv6`: sets of addresses; `ipv4-random`, `ipv6-random`: the smallest of each, not
//!   set when there is none; `tap`: set of interface names;
//! - `slap-software-type`, `slap-software-release-url`, `slap-computer-id`,
//!   `slap-computer-partition-id`, `instance-title`, `root-instance-title`,
//!   `root-instance-short-title`, `instance-guid`, `instance-state`, `timestamp`: text;
//! - `slave-instance-list`: list of mappings; `storage-dict`: an empty mapping;
//! - for each key of the partition's `.slapos-resource` (JSON), joined with `-`, and with `-` for
//!   `_`: its value.

mod applied;
mod release;
mod schema;
#[cfg(test)]
mod tests;
mod validated;

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_engine::{Part, PartInit, ProfileError, Recipe};
use slapos_slap::{ComputerPartition, PartitionPort, Value};

use crate::common::{Literal, OptionsOnly};

pub(crate) use validated::Validated;

/// The recipe.
pub(crate) struct SlapConfiguration {
    slap: Option<Arc<dyn PartitionPort>>,
    serialised: bool,
}

impl SlapConfiguration {
    pub(crate) fn new(slap: Option<Arc<dyn PartitionPort>>, serialised: bool) -> Self {
        Self { slap, serialised }
    }
}

/// The partition, or an error at the `recipe` of a part that needs one.
pub(crate) fn port<'p>(
    slap: Option<&'p Arc<dyn PartitionPort>>,
    init: &PartInit<'_>,
) -> Result<&'p Arc<dyn PartitionPort>, ProfileError> {
    slap.ok_or_else(|| {
        let message = format!(
            "part `{}` asks the Master, and this is no run of a Computer Partition",
            init.name()
        );
        init.error("recipe", &message, Some("use this recipe in the profile of an instance only"))
    })
}

impl Recipe for SlapConfiguration {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let partition = port(self.slap.as_ref(), init)?.partition().clone();
        set_partition(init, &partition)?;
        let parameters = match self.serialised {
            false => plain(&partition.parameters),
            true => serialised(&partition.parameters)
                .map_err(|message| init.error("recipe", &message, None))?,
        };
        set_configuration(init, &parameters);
        let slaves = partition.slave_instance_list.iter().map(slave).collect();
        init.set("slave-instance-list", &Literal::List(slaves).to_option());
        Ok(Box::new(OptionsOnly))
    }
}

/// Sets all but the parameters and the shared instances.
fn set_partition(
    init: &mut PartInit<'_>,
    partition: &ComputerPartition,
) -> Result<(), ProfileError> {
    set_resources(init)?;
    set_addresses(init, partition);
    set_words(init, partition);
    init.set("storage-dict", &Literal::Dict(Vec::new()).to_option());
    Ok(())
}

/// Sets the parameters, as a whole and each of them.
fn set_configuration(init: &mut PartInit<'_>, parameters: &Literal) {
    if let Literal::Dict(pairs) = parameters {
        for (name, value) in pairs {
            if let Literal::Str(name) = name
                && !name.contains(['=', ':'])
            {
                init.set(&format!("configuration.{name}"), &value.to_option());
            }
        }
    }
    init.set("configuration", &parameters.to_option());
}

/// What the Master says of a shared instance.
fn slave(slave: &IndexMap<String, Value>) -> Literal {
    Literal::Dict(
        slave.iter().map(|(name, value)| (name.as_str().into(), literal(value))).collect(),
    )
}

fn plain(parameters: &IndexMap<String, String>) -> Literal {
    let pairs = parameters.iter();
    Literal::Dict(
        pairs.map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect(),
    )
}

/// The JSON of parameter `_`; the parameters as they are where there is none.
fn serialised(parameters: &IndexMap<String, String>) -> Result<Literal, String> {
    let Some(text) = parameters.get("_").filter(|text| !text.trim().is_empty()) else {
        return Ok(plain(parameters));
    };
    match serde_json::from_str(text).map(|json: serde_json::Value| of_json(&json)) {
        Ok(Literal::Dict(pairs)) => Ok(Literal::Dict(pairs)),
        Ok(_) => Err("the instance's parameter `_` is JSON, but no object".to_owned()),
        Err(error) => Err(format!("the instance's parameter `_` is no JSON: {error}")),
    }
}

/// The Python value of a JSON text.
pub(crate) fn of_json(json: &serde_json::Value) -> Literal {
    use serde_json::Value as Json;
    match json {
        Json::Null => Literal::None,
        Json::Bool(truth) => Literal::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Literal::Int(i128::from(integer)),
            None => Literal::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Literal::Str(text.clone()),
        Json::Array(items) => Literal::List(items.iter().map(of_json).collect()),
        Json::Object(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| (name.as_str().into(), of_json(value)));
            Literal::Dict(pairs.collect())
        }
    }
}

fn literal(value: &Value) -> Literal {
    match value {
        Value::None | Value::Object(_) => Literal::None,
        Value::Bool(truth) => Literal::Bool(*truth),
        Value::Int(number) => Literal::Int(i128::from(*number)),
        Value::Float(number) => Literal::Float(*number),
        Value::Str(text) => Literal::Str(text.clone()),
        Value::List(items) => Literal::List(items.iter().map(literal).collect()),
        Value::Tuple(items) => Literal::Tuple(items.iter().map(literal).collect()),
        Value::Dict(pairs) => {
            Literal::Dict(pairs.iter().map(|(k, v)| (k.as_str().into(), literal(v))).collect())
        }
    }
}

fn set_words(init: &mut PartInit<'_>, partition: &ComputerPartition) {
    let software = partition.software.as_ref().map(|url| url.as_str().to_owned());
    let root = partition.root_instance_title.as_str();
    for (option, value) in [
        ("slap-software-type", partition.software_type.as_str()),
        ("slap-software-release-url", software.as_deref().unwrap_or("")),
        ("slap-computer-id", partition.computer.as_str()),
        ("slap-computer-partition-id", partition.id.as_str()),
        ("instance-title", partition.instance_title.trim()),
        ("root-instance-title", root),
        ("root-instance-short-title", root.split_whitespace().next().unwrap_or("")),
        ("instance-guid", partition.guid.as_str()),
        ("instance-state", partition.requested_state.as_str()),
        ("timestamp", partition.timestamp.as_deref().unwrap_or("")),
    ] {
        init.set(option, &Literal::from(value).to_option());
    }
}

fn set_addresses(init: &mut PartInit<'_>, partition: &ComputerPartition) {
    let addresses: BTreeSet<_> = partition.ip_list.iter().map(|(_, ip)| *ip).collect();
    let taps: BTreeSet<_> = partition.ip_list.iter().map(|(tap, _)| tap.as_str()).collect();
    for (option, wanted) in [("ipv4", true), ("ipv6", false)] {
        let family: Vec<String> =
            addresses.iter().filter(|ip| ip.is_ipv4() == wanted).map(ToString::to_string).collect();
        if let Some(smallest) = family.iter().min() {
            init.set(&format!("{option}-random"), smallest);
        }
        let set = family.iter().map(|ip| ip.as_str().into()).collect();
        init.set(option, &Literal::Set(set).to_option());
    }
    let taps = taps.into_iter().filter(|tap| !tap.is_empty()).map(Literal::from).collect();
    init.set("tap", &Literal::Set(taps).to_option());
}

/// Sets what `slapos node format` left in the partition, nested names joined with `-`.
fn set_resources(init: &mut PartInit<'_>) -> Result<(), ProfileError> {
    let path = init.buildout_directory().join(".slapos-resource");
    let text = match slapos_sys::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            return Err(init.error("recipe", &message, None));
        }
    };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        init.error("recipe", &format!("{} is no JSON: {error}", path.display()), None)
    })?;
    flatten(init, "", &json);
    Ok(())
}

fn flatten(init: &mut PartInit<'_>, prefix: &str, json: &serde_json::Value) {
    match json.as_object() {
        Some(pairs) => {
            for (name, value) in pairs {
                let name = name.replace('_', "-");
                let joined = if prefix.is_empty() { name } else { format!("{prefix}-{name}") };
                flatten(init, &joined, value);
            }
        }
        None if prefix.is_empty() => {}
        None => init.set(prefix, &of_json(json).to_option()),
    }
}
