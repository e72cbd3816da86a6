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
fn a_log_is_followed_through_its_rotations() {
    let node = Node::new();
    let mut spec = service(
        "chat",
        "i=0; while [ $i -lt 3000 ]; do echo line $i with some more words; i=$((i+1)); \
         [ $((i % 50)) -gt 0 ] || sleep 0.05; done; exec sleep 1000",
    );
    spec.stdout_logfile_maxbytes = 8192;
    spec.stdout_logfile_backups = 100;
    let backup = node.log_of("chat").with_file_name(".chat.log.5");
    node.define("p", &[spec]);
    let client = node.client();
    client.start("p:chat", Some(PATIENCE)).unwrap();
    let so_far = std::cell::RefCell::new((String::new(), String::new()));
    eventually("the last line", || {
        let (position, shown) = &mut *so_far.borrow_mut();
        let followed = client.follow("p:chat", position, 1 << 20).unwrap();
        assert!(!followed.lost);
        *position = followed.position;
        shown.push_str(&followed.text);
        shown.contains("line 2999 ").then_some(())
    });
    let (_, shown) = so_far.into_inner();
    assert!(backup.exists(), "it was rotated");
    let shown: Vec<&str> = shown.lines().collect();
    for pair in shown.windows(2) {
        let number = |line: &str| line.split(' ').nth(1).unwrap().parse::<u32>().unwrap();
        // Where a rotation cannot take a range out of a file, a line may be lost; none is twice.
        assert!(number(pair[1]) > number(pair[0]), "{pair:?}");
    }
    let refused = client.follow("p:chat", "nonsense", 1).unwrap_err();
    assert!(refused.to_string().contains("position and length"), "{refused}");
}

#[test]
fn a_flood_fills_no_disk_and_keeps_nobody_waiting() {
    const WRITTEN: u64 = 400 << 20;
    const ALLOWED: u64 = WRITTEN / 2;
    let node = Node::new();
    let count = node.file("count");
    // About 100 MB/s.
    let script = format!(
        "n=0; while :; do head -c 10000000 /dev/zero; n=$((n+10000000)); echo $n > {0}.new; \
         mv {0}.new {0}; sleep 0.1; done",
        count.display()
    );
    let mut flood = service("flood", &script);
    flood.stdout_logfile_maxbytes = 1 << 20;
    flood.stdout_logfile_backups = 2;
    let log = node.log_of("flood");
    node.define("p", &[flood]);
    let client = node.client();
    client.start("p:flood", Some(PATIENCE)).unwrap();
    let size = |path: std::path::PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let names = [".flood.log", ".flood.log.1", ".flood.log.2", ".flood.log.3"];
    let largest = std::cell::Cell::new(0);
    eventually("a flood", || {
        let used = names.iter().map(|name| size(log.with_file_name(name))).sum();
        largest.set(largest.get().max(used));
        assert!(client.pid().is_ok(), "the daemon does not answer");
        let text = std::fs::read_to_string(&count).ok()?;
        (text.trim().parse::<u64>().ok()? > WRITTEN).then_some(())
    });
    client.stop("p:flood", Some(PATIENCE)).unwrap();
    assert!(largest.get() < ALLOWED, "{} bytes at once", largest.get());
    println!("of {WRITTEN} bytes at most {} were kept at once", largest.get());
}

#[test]
fn limits_hold_for_the_program_and_its_children() {
    let node = Node::new();
    let mut spec = service("limited", "ulimit -n; ulimit -Hc; sh -c 'ulimit -f'; exec sleep 1000");
    for (name, value) in [("nofile", "77"), ("core", "0"), ("fsize", "1MB")] {
        spec.limits.set(name, value).unwrap();
    }
    node.define("p", &[spec]);
    let client = node.client();
    client.start("p:limited", Some(PATIENCE)).unwrap();
    let text = eventually("its limits", || {
        let text = client.tail("p:limited", 0, 1000).ok()?.text;
        (text.lines().count() == 3).then_some(text)
    });
    // The last in blocks of 512 bytes.
    assert_eq!(text.lines().collect::<Vec<_>>(), ["77", "0", "2048"]);
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

#[test]
fn a_log_that_root_wrote_for_the_original_is_put_aside() {
    let nobody = slapos_sys::user::by_name("nobody").unwrap();
    let Some(nobody) = nobody.filter(|_| slapos_sys::user::is_root()) else {
        return slapos_testkit::skipped(
            "a_log_that_root_wrote_for_the_original_is_put_aside",
            "needs root and a user `nobody`",
        );
    };
    let node = Node::new();
    let log = node.directory_of(&nobody).join(".p_web.log");
    let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    std::fs::write(&log, "of the original").unwrap();
    let mut spec = service("web", "echo ours; exec sleep 1000");
    spec.user = Some("nobody".into());
    spec.stdout_logfile = Some(log.clone());
    node.define("p", &[spec]);
    node.client().start("p:web", Some(PATIENCE)).unwrap();
    eventually("its line", || (text(&log) == "ours\n").then_some(()));
    assert_eq!(text(&log.with_file_name(".p_web.log.1")), "of the original");
}
