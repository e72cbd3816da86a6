//! A machine that has a Master and is no node: a `slapos.cfg` of `[slapproxy]` alone is enough.

use std::process::Command;

use slapos_testkit::{is_root, open_directory, skipped};

use crate::master::Master;

/// A Master whose configuration has nothing else.
fn alone(options: &str) -> Master {
    let master = Master::arranged("127.0.0.1", options);
    let text = std::fs::read_to_string(master.path("slapos.cfg")).unwrap();
    let (_, own) = text.split_once("[slapproxy]").unwrap();
    master.write("slapos.cfg", &format!("[slapproxy]{own}"));
    master.run();
    master
}

#[test]
fn a_master_alone_does_for_every_command() {
    let master = alone("");
    assert!(master.ok(&["proxy", "show"]).contains("computers: empty"));
    let page = format!("http://127.0.0.1:{}/ui/#token=", master.port);
    assert!(master.ok(&["proxy", "dashboard"]).contains(&page));
    let ann = master.person("ann", "alpha");
    master.ok(&["proxy", "computer", "add", "COMP-1", "--project", "alpha"]);
    let listed = master.json(&["proxy", "computer", "list"]);
    assert_eq!(listed[0]["id"], "COMP-1", "{listed:#}");
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed:#}");
    let table = master.ok(&["proxy", "computer", "list"]);
    let header = "computer  title   project  scope  partitions  in use  node   last heard of";
    assert_eq!(table.lines().next(), Some(header), "{table}");
    let tokens = master.ok(&["proxy", "token", "list", "--user", "ann"]);
    assert!(tokens.starts_with("token") && tokens.contains("laptop"), "{tokens}");

    // What people say, by the operator's configuration as by their own.
    assert!(master.ok(&["computer", "list"]).contains("COMP-1"));
    assert!(master.ok(&["computer", "list", "--cfg", &ann]).contains("COMP-1"));
    assert_eq!(master.ok(&["service", "list"]), "There is no instance.");
    let said = master.refused(&["supply", "http://s.example/software.cfg"]);
    assert!(said.contains("name the computer"), "{said}");
    let said = master.refused(&["request", "one", "http://s.example/software.cfg"]);
    assert!(said.contains("No free computer partition found"), "{said}");
    let said = master.refused(&["node", "instance"]);
    let words = "[slapos] needs the options `software_root`, `instance_root`, `computer_id` and \
                 `master_url`";
    assert!(said.contains(words), "{said}");

    assert_eq!(master.json(&["proxy", "computer", "remove", "COMP-1"])["removed"], "COMP-1");
    assert_eq!(master.ok(&["proxy", "computer", "list"]), "none");
    let said = master.refused(&["proxy", "computer", "remove", "COMP-1"]);
    assert!(said.contains("computer COMP-1 is not known"), "{said}");
    let saved = master.path("saved").display().to_string();
    master.ok(&["proxy", "backup", &saved]);
    assert_eq!(master.ok(&["proxy", "migrate"]), "nothing is to be changed");
}

/// A file that serves the original's `slapos proxy` as well has no token beside its database.
#[test]
fn a_token_that_is_nowhere_is_told_by_who_wants_one() {
    let master = Master::start("");
    let missing = master.path("python/master.token");
    let text = format!(
        "[slapos]\nmaster_url = http://127.0.0.1:{}\n\n[slapproxy]\ndatabase_uri = {}\n",
        master.port,
        missing.with_file_name("proxy.db").display()
    );
    let file = master.write("both.cfg", &text);
    let said = master.refused(&["service", "list", "--cfg", &file]);
    let words =
        format!("no token was shown, because there is no file {}: copy the", missing.display());
    assert!(said.contains("answers 401") && said.contains(&words), "{said}");
    let named = format!("{text}[slapos]\nmaster_token_file = {}\n", missing.display());
    let named = named.replacen("[slapos]", "[ignored]", 1).replacen(
        "[slapos]\n",
        &format!("[slapos]\nmaster_url = http://127.0.0.1:{}\n", master.port),
        1,
    );
    let file = master.write("named.cfg", &named);
    let said = master.refused(&["service", "list", "--cfg", &file]);
    assert!(said.contains("cannot read the Master's token in"), "{said}");
}

/// A user of this test's own.
struct User(String);

impl Drop for User {
    fn drop(&mut self) {
        let _ = Command::new("userdel").arg(&self.0).output();
    }
}

#[test]
fn the_user_that_root_makes_for_the_master_is_told_once_and_cannot_log_in() {
    let test = "the_user_that_root_makes_for_the_master_is_told_once_and_cannot_log_in";
    if !is_root() {
        return skipped(test, "this is not root");
    }
    let user = User(format!("slapt{}", std::process::id()));
    let directory = open_directory("slapos-identity-");
    let file = directory.path().join("slapos.cfg");
    let database = directory.path().join("master/proxy.db").display().to_string();
    std::fs::write(&file, format!("[slapproxy]\ndatabase_uri = {database}\nuser = {}\n", user.0))
        .unwrap();
    let log = directory.path().join("root.log");
    let saved = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slapos"));
        command.args(["proxy", "backup", "-", "--cfg"]).arg(&file).arg("--log-file").arg(&log);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let told = format!("the user {} was created", user.0);
    let first = saved();
    assert!(first.contains(&told) && first.contains("proxy.db: No such file"), "{first}");
    assert!(!saved().contains(&told));
    // Whoever goes on as that user goes on in root's log.
    let kept = std::fs::read_to_string(&log).unwrap();
    assert!(kept.contains(&told) && kept.contains(" CRITICAL slapos: "), "{kept}");
    assert!(kept.contains("proxy.db: No such file"), "{kept}");
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with(&format!("{}:", user.0))).unwrap();
    assert!(line.ends_with(":/usr/sbin/nologin"), "{line}");
}
