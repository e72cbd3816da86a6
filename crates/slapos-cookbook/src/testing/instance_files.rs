//! Recipes that write small files of an instance.

use super::*;

fn status(yard: &Yard, script: &str) -> (i32, String) {
    let output = std::process::Command::new(yard.path(script)).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn cron_and_logrotate_write_what_their_programs_read() {
    let yard = Yard::software();
    let profile = "\
[buildout]
parts = cron entry when rotate log
[cron]
recipe = slapos.cookbook:cron
binary = etc/run/crond
dcrond-binary = /opt/sbin/crond
cron-entries = /srv/etc/cron.d
crontabs = /srv/etc/crontabs
cronstamps = /srv/etc/cronstamps
catcher = /srv/bin/catcher
log-file = /srv/var/log/cron.log
[entry]
recipe = slapos.cookbook:cron.d
cron-entries = etc/cron.d
name = job
frequency = */5 * * * *
command = /bin/true 'a b'
[when]
<= entry
name = when
frequency-is-not-used =
time = Mon-Fri 4:30
[rotate]
recipe = slapos.cookbook:logrotate
conf = etc/logrotate.conf
wrapper = bin/logrotate
logrotate-binary = /opt/logrotate
logrotate-entries = /srv/etc/logrotate.d
state-file = /srv/state
gzip-binary = /opt/gzip
gunzip-binary = /opt/gunzip
[log]
recipe = slapos.cookbook:logrotate.d
logrotate-entries = etc/logrotate.d
name = app
log = /srv/a.log /srv/b.log
backup = /srv/backup
post = kill -USR1 1
";
    let timed = profile.replace("frequency-is-not-used =\n", "frequency -= */5 * * * *\n");
    let timed = timed.replace(
        "<= entry\nname = when\nfrequency -= */5 * * * *\n",
        "recipe = slapos.cookbook:cron.d\ncron-entries = etc/cron.d\ncommand = x\nname = when\n",
    );
    yard.run(&timed).unwrap();
    insta::assert_snapshot!(yard.read("etc/run/crond"), @r#"
    #!/bin/sh -e
    exec /opt/sbin/crond -s /srv/etc/cron.d -c \
    	/srv/etc/crontabs -t /srv/etc/cronstamps \
    	-f -l 5 -M /srv/bin/catcher -L /srv/var/log/cron.log \
    	"$@"
    "#);
    assert_eq!(yard.mode("etc/run/crond"), 0o700);
    assert_eq!(yard.read("etc/cron.d/job"), "*/5 * * * * /bin/true 'a b'\n");
    assert_eq!(yard.read("etc/cron.d/when"), "30 4 * * 1-5 x\n");
    insta::assert_snapshot!(yard.read("etc/logrotate.conf"), @r"
    compresscmd /opt/gzip
    compressoptions -9
    uncompresscmd /opt/gunzip
    include /srv/etc/logrotate.d
    ");
    assert_eq!(yard.mode("etc/logrotate.conf"), 0o600);
    insta::assert_snapshot!(yard.clean(&yard.read("bin/logrotate")), @r#"
    #!/bin/sh -e
    exec /opt/logrotate -s /srv/state ROOT/build/etc/logrotate.conf \
    	"$@"
    "#);
    insta::assert_snapshot!(yard.read("etc/logrotate.d/app"), @r"
    /srv/a.log /srv/b.log {
    daily
    dateext
    rotate 3650
    compress
    delaycompress
    notifempty
    sharedscripts
    create
    olddir /srv/backup
    postrotate
    kill -USR1 1
    endscript
    }
    ");
    assert!(yard.plan(&timed).unwrap().is_noop());
    insta::assert_snapshot!(yard.error(&timed.replace("Mon-Fri", "Mun")), @"ROOT/build/test.cfg:23: `time` is no calendar specification: `Mun 4:30`");
}

#[test]
fn links_are_made_followed_and_removed_and_files_are_spared() {
    let yard = Yard::software();
    let profile = "[buildout]\nparts = l\n[l]\nrecipe = slapos.cookbook:symbolic.link\n\
                   target-directory = bin\nlink-binary = /opt/a\n  /opt/sub/b\n";
    yard.run(profile).unwrap();
    let target = |name: &str| std::fs::read_link(yard.path(name)).unwrap();
    assert_eq!(target("bin/a"), PathBuf::from("/opt/a"));
    assert_eq!(target("bin/b"), PathBuf::from("/opt/sub/b"));
    assert!(yard.plan(profile).unwrap().is_noop());
    std::fs::remove_file(yard.path("bin/a")).unwrap();
    std::os::unix::fs::symlink("/elsewhere", yard.path("bin/a")).unwrap();
    yard.run(profile).unwrap();
    assert_eq!(target("bin/a"), PathBuf::from("/opt/a"));
    yard.run(&profile.replace("/opt/a\n", "/opt/c\n")).unwrap();
    assert!(yard.path("bin/a").symlink_metadata().is_err());
    assert_eq!(target("bin/c"), PathBuf::from("/opt/c"));
    yard.write("bin/a", "precious");
    insta::assert_snapshot!(yard.error(profile), @r"
    part `l` failed: ROOT/build/bin/a is already there and is not a link
      defined at: ROOT/build/test.cfg:3
      help: remove it, or name another directory
    ");
    assert_eq!(yard.read("bin/a"), "precious");
    yard.run("[buildout]\nparts =\n").unwrap();
    assert_eq!(yard.read("bin/a"), "precious");
}

#[test]
fn check_parameter_ends_as_the_original() {
    let yard = Yard::software();
    let check = |options: &str| {
        let profile = format!(
            "[buildout]\nparts = c\n[c]\nrecipe = slapos.cookbook:check_parameter\npath = c\n{options}"
        );
        yard.run(&profile).unwrap();
        assert_eq!(yard.mode("c"), 0o700);
        status(&yard, "c")
    };
    assert_eq!(check("value = a b\nexpected-value = a b\n"), (0, String::new()));
    assert_eq!(check("value = a\nexpected-value = b\n"), (127, "FAIL: a != b\n".to_owned()));
    assert_eq!(check("value = a\nexpected-not-value = a\n"), (127, "FAIL: a == a\n".to_owned()));
    assert_eq!(check("value =\nexpected-not-value =\n").0, 0);
    assert_eq!(check("value = 10.0.0.1\nexpected-type = ipv4\n").0, 0);
    assert_eq!(check("value = 10.0.0.256\nexpected-type = ipv4\n").0, 127);
    assert_eq!(check("value = ::1\nexpected-type = ipv6\n").0, 0);
    assert_eq!(check("value = 10.0.0.1\nexpected-type = ipv6\n").0, 127);
}

#[test]
fn files_are_copied_with_their_mode_and_follow_the_original() {
    use std::os::unix::fs::PermissionsExt as _;
    let yard = Yard::software();
    let file = yard.write("from/tool", "one");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o750)).unwrap();
    let profile = "[buildout]\nparts = c\n[c]\nrecipe = slapos.cookbook:copyfilelist\n\
                   target-directory = to\nfile-list = from/tool\n";
    yard.run(profile).unwrap();
    assert_eq!((yard.read("to/tool").as_str(), yard.mode("to/tool")), ("one", 0o750));
    assert!(yard.plan(profile).unwrap().is_noop());
    yard.write("from/tool", "two");
    yard.run(profile).unwrap();
    assert_eq!(yard.read("to/tool"), "two");
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(!yard.path("to/tool").exists() && yard.path("from/tool").exists());
}

#[test]
fn options_are_dumped_and_shells_and_loggers_run() {
    use std::io::Write as _;
    let yard = Yard::software();
    let profile = "\
[buildout]
parts = json shell logger
[json]
recipe = slapos.cookbook:jsondump
json-output = out.json
word = é
typed = !py!{'a': [1, None]}
[shell]
recipe = slapos.cookbook:shell
wrapper = shell
shell = /bin/sh
home = /srv
path = /a
  /b
ps1 = \"x> \"
[logger]
recipe = slapos.cookbook:simplelogger
wrapper = logger
log = log
";
    yard.run(profile).unwrap();
    insta::assert_snapshot!(yard.read("out.json"), @r#"
    {
      "typed": {
        "a": [
          1,
          null
        ]
      },
      "word": "\u00e9"
    }
    "#);
    assert_eq!(yard.mode("out.json"), 0o600);
    insta::assert_snapshot!(yard.read("shell"), @r#"
    #!/bin/sh -e
    export HOME=/srv
    export PATH=/a:/b
    export PS1='x> '
    export SHELL=/bin/sh
    exec /bin/sh "$@"
    "#);
    let mut logger = std::process::Command::new(yard.path("logger"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    logger.stdin.take().unwrap().write_all(b"one\n\n").unwrap();
    assert!(logger.wait().unwrap().success());
    let log = yard.read("log");
    let ends: Vec<&str> = log.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(ends, ["one", "", "------------------------"]);
}

#[test]
fn collective_templates_see_their_own_options() {
    let yard = Yard::software();
    yard.write("in", "\n ${word} ${v:x} ${:word}\n");
    let profile = "[buildout]\nparts = t\n[v]\nx = 1\n[t]\nrecipe = collective.recipe.template\n\
                   input = in\noutput = deep/out\nword = own\n";
    yard.run(profile).unwrap();
    assert_eq!(yard.read("deep/out"), "\n own 1 own\n");
    assert_eq!(yard.mode("deep/out"), yard.mode("in"));
    assert!(yard.plan(profile).unwrap().is_noop());
    yard.write("deep/out", "by hand");
    yard.run(profile).unwrap();
    assert_eq!(yard.read("deep/out"), "\n own 1 own\n");
    let once = profile.replace("input = in", "inline =\n  ${:word}\noverwrite = no\nmode = 600");
    yard.write("deep/out", "by hand");
    yard.run(&once.replace("deep/out", "other")).unwrap();
    assert_eq!((yard.read("other").as_str(), yard.mode("other")), ("own", 0o600));
    assert!(!yard.path("deep/out").exists());
    yard.write("other", "by hand");
    yard.run(&once.replace("deep/out", "other").replace("= own", "= new")).unwrap();
    assert_eq!(yard.read("other"), "by hand");
    insta::assert_snapshot!(yard.error(&format!("{profile}url = x\n")), @"ROOT/build/test.cfg:10: `input` and `url` exclude each other");
    insta::assert_snapshot!(yard.error(&profile.replace("input = in\n", "")), @"ROOT/build/test.cfg:6: one of `input`, `inline` and `url` is needed");
}

#[test]
fn the_mode_of_a_directory_is_not_that_of_its_parents() {
    let yard = Yard::software();
    yard.run(
        "[buildout]\nparts = d\n[d]\nrecipe = slapos.cookbook:mkdirectory\nmode = 0700\n\
         deep = a/b\n",
    )
    .unwrap();
    assert_eq!(yard.mode("a/b"), 0o700);
    assert_ne!(yard.mode("a"), 0o700);
}
