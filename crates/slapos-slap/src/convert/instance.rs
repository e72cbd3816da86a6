//! Requests for instances (form fields) and their answers (`SoftwareInstance` objects).

use super::{
    ConvertError, Fields, ip_list_from_value, ip_list_to_value, object, partition_id,
    texts_from_value, texts_to_value,
};
use crate::instance_xml::dict2xml;
use crate::marshal::{Class, MarshalError, Value, dumps, loads};
use crate::types::{InstanceAnswer, InstanceRequest};
use crate::words::{ComputerId, DEFAULT_SOFTWARE_TYPE, InstanceState, InstanceTitle, SoftwareUrl};

/// The form fields of `requestComputerPartition`.
///
/// # Errors
/// When a text cannot be written in XML.
pub fn request_to_form(
    request: &InstanceRequest,
) -> Result<Vec<(&'static str, String)>, MarshalError> {
    let state = Value::optional(request.state.map(InstanceState::as_str));
    let mut form = vec![
        ("software_release", request.software.as_str().to_owned()),
        ("software_type", request.software_type.clone()),
        ("partition_reference", request.title.as_str().to_owned()),
        ("shared_xml", dumps(&Value::Bool(request.shared))?),
        ("partition_parameter_xml", dumps(&texts_to_value(&request.parameters))?),
        ("filter_xml", dumps(&texts_to_value(&request.sla))?),
        ("state", dumps(&state)?),
    ];
    if let Some((computer, partition)) = &request.requester {
        form.push(("computer_id", computer.as_str().to_owned()));
        form.push(("computer_partition_id", partition.as_str().to_owned()));
    }
    Ok(form)
}

/// The request of form fields; `field` answers `None` for an absent or empty one.
///
/// # Errors
/// When a mandatory field is absent, or one does not hold what it should.
pub fn request_from_form<'a>(
    field: impl Fn(&str) -> Option<&'a str>,
) -> Result<InstanceRequest, ConvertError> {
    let require = |name: &str| {
        field(name).ok_or_else(|| ConvertError(format!("the field {name:?} is missing")))
    };
    let title = field("partition_reference").ok_or_else(|| {
        let reason = "the instance needs a name (\"partition_reference\" is missing or empty)";
        ConvertError(reason.to_owned())
    })?;
    let marshalled = |name: &str| match field(name) {
        None => Ok(Value::None),
        Some(text) => loads(text).map_err(|error| ConvertError(format!("{name}: {error}"))),
    };
    let named = |name: &str, error: ConvertError| ConvertError(format!("{name}: {error}"));
    let parameters = texts_from_value(&marshalled("partition_parameter_xml")?);
    let sla = texts_from_value(&marshalled("filter_xml")?);
    let shared = match marshalled("shared_xml")? {
        Value::None => false,
        Value::Bool(truth) => truth,
        Value::Int(number) => number != 0,
        _ => {
            return Err(ConvertError("shared_xml: a truth value is expected".to_owned()));
        }
    };
    let state = match marshalled("state")? {
        Value::None => None,
        Value::Str(word) if word.is_empty() => None,
        Value::Str(word) => Some(word.parse()?),
        _ => return Err(ConvertError("state: a text or none is expected".to_owned())),
    };
    let requester = match field("computer_id").zip(field("computer_partition_id")) {
        None => None,
        Some((computer, partition)) => Some((computer.into(), partition_id(partition)?)),
    };
    Ok(InstanceRequest {
        title: InstanceTitle::new(title),
        software: SoftwareUrl::new(require("software_release")?),
        software_type: field("software_type").unwrap_or(DEFAULT_SOFTWARE_TYPE).to_owned(),
        parameters: parameters.map_err(|error| named("partition_parameter_xml", error))?,
        state,
        shared,
        sla: sla.map_err(|error| named("filter_xml", error))?,
        requester,
    })
}

/// The object that answers a request. A shared instance (one without `guid`) has no state,
/// timestamp nor instance XML of its own on the wire.
///
/// # Errors
/// When a connection parameter cannot be written in XML.
pub fn answer_to_value(answer: &InstanceAnswer) -> Result<Value, MarshalError> {
    let mut parameters = match texts_to_value(&answer.parameters) {
        Value::Dict(parameters) => parameters,
        _ => indexmap::IndexMap::new(),
    };
    let mut attributes: indexmap::IndexMap<String, Value> = [
        ("_connection_dict", texts_to_value(&answer.connection)),
        ("ip_list", ip_list_to_value(&answer.ip_list)),
        ("slap_computer_id", Value::str(answer.computer.as_str())),
        ("slap_computer_partition_id", Value::str(answer.partition.as_str())),
        ("slap_server_url", Value::str("slap_server_url")),
        ("slap_software_release_url", Value::str(answer.software_url.as_str())),
        ("slap_software_type", Value::str(&answer.software_type)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    if let Some(guid) = &answer.guid {
        let raw = if answer.connection.is_empty() {
            Value::None
        } else {
            Value::str(dict2xml(&answer.connection)?)
        };
        attributes.insert("_instance_guid".to_owned(), Value::str(guid));
        attributes.insert("_requested_state".to_owned(), Value::str(answer.state.as_str()));
        attributes.insert("connection_xml".to_owned(), raw);
        if let Some(timestamp) = &answer.timestamp {
            parameters.insert("timestamp".to_owned(), Value::str(timestamp));
        }
        if let Some(status) = &answer.access_status {
            attributes.insert("_access_status".to_owned(), Value::str(status));
        }
    } else if answer.state == InstanceState::Destroyed {
        // Of a shared one no state is told while there is one.
        attributes.insert("_requested_state".to_owned(), Value::str(answer.state.as_str()));
    }
    if let Some(url) = &answer.master_url {
        attributes.insert("_master_url".to_owned(), Value::str(url));
    }
    attributes.insert("_parameter_dict".to_owned(), Value::Dict(parameters));
    Ok(Value::object(Class::SoftwareInstance, Vec::new(), attributes))
}

/// The answer of an object. A Master of the original that had it from another one hands on a
/// partition, in place of an instance.
///
/// # Errors
/// When the value is another one, or lacks something.
pub fn answer_from_value(value: &Value) -> Result<InstanceAnswer, ConvertError> {
    let object = match object(value, Class::SoftwareInstance) {
        Ok(instance) => instance,
        Err(error) => object(value, Class::ComputerPartition).map_err(|_| error)?,
    };
    let fields = Fields(&object.attributes);
    let mut parameters = fields.texts("_parameter_dict")?;
    let timestamp = parameters.shift_remove("timestamp");
    let state = fields.text("_requested_state");
    let name = |plain: &str, own: &str, place: usize| {
        let given = object.initargs.get(place).and_then(Value::as_str).map(str::to_owned);
        fields
            .text(plain)
            .or_else(|| fields.text(own))
            .or(given)
            .map_or_else(|| fields.require(plain), Ok)
    };
    let url = fields.text("slap_software_release_url");
    Ok(InstanceAnswer {
        partition: partition_id(&name("slap_computer_partition_id", "_partition_id", 1)?)?,
        computer: ComputerId::new(name("slap_computer_id", "_computer_id", 0)?),
        guid: fields.text("_instance_guid"),
        connection: fields.texts("_connection_dict")?,
        parameters,
        state: state.map_or(Ok(InstanceState::Started), |word| word.parse())?,
        ip_list: fields.get("ip_list").map_or_else(|| Ok(Vec::new()), ip_list_from_value)?,
        software_type: fields.text("slap_software_type").unwrap_or_default(),
        software_url: SoftwareUrl::new(
            url.or_else(|| fields.text("_software_release_document")).unwrap_or_default(),
        ),
        timestamp,
        access_status: fields.text("_access_status"),
        master_url: fields.text("_master_url"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(request: &InstanceRequest) -> Result<InstanceRequest, ConvertError> {
        let form = request_to_form(request).unwrap();
        request_from_form(|name| {
            form.iter().find(|(key, _)| *key == name).map(|(_, text)| text.as_str())
        })
    }

    #[test]
    fn a_request_reads_back() {
        let mut request = InstanceRequest::new("title", "http://s");
        assert_eq!(read_back(&request), Ok(request.clone()));
        request.software_type = "t".to_owned();
        request.parameters = [("_".to_owned(), "{\"a\": \"<é>\"}".to_owned())].into();
        request.state = Some(InstanceState::Stopped);
        request.shared = true;
        request.sla = [("computer_guid".to_owned(), "c".to_owned())].into();
        request.requester = Some(("c".into(), "p".into()));
        assert_eq!(read_back(&request), Ok(request));
    }

    #[test]
    fn optional_fields_may_be_absent_and_wrong_ones_are_named() {
        let minimal = |name: &str| match name {
            "partition_reference" => Some("a"),
            "software_release" => Some("b"),
            _ => None,
        };
        assert_eq!(request_from_form(minimal), Ok(InstanceRequest::new("a", "b")));
        let refusal = |name: &str, text: &'static str| {
            let field = |asked: &str| {
                if asked == name { Some(text) } else { minimal(asked) }
            };
            request_from_form(field).unwrap_err().to_string()
        };
        insta::assert_snapshot!(request_from_form(|_| None).unwrap_err(), @r#"the instance needs a name ("partition_reference" is missing or empty)"#);
        insta::assert_snapshot!(refusal("filter_xml", "<int>1</int>"), @"filter_xml: a dictionary is expected");
        insta::assert_snapshot!(refusal("state", "<string>x</string>"), @r#""x" is not a state: expected started, stopped or destroyed"#);
        insta::assert_snapshot!(refusal("shared_xml", "<none"), @"shared_xml: not well-formed XML at byte 0: syntax error: tag not closed: `>` not found before end of input");
    }

    fn answer() -> InstanceAnswer {
        InstanceAnswer {
            partition: "slappart0".into(),
            computer: "computer".into(),
            guid: Some("computer-slappart0".to_owned()),
            connection: [("url".to_owned(), "http://x/".to_owned())].into(),
            parameters: [("a".to_owned(), "1".to_owned())].into(),
            state: InstanceState::Stopped,
            ip_list: vec![("i".to_owned(), "10.0.0.1".parse().unwrap())],
            software_type: "default".to_owned(),
            software_url: "http://s".into(),
            timestamp: Some("17.5".to_owned()),
            access_status: None,
            master_url: None,
        }
    }

    #[test]
    fn an_answer_reads_back() {
        let value = answer_to_value(&answer()).unwrap();
        assert_eq!(answer_from_value(&value), Ok(answer()));
        insta::assert_snapshot!(dumps(&value).unwrap(), @r#"
        <marshal><object id="i2" module="slapos.slap.slap" class="SoftwareInstance"><tuple/><dictionary id="i3"><string>_connection_dict</string><dictionary id="i4"><string>url</string><string>http://x/</string></dictionary><string>_instance_guid</string><string>computer-slappart0</string><string>_parameter_dict</string><dictionary id="i5"><string>a</string><string>1</string><string>timestamp</string><string>17.5</string></dictionary><string>_requested_state</string><string>stopped</string><string>connection_xml</string><string>&amp;lt;?xml version='1.0' encoding='utf-8'?&amp;gt;
        &amp;lt;instance&amp;gt;
          &amp;lt;parameter id="url"&amp;gt;http://x/&amp;lt;/parameter&amp;gt;
        &amp;lt;/instance&amp;gt;
        </string><string>ip_list</string><list id="i6"><tuple><string>i</string><string>10.0.0.1</string></tuple></list><string>slap_computer_id</string><string>computer</string><string>slap_computer_partition_id</string><string>slappart0</string><string>slap_server_url</string><string>slap_server_url</string><string>slap_software_release_url</string><string>http://s</string><string>slap_software_type</string><string>default</string></dictionary></object></marshal>
        "#);
    }

    #[test]
    fn what_another_master_serves_may_come_as_a_partition() {
        let attributes = [
            ("_connection_dict", Value::dict([("url", Value::str("http://x/"))])),
            ("_computer_id", Value::str("far")),
            ("_partition_id", Value::str("slappart3")),
            ("_requested_state", Value::str("started")),
            ("_software_release_document", Value::str("http://s")),
            ("_master_url", Value::str("http://m")),
        ];
        let attributes =
            attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let value = Value::object(Class::ComputerPartition, Vec::new(), attributes);
        let answer = answer_from_value(&value).unwrap();
        assert_eq!((answer.computer.as_str(), answer.partition.as_str()), ("far", "slappart3"));
        assert_eq!(answer.software_url.as_str(), "http://s");
        assert_eq!(answer.master_url.as_deref(), Some("http://m"));
        assert_eq!(answer.connection["url"], "http://x/");
    }

    #[test]
    fn the_last_report_is_told_where_there_is_one() {
        let reported = InstanceAnswer { access_status: Some("#error no".to_owned()), ..answer() };
        assert_eq!(answer_from_value(&answer_to_value(&reported).unwrap()), Ok(reported));
    }

    #[test]
    fn a_shared_answer_reads_back_as_started_or_destroyed() {
        for state in [InstanceState::Started, InstanceState::Destroyed] {
            let shared = InstanceAnswer { guid: None, timestamp: None, state, ..answer() };
            assert_eq!(answer_from_value(&answer_to_value(&shared).unwrap()), Ok(shared));
        }
    }
}
