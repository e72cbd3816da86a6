//! `slapos node cron`: files for cron and systemd, and what is there already.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use slapos_testkit::{TestNode, skipped};

fn node() -> TestNode {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up"]);
    node
}

#[test]
fn cron_gets_one_file_that_is_the_same_every_time() {
    let node = node();
    let file = node.path("slapos.cron").display().to_string();
    let units = node.path("units").display().to_string();
    let cron = |words: &[&str]| {
        let place = ["--cron-file", &file, "--systemd-directory", &units];
        node.run(&[&["node", "cron"], words, &place].concat())
    };
    let dry = cron(&["--install", "--dry-run"]);
    assert_eq!(dry.out, format!("write {file}: it is not there\nNothing was done (--dry-run).\n"));
    assert!(!node.path("slapos.cron").exists());
    assert_eq!(cron(&["--install"]).out, format!("write {file}: it is not there\n"));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(cron(&["--install"]).out, "Nothing is to be done.\n");
    assert!(cron(&["--show"]).out.contains(&text));
    let mut entries = 0;
    for line in text.lines().filter(|line| line.contains(" * * * * ")) {
        // Each entry is a command that this program has, for this node.
        let command = line.split(" >> ").next().unwrap().split("slapos node ").nth(1).unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[2], node.root().join("etc/slapos.cfg").to_str().unwrap());
        assert!(["software", "instance", "report", "format"].contains(&words[0]), "{line}");
        entries += 1;
    }
    assert_eq!(entries, 4, "{text}");
    let boot = |text: &str| text.lines().filter(|line| line.starts_with("@reboot ")).count();
    assert_eq!(boot(&text), 1, "nothing is to be called by hand after a start: {text}");
    assert_eq!(cron(&["--install", "--agent"]).out, format!("write {file}: it is different\n"));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("slapos node agent --unless-running"), "{text}");
    assert_eq!(boot(&text), 1, "{text}");
    let gone = format!("remove {file}: it is not part of what is wanted\n");
    assert_eq!(cron(&["--remove"]).out, gone);
    assert_eq!(cron(&["--remove"]).out, "Nothing is to be done.\n");
    assert!(cron(&["--show"]).out.starts_with("Nothing is installed."));
}

#[test]
fn a_foreign_file_stays_unless_it_is_to_be_replaced() {
    let node = node();
    let path = node.path("slapos.cron");
    std::fs::write(&path, "# mine\n").unwrap();
    let file = path.display().to_string();
    let refused = node.fails(1, &["node", "cron", "--install", "--cron-file", &file]);
    assert!(refused.err.contains("is not of `slapos node cron`"), "{}", refused.err);
    node.ok(&["node", "cron", "--remove", "--cron-file", &file]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
    node.ok(&["node", "cron", "--install", "--force", "--cron-file", &file]);
    assert_ne!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
}

#[test]
fn systemd_gets_timers_or_the_agent_and_never_both() {
    let node = node();
    let units = node.path("units");
    std::fs::create_dir(&units).unwrap();
    let directory = units.display().to_string();
    let systemd = |words: &[&str]| {
        let place = ["--systemd", "--systemd-directory", &directory];
        node.ok(&[&["node", "cron", "--install"], words, &place].concat())
    };
    let names = || {
        let entries = std::fs::read_dir(&units).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names.join(" ")
    };
    systemd(&[]);
    verified(&units);
    assert_eq!(
        names(),
        "slapos-node-boot.service slapos-node-format.service slapos-node-format.timer slapos-node-instance.service \
         slapos-node-instance.timer slapos-node-report.service slapos-node-report.timer \
         slapos-node-software.service slapos-node-software.timer"
    );
    systemd(&["--agent"]);
    verified(&units);
    assert_eq!(names(), "slapos-agent.service slapos-node-boot.service");
    let text = std::fs::read_to_string(units.join("slapos-node-boot.service")).unwrap();
    assert!(text.contains(" node boot --cfg ") && text.contains("WantedBy="), "{text}");
}

/// Has systemd itself read the units, where it is installed.
fn verified(units: &std::path::Path) {
    let mut verify = std::process::Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for entry in std::fs::read_dir(units).unwrap() {
        verify.arg(entry.unwrap().path());
    }
    match verify.output() {
        Err(_) => skipped("systemd_gets_timers_or_the_agent_and_never_both", "no systemd-analyze"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            // It says of everything that is wrong which file that is in.
            let ours = said.lines().filter(|line| line.contains("slapos-"));
            assert!(output.status.success() && ours.count() == 0, "{said}");
        }
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let node = node();
    for words in [
        &["node", "cron"][..],
        &["node", "cron", "--install", "--remove"],
        &["node", "cron", "--remove", "--agent"],
        &["node", "cron", "--install", "--systemd", "--cron-file", "x"],
    ] {
        node.fails(2, words);
    }
    let nowhere = node.path("nowhere/slapos").display().to_string();
    let run = node.fails(1, &["node", "cron", "--install", "--cron-file", &nowhere]);
    assert!(run.err.contains("is cron installed?"), "{}", run.err);
}

#[test]
fn what_instances_use_is_noted_where_that_is_configured() {
    let node = node();
    let file = node.path("slapos.cron").display().to_string();
    let install = || {
        node.ok(&["node", "cron", "--install", "--cron-file", &file]);
        std::fs::read_to_string(&file).unwrap()
    };
    assert!(!install().contains("node collect"));
    node.configure("\n[slapformat]\n", "\n[collect]\n\n[slapformat]\n");
    // Only root sees what they use.
    assert_eq!(install().contains("node collect"), slapos_testkit::is_root());
}
