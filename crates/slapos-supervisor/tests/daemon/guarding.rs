//! Logs and users: what lies in directories that somebody else controls.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Node, PATIENCE, alive, eventually, service, sh};

#[test]
fn logs_rotate_and_lose_nothing_to_the_daemons_death() {
    let node = Node::new();
    let mut spec = service("chat", "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done");
    spec.stdout_logfile_maxbytes = 200;
    spec.stdout_logfile_backups = 2;
    let log = node.log_of("chat");
    node.define("p", &[spec]);
    let client = node.client();
    client.start("p:chat", Some(PATIENCE)).unwrap();
    let backup = |number: u32| log.with_file_name(format!(".chat.log.{number}"));
    eventually("two backups", || backup(2).exists().then_some(()));
    assert!(!backup(3).exists());
    let daemon = client.pid().unwrap();
    node.kill(daemon);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    let size = || std::fs::metadata(&log).map_or(0, |meta| meta.len());
    let before = size();
    eventually("more lines without a daemon", || (size() > before).then_some(()));
    let client = node.client();
    let tail = client.tail("p:chat", 0, 40).unwrap();
    assert!(tail.text.len() <= 40 && tail.text.ends_with('\n'), "{tail:?}");
}

#[test]
fn a_program_gets_its_user_and_environment_and_nothing_else() {
    let node = Node::new();
    let nobody = slapos_sys::user::by_name("nobody").unwrap();
    let Some(nobody) = nobody.filter(|_| slapos_sys::user::is_root()) else {
        slapos_testkit::skipped(
            "a_program_gets_its_user_and_environment_and_nothing_else",
            "needs root and a user `nobody`",
        );
        return;
    };
    let home = node.directory_of(&nobody);
    let mut spec = service("who", "");
    spec.command = sh("id -u; id -G; umask; pwd; ls /proc/self/fd | wc -l; env; sleep 1000");
    spec.user = Some("nobody".into());
    spec.umask = 0o027;
    spec.directory = Some(home.clone());
    spec.stdout_logfile = Some(home.join("who.log"));
    spec.environment.insert("PATH".into(), "/usr/bin:/bin".into());
    node.define("p", &[spec]);
    let client = node.client();
    client.start("p:who", Some(PATIENCE)).unwrap();
    let text = eventually("its output", || {
        let tail = client.tail("p:who", 0, 10_000).ok()?;
        tail.text.contains("SLAPOS_SUPERVISOR_SPAWN").then_some(tail.text)
    });
    let groups: Vec<_> = nobody.groups.iter().map(u32::to_string).collect();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], nobody.uid.to_string());
    assert_eq!(lines[1], groups.join(" "));
    assert_eq!(lines[2], "0027");
    assert_eq!(lines[3], home.display().to_string());
    // Standard input, output, error, and the directory that `ls` reads.
    assert_eq!(lines[4], "4");
    let mut names: Vec<_> = lines[5..].iter().filter_map(|l| Some(l.split_once('=')?.0)).collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["PATH", "SLAPOS_SUPERVISOR_ID", "SLAPOS_SUPERVISOR_SPAWN"]);
    let log = std::fs::metadata(home.join("who.log")).unwrap();
    assert_eq!(log.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_link_planted_where_root_logs_leads_nowhere() {
    let node = Node::new();
    let nobody = slapos_sys::user::by_name("nobody").unwrap();
    let Some(nobody) = nobody.filter(|_| slapos_sys::user::is_root()) else {
        slapos_testkit::skipped(
            "a_link_planted_where_root_logs_leads_nowhere",
            "needs root and a user `nobody`",
        );
        return;
    };
    let home = node.directory_of(&nobody);
    let victim = node.file("victim");
    std::fs::write(&victim, "precious".repeat(100)).unwrap();
    std::os::unix::fs::symlink(&victim, home.join("log")).unwrap();
    // A link to a directory on the way, which only the user's rights stop.
    let guarded = node.file("guarded");
    std::fs::create_dir(&guarded).unwrap();
    std::fs::set_permissions(&guarded, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&guarded, home.join("dir")).unwrap();
    let program = |name: &str, log: &str| {
        let mut spec = service(name, "echo gotcha; exec sleep 1000");
        spec.user = Some("nobody".into());
        spec.startretries = 0;
        spec.stdout_logfile = Some(home.join(log));
        spec.stdout_logfile_maxbytes = 1;
        spec
    };
    node.define("p", &[program("link", "log"), program("dir", "dir/log")]);
    let client = node.client();
    for name in ["p:link", "p:dir"] {
        let refused = client.start(name, Some(PATIENCE)).unwrap_err();
        assert!(refused.to_string().contains("log file"), "{refused}");
        assert!(client.tail(name, 0, 100).is_err() || name == "p:dir");
        assert!(client.clear_logs(name).is_err());
    }
    // The rotation looks at these logs too; its complaint says that it has.
    eventually("the rotation's complaint", || {
        let log = std::fs::read_to_string(node.paths.log()).ok()?;
        log.contains("cannot rotate").then_some(())
    });
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious".repeat(100));
    assert_eq!(std::fs::read_dir(&guarded).unwrap().count(), 0);
}
