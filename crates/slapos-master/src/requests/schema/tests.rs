//! What schemas accept, on files and from a server.
#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

use std::path::Path;

use slapos_testkit::serve_texts;

use super::*;

const SOFTWARE: &str = r#"{
    "name": "Thing", "description": "D", "serialisation": "xml",
    "software-type": {
        "default": {"title": "T", "request": "input.json", "response": "output.json"},
        "cluster": {"request": "deep/cluster.json", "serialisation": "json-in-xml"},
        "slave": {"software-type": "default", "shared": true, "request": "slave.json"}
    }
}"#;

fn release() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("software.cfg.json", SOFTWARE);
    write(
        "input.json",
        r#"{"type": "object", "additionalProperties": false, "properties": {
            "port": {"type": "integer", "maximum": 65535}, "word": {"type": "string"},
            "flag": {"type": "boolean"}}}"#,
    );
    write("output.json", "{}");
    write(
        "deep/cluster.json",
        r##"{"type": "object", "properties": {
            "nodes": {"type": "array", "items": {"$ref": "../node.json#/definitions/node"}}}}"##,
    );
    write("node.json", r#"{"definitions": {"node": {"type": "object", "required": ["name"]}}}"#);
    write("slave.json", r#"{"type": "object", "required": ["url"]}"#);
    directory
}

fn documents(directory: &Path) -> Arc<Documents> {
    let software = directory.join("software.cfg").display().to_string().into();
    Arc::new(Documents::of(&software, "", Web::default(), Arc::default()).unwrap())
}

fn said(directory: &Path, kind: &str, shared: bool, parameters: &[(&str, &str)]) -> String {
    let mut request = InstanceRequest::new("x", "");
    request.software_type = kind.to_owned();
    request.shared = shared;
    request.parameters =
        parameters.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let verdict = judge(&documents(directory), &request);
    if !verdict.readable {
        return format!("unreadable: {}", verdict.why);
    }
    let errors: Vec<String> =
        verdict.errors.iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
    errors.join("; ")
}

#[test]
fn texts_fit_what_they_read_as() {
    let release = release();
    let said = |parameters: &[(&str, &str)]| said(release.path(), "default", false, parameters);
    assert_eq!(said(&[("port", "80"), ("word", "80"), ("flag", "True")]), "");
    assert_eq!(said(&[]), "");
    insta::assert_snapshot!(said(&[("port", "eighty")]), @r#"$.port: "eighty" is not of type "integer""#);
    insta::assert_snapshot!(said(&[("port", "70000")]), @"$.port: 70000 is greater than the maximum of 65535");
    insta::assert_snapshot!(said(&[("prot", "80")]), @"$: Additional properties are not allowed ('prot' was unexpected)");
}

#[test]
fn documents_are_judged_with_what_they_refer_to() {
    let release = release();
    let said = |text: &str| said(release.path(), "cluster", false, &[("_", text)]);
    assert_eq!(said(r#"{"$schema": "x", "nodes": [{"name": "a"}]}"#), "");
    insta::assert_snapshot!(said(r#"{"nodes": [{"name": "a"}, {}]}"#), @r#"$.nodes[1]: "name" is a required property"#);
    insta::assert_snapshot!(said("{"), @"$: the parameter _ is no JSON: EOF while parsing an object at line 1 column 1");
}

#[test]
fn shared_instances_and_unknown_types() {
    let release = release();
    let said = |kind: &str, shared| said(release.path(), kind, shared, &[("port", "1")]);
    insta::assert_snapshot!(said("default", true), @r#"$: "url" is a required property"#);
    assert_eq!(said("RootSoftwareInstance", false), "");
    insta::assert_snapshot!(said("nothing", false), @"unreadable: it describes no software type nothing");
}

#[test]
fn what_is_wrong_with_a_schema_judges_nothing() {
    let release = release();
    std::fs::write(release.path().join("input.json"), r#"{"type": "nonsense"}"#).unwrap();
    let wrong = said(release.path(), "default", false, &[]);
    assert!(wrong.starts_with("unreadable: the schema input.json cannot be used"), "{wrong}");
    std::fs::write(release.path().join("input.json"), "root:x:0:0 secret").unwrap();
    let wrong = said(release.path(), "default", false, &[]);
    assert!(wrong.ends_with("is no JSON") && !wrong.contains("secret"), "{wrong}");
    std::fs::write(release.path().join("input.json"), " ".repeat(2 << 20)).unwrap();
    assert!(said(release.path(), "default", false, &[]).starts_with("unreadable"));
    let nowhere = said(Path::new("/nonexistent"), "default", false, &[]);
    assert!(nowhere.contains("No such file"), "{nowhere}");
}

#[test]
fn a_pattern_that_takes_for_ever_ends() {
    let release = release();
    let schema = r#"{"properties": {"word": {"pattern": "^(a+)+\\1$"}}}"#;
    std::fs::write(release.path().join("input.json"), schema).unwrap();
    let long = format!("{}!", "a".repeat(100));
    // Whatever is said, it is said.
    said(release.path(), "default", false, &[("word", &long)]);
}

#[test]
fn forms_get_all_types_with_their_schemas() {
    let release = release();
    let found = describe(&documents(release.path())).unwrap();
    assert_eq!(found["name"], "Thing");
    let types = found["types"].as_array().unwrap();
    assert_eq!(types.len(), 3);
    assert_eq!(types[0]["request_schema"]["type"], "object");
    assert_eq!(types[0]["response_schema"], json!({}));
    assert_eq!(types[1]["response_schema"], Value::Null);
    assert_eq!(
        (&types[2]["software_type"], &types[2]["shared"]),
        (&json!("default"), &json!(true))
    );
}

#[test]
fn schemas_come_from_a_server_within_limits() {
    let large: &str = " ".repeat(2 << 20).leak();
    let texts: &[(&str, &str)] = vec![
        ("/s/software.cfg.json", SOFTWARE),
        ("/s/input.json", r#"{"required": ["word"]}"#),
        ("/large/software.cfg.json", large),
    ]
    .leak();
    let port = serve_texts(texts);
    let url = |name: &str| format!("http://127.0.0.1:{port}/{name}/software.cfg");
    let of = |name: &str, texts: Texts| {
        let hosts = vec!["127.0.0.1".to_owned()];
        let web = Web { hosts, ..Web::default() };
        Documents::of(&url(name).as_str().into(), "p", web, texts.into()).unwrap()
    };
    let request = InstanceRequest::new("x", url("s").as_str());
    let unread = judge(&of("s", Texts::new()).into(), &request);
    assert!(unread.why.ends_with("is not read yet"), "{unread:?}");
    let reading = read(&of("s", Texts::new()));
    let verdict = judge(&of("s", reading.texts).into(), &request);
    assert_eq!(verdict.errors[0].message, r#""word" is a required property"#);
    let too_large = read(&of("large", Texts::new())).failed.unwrap();
    assert!(too_large.contains("large/software.cfg.json"), "{too_large}");
}
