//! A schema that is made to take for ever takes neither the Master nor its end.

use serde_json::json;
use slapos_sys::process::{alive, descendants};
use slapos_testkit::{endless_schema, wait_for};

use crate::master::{Master, TOKEN};

/// What the Master says that it would do with a request, and with which status.
fn check(port: u16, software: &str) -> (u16, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let wish = json!({"title": "a", "software_release": software, "parameters": {"word": "x"}});
    let url = format!("http://127.0.0.1:{port}/api/v1/requests/check");
    let request = agent.post(url).header("Authorization", format!("Bearer {TOKEN}"));
    let request = request.header("Content-Type", "application/json");
    let mut answer = request.send(wish.to_string()).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

#[test]
fn a_master_answers_and_ends_while_schemas_keep_its_judges_busy() {
    let master = Master::start("");
    let description = r#"{"software-type": {"default": {"request": "input.json"}}}"#;
    master.write("bomb/software.cfg.json", description);
    master.write("bomb/input.json", &endless_schema().to_string());
    master.write("plain/software.cfg.json", description);
    master.write("plain/input.json", r#"{"required": ["other"]}"#);
    let software = |name: &str| master.path(name).join("software.cfg").display().to_string();
    let (bomb, plain) = (software("bomb"), software("plain"));
    let (status, said) = check(master.port, &plain);
    assert!(status == 200 && said.contains("required property"), "{said}");
    let port = master.port;
    let asking: Vec<_> = (0..6)
        .map(|_| {
            let bomb = bomb.clone();
            std::thread::spawn(move || check(port, &bomb))
        })
        .collect();
    let own = master.id();
    let judges = wait_for("the judges", 60, || {
        let family = descendants(own);
        (!family.is_empty()).then_some(family)
    });
    assert!(judges.len() <= 4, "{judges:?}");
    assert_eq!(master.get("/api/v1/me", TOKEN).0, 200);
    master.stop();
    for asked in asking {
        // Those that were not judged to their end are told to ask again, and no connection is cut.
        let (status, said) = asked.join().unwrap();
        assert!([200, 503].contains(&status), "{status} {said}");
        assert!(status == 200 || said.contains("this Master ends: ask again"), "{said}");
    }
    wait_for("the end of the judges", 60, || {
        (!judges.iter().any(|(pid, start)| alive(*pid, *start))).then_some(())
    });
    let log = std::fs::read_to_string(master.path("log")).unwrap();
    assert!(!log.contains("stopped while requests were still being answered"), "{log}");
}
