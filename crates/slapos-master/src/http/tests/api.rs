//! The API over real connections: what it tells, what it changes, what it refuses.

use axum::http::Method;
use serde_json::{Value, json};

use super::answers::Answers;
use super::*;

impl Running {
    /// The status and the JSON of an answer; `null` where there is none.
    pub(super) fn api(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, text) = self.ask(method, path, body);
        if (200..300).contains(&status) {
            let method = method.parse().unwrap();
            let wrong = Answers::new().wrong(&method, &route_of(&method, path), status, &text);
            assert_eq!(wrong, None);
        }
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer the token\r\n\
             Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn get(&self, path: &str) -> Value {
        let (status, value) = self.api("GET", path, None);
        assert_eq!(status, 200, "{path}: {value}");
        value
    }
}

/// The route that an address leads to.
fn route_of(method: &Method, address: &str) -> String {
    let path = address.split('?').next().unwrap();
    let fits = |route: &str| {
        let pieces = || route.split('/').zip(path.split('/'));
        route.split('/').count() == path.split('/').count()
            && pieces().all(|(one, other)| one == other || one.starts_with('{'))
    };
    let mut found: Vec<_> = crate::http::routes()
        .iter()
        .filter(|route| route.method == *method && fits(route.path))
        .map(|route| route.path)
        .collect();
    // What is named goes before what is not.
    found.sort_by_key(|route| route.matches('{').count());
    (*found.first().unwrap()).to_owned()
}

fn wish(title: &str) -> Value {
    json!({"title": title, "software_release": "http://example.org/s.cfg"})
}

#[test]
fn a_list_comes_in_parts_that_fit_together() {
    let (running, client) = Running::formatted(5);
    for title in ["e", "d", "c", "b", "a"] {
        client.request(&InstanceRequest::new(title, "s")).unwrap();
    }
    let mut shared = InstanceRequest::new("z", "s");
    shared.shared = true;
    client.request(&shared).unwrap();
    for (list, name, expected) in [
        (
            "instances",
            "guid",
            vec![
                "computer-slappart0",
                "computer-slappart1",
                "computer-slappart2",
                "computer-slappart3",
                "computer-slappart4",
                "_z",
            ],
        ),
        ("trees", "title", vec!["a", "b", "c", "d", "e", "z"]),
    ] {
        let (mut found, mut after, mut parts) = (Vec::new(), String::new(), 0);
        loop {
            let page = running.get(&format!("/api/v1/{list}?limit=2&after={after}"));
            let items = page["items"].as_array().unwrap();
            found.extend(items.iter().map(|item| item[name].as_str().unwrap().to_owned()));
            parts += 1;
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => break,
            }
        }
        assert_eq!((found, parts), (expected.iter().map(|s| (*s).to_owned()).collect(), 3));
    }
    let (status, _) = running.api("GET", "/api/v1/instances?after=nonsense", None);
    assert_eq!(status, 400);
}

#[test]
fn an_instance_is_asked_for_shown_changed_and_found() {
    let (running, client) = Running::formatted(2);
    let release = "http://example.org/s.cfg".into();
    client.supply(&release, &home(), SoftwareState::Available).unwrap();
    let mut asked = wish("web");
    asked["parameters"] = json!({"a": "1"});
    let (status, made) = running.api("POST", "/api/v1/instances", Some(&asked));
    assert_eq!((status, &made["guid"]), (201, &json!("computer-slappart0")));
    let (status, again) = running.api("POST", "/api/v1/instances", Some(&asked));
    assert_eq!((status, &again), (200, &made), "asked for again, it is the same");
    let connection = [("url".to_owned(), "u".to_owned())].into();
    client.set_connection(&home(), &part(0), &connection).unwrap();
    client.instance_error(&home(), &part(0), "broken").unwrap();
    let change = json!({"title": "site", "state": "stopped", "parameters": {"b": "2"}});
    let path = "/api/v1/instances/computer-slappart0";
    let (status, changed) = running.api("PATCH", path, Some(&change));
    assert_eq!(status, 200, "{changed}");
    let mut shown = changed.clone();
    shown["changed_at"].take();
    shown["reported"]["at"].take();
    insta::assert_snapshot!(shown, @r#"{"guid":"computer-slappart0","title":"site","project":"","tree":{"project":"","title":"site"},"root":true,"shared":false,"computer":"computer","partition":"slappart0","software_release":"http://example.org/s.cfg","software_type":"default","state":"stopped","reported":{"state":"error","message":"broken","at":null},"promises":null,"changed_at":null,"host":null,"asked_by":null,"orphan_since":null,"parameters":{"b":"2"},"connection":{"url":"u"},"sla":{},"addresses":[{"interface":"slappart0","address":"fd00::"}],"shared_instances":[]}"#);
    assert_eq!(running.api("PATCH", path, Some(&change)), (200, changed), "nothing is different");
    let tree = &running.get("/api/v1/trees")["items"][0];
    assert_eq!((&tree["failed"], &tree["states"]), (&json!(1), &json!({"stopped": 1})));
    let found = running.get("/api/v1/search?q=SITE");
    assert_eq!(found["instances"][0]["title"], "site");
    assert_eq!(found["computers"], json!([]));
    let whole = running.get("/api/v1/trees/computer-slappart0");
    assert_eq!(whole["instances"].as_array().unwrap().len(), 1);
    assert_eq!(running.api("POST", &format!("{path}/bang"), None).0, 204);
    // A title that is taken: nothing else of the change happens either.
    assert_eq!(running.api("POST", "/api/v1/instances", Some(&wish("taken"))).0, 201);
    let before = running.get(path);
    let change = json!({"title": "taken", "state": "started", "parameters": {}});
    assert_eq!(running.api("PATCH", path, Some(&change)).0, 409);
    assert_eq!(running.get(path), before);
}

#[test]
fn a_computer_is_shown_with_what_is_on_it_and_goes_only_when_empty() {
    let (running, client) = Running::formatted(1);
    let mut other = description(1);
    other.reference = "other-1".into();
    client.load_computer_configuration(&other).unwrap();
    let supply = json!({"computer": "other-1", "url": "http://e/s.cfg", "state": "available"});
    assert_eq!(running.api("PUT", "/api/v1/software", Some(&supply)).0, 204);
    let mut asked = wish("a");
    asked["sla"] = json!({"computer_guid": "other-1"});
    assert_eq!(running.api("POST", "/api/v1/instances", Some(&asked)).0, 201);
    let computer = running.get("/api/v1/computers/other-1");
    assert_eq!(computer["partitions"], json!({"total": 1, "busy": 1}));
    assert_eq!(computer["partition_list"][0]["instance"]["title"], "a");
    assert_eq!(computer["software_list"][0]["requested_state"], "available");
    assert_eq!(computer["state"], "never");
    client.full_computer_information(&"other-1".into()).unwrap();
    assert_eq!(running.get("/api/v1/computers/other-1")["state"], "ok");
    let path = "/api/v1/computers/other-1";
    assert_eq!(running.api("DELETE", path, None).0, 409);
    client.instance_stopped(&"other-1".into(), &part(0)).unwrap();
    let gone = json!({"state": "destroyed"});
    let instance = "/api/v1/instances/other-1-slappart0";
    assert_eq!(running.api("PATCH", instance, Some(&gone)).0, 200);
    client.instance_destroyed(&"other-1".into(), &part(0)).unwrap();
    assert_eq!(running.api("GET", instance, None).0, 404);
    assert_eq!(running.api("DELETE", path, None).0, 204);
    assert_eq!(running.api("GET", path, None).0, 404);
    assert_eq!(running.api("DELETE", "/api/v1/computers/computer", None).0, 409, "its own");
}

#[test]
fn what_nodes_tell_is_shown() {
    let (running, client) = Running::formatted(1);
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    client.supply(&"s".into(), &home(), SoftwareState::Available).unwrap();
    let tell = |what: &str, body: Value| {
        running.api("POST", &format!("/api/v1/computers/computer/{what}"), Some(&body))
    };
    let progress = json!({"url": "s", "done": 3, "total": 7, "part": "zlib", "log": "a\u{1b}b"});
    assert_eq!(tell("progress", progress).0, 204);
    assert_eq!(tell("progress", json!({"url": "s", "done": 7, "total": 7})).0, 204);
    let software = &running.get("/api/v1/software?computer=computer")["items"][0];
    assert_eq!(
        (&software["progress"]["done"], &software["progress"]["part"]),
        (&json!(7), &json!(""))
    );
    let (status, log) = running.ask("GET", "/api/v1/software/log?computer=computer&url=s", None);
    assert_eq!((status, log.as_str()), (200, "a\u{fffd}b"), "a log that is not told stays");
    let results = |second: usize, failed: bool| {
        let at = format!("2020-11-26T10:00:{second:02}Z");
        let result =
            json!({"name": "p", "failed": failed, "message": "m", "seconds": 0.5, "at": at});
        json!({"partitions": [{"partition": "slappart0", "results": [result], "names": ["p"]}]})
    };
    for (second, failed) in [(1, false), (2, true), (2, true), (3, true)] {
        assert_eq!(tell("promises", results(second, failed)).0, 204);
    }
    let promises = running.get("/api/v1/instances/computer-slappart0/promises");
    let promise = &promises["promises"][0];
    assert_eq!(
        (&promise["failed"], &promise["at"]),
        (&json!(true), &json!("2020-11-26T10:00:03Z"))
    );
    let past: Vec<_> =
        promise["history"].as_array().unwrap().iter().map(|past| past["failed"].clone()).collect();
    assert_eq!(past, [false, true, true], "told again, it is not counted again");
    told_last_counts(&running);
    let instance = running.get("/api/v1/instances/computer-slappart0");
    assert_eq!(instance["promises"], json!({"total": 1, "failed": 1}));
    let none = json!({"partitions": [{"partition": "slappart0", "results": [], "names": []}]});
    assert_eq!(tell("promises", none).0, 204);
    assert!(running.get("/api/v1/instances/computer-slappart0")["promises"].is_null());
    let room = json!({"total": 10, "available": 4});
    let metrics =
        json!({"load": 0.5, "memory": room, "disk": room, "services": {"running": 3, "failed": 1}});
    assert_eq!(tell("metrics", metrics).0, 204);
    let (status, text) = running.ask("GET", "/metrics", None);
    assert_eq!(status, 200);
    for line in [
        "slapos_node_services_running{computer=\"computer\"} 3.0\n",
        "slapos_node_partitions_free{computer=\"computer\"} 0.0\n",
        "slapos_node_instances{computer=\"computer\",state=\"started\"} 1.0\n",
        "slapos_master_database_wait_seconds_count{for=\"list\"} ",
        "slapos_master_database_wait_seconds_count{for=\"read\"} ",
        "slapos_master_database_wait_seconds_count{for=\"write\"} ",
        "slapos_master_build_info{version=\"",
        "slapos_master_instance_requests_total{outcome=\"placed\"} 1\n",
        "route=\"/api/v1/computers/{id}/metrics\"",
        "slapos_master_listeners 0\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_computer_is_called_as_it_was_made_known() {
    let (running, _client) = Running::formatted(1);
    let made = running.api("POST", "/api/v1/computers", Some(&json!({"title": "N1a"})));
    assert_eq!((made.0, &made.1["title"]), (201, &json!("N1a")));
    assert_eq!(running.get("/api/v1/computers/N1a")["title"], "N1a");
}

/// The result that was told last counts, whatever the clock of the node said, here and everywhere.
fn told_last_counts(running: &Running) {
    let broken = |at: &str, failed: bool| {
        let result = json!({"name": "p", "failed": failed, "message": "m", "at": at});
        let body = json!({"partitions": [{"partition": "slappart0", "results": [result]}]});
        let place = "/api/v1/computers/computer/promises";
        assert_eq!(running.api("POST", place, Some(&body)).0, 204);
        let promises = running.get("/api/v1/instances/computer-slappart0/promises");
        let promise = &promises["promises"][0];
        assert_eq!(promise["failed"], failed, "{at}");
        let counts = &running.get("/api/v1/instances/computer-slappart0")["promises"];
        assert_eq!(counts["failed"], u8::from(failed), "{at}");
        assert_eq!(running.get("/api/v1/summary")["instances"]["failed"], u8::from(failed), "{at}");
        promise["at"].as_str().unwrap().to_owned()
    };
    assert!(*broken("2999-01-01T00:00:00Z", true) < *"2900", "no time to come");
    assert_eq!(broken("2020-11-26T10:00:05Z", false), "2020-11-26T10:00:05Z");
    broken("2020-11-26T10:00:06Z", true);
}

#[test]
fn what_is_not_understood_is_refused() {
    let (running, _client) = Running::formatted(1);
    let mut typo = wish("a");
    typo["parameter"] = json!({});
    let mut bell = wish("a\u{7}");
    let mut long = wish(&"x".repeat(501));
    let (mut blank, mut lines, mut turned) = (wish(" "), wish("n\nl"), wish("\u{202e}gnp"));
    let mut slip = wish("a");
    slip["sla"] = json!({"computer_gid": "computer"});
    let (mut odd, mut unshared) = (wish("a"), wish("a"));
    odd["sla"] = json!({"rollback": "bogus"});
    unshared["sla"] = json!({"instance_guid": "computer-slappart0"});
    let bodies = [
        ("typo", &mut typo),
        ("bell", &mut bell),
        ("long", &mut long),
        ("slip", &mut slip),
        ("blank", &mut blank),
        ("lines", &mut lines),
        ("turned", &mut turned),
        ("odd", &mut odd),
        ("unshared", &mut unshared),
    ];
    for (name, body) in bodies {
        let (status, _) = running.api("POST", "/api/v1/instances", Some(body));
        assert_eq!(status, 400, "{name}");
    }
    for path in [
        "/api/v1/instances?limit=0",
        "/api/v1/instances?limit=501",
        "/api/v1/instances?nonsense=1",
        "/api/v1/computers?tree=x",
        "/api/v1/software?state=odd",
        "/api/v1/events?foo=1",
        "/api/v1/users?after=zzz",
        "/api/v1/projects?after=zzz",
        "/api/v1/audit?after=zzz",
        "/api/v1/computers/%00",
        "/api/v1/search?q=",
    ] {
        assert_eq!(running.api("GET", path, None).0, 400, "{path}");
    }
    assert_eq!(running.get("/api/v1/instances")["items"], json!([]));
    let me = running.get("/api/v1/me");
    assert_eq!((&me["kind"], &me["name"]), (&json!("operator"), &json!("")));
}

#[test]
fn a_change_never_goes_to_the_tree_that_took_the_place_of_who_asked() {
    let (running, client) = Running::formatted(3);
    let ask = |title: &str, by: Option<usize>, state| {
        let mut request = InstanceRequest::new(title, "s");
        request.requester = by.map(|number| (home(), part(number)));
        request.state = Some(state);
        client.request(&request).unwrap();
    };
    ask("root", None, InstanceState::Started);
    ask("middle", Some(0), InstanceState::Started);
    ask("leaf", Some(1), InstanceState::Started);
    ask("middle", Some(0), InstanceState::Destroyed);
    client.instance_destroyed(&home(), &part(1)).unwrap();
    ask("stranger", None, InstanceState::Started);
    let change = json!({"parameters": {"a": "1"}});
    let (status, leaf) =
        running.api("PATCH", "/api/v1/instances/computer-slappart2", Some(&change));
    assert_eq!((status, &leaf["parameters"]), (200, &json!({"a": "1"})));
    let tree = running.get("/api/v1/trees/computer-slappart1");
    assert_eq!(tree["instances"].as_array().unwrap().len(), 1, "{tree}");
}
