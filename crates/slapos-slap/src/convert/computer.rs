//! `Computer`, `ComputerPartition` and `SoftwareRelease` objects.

use indexmap::IndexMap;

use super::{
    ConvertError, Fields, ip_list_from_value, ip_list_to_value, object, partition_id,
    routes_from_value, routes_to_value, texts_from_value, texts_to_value,
};
use crate::marshal::{Class, Object, Value, cut};
use crate::types::{Computer, ComputerPartition, SoftwareRelease};
use crate::words::{ComputerId, InstanceState, PartitionId, SoftwareState, SoftwareUrl};

/// The parameters that SLAP adds to the user's; a user's parameter of such a name is hidden.
const ADDED: [&str; 11] = [
    "full_address_list",
    "full_ip_list",
    "instance_title",
    "ip_list",
    "root_instance_title",
    "slap_computer_id",
    "slap_computer_partition_id",
    "slap_software_release_url",
    "slap_software_type",
    "slave_instance_list",
    "timestamp",
];

/// The object of a computer.
pub fn computer_to_value(computer: &Computer) -> Value {
    let id = Value::str(computer.id.as_str());
    let partitions = computer.partitions.iter().map(partition_to_value).collect();
    let software = computer.software.iter();
    let software = software.map(|release| software_to_value(&computer.id, release)).collect();
    let attributes = [
        ("_computer_id", id.clone()),
        ("_computer_partition_list", Value::List(partitions)),
        ("_software_release_list", Value::List(software)),
    ];
    Value::object(Class::Computer, vec![id], named(attributes))
}

/// The computer of an object.
///
/// # Errors
/// When the value is another one, or lacks something.
pub fn computer_from_value(value: &Value) -> Result<Computer, ConvertError> {
    let object = object(value, Class::Computer)?;
    let fields = Fields(&object.attributes);
    let id = id_of(object, "_computer_id", 0)?;
    let partitions = fields.list("_computer_partition_list")?;
    let software = fields.list("_software_release_list")?;
    Ok(Computer {
        id: ComputerId::new(id),
        software: software.iter().map(software_from_value).collect::<Result<_, _>>()?,
        partitions: partitions.iter().map(partition_from_value).collect::<Result<_, _>>()?,
    })
}

fn software_to_value(computer: &ComputerId, release: &SoftwareRelease) -> Value {
    let mut value = software_document(computer, &release.url);
    if let Value::Object(object) = &mut value {
        let state = Value::str(release.state.as_str());
        object.attributes.insert("_requested_state".to_owned(), state);
    }
    value
}

fn software_document(computer: &ComputerId, url: &SoftwareUrl) -> Value {
    let (url, computer) = (Value::str(url.as_str()), Value::str(computer.as_str()));
    let attributes = [
        ("_computer_guid", computer.clone()),
        ("_software_instance_list", Value::List(Vec::new())),
        ("_software_release", url.clone()),
    ];
    Value::object(Class::SoftwareRelease, vec![url, computer], named(attributes))
}

fn software_from_value(value: &Value) -> Result<SoftwareRelease, ConvertError> {
    let object = object(value, Class::SoftwareRelease)?;
    let state = Fields(&object.attributes).text("_requested_state");
    Ok(SoftwareRelease {
        url: SoftwareUrl::new(id_of(object, "_software_release", 0)?),
        state: state.map_or(Ok(SoftwareState::Available), |word| word.parse())?,
    })
}

/// The object of a partition.
pub fn partition_to_value(partition: &ComputerPartition) -> Value {
    let computer = Value::str(partition.computer.as_str());
    let id = Value::str(partition.id.as_str());
    let software = partition.software.as_ref();
    let mut attributes = named([
        ("_computer_id", computer.clone()),
        ("_instance_guid", Value::str(&partition.guid)),
        ("_need_modification", Value::Int(i64::from(!partition.is_free()))),
        ("_partition_id", id.clone()),
        ("_request_dict", Value::None),
        ("_requested_state", Value::str(partition.requested_state.as_str())),
        (
            "_software_release_document",
            software.map_or(Value::None, |url| software_document(&partition.computer, url)),
        ),
    ]);
    if !partition.is_free() {
        attributes.insert("_connection_dict".to_owned(), texts_to_value(&partition.connection));
        attributes.insert("_parameter_dict".to_owned(), Value::Dict(parameters_of(partition)));
    }
    if !partition.filter.is_empty() {
        attributes.insert("_filter_dict".to_owned(), texts_to_value(&partition.filter));
    }
    if let Some(status) = &partition.access_status {
        attributes.insert("_access_status".to_owned(), Value::str(status));
    }
    // Attributes that the original does not know are nothing to it.
    if let Some(restart) = &partition.restart {
        attributes.insert("_restart_timestamp".to_owned(), Value::str(restart));
    }
    Value::object(Class::ComputerPartition, vec![computer, id, Value::None], attributes)
}

/// The user's parameters and those that SLAP adds.
fn parameters_of(partition: &ComputerPartition) -> IndexMap<String, Value> {
    let url = partition.software.as_ref().map(SoftwareUrl::as_str);
    let slaves = partition.slave_instance_list.iter().cloned().map(Value::Dict).collect();
    let mut parameters: IndexMap<String, Value> =
        partition.parameters.iter().map(|(key, text)| (key.clone(), Value::str(text))).collect();
    parameters.extend(named([
        ("ip_list", ip_list_to_value(&partition.ip_list)),
        ("full_address_list", Value::List(Vec::new())),
        ("slap_software_type", Value::str(&partition.software_type)),
        ("instance_title", Value::str(&partition.instance_title)),
        ("root_instance_title", Value::str(&partition.root_instance_title)),
        ("slap_computer_id", Value::str(partition.computer.as_str())),
        ("slap_computer_partition_id", Value::str(partition.id.as_str())),
        ("slap_software_release_url", Value::optional(url)),
        ("slave_instance_list", Value::List(slaves)),
    ]));
    if !partition.full_ip_list.is_empty() {
        let routes = routes_to_value(&partition.full_ip_list);
        parameters.insert("full_ip_list".to_owned(), routes);
    }
    match &partition.timestamp {
        Some(timestamp) => {
            parameters.insert("timestamp".to_owned(), Value::str(timestamp));
        }
        None => {
            parameters.shift_remove("timestamp");
        }
    }
    parameters
}

/// The document of a partition, out of that of its computer; `None` when it is not in there.
pub fn partition_of_document(
    document: &str,
    computer: &ComputerId,
    partition: &PartitionId,
) -> Option<String> {
    cut(document, Class::ComputerPartition, &[computer.as_str(), partition.as_str()])
}

/// The partition of an object.
///
/// # Errors
/// When the value is another one, or lacks something.
pub fn partition_from_value(value: &Value) -> Result<ComputerPartition, ConvertError> {
    let object = object(value, Class::ComputerPartition)?;
    let fields = Fields(&object.attributes);
    let computer = ComputerId::new(id_of(object, "_computer_id", 0)?);
    let id = partition_id(&id_of(object, "_partition_id", 1)?)?;
    let mut partition = ComputerPartition::free(computer, id);
    partition.software = software_of(fields)?;
    partition.requested_state = match fields.text("_requested_state") {
        Some(word) => word.parse()?,
        None if partition.software.is_some() => InstanceState::Started,
        None => InstanceState::Destroyed,
    };
    if let Some(guid) = fields.text("_instance_guid") {
        partition.guid = guid;
    }
    partition.connection = fields.texts("_connection_dict")?;
    partition.access_status = fields.text("_access_status");
    partition.filter = fields.texts("_filter_dict")?;
    partition.restart = fields.text("_restart_timestamp");
    if let Some(parameters) = fields.get("_parameter_dict").and_then(Value::as_dict) {
        take_parameters(&mut partition, parameters)?;
    }
    Ok(partition)
}

/// The URL of the attached Software Release, which some Masters send as bare text.
fn software_of(fields: Fields<'_>) -> Result<Option<SoftwareUrl>, ConvertError> {
    match fields.get("_software_release_document") {
        None => Ok(None),
        Some(Value::Str(url)) => Ok(Some(SoftwareUrl::new(url))),
        Some(value) => Ok(Some(software_from_value(value)?.url)),
    }
}

fn take_parameters(
    partition: &mut ComputerPartition,
    parameters: &IndexMap<String, Value>,
) -> Result<(), ConvertError> {
    let fields = Fields(parameters);
    if let Some(ips) = fields.get("ip_list") {
        partition.ip_list = ip_list_from_value(ips)?;
    }
    if let Some(routes) = fields.get("full_ip_list") {
        partition.full_ip_list = routes_from_value(routes)?;
    }
    for slave in fields.list("slave_instance_list")? {
        let entries = slave.as_dict().cloned().ok_or_else(|| {
            ConvertError("slave_instance_list: a dictionary is expected".to_owned())
        })?;
        partition.slave_instance_list.push(entries);
    }
    partition.software_type = fields.text("slap_software_type").unwrap_or_default();
    partition.instance_title = fields.text("instance_title").unwrap_or_default();
    partition.root_instance_title = fields.text("root_instance_title").unwrap_or_default();
    partition.timestamp = fields.text("timestamp");
    let own = parameters.iter().filter(|(key, _)| !ADDED.contains(&key.as_str()));
    partition.parameters =
        texts_from_value(&Value::dict(own.map(|(key, value)| (key.clone(), value.clone()))))?;
    Ok(())
}

/// An identifier, from an attribute or, as the original's constructors have it, from an argument.
fn id_of(object: &Object, attribute: &str, argument: usize) -> Result<String, ConvertError> {
    let given = Fields(&object.attributes).text(attribute);
    given
        .or_else(|| object.initargs.get(argument).and_then(Value::as_str).map(str::to_owned))
        .ok_or_else(|| ConvertError(format!("a {} without {attribute:?}", object.class.as_str())))
}

fn named<const N: usize>(items: [(&str, Value); N]) -> IndexMap<String, Value> {
    items.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::description::Route;
    use crate::marshal::{dumps, loads};

    /// An instance with everything set.
    fn busy() -> ComputerPartition {
        let mut partition =
            ComputerPartition::free(ComputerId::new("computer"), PartitionId::new("slappart1"));
        partition.requested_state = InstanceState::Stopped;
        partition.software = Some(SoftwareUrl::new("http://a/software.cfg"));
        partition.software_type = "default".to_owned();
        partition.parameters = [("p".to_owned(), "é<1>".to_owned())].into();
        partition.connection = [("url".to_owned(), "http://[::1]:80/".to_owned())].into();
        partition.ip_list = vec![
            ("tap0".to_owned(), "10.0.0.1".parse().unwrap()),
            ("tap0".to_owned(), "::1".parse().unwrap()),
        ];
        partition.full_ip_list = vec![Route {
            interface: "route_tap0".to_owned(),
            addr: "10.1.0.2".parse().unwrap(),
            gateway: "10.1.0.1".to_owned(),
            netmask: "255.255.0.0".to_owned(),
            network: "10.1.0.0".to_owned(),
        }];
        partition.timestamp = Some("1795374015.778843".to_owned());
        partition.restart = Some("1795374014.000001".to_owned());
        partition.instance_title = "child".to_owned();
        partition.root_instance_title = "root".to_owned();
        partition.access_status = Some("#error: no".to_owned());
        partition.filter = [("retention_delay".to_owned(), "1.5".to_owned())].into();
        partition.slave_instance_list = vec![[("slave_title".to_owned(), Value::str("_s"))].into()];
        partition
    }

    #[test]
    fn an_empty_computer_as_the_original_writes_it() {
        let computer = Computer {
            id: ComputerId::new("computer"),
            software: Vec::new(),
            partitions: Vec::new(),
        };
        insta::assert_snapshot!(dumps(&computer_to_value(&computer)).unwrap(), @r#"<marshal><object id="i2" module="slapos.slap.slap" class="Computer"><tuple><string>computer</string></tuple><dictionary id="i3"><string>_computer_id</string><string>computer</string><string>_computer_partition_list</string><list id="i4"/><string>_software_release_list</string><list id="i5"/></dictionary></object></marshal>"#);
    }

    #[test]
    fn a_free_partition_as_the_original_writes_it() {
        let partition =
            ComputerPartition::free(ComputerId::new("computer"), PartitionId::new("slappart0"));
        assert!(partition.is_free());
        insta::assert_snapshot!(dumps(&partition_to_value(&partition)).unwrap(), @r#"<marshal><object id="i2" module="slapos.slap.slap" class="ComputerPartition"><tuple><string>computer</string><string>slappart0</string><none/></tuple><dictionary id="i3"><string>_computer_id</string><string>computer</string><string>_instance_guid</string><string>computer-slappart0</string><string>_need_modification</string><int>0</int><string>_partition_id</string><string>slappart0</string><string>_request_dict</string><none/><string>_requested_state</string><string>destroyed</string><string>_software_release_document</string><none/></dictionary></object></marshal>"#);
    }

    #[test]
    fn a_software_release_as_the_original_writes_it() {
        let release = SoftwareRelease {
            url: SoftwareUrl::new("http://a/software.cfg"),
            state: SoftwareState::Available,
        };
        let value = software_to_value(&ComputerId::new("COMP-1"), &release);
        insta::assert_snapshot!(dumps(&value).unwrap(), @r#"<marshal><object id="i2" module="slapos.slap.slap" class="SoftwareRelease"><tuple><string>http://a/software.cfg</string><string>COMP-1</string></tuple><dictionary id="i3"><string>_computer_guid</string><string>COMP-1</string><string>_requested_state</string><string>available</string><string>_software_instance_list</string><list id="i4"/><string>_software_release</string><string>http://a/software.cfg</string></dictionary></object></marshal>"#);
        assert_eq!(software_from_value(&value), Ok(release));
    }

    #[test]
    fn a_whole_computer_reads_back() {
        let id = ComputerId::new("computer");
        let computer = Computer {
            software: vec![SoftwareRelease {
                url: SoftwareUrl::new("http://a/software.cfg"),
                state: SoftwareState::Destroyed,
            }],
            partitions: vec![ComputerPartition::free(id.clone(), "slappart0".into()), busy()],
            id,
        };
        let document = dumps(&computer_to_value(&computer)).unwrap();
        assert_eq!(computer_from_value(&loads(&document).unwrap()), Ok(computer));
    }

    #[test]
    fn what_other_masters_send_is_read() {
        let document = "<object module='slapos.slap.slap' class='ComputerPartition'><tuple>\
            <string>c</string><string>p</string></tuple><dictionary>\
            <string>_software_release_document</string><string>http://s</string>\
            <string>_parameter_dict</string><dictionary>\
            <string>timestamp</string><int>17</int><string>n</string><int>5</int>\
            <string>ip_list</string><list><tuple><string>i</string><string>::1</string>\
            <string></string></tuple></list>\
            <string>full_ip_list</string><list><tuple><string>route_t</string><string>10.0.0.9\
            </string><string>10.0.0.1</string><string>255.0.0.0</string><string>10.0.0.0</string>\
            </tuple></list></dictionary><string>_filter_dict</string><dictionary>\
            <string>retention_delay</string><int>2</int></dictionary></dictionary></object>";
        let partition = partition_from_value(&loads(document).unwrap()).unwrap();
        assert_eq!(partition.software, Some(SoftwareUrl::new("http://s")));
        assert_eq!(partition.requested_state, InstanceState::Started);
        assert_eq!(partition.timestamp.as_deref(), Some("17"));
        assert_eq!(partition.parameters, [("n".to_owned(), "5".to_owned())].into());
        assert_eq!(partition.ip_list.len(), 1);
        let [route] = partition.full_ip_list.as_slice() else { panic!("one route") };
        assert_eq!(
            (route.interface.as_str(), route.addr.to_string().as_str()),
            ("route_t", "10.0.0.9")
        );
        assert_eq!(partition.filter, [("retention_delay".to_owned(), "2".to_owned())].into());
        let again = partition_from_value(&partition_to_value(&partition)).unwrap();
        assert_eq!(again, partition);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = partition_from_value(&Value::None).unwrap_err();
        assert_eq!(wrong.to_string(), "an object of class ComputerPartition is expected");
        let mut value = partition_to_value(&busy());
        if let Value::Object(object) = &mut value {
            object.attributes["_requested_state"] = Value::str("asleep");
        }
        assert_eq!(
            partition_from_value(&value).unwrap_err().to_string(),
            "\"asleep\" is not a state: expected started, stopped or destroyed"
        );
    }
    /// Texts as people give them, tags and numbers like those of the document included.
    fn word() -> impl Strategy<Value = String> {
        let tag = "</?(object|list|dictionary|tuple)( id=\"i[0-9]\"/?)?>";
        prop_oneof!["[a-z0-9]{0,4}", tag, Just("</object>".to_owned()), "[ -~é]{0,8}"]
    }

    fn any_partition() -> impl Strategy<Value = ComputerPartition> {
        let words = || prop::collection::vec((word(), word()), 0..3);
        (0_u8..4, words(), words(), any::<bool>()).prop_map(|(kind, own, slave, told)| {
            if kind == 0 {
                return ComputerPartition::free("computer".into(), "p".into());
            }
            let slave = slave.into_iter().map(|(key, text)| (key, Value::str(text)));
            ComputerPartition {
                connection: own.iter().cloned().collect(),
                parameters: own.into_iter().collect(),
                slave_instance_list: vec![slave.collect(); usize::from(kind) - 1],
                access_status: told.then(|| "#error </object>".to_owned()),
                ..busy()
            }
        })
    }

    proptest! {
        #[test]
        fn a_partition_is_told_alone_as_it_is_with_its_computer(
            partitions in prop::collection::vec(any_partition(), 0..12),
            name in "[ -~é]{0,4}",
        ) {
            let id = ComputerId::new(name);
            let software = SoftwareRelease { url: "s".into(), state: SoftwareState::Available };
            let mut computer = Computer { id: id.clone(), software: vec![software], partitions };
            for (number, partition) in computer.partitions.iter_mut().enumerate() {
                partition.computer = id.clone();
                partition.id = PartitionId::new(format!("part{number}"));
            }
            let document = dumps(&computer_to_value(&computer)).unwrap();
            for partition in &computer.partitions {
                let alone = dumps(&partition_to_value(partition)).unwrap();
                let found = partition_of_document(&document, &id, &partition.id);
                prop_assert_eq!(found, Some(alone));
            }
            prop_assert_eq!(partition_of_document(&document, &id, &"part".into()), None);
            prop_assert_eq!(partition_of_document(&document, &"other".into(), &"part0".into()), None);
        }
    }
}
