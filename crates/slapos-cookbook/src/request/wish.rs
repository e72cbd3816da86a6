//! From the options of a section to a request.

use indexmap::IndexMap;
use slapos_engine::{PartInit, ProfileError};
use slapos_slap::{
    ComputerPartition, DEFAULT_SOFTWARE_TYPE, InstanceRequest, InstanceState, UnknownWord,
};

use crate::common::{self, Literal};
use crate::jinja::json;

/// The section that says how the Master is reached.
const CONNECTION: &str = "slap-connection";

/// The request that the section describes, and the state it asks for.
pub(super) fn read(
    init: &mut PartInit<'_>,
    partition: &ComputerPartition,
    serialised: bool,
) -> Result<(InstanceRequest, InstanceState), ProfileError> {
    refuse_obsolete(init)?;
    refuse_others(init, partition)?;
    let name = not_empty(init, "name")?;
    let mut request = InstanceRequest::new(name, software(init)?);
    let software_type = text(init, "software-type").filter(|text| !text.is_empty());
    request.software_type = software_type.unwrap_or_else(|| DEFAULT_SOFTWARE_TYPE.to_owned());
    request.shared = text(init, "shared").is_some_and(|text| common::is_true(&text));
    let state = state(init, partition)?;
    request.state = Some(state);
    let options = common::typed(&init.options());
    let given = options.iter().filter_map(|(option, value)| {
        let name = option.strip_prefix("sla-").filter(|_| !is_nothing(value))?;
        Some((name.to_owned(), value.to_text()))
    });
    request.sla = given.collect();
    request.parameters = parameters(&options, serialised);
    Ok((request, state))
}

fn text(init: &PartInit<'_>, option: &str) -> Option<String> {
    init.get(option).map(|value| Literal::of_option(value).to_text().trim().to_owned())
}

fn not_empty(init: &PartInit<'_>, option: &str) -> Result<String, ProfileError> {
    init.require(option)?;
    match text(init, option).filter(|text| !text.is_empty()) {
        Some(text) => Ok(text),
        None => Err(init.error(option, &format!("`{option}` is empty"), None)),
    }
}

fn software(init: &PartInit<'_>) -> Result<String, ProfileError> {
    let url = not_empty(init, "software-url")?;
    if url.starts_with("product.") {
        let message = format!("`{url}` names a Software Product, which is not possible");
        let help = "give the URL of a Software Release";
        return Err(init.error("software-url", &message, Some(help)));
    }
    Ok(url)
}

fn state(
    init: &PartInit<'_>,
    partition: &ComputerPartition,
) -> Result<InstanceState, ProfileError> {
    match text(init, "state").filter(|word| !word.is_empty()) {
        Some(word) => {
            word.parse().map_err(|error: UnknownWord| init.error("state", &error.to_string(), None))
        }
        // Not `destroyed`: the tree may hold what is wanted after this one.
        None => Ok(match partition.requested_state {
            InstanceState::Stopped => InstanceState::Stopped,
            _ => InstanceState::Started,
        }),
    }
}

/// Whether Python takes a value for false: such an `sla-` option is left out.
fn is_nothing(value: &Literal) -> bool {
    match value {
        Literal::None | Literal::Bool(false) | Literal::Int(0) => true,
        Literal::Str(text) => text.is_empty(),
        Literal::List(items) | Literal::Tuple(items) | Literal::Set(items) => items.is_empty(),
        Literal::Dict(pairs) => pairs.is_empty(),
        _ => false,
    }
}

fn parameters(options: &IndexMap<String, Literal>, serialised: bool) -> IndexMap<String, String> {
    let given =
        options.iter().filter_map(|(option, value)| Some((option.strip_prefix("config-")?, value)));
    if serialised {
        let pairs = given.map(|(name, value)| (Literal::from(name), value.clone()));
        let text = json::of_literal(&Literal::Dict(pairs.collect()));
        return IndexMap::from([("_".to_owned(), text)]);
    }
    given.map(|(name, value)| (name.to_owned(), value.to_text())).collect()
}

fn refuse_obsolete(init: &PartInit<'_>) -> Result<(), ProfileError> {
    match ["config", "sla"].into_iter().find(|option| init.get(option).is_some()) {
        None => Ok(()),
        Some(option) => {
            let message = format!("`{option}`, a list of names, is not read any more");
            let help = format!("`{option}-<name> = <value>` alone is enough: remove the list");
            Err(init.error(option, &message, Some(&help)))
        }
    }
}

/// Refuses to ask for somebody else, or somebody else's Master: the node would not do it.
fn refuse_others(
    init: &mut PartInit<'_>,
    partition: &ComputerPartition,
) -> Result<(), ProfileError> {
    for (option, own) in
        [("computer-id", partition.computer.as_str()), ("partition-id", partition.id.as_str())]
    {
        refuse_other(init, option, own)?;
    }
    if text(init, "server-url").is_none_or(|url| url.is_empty()) || !init.has_section(CONNECTION) {
        return Ok(());
    }
    match init.try_option(CONNECTION, "server-url")? {
        Some(own) => refuse_other(init, "server-url", &own),
        None => Ok(()),
    }
}

fn refuse_other(init: &PartInit<'_>, option: &str, own: &str) -> Result<(), ProfileError> {
    match text(init, option).filter(|text| !text.is_empty() && text != own) {
        None => Ok(()),
        Some(other) => {
            let message = format!("`{option}` is {other}, and requests are made as {own} only");
            let help = format!("write `{option} = ${{{CONNECTION}:{option}}}`, or leave it out");
            Err(init.error(option, &message, Some(&help)))
        }
    }
}
