//! A release of one's own network: its schema is read because the operator has named the host, for
//! everybody who asks, and not otherwise.

use slapos_testkit::serve_texts;

use crate::master::Master;
use crate::node::by;

const SOFTWARE: &str = r#"{"name": "Thing", "serialisation": "xml",
    "software-type": {"default": {"title": "T", "request": "input.json"}}}"#;

const INPUT: &str = r#"{"type": "object", "additionalProperties": false,
    "properties": {"word": {"type": "string", "maxLength": 5}}}"#;

#[test]
fn a_person_is_told_what_a_release_of_the_own_network_says_of_parameters() {
    let port = serve_texts(&[("software.cfg.json", SOFTWARE), ("input.json", INPUT)]);
    let option = format!("schema_http = localhost:{port}\n");
    let master = Master::start(&option);
    let ann = master.person("ann", "alpha");
    let profile = format!("http://localhost:{port}/thing/software.cfg");
    let check = |word: &str| {
        let parameter = format!("word={word}");
        let words = ["request", "mine", &profile, "--check", "--parameters", &parameter];
        let run = master.slapos(&by(&ann, &words));
        format!("{}{}", run.out, run.err)
    };
    let said = check("longer");
    assert!(said.contains("\"longer\" is longer than 5 characters"), "{said}");
    let said = check("short");
    assert!(!said.contains("longer than"), "{said}");
    master.run_reconfigured(&option, "");
    let words = ["request", "mine", &profile, "--check", "--parameters", "word=longer"];
    let run = master.slapos(&by(&ann, &words));
    let said = format!("{}{}", run.out, run.err);
    assert!(
        said.contains("reads no schemas from the network") && !said.contains("longer than"),
        "{said}"
    );
}
