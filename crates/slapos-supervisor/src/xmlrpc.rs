//! XML-RPC as supervisor and Python's `xmlrpc.client` speak it: values, calls, answers, faults.
//!
//! Pure text to values and back. Documents come from whoever may connect, so that depth is bounded
//! and nothing that XML allows makes it panic.

use std::fmt::Write as _;

use indexmap::IndexMap;
use quick_xml::XmlVersion;
use quick_xml::escape::partial_escape;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// Elements may nest this deep.
const MAX_DEPTH: usize = 64;

/// A value of XML-RPC. Dates are texts in ISO 8601; base64 is not used by supervisor.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `<nil/>`, an extension that everybody has.
    Nil,
    /// `<boolean>`.
    Bool(bool),
    /// `<int>`, or `<i8>` beyond 32 bits.
    Int(i64),
    /// `<double>`.
    Double(f64),
    /// `<string>`.
    Text(String),
    /// `<array>`.
    Array(Vec<Value>),
    /// `<struct>`.
    Struct(IndexMap<String, Value>),
}

impl Value {
    /// A struct of these members.
    pub fn record<const N: usize>(members: [(&str, Value); N]) -> Self {
        let members = members.into_iter();
        Self::Struct(members.map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a whole one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, if it is one; 0 and 1 count.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Int(number) => Some(*number != 0),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// A member, if it is a struct that has it.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Struct(members) => members.get(name),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

/// A call of a method.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method's name, such as `supervisor.getState`.
    pub method: String,
    /// Its arguments.
    pub params: Vec<Value>,
}

/// The refusal of a call: supervisor's code and text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} (fault {code})")]
pub struct Fault {
    /// The number, see [`crate::fault`].
    pub code: i32,
    /// The code's name and what it is about.
    pub text: String,
}

/// A document that is not XML-RPC.
#[derive(Debug, thiserror::Error)]
#[error("not an XML-RPC document: {0}")]
pub struct XmlRpcError(String);

/// Reads the body of a request.
///
/// # Errors
/// When it is not a `<methodCall>`.
pub fn parse_call(text: &str) -> Result<Call, XmlRpcError> {
    let root = document(text, "methodCall")?;
    let method = root.child("methodName")?.text.trim().to_owned();
    let params = match root.child("params") {
        Ok(params) => params.children.iter().map(param).collect(),
        Err(_) => Ok(Vec::new()),
    }?;
    Ok(Call { method, params })
}

/// Reads the body of a response.
///
/// # Errors
/// When it is not a `<methodResponse>`.
pub fn parse_response(text: &str) -> Result<Result<Value, Fault>, XmlRpcError> {
    let root = document(text, "methodResponse")?;
    if let Ok(fault) = root.child("fault") {
        let value = fault.child("value").and_then(value)?;
        let code = value.member("faultCode").and_then(Value::as_int);
        let text = value.member("faultString").and_then(Value::as_str);
        return Ok(Err(Fault {
            code: code.and_then(|code| code.try_into().ok()).unwrap_or(1),
            text: text.unwrap_or_default().to_owned(),
        }));
    }
    param(root.child("params")?.child("param")?).map(Ok)
}

/// Writes the body of a request.
pub fn render_call(call: &Call) -> String {
    let mut out = String::from("<?xml version='1.0'?>\n<methodCall>");
    let _ = write!(out, "<methodName>{}</methodName>", escape(&call.method));
    out.push_str("<params>");
    for param in &call.params {
        out.push_str("<param>");
        render(param, &mut out);
        out.push_str("</param>");
    }
    out.push_str("</params></methodCall>\n");
    out
}

/// Writes the body of a response.
pub fn render_response(answer: &Result<Value, Fault>) -> String {
    let mut out = String::from("<?xml version='1.0'?>\n<methodResponse>");
    match answer {
        Ok(value) => {
            out.push_str("<params><param>");
            render(value, &mut out);
            out.push_str("</param></params>");
        }
        Err(fault) => {
            out.push_str("<fault>");
            render(&fault_value(fault), &mut out);
            out.push_str("</fault>");
        }
    }
    out.push_str("</methodResponse>\n");
    out
}

/// A fault as a value, as it stands in a response and among the answers of `system.multicall`.
pub fn fault_value(fault: &Fault) -> Value {
    Value::record([("faultCode", fault.code.into()), ("faultString", fault.text.as_str().into())])
}

fn render(value: &Value, out: &mut String) {
    out.push_str("<value>");
    let _ = match value {
        Value::Nil => write!(out, "<nil/>"),
        Value::Bool(value) => write!(out, "<boolean>{}</boolean>", u8::from(*value)),
        Value::Int(n) if i32::try_from(*n).is_ok() => write!(out, "<int>{n}</int>"),
        Value::Int(n) => write!(out, "<i8>{n}</i8>"),
        Value::Double(number) => write!(out, "<double>{number}</double>"),
        Value::Text(text) => write!(out, "<string>{}</string>", escape(text)),
        Value::Array(items) => {
            out.push_str("<array><data>");
            for item in items {
                render(item, out);
            }
            write!(out, "</data></array>")
        }
        Value::Struct(members) => {
            out.push_str("<struct>");
            for (name, member) in members {
                let _ = write!(out, "<member><name>{}</name>", escape(name));
                render(member, out);
                out.push_str("</member>");
            }
            write!(out, "</struct>")
        }
    };
    out.push_str("</value>");
}

/// Escapes what has a meaning in XML; what XML cannot hold at all becomes U+FFFD.
fn escape(text: &str) -> String {
    let allowed = |c: char| {
        matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}'))
    };
    let clean: String =
        text.chars().map(|c| if allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
    partial_escape(clean).into_owned()
}

#[derive(Debug, Default)]
struct Element {
    name: String,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn child(&self, name: &str) -> Result<&Element, XmlRpcError> {
        let found = self.children.iter().find(|child| child.name == name);
        found.ok_or_else(|| XmlRpcError(format!("<{}> lacks its <{name}>", self.name)))
    }
}

fn document(text: &str, name: &str) -> Result<Element, XmlRpcError> {
    let root = tree(text)?;
    if root.name == name {
        Ok(root)
    } else {
        Err(XmlRpcError(format!("it is a <{}>, not a <{name}>", root.name)))
    }
}

/// The root element with all below it.
fn tree(text: &str) -> Result<Element, XmlRpcError> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|error| XmlRpcError(error.to_string()))?;
        let empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                if open.len() > MAX_DEPTH {
                    return Err(XmlRpcError("it nests too deep".into()));
                }
                open.push(Element { name: tag.name().0.to_owned(), ..Element::default() });
                if empty {
                    close(&mut open)?;
                }
            }
            Event::End(_) => close(&mut open)?,
            Event::Text(text) => {
                top(&mut open)?.text.push_str(&text.xml_content(XmlVersion::Implicit1_0));
            }
            Event::CData(text) => {
                top(&mut open)?.text.push_str(&text.xml_content(XmlVersion::Implicit1_0));
            }
            Event::GeneralRef(name) => top(&mut open)?.text.push(reference(&name)?),
            Event::Eof => break,
            Event::DocType(_) => return Err(XmlRpcError("it has a document type".into())),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(mut outside), true) if outside.children.len() == 1 => Ok(outside.children.remove(0)),
        _ => Err(XmlRpcError("it does not have one root element".into())),
    }
}

fn reference(name: &quick_xml::events::BytesRef<'_>) -> Result<char, XmlRpcError> {
    let named = match &**name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => name.resolve_char_ref().ok().flatten(),
    };
    named.ok_or_else(|| XmlRpcError(format!("unknown entity &{};", &**name)))
}

fn top(open: &mut [Element]) -> Result<&mut Element, XmlRpcError> {
    let last = open.last_mut();
    last.ok_or_else(|| XmlRpcError("it closes more than it opens".into()))
}

fn close(open: &mut Vec<Element>) -> Result<(), XmlRpcError> {
    match open.pop() {
        Some(done) if !open.is_empty() => {
            top(open)?.children.push(done);
            Ok(())
        }
        _ => Err(XmlRpcError("it closes more than it opens".into())),
    }
}

fn param(element: &Element) -> Result<Value, XmlRpcError> {
    element.child("value").and_then(value)
}

fn value(element: &Element) -> Result<Value, XmlRpcError> {
    let Some(typed) = element.children.first() else {
        return Ok(Value::Text(element.text.clone()));
    };
    let text = typed.text.trim();
    let wrong = || XmlRpcError(format!("`{text}` is not a <{}>", typed.name));
    match typed.name.as_str() {
        "nil" => Ok(Value::Nil),
        "boolean" => match text {
            "0" => Ok(Value::Bool(false)),
            "1" => Ok(Value::Bool(true)),
            _ => Err(wrong()),
        },
        "int" | "i4" | "i8" => text.parse().map(Value::Int).map_err(|_| wrong()),
        "double" => text.parse().map(Value::Double).map_err(|_| wrong()),
        "string" | "dateTime.iso8601" => Ok(Value::Text(typed.text.clone())),
        "array" => {
            let items = &typed.child("data")?.children;
            Ok(Value::Array(items.iter().map(value).collect::<Result<_, _>>()?))
        }
        "struct" => {
            let members = typed.children.iter().map(|member| {
                let name = member.child("name")?.text.clone();
                Ok((name, member.child("value").and_then(value)?))
            });
            Ok(Value::Struct(members.collect::<Result<_, XmlRpcError>>()?))
        }
        other => Err(XmlRpcError(format!("<{other}> is not supported"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_python_writes() {
        let text = "<?xml version='1.0'?>\n<methodCall>\n\
            <methodName>supervisor.startProcess</methodName>\n<params>\n<param>\n\
            <value><string>a:b &lt;&#233;</string></value>\n</param>\n<param>\n\
            <value><boolean>1</boolean></value>\n</param>\n</params>\n</methodCall>\n";
        let call = parse_call(text).unwrap();
        assert_eq!(call.method, "supervisor.startProcess");
        assert_eq!(call.params, [Value::from("a:b <é"), Value::from(true)]);
    }

    #[test]
    fn an_answer_as_it_goes_over_the_wire() {
        let value = Value::record([
            ("pid", 7.into()),
            ("at", (1i64 << 40).into()),
            ("text", "a<b\r\u{1b}[0m".into()),
            ("list", vec![true, false].into()),
        ]);
        insta::assert_snapshot!(render_response(&Ok(value)), @"
        <?xml version='1.0'?>
        <methodResponse><params><param><value><struct><member><name>pid</name><value><int>7</int></value></member><member><name>at</name><value><i8>1099511627776</i8></value></member><member><name>text</name><value><string>a&lt;b&#13;\u{FFFD}[0m</string></value></member><member><name>list</name><value><array><data><value><boolean>1</boolean></value><value><boolean>0</boolean></value></data></array></value></member></struct></value></param></params></methodResponse>
        ");
    }

    #[test]
    fn faults_come_back_as_faults() {
        let fault = Fault { code: 10, text: "BAD_NAME: x".into() };
        let text = render_response(&Err(fault.clone()));
        assert_eq!(parse_response(&text).unwrap(), Err(fault));
    }

    #[test]
    fn what_is_not_xmlrpc_is_refused() {
        for text in [
            "",
            "x",
            "<a/>",
            "<methodCall/>",
            "<methodCall>",
            "<methodCall><methodName>x</methodName></methodCall></methodCall>",
            "<!DOCTYPE x [<!ENTITY a 'b'>]><methodCall><methodName>&a;</methodName></methodCall>",
            "<methodCall><methodName>x</methodName><params><param><value><base64/></value></param></params></methodCall>",
            &"<a>".repeat(10_000),
        ] {
            assert!(parse_call(text).is_err(), "{text}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e9..1e9f64).prop_map(Value::Double),
            "[ -~é\n\r\t]{0,20}".prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                proptest::collection::hash_map("[a-z<&]{1,6}", inner, 0..5)
                    .prop_map(|members| Value::Struct(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in any_value(), method in "[a-z.A-Z]{1,20}") {
            let call = Call { method, params: vec![value.clone()] };
            prop_assert_eq!(parse_call(&render_call(&call)).unwrap(), call);
            let answer = Ok(value);
            prop_assert_eq!(parse_response(&render_response(&answer)).unwrap(), answer);
        }

        #[test]
        fn never_panics(text in "(<|/|>|methodCall|value|&|;|a| |params){0,40}") {
            let _ = parse_call(&text);
            let _ = parse_response(&text);
        }
    }
}
