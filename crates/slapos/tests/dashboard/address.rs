//! Where the dashboard is, as commands say it: the token is in what `slapos proxy dashboard` prints, and nowhere else.

use std::os::unix::fs::PermissionsExt as _;

use slapos_testkit::TestNode;

#[test]
fn the_address_is_printed_and_the_token_only_when_asked_for() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let up = node.ok(&["up"]);
    let page = format!("{}/ui/", node.master_url());
    let token = node.token();
    let shown = node.ok(&["proxy", "show"]);
    for run in [&up, &shown] {
        assert!(run.out.ends_with(&format!("dashboard  {page}\n")), "{}", run.out);
        assert!(!format!("{}{}", run.out, run.err).contains(&token));
    }
    let printed = node.ok(&["proxy", "dashboard"]).out;
    assert!(printed.starts_with(&format!("dashboard  {page}#token={token}\n")), "{printed}");
    assert!(printed.contains("carries the token"), "{printed}");
    assert_eq!(node.json(&["proxy", "dashboard"])["dashboard"], page.as_str());
    opened(&node, &format!("{page}#token={token}"));
    node.ok(&["down"]);
    let refused = node.run(&["proxy", "dashboard"]);
    assert_ne!(refused.code, 0);
    assert!(!format!("{}{}", refused.out, refused.err).contains(&token));
}

/// `--open` gives the browser a page that others cannot read, and no process the token.
fn opened(node: &TestNode, address: &str) {
    let programs = node.path("programs");
    std::fs::create_dir(&programs).unwrap();
    let opener = programs.join("xdg-open");
    std::fs::write(&opener, "#!/bin/sh\necho \"$1\" > \"${0%/*}/given\"\n").unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let open = |path: &str| {
        let mut command = node.command(&["proxy", "dashboard", "--open"]);
        slapos_testkit::Run::of(&command.env("PATH", path).output().unwrap())
    };
    let run = open(&path);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(!run.out.contains('#'), "{}", run.out);
    let given = std::fs::read_to_string(programs.join("given")).unwrap();
    let door = std::path::Path::new(given.trim());
    assert!(std::fs::read_to_string(door).unwrap().contains(&format!("url={address}\"")));
    assert_eq!(door.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let without = open(&programs.join("none").display().to_string());
    assert_eq!(without.code, 1, "{}", without.err);
    assert!(without.err.contains("without `--open` prints the address"), "{}", without.err);
}
