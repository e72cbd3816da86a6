//! Requests for other instances: what is asked, what comes of it, and what fails.

use slapos_slap::InstanceState;

use super::*;

/// Asks for a database and writes where it is.
const PROFILE: &str = "\
[buildout]
parts = conf

[slap-connection]
server-url = http://master/
computer-id = COMP-1
partition-id = slappart0

[db]
<= slap-connection
recipe = slapos.cookbook:request
name = Database
software-url = /s/db.cfg
software-type = mariadb
config-size = 10
return = url password

[conf]
recipe = slapos.recipe.template:jinja2
output = ${buildout:directory}/conf
context =
  key password db:connection-password
  key url db:connection-url
inline = {{ url }} {{ password }}
";

fn answer(connection: &[(&str, &str)]) -> InstanceAnswer {
    let texts = connection.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let mut request = InstanceRequest::new("database", "/s/db.cfg");
    "mariadb".clone_into(&mut request.software_type);
    InstanceAnswer {
        guid: Some("COMP-1-slappart1".to_owned()),
        connection: texts.collect(),
        ..InstanceAnswer::to(&request, "COMP-1", "slappart1")
    }
}

fn yard(connection: &[(&str, &str)]) -> Yard {
    let mut yard = Yard::instance();
    yard.partition.as_mut().unwrap().requested_state = InstanceState::Started;
    yard.answer = Ok(Some(answer(connection)));
    yard
}

/// A profile with one part, made of these lines and what every request needs.
fn one(recipe: &str, lines: &str) -> String {
    format!(
        "[buildout]\nparts = db\n[db]\nrecipe = slapos.cookbook:{recipe}\nname = Database\n\
         software-url = /s/db.cfg\n{lines}"
    )
}

/// The request that a profile makes, as text.
fn asked(yard: &Yard, profile: &str) -> String {
    let master = yard.master();
    yard.buildout(profile, master.as_ref()).plan().unwrap();
    let requested = master.unwrap().requested.lock().unwrap().clone();
    let [request] = requested.as_slice() else { panic!("{requested:?}") };
    serde_json::to_string(request).unwrap()
}

#[test]
fn a_section_says_all_of_a_request() {
    let mut yard = yard(&[]);
    insta::assert_snapshot!(asked(&yard, &one("request", "")), @r#"{"title":"Database","software":"/s/db.cfg","software_type":"default","parameters":{},"state":"started","shared":false,"sla":{},"requester":null}"#);
    let lines = "software-type = t\nshared = True\nstate = stopped\nconfig-a = x\n\
                 config-b = !py!{'k': [1, None]}\nsla-computer_guid = COMP-2\nsla-empty =\n\
                 sla-none = !py!None\n";
    insta::assert_snapshot!(asked(&yard, &one("request", lines)), @r#"{"title":"Database","software":"/s/db.cfg","software_type":"t","parameters":{"a":"x","b":"{'k': [1, None]}"},"state":"stopped","shared":true,"sla":{"computer_guid":"COMP-2"},"requester":null}"#);
    insta::assert_snapshot!(asked(&yard, &one("requestoptional.serialised", lines)), @r#"{"title":"Database","software":"/s/db.cfg","software_type":"t","parameters":{"_":"{\"a\": \"x\", \"b\": {\"k\": [1, null]}}"},"state":"stopped","shared":true,"sla":{"computer_guid":"COMP-2"},"requester":null}"#);
    assert!(asked(&yard, &one("request.serialised", "")).contains(r#""parameters":{"_":"{}"}"#));
    // What this instance is to be, the others are to be, but never destroyed.
    yard.partition.as_mut().unwrap().requested_state = InstanceState::Stopped;
    assert!(asked(&yard, &one("request", "")).contains(r#""state":"stopped""#));
    yard.partition.as_mut().unwrap().requested_state = InstanceState::Destroyed;
    assert!(asked(&yard, &one("request", "state =\n")).contains(r#""state":"started""#));
}

#[test]
fn what_is_published_reaches_other_parts_and_changes_are_followed() {
    let mut yard = yard(&[("url", "http://db/"), ("password", "hunter2"), ("more", "x")]);
    yard.run(PROFILE).unwrap();
    assert_eq!(yard.read("conf"), "http://db/ hunter2");
    assert!(yard.plan(PROFILE).unwrap().is_noop());
    let ledger = yard.read(".slapos/installed.json");
    assert!(ledger.contains("http://db/") && !ledger.contains("hunter2"), "{ledger}");

    // What nobody asked for is no change.
    let connection = [("url", "http://db/"), ("password", "hunter2"), ("more", "y")];
    yard.answer = Ok(Some(answer(&connection)));
    assert!(yard.plan(PROFILE).unwrap().is_noop());
    yard.answer = Ok(Some(answer(&[("url", "http://db2/"), ("password", "hunter2")])));
    insta::assert_snapshot!(yard.plan(PROFILE).unwrap(), @r"
    install db: option `connection-url` changed: `http://db/` → `http://db2/`
    install conf: refers to db, which changed; content of its context changed
    ");
    yard.run(PROFILE).unwrap();
    assert_eq!(yard.read("conf"), "http://db2/ hunter2");
    yard.answer = Ok(Some(answer(&[("url", "http://db2/"), ("password", "hunter3")])));
    insta::assert_snapshot!(yard.plan(PROFILE).unwrap(), @r"
    install db: content of option `connection-password` changed
    install conf: refers to db, which changed; content of its context changed
    ");
    yard.run(PROFILE).unwrap();
    assert_eq!(yard.read("conf"), "http://db2/ hunter3");
}

#[test]
fn the_instance_is_described_once_it_is_allocated() {
    let mut yard = yard(&[]);
    let describe = |lines: &str| {
        let profile = one("request", lines).replace("parts = db", "parts = db f");
        profile
            + "[f]\nrecipe = slapos.recipe.template\noutput = f\ninline = ${db:instance-guid} \
               ${db:instance_guid} ${db:instance-state} ${db:requested-state} (${db:instance-status})\n"
    };
    let profile = describe("state = stopped\n");
    yard.run(&profile).unwrap();
    insta::assert_snapshot!(yard.read("f"), @"COMP-1-slappart1 COMP-1-slappart1 started stopped ()");
    yard.answer.as_mut().unwrap().as_mut().unwrap().access_status = Some("#error no".to_owned());
    yard.run(&profile).unwrap();
    assert!(yard.read("f").ends_with("(#error no)"));
    let help = |yard: &Yard, profile: &str| {
        let BuildError::Profile(error) = yard.run(profile).unwrap_err() else { panic!() };
        error.help().unwrap().to_owned()
    };
    insta::assert_snapshot!(help(&yard, &describe("shared = true\n")), @"a shared instance has none");
    yard.answer = Ok(None);
    insta::assert_snapshot!(help(&yard, &profile), @"instance `Database` has none before it is allocated");
}

#[test]
fn a_request_fails_until_everything_is_returned_and_is_repeated() {
    let mut yard = yard(&[("url", "http://db/")]);
    insta::assert_snapshot!(yard.error(PROFILE), @r"
    part `db` failed: instance `Database` does not publish `password`: it is to be started in slappart1 of COMP-1
      defined at: ROOT/build/test.cfg:9
      help: each run asks again; if this lasts, look at that instance
    ");
    assert!(!yard.path("conf").exists(), "nothing is made from what is not there");
    yard.answer = Ok(None);
    insta::assert_snapshot!(yard.error(PROFILE), @r"
    part `db` failed: instance `Database` does not publish `url`, `password`: it is not allocated yet
      defined at: ROOT/build/test.cfg:9
      help: each run asks again; if this lasts, look at that instance
    ");
    yard.answer = Ok(Some(answer(&[("url", "http://db/"), ("password", "hunter2")])));
    yard.run(PROFILE).unwrap();
    assert_eq!(yard.read("conf"), "http://db/ hunter2");
    // And it fails again when something of it is gone.
    yard.answer = Ok(Some(answer(&[("password", "hunter2")])));
    assert!(yard.error(PROFILE).contains("does not publish `url`"));
    assert_eq!(yard.read("conf"), "http://db/ hunter2", "what works is left alone");
    // Without `return`, an instance that is not there yet is none of this one's business.
    yard.answer = Ok(None);
    yard.run(&one("request", "")).unwrap();
}

#[test]
fn an_optional_request_warns_at_each_run() {
    let mut yard = yard(&[("url", "http://db/")]);
    let profile = PROFILE.replace(":request", ":requestoptional");
    insta::assert_snapshot!(yard.warnings(&profile).join("\n"), @"instance `Database` does not publish `password`: it is to be started in slappart1 of COMP-1");
    assert_eq!(yard.read("conf"), "http://db/ ");
    insta::assert_snapshot!(yard.plan(&profile).unwrap(), @r"
    update  db: instance `Database` does not publish `password`: it is to be started in slappart1 of COMP-1
    1 part is kept
    ");
    assert_eq!(yard.warnings(&profile).len(), 1);
    yard.answer = Err(RequestError::NotFound("No free\n computer partition".to_owned()));
    insta::assert_snapshot!(yard.warnings(&profile).join("\n"), @"instance `Database` is not to be had: No free computer partition");
    yard.answer = Ok(Some(answer(&[("url", "http://db/"), ("password", "hunter2")])));
    assert!(yard.warnings(&profile).is_empty());
    assert_eq!(yard.read("conf"), "http://db/ hunter2");
    assert!(yard.plan(&profile).unwrap().is_noop());
}

#[test]
fn a_master_that_says_no_is_not_one_that_says_nothing() {
    let mut yard = yard(&[("url", "http://db/"), ("password", "hunter2")]);
    let optional = PROFILE.replace(":request", ":requestoptional");
    yard.run(&optional).unwrap();
    yard.answer = Err(RequestError::Unanswered("the Master does not answer".to_owned()));
    insta::assert_snapshot!(yard.error(&optional), @"ROOT/build/test.cfg:11: cannot ask for instance `Database`: the Master does not answer");
    assert_eq!(yard.read("conf"), "http://db/ hunter2", "nothing is known, so nothing changes");
    yard.answer = Err(RequestError::Refused("it answers 400".to_owned()));
    insta::assert_snapshot!(yard.error(&one("request", "")), @r"
    part `db` failed: instance `Database` is not to be had: it answers 400
      defined at: ROOT/build/test.cfg:3
      help: each run asks again; if this lasts, look at that instance
    ");
    yard.answer = Err(RequestError::NotFound("there is no instance".to_owned()));
    assert!(yard.error(&one("request", "")).contains("not to be had"));
    yard.run(&one("request", "state = destroyed\nreturn = url\n")).unwrap();
}

#[test]
fn json_goes_both_ways() {
    let text = r#"{"url": "http://db/", "ports": [1, 2], "auth": {"password": "hunter2"}}"#;
    let mut yard = yard(&[("_", text)]);
    let profile = PROFILE
        .replace("cookbook:request", "cookbook:request.serialised")
        .replace("= url password", "= url ports auth")
        .replace("db:connection-password", "db:connection-ports")
        .replace("{{ password }}", "{{ password[1] + 1 }}");
    yard.run(&profile).unwrap();
    assert_eq!(yard.read("conf"), "http://db/ 3");
    assert!(!yard.read(".slapos/installed.json").contains("hunter2"));
    yard.answer = Ok(Some(answer(&[("_", "{")])));
    insta::assert_snapshot!(yard.error(&profile), @r"
    part `db` failed: instance `Database` does not publish `url`, `ports`, `auth` (its `_` is no JSON: EOF while parsing an object at line 1 column 1): it is to be started in slappart1 of COMP-1
      defined at: ROOT/build/test.cfg:9
      help: each run asks again; if this lasts, look at that instance
    ");
    yard.answer = Ok(Some(answer(&[("url", "http://db/")])));
    assert!(yard.error(&profile).contains("does not publish `url`, `ports`, `auth`"));
}

#[test]
fn what_cannot_be_honoured_is_refused_at_its_line() {
    let yard = yard(&[]);
    let refused = [
        yard.error(&one("request", "config = a\nconfig-a = 1\n")),
        yard.error(&one("request", "state = running\n")),
        yard.error(&one("request", "").replace("/s/db.cfg", "product.db")),
        yard.error(&one("request", "").replace("name = Database\n", "")),
        yard.error(&one("request", "").replace("= Database", "=")),
        yard.error(&one("request", "partition-id = slappart7\n")),
        yard.error(&one("request", "computer-id = COMP-2\n")),
        yard.error(&PROFILE.replace("name = D", "server-url = http://other/\nname = D")),
        Yard::software().error(&one("request", "")),
    ];
    insta::assert_snapshot!(refused.join("\n"), @r#"
    ROOT/build/test.cfg:7: `config`, a list of names, is not read any more
    ROOT/build/test.cfg:7: "running" is not a state: expected started, stopped or destroyed
    ROOT/build/test.cfg:6: `product.db` names a Software Product, which is not possible
    ROOT/build/test.cfg:3: part `db` lacks the option `name`
    ROOT/build/test.cfg:5: `name` is empty
    ROOT/build/test.cfg:7: `partition-id` is slappart7, and requests are made as slappart0 only
    ROOT/build/test.cfg:7: `computer-id` is COMP-2, and requests are made as COMP-1 only
    ROOT/build/test.cfg:12: `server-url` is http://other/, and requests are made as http://master/ only
    ROOT/build/test.cfg:4: part `db` asks the Master, and this is no run of a Computer Partition
    "#);
}
