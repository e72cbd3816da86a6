//! A release of one's own network: its schema is read because the operator has named the host, for
//! everybody who asks, and not otherwise.

use slapos_testkit::serve_texts;

use crate::master::{Master, TOKEN};
use crate::node::by;

const SOFTWARE: &str = r#"{"name": "Thing", "serialisation": "xml",
    "software-type": {"default": {"title": "T", "request": "input.json"}}}"#;

const INPUT: &str = r#"{"type": "object", "additionalProperties": false,
    "properties": {"word": {"type": "string", "maxLength": 5}}}"#;

#[test]
fn a_person_is_told_what_a_release_of_the_own_network_says_of_parameters() {
    let port = serve_texts(&[("thing/software.cfg.json", SOFTWARE), ("input.json", INPUT)]);
    let option = format!("schema_http = localhost:{port}\n");
    let master = Master::start(&option);
    let ann = master.person("ann", "alpha");
    let check = |profile: &str, word: &str| {
        let parameter = format!("word={word}");
        let words = ["request", "mine", profile, "--check", "--parameters", &parameter];
        let run = master.slapos(&by(&ann, &words));
        format!("{}{}", run.out, run.err)
    };
    let profile = format!("http://localhost:{port}/thing/software.cfg");
    for _ in 0..2 {
        let said = check(&profile, "longer");
        assert!(said.contains("\"longer\" is longer than 5 characters"), "{said}");
    }
    let said = check(&profile, "short");
    assert!(!said.contains("longer than"), "{said}");
    let words = ["request", "mine", &profile, "--parameters", "word=longer"];
    let refused = master.refused(&by(&ann, &words));
    assert!(refused.contains("is longer than 5 characters"), "{refused}");
    for _ in 0..2 {
        let said = check(&format!("http://localhost:{port}/gone/software.cfg"), "longer");
        assert!(said.contains("cannot be judged") && said.contains("404"), "{said}");
    }
    // What was read or judged once was not again, and neither was what failed.
    let metrics = ureq::get(format!("http://127.0.0.1:{}/metrics", master.port))
        .header("Authorization", format!("Bearer {TOKEN}"))
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    for line in [
        "schemas_kept 1",
        "schema_readings_total{outcome=\"read\"} 1",
        "schema_readings_total{outcome=\"failed\"} 1",
        "schema_verdicts_total{outcome=\"judged\"} 2",
        "schema_verdicts_total{outcome=\"known\"} 2",
        "schema_verdicts_total{outcome=\"unreadable\"} 2",
    ] {
        assert!(metrics.contains(&format!("slapos_master_{line}\n")), "{line}: {metrics}");
    }
    // Unless the operator names it, it is not read, by https not even asked.
    master.run_reconfigured(&option, "");
    let said = check(&profile, "longer");
    assert!(said.contains("reads no schemas by http") && !said.contains("longer than"), "{said}");
    let said = check(&profile.replace("http:", "https:"), "longer");
    assert!(said.contains("its address is not public"), "{said}");
}
