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

#[test]
fn arguments_stand_in_place_of_what_the_configuration_says() {
    let master = Master::arranged("192.0.2.1", "");
    let text = std::fs::read_to_string(master.path("slapos.cfg")).unwrap();
    master.write("slapos.cfg", &text.replace(&format!("\nport = {}", master.port), "\nport = 1"));
    let port = master.port.to_string();
    let words = ["--host", "127.0.0.1", "--port", &port, "-u", "master/other.db"];
    master.run_with(|mut command| {
        command.args(words).args(["--log-file", "master/kept.log"]);
        command
    });
    assert!(master.path("master/other.db").is_file());
    master.ok(&["proxy", "show"]);
    let kept = std::fs::read_to_string(master.path("master/kept.log")).unwrap();
    assert!(kept.contains(&format!("Running on http://127.0.0.1:{port}")), "{kept}");
    let said = master.refused(&["proxy", "show", "-u", "master/other.db"]);
    assert!(said.contains("does not say that this is its database"), "{said}");
    let database = text.lines().find(|line| line.starts_with("database_uri = ")).unwrap();
    let other = master.path("master/other.db").display().to_string();
    let text = text.replace(database, &format!("database_uri = {other}"));
    let config = master.write("other.cfg", &text);
    master.ok(&["proxy", "show", "-u", "master/other.db", "--cfg", &config]);
}

#[test]
fn what_cannot_be_honoured_is_refused_in_words() {
    let master = Master::arranged("127.0.0.1", "");
    for (words, said) in [
        (
            ["proxy", "start", "--local-software-release-root=/"],
            "--local-software-release-root can",
        ),
        (
            ["proxy", "start", "--database-uri=postgresql://u:secret@h/d"],
            "must not have a password",
        ),
        (["console", "-u", "http://m"], "`slapos console` cannot honour --master_url"),
        (["console", "-i", "script"], "`slapos console` cannot honour --ipython"),
    ] {
        let told = master.refused(&words);
        assert!(told.contains(said) && !told.contains("secret"), "{words:?}: {told}");
    }
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_slapos"))
        .args(["configure", "local", "--enable-shacache-proxy"])
        .env_remove("SLAPOS_CONFIGURATION")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("--enable-shacache-proxy cannot be honoured"), "{told}");
}
