//! Methods about instances.

use serde_json::{Value as Json, json};
use slapos_slap::{InstanceAnswer, InstanceRequest, InstanceState, Route as IpRoute};

use super::guid::InstanceName;
use super::schema::{Kind, Others, Schema};
use super::{Answer, Call, RpcError, certified, list, method, refused_by, success};
use crate::http::access::{Audited, Caller, Route, Rule};
use crate::store::{Freed, InstanceDocument};

/// The longest title, in characters.
const TITLE: Kind = Kind::Short(200);

const NOTHING: Schema = Schema::of(&[], &[]);
const TREE: Schema = Schema::of(&["title"], &[("title", TITLE)]);
const INSTANCE: Schema = Schema::of(&["instance_guid"], &[("instance_guid", Kind::Text)]);
const PLACE: Schema = Schema::of(
    &["computer_guid", "compute_partition_id"],
    &[("computer_guid", Kind::Text), ("compute_partition_id", Kind::Text)],
);
const MESSAGE: Schema = Schema::of(
    &["instance_guid", "message"],
    &[("message", Kind::Text), ("instance_guid", Kind::Text)],
);
const RENAME: Schema =
    Schema::of(&["instance_guid", "title"], &[("instance_guid", Kind::Text), ("title", TITLE)]);
const STATE: Schema = Schema::of(
    &["instance_guid", "reported_state"],
    &[
        ("reported_state", Kind::Word(&["started", "destroyed", "stopped"])),
        ("instance_guid", Kind::Text),
    ],
);
const CONNECTION: Schema = Schema::of(
    &["instance_guid", "connection_parameter_dict"],
    &[("connection_parameter_dict", Kind::Anything), ("instance_guid", Kind::Text)],
);
const REQUEST: Schema = Schema::of(
    &["title", "software_release_uri", "software_type"],
    &[
        ("software_release_uri", Kind::Text),
        ("parameters", Kind::Anything),
        ("title", TITLE),
        ("state", Kind::Word(&["started", "stopped", "destroyed"])),
        ("sla_parameters", Kind::Object(&SLA)),
        ("software_type", Kind::Text),
        ("shared", Kind::Truth),
    ],
);
const SLA: Schema = Schema {
    required: &[],
    fields: &[
        ("project_guid", Kind::Text),
        ("computer_guid", Kind::Text),
        ("instance_guid", Kind::Text),
        ("network_guid", Kind::Text),
        ("retention_delay", Kind::Number),
    ],
    others: Others::Texts,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        method("/slapos.post.v0.software_instance", Rule::USER, &REQUEST, request),
        method("/slapos.allDocs.v0.instance_tree_list", Rule::USER, &NOTHING, tree_list),
        method("/slapos.get.v0.instance_tree", Rule::USER, &TREE, tree),
        method("/slapos.get.v0.software_instance", Rule::OWN, &INSTANCE, instance),
        method("/slapos.get.v0.compute_partition", Rule::OWN, &PLACE, partition),
        method("/slapos.allDocs.v0.instance_node_instance_list", Rule::OWN, &INSTANCE, hosted),
        method(
            "/slapos.get.v0.software_instance_certificate",
            Rule::INSTANCE,
            &INSTANCE,
            certificate,
        )
        .audited(Audited::Given),
        method("/slapos.put.v0.software_instance_reported_state", Rule::INSTANCE, &STATE, state),
        method("/slapos.put.v0.software_instance_error", Rule::INSTANCE, &MESSAGE, error),
        method("/slapos.put.v0.software_instance_bang", Rule::OWN, &MESSAGE, bang),
        method("/slapos.put.v0.software_instance_title", Rule::OWN, &RENAME, rename)
            .audited(Audited::Everybody),
        method(
            "/slapos.put.v0.software_instance_connection_parameter",
            Rule::INSTANCE,
            &CONNECTION,
            set_connection,
        ),
    ]
}

impl Call {
    /// The name that the body gives to an instance.
    fn name(&self) -> Result<InstanceName, RpcError> {
        let guid = self.text("instance_guid");
        InstanceName::parse(guid)
            .ok_or_else(|| RpcError::forbidden(format!("instance_guid {guid} not handled.")))
    }

    /// The instance of that name, shared or not.
    async fn find(&self, name: &InstanceName) -> Result<InstanceDocument, RpcError> {
        let kind = if name.shared { "shared" } else { "software" };
        let missing = || RpcError::forbidden(format!("No {kind} instance {name} found."));
        self.named(name).await?.ok_or_else(missing)
    }

    /// The first of that name that is the caller's.
    async fn named(&self, name: &InstanceName) -> Result<Option<InstanceDocument>, RpcError> {
        let store = &self.app.store;
        let (root, title) = (name.root.as_str(), name.title.as_str());
        let mut projects = store.projects_with(root, title, name.shared).await?;
        if let Some(named) = &name.project {
            projects.retain(|project| project == named);
        }
        for project in projects {
            let found = match name.shared {
                false => store.named_instance(&project, root, title).await?,
                true => store.named_shared_instance(&project, root, title).await?,
            };
            let Some(found) = found else { continue };
            let own = match (&self.caller, name.shared) {
                // Its project is not that of its host.
                (Caller::User(_), true) => self.app.allow_project(&self.caller, &project).await,
                _ => {
                    let (computer, partition) = (&found.computer, &found.partition);
                    self.app.allow_partition(&self.caller, computer, partition).await
                }
            };
            if own.is_ok() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The instance that the body names, which is not a shared one.
    async fn own_instance(&self) -> Result<InstanceDocument, RpcError> {
        let name = self.name()?;
        match name.shared {
            true => Err(RpcError::forbidden("NotImplemented")),
            false => self.find(&name).await,
        }
    }
}

async fn request(call: Call) -> Answer {
    let mut wanted = InstanceRequest::new(call.text("title"), call.software());
    call.text("software_type").clone_into(&mut wanted.software_type);
    wanted.parameters = call.texts("parameters");
    wanted.sla = call.texts("sla_parameters");
    wanted.shared = call.body.get("shared").and_then(Json::as_bool).unwrap_or(false);
    wanted.state = Some(match call.text("state") {
        "stopped" => InstanceState::Stopped,
        "destroyed" => InstanceState::Destroyed,
        _ => InstanceState::Started,
    });
    let project = call.app.allow_request(&call.caller, &wanted).await.map_err(refused_by)?;
    let (answer, _) = call.app.request(&project, &wanted, call.origin()).await?;
    Ok(shown(&requested(&wanted, project, answer)))
}

/// An answer to a user's request as a document.
fn requested(
    wanted: &InstanceRequest,
    project: String,
    answer: InstanceAnswer,
) -> InstanceDocument {
    let seconds = answer.timestamp.as_deref().and_then(|text| text.split('.').next());
    let seconds: i64 = seconds.and_then(|text| text.parse().ok()).unwrap_or(0);
    InstanceDocument {
        title: wanted.title.to_string(),
        root: String::new(),
        project,
        shared: wanted.shared,
        reference: String::new(),
        computer: answer.computer,
        partition: answer.partition,
        software: answer.software_url,
        software_type: answer.software_type,
        // Which a shared instance does not have here.
        state: if wanted.shared { InstanceState::Started } else { answer.state },
        parameters: answer.parameters,
        connection: answer.connection,
        ip_list: answer.ip_list,
        full_ip_list: Vec::new(),
        sla: wanted.sla.clone(),
        changed_at: seconds.saturating_mul(1_000_000),
        access_status: answer.access_status,
    }
}

async fn tree_list(call: Call) -> Answer {
    let trees = call.app.trees(&call.caller, None).await.map_err(refused_by)?;
    list(trees.iter().map(|tree| json!({ "title": tree.title })).collect())
}

async fn tree(call: Call) -> Answer {
    let title = call.text("title");
    let name = |shared| InstanceName {
        title: title.to_owned(),
        root: String::new(),
        shared,
        project: None,
    };
    match (call.named(&name(false)).await?, call.named(&name(true)).await?) {
        (Some(root), None) | (None, Some(root)) => Ok(shown(&root)),
        _ => Err(RpcError::forbidden(format!("No instance tree {title} found."))),
    }
}

async fn instance(call: Call) -> Answer {
    Ok(shown(&call.find(&call.name()?).await?))
}

async fn partition(call: Call) -> Answer {
    let (computer, partition) = (call.text("computer_guid").into(), call.partition()?);
    call.allow(&computer, &partition).await?;
    let found = call.app.store.placed_instance(&computer, &partition).await?;
    let place = call.text("compute_partition_id");
    let missing = || RpcError::forbidden(format!("No instance on partition {place} found."));
    Ok(shown(&found.ok_or_else(missing)?))
}

async fn hosted(call: Call) -> Answer {
    let name = call.name()?;
    if name.shared {
        return Err(RpcError::forbidden(format!("No software instance {name} found.")));
    }
    let host = call.find(&name).await?;
    let shared = call.app.store.shared_instances_in(&host.computer, &host.partition).await?;
    let row = |instance: &InstanceDocument| {
        json!({
            "title": instance.title,
            "instance_guid": name_of(instance).to_string(),
            "software_type": instance.software_type,
            "state": instance.state,
            "parameters": instance.parameters,
            "compute_partition_id": instance.partition,
        })
    };
    list(shared.iter().map(row).collect())
}

async fn certificate(call: Call) -> Answer {
    let found = call.find(&call.name()?).await?;
    let pair = call.app.partition_certificate(&found.computer, &found.partition).await;
    Ok(certified(&pair.map_err(refused_by)?))
}

async fn state(call: Call) -> Answer {
    let name = call.name()?;
    let instance = call.find(&name).await?;
    let (computer, partition) = (&instance.computer, &instance.partition);
    match call.text("reported_state") {
        _ if name.shared => success("Ignored"),
        "destroyed" => match call.app.store.destroyed(computer, partition).await? {
            Freed::Yes => success("Destroyed"),
            Freed::Unknown => {
                Err(RpcError::forbidden(format!("No software instance {name} found.")))
            }
            Freed::ChildrenFirst(children) => {
                let names: Vec<_> = children.iter().map(|child| child.as_str()).collect();
                Err(RpcError::forbidden(format!(
                    "Not destroying yet because this partition has child partitions: {}",
                    names.join(", ")
                )))
            }
        },
        state => {
            call.app.store.report_instance(computer, partition, state, "").await?;
            success("Ignored")
        }
    }
}

/// What concerns a shared instance is told of its host by nobody, and not kept.
async fn error(call: Call) -> Answer {
    let instance = call.find(&call.name()?).await?;
    if !instance.shared {
        let (computer, partition) = (&instance.computer, &instance.partition);
        let message = call.text("message");
        call.app.store.report_instance(computer, partition, "error", message).await?;
    }
    success("Ignored")
}

async fn bang(call: Call) -> Answer {
    let instance = call.own_instance().await?;
    call.app.store.bang(&instance.computer, &instance.partition).await?;
    success("Bang handled")
}

async fn rename(call: Call) -> Answer {
    let instance = call.own_instance().await?;
    let title = call.text("title");
    if title.is_empty() {
        return Err(RpcError::forbidden("the new title is empty"));
    }
    call.app.store.rename(&instance.computer, &instance.partition, title).await?;
    success("Renamed")
}

async fn set_connection(call: Call) -> Answer {
    let name = call.name()?;
    let instance = call.find(&name).await?;
    let (computer, partition) = (&instance.computer, &instance.partition);
    let connection = call.texts("connection_parameter_dict");
    let store = &call.app.store;
    match name.shared {
        false => store.set_connection(computer, partition, &connection).await?,
        true => {
            let reference = &instance.reference;
            store.set_shared_connection(computer, partition, reference, &connection).await?;
        }
    }
    success("Updated")
}

pub(super) fn name_of(instance: &InstanceDocument) -> InstanceName {
    InstanceName {
        title: instance.title.clone(),
        root: instance.root.clone(),
        shared: instance.shared,
        project: Some(instance.project.clone()).filter(|project| !project.is_empty()),
    }
}

/// An instance as all methods show it.
fn shown(instance: &InstanceDocument) -> Json {
    let root = if instance.root.is_empty() { &instance.title } else { &instance.root };
    let addresses: Vec<_> =
        instance.ip_list.iter().map(|(name, address)| json!([name, address])).collect();
    let routes: Vec<_> = instance.full_ip_list.iter().map(routed).collect();
    json!({
        "title": instance.title,
        "instance_guid": name_of(instance).to_string(),
        "software_release_uri": instance.software,
        "software_type": instance.software_type,
        "state": instance.state,
        "connection_parameters": instance.connection,
        "parameters": instance.parameters,
        "shared": instance.shared,
        "root_instance_title": root,
        "ip_list": addresses,
        "full_ip_list": routes,
        "sla_parameters": instance.sla,
        "computer_guid": instance.computer,
        "compute_partition_id": instance.partition,
        "processing_timestamp": instance.changed_at.div_euclid(1_000_000),
        "access_status_message": instance.access_status.as_deref().unwrap_or_default(),
    })
}

/// As classic SLAP has it: interface, address, gateway, netmask, network.
fn routed(route: &IpRoute) -> Json {
    json!([route.interface, route.addr, route.gateway, route.netmask, route.network])
}
