//! Who asks too often waits; what others could read is not said.

use crate::master::{Master, TOKEN};

#[test]
fn who_asks_too_often_is_told_how_long_to_wait() {
    let master = Master::start("requests_per_second = 0.01\nfailures_per_minute = 1\n");
    master.ok(&["proxy", "user", "add", "ann"]);
    let token = master.ok(&["proxy", "token", "create", "--user", "ann"]);
    let me = |token: &str| master.get("/api/v1/me", token);
    assert_eq!(me(&token).0, 200);
    let (status, wait) = me(&token);
    assert_eq!(status, 429);
    let seconds: u64 = wait.unwrap().parse().unwrap();
    assert!((1..=100).contains(&seconds), "{seconds}");
    // As for who has nothing that is valid; the operator is never kept waiting.
    assert_eq!(me("wrong").0, 401);
    let (status, wait) = me("wrong");
    assert!(status == 429 && wait.is_some());
    assert_eq!(me(TOKEN).0, 200);
}

#[test]
fn nothing_is_said_by_plain_http_where_others_could_read_it() {
    let master = Master::arranged("0.0.0.0", "");
    let said = master.refused(&["proxy", "start"]);
    assert!(said.contains("will not answer by plain HTTP on 0.0.0.0"), "{said}");
    assert!(said.contains("`tls_port` for https"), "{said}");
    let allowed = Master::arranged("0.0.0.0", "allow_plain_http = true\n");
    allowed.run();
    assert_eq!(allowed.get("/api/v1/me", TOKEN).0, 200);
}

#[test]
fn computers_are_listed_and_forgotten_with_what_proves_who_they_are() {
    let master = Master::start("");
    let token = master.ok(&["proxy", "computer", "add", "rack"]);
    let listed = master.ok(&["proxy", "computer", "list"]);
    assert!(listed.contains("rack") && listed.contains("local"), "{listed}");
    assert_eq!(master.get("/api/v1/me", &token).0, 200);
    master.ok(&["proxy", "computer", "remove", "rack"]);
    assert!(!master.ok(&["proxy", "computer", "list"]).contains("rack"));
    assert_eq!(master.get("/api/v1/me", &token).0, 401);
    let said = master.refused(&["proxy", "computer", "remove", "rack"]);
    assert!(said.contains("rack is not known"), "{said}");
}

#[test]
fn a_token_in_the_address_is_not_in_what_is_said() {
    let master = Master::start("");
    let config = format!("[slapos]\nmaster_url = http://127.0.0.1:{}/token/{TOKEN}\n", master.port);
    let config = master.write("home/client.cfg", &config);
    let said = master.refused(&["supply", "http://example.org/s.cfg", "nowhere", "--cfg", &config]);
    assert!(said.contains("/token/***/ answers 404 to /supplySupply"), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
}
