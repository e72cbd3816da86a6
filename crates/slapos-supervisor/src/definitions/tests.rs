//! Definitions of programs: what is understood, and how what is wrong is named.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use slapos_sys::process::Signal;

use super::*;
use crate::spec::{AutoRestart, StopSignal};

/// What the original node writes for a partition, read as it is.
const ORIGINAL: &str = r#"[group:slappart1]
programs=slappart1_demo

[program:slappart1_demo]
directory=/srv/slapgrid/slappart1
command=/srv/slapgrid/slappart1/etc/service/demo
process_name=demo-on-watch
autostart=false
autorestart=false
startsecs=0
startretries=0
exitcodes=0
stopsignal=TERM
stopwaitsecs=60
stopasgroup=true
killasgroup=true
user=1001
group=1001
serverurl=AUTO
redirect_stderr=true
stdout_logfile=/srv/slapgrid/slappart1/.slappart1_demo.log
stdout_logfile_maxbytes=100KB
stdout_logfile_backups=1
stderr_logfile=/srv/slapgrid/slappart1/.slappart1_demo.log
stderr_logfile_maxbytes=100KB
stderr_logfile_backups=1
environment=USER="slappeer",LOGNAME="slappeer",HOME="/home/slappeer"
"#;

fn message(text: &str) -> String {
    parse(text, "a.conf").unwrap_err().to_string()
}

#[test]
fn reads_what_the_original_node_writes() {
    let groups = parse(ORIGINAL, "slappart1.conf").unwrap();
    let spec = &groups[0].programs[0];
    assert_eq!(groups[0].name, "slappart1");
    assert_eq!(spec.process_name, "demo-on-watch");
    assert_eq!(spec.stdout_logfile_maxbytes, 102_400);
    assert_eq!(spec.autorestart, AutoRestart::Never);
    assert_eq!(spec.environment["HOME"], "/home/slappeer");
}

#[test]
fn what_is_written_reads_like_supervisor() {
    let mut spec = ProgramSpec::new("p_web", vec!["/bin/web".into(), "a b".into(), "5%".into()]);
    spec.environment.insert("GREETING".into(), "it's \"me\"".into());
    spec.stdout_logfile = Some("/p/.web.log".into());
    insta::assert_snapshot!(render("p", &[spec]).unwrap(), @r#"
    [group:p]
    programs=p_web

    [program:p_web]
    command=/bin/web 'a b' '5%%'
    process_name=p_web
    environment=GREETING="it's "'"'"me"'"'""
    autostart=true
    autorestart=unexpected
    startsecs=1
    startretries=3
    exitcodes=0
    stopsignal=TERM
    stopwaitsecs=10
    stopasgroup=false
    killasgroup=false
    redirect_stderr=true
    stdout_logfile=/p/.web.log
    stdout_logfile_maxbytes=50MB
    stdout_logfile_backups=10
    umask=022
    priority=999
    "#);
}

#[test]
fn errors_name_file_line_and_remedy() {
    insta::assert_snapshot!(message("[program:a]\ncommand=x\nmemory_max=2\n"), @"a.conf:3: unknown option `memory_max` in [program:a]; known are command, process_name, numprocs, numprocs_start, directory, user, group, environment, autostart, autorestart, startsecs, startretries, exitcodes, stopsignal, stopwaitsecs, stopasgroup, killasgroup, redirect_stderr, stdout_logfile, stdout_logfile_maxbytes, stdout_logfile_backups, umask, priority, rlimit_RESOURCE");
    insta::assert_snapshot!(message("[program:a]\n"), @"a.conf:1: [program:a] needs a `command`");
    insta::assert_snapshot!(message("[program:a]\ncommand=x 'y\n"), @"a.conf:2: the command is empty or has an unclosed quote");
    insta::assert_snapshot!(message("[program:a]\ncommand=x\nstartsecs=soon\n"), @"a.conf:3: `startsecs` must be a whole number in range, got `soon`");
    insta::assert_snapshot!(message("[program:a]\ncommand=x\nautorestart=maybe\n"), @"a.conf:3: `autorestart` must be true, false or unexpected, got `maybe`");
    insta::assert_snapshot!(message("[program:a]\ncommand=x\nstdout_logfile_maxbytes=1XB\n"), @"a.conf:3: `stdout_logfile_maxbytes` must be a size like 100KB or 50MB, got `1XB`");
    insta::assert_snapshot!(message("[program:a]\ncommand=x\nenvironment=A=\"x\n"), @r#"a.conf:3: the value of `A` lacks its closing ""#);
    insta::assert_snapshot!(message("[program:a]\ncommand=x\nredirect_stderr=false\n"), @"a.conf:3: standard error always goes to stdout_logfile: write `redirect_stderr=true`");
    insta::assert_snapshot!(message("[program:a]\ncommand=x\numask=9\n"), @"a.conf:3: `umask` must be octal, at most 777, got `9`");
    insta::assert_snapshot!(message("[group:g]\nprograms=a,b\n[program:a]\ncommand=x\n"), @"a.conf:2: there is no [program:b] in this file, or another group has it");
    insta::assert_snapshot!(message("[group:g:h]\nprograms=\n"), @"a.conf:1: `g:h` cannot be a name: no spaces and none of `,` `:` `/` `]` `*`");
    insta::assert_snapshot!(message("[inet_http_server]\n"), @"a.conf:1: [inet_http_server] is none of [program:NAME], [group:NAME] and [eventlistener:NAME]");
}

/// As an operator writes it for supervisor.
const POOL: &str = "[program:worker]
command=/bin/work --number=%(process_num)d --of=%(numprocs)s --in %(group_name)s %(ENV_MODE)s
process_name=%(program_name)s_%(process_num)02d
numprocs=3
numprocs_start=9
environment=MODE=\"m%(process_num)d\",RATE=\"5%%\"
directory=%(here)s
stdout_logfile=/log/%(program_name)s.%(process_num)d
";

#[test]
fn one_section_may_define_several_processes() {
    let groups = parse(POOL, "/i/conf.d/pool.conf").unwrap();
    assert_eq!((groups.len(), groups[0].name.as_str()), (1, "worker"));
    let names = groups[0].programs.iter().map(|spec| spec.process_name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["worker_09", "worker_10", "worker_11"]);
    let second = &groups[0].programs[1];
    assert_eq!(second.command.join(" "), "/bin/work --number=10 --of=3 --in worker m10");
    assert_eq!((second.program.as_str(), second.environment["RATE"].as_str()), ("worker", "5%"));
    assert_eq!(second.directory.as_deref(), Some(Path::new("/i/conf.d")));
    assert_eq!(second.stdout_logfile.as_deref(), Some(Path::new("/log/worker.10")));
    let grouped = parse(&format!("[group:g]\nprograms=worker\n{POOL}"), "pool.conf").unwrap();
    assert_eq!((grouped.len(), grouped[0].programs.len()), (1, 3));
    assert!(grouped[0].programs[0].command.contains(&"g".to_owned()), "{grouped:?}");
}

#[test]
fn several_processes_need_names_of_their_own() {
    let with = |from: &str, to: &str| message(&POOL.replace(from, to));
    insta::assert_snapshot!(with("_%(process_num)02d", ""), @"a.conf:4: `numprocs` needs a `process_name` with the number, such as `%(program_name)s_%(process_num)02d`");
    insta::assert_snapshot!(with("numprocs=3", "numprocs=1001"), @"a.conf:4: `numprocs` must be from 1 to 1000, got 1001");
    insta::assert_snapshot!(with("%(ENV_MODE)s", "%(ENV_HOME)s"), @"a.conf:2: `%(ENV_HOME)` in `command`: `environment` of this section sets no HOME; services get nothing of the supervisor's own environment");
    let twins = POOL
        .replace("%(program_name)s_%(process_num)02d", "a\n;%(process_num)")
        .replace("numprocs=3\n", "");
    let twins =
        format!("[group:g]\nprograms=worker,b\n{twins}[program:b]\ncommand=x\nprocess_name=a\n");
    insta::assert_snapshot!(message(&twins), @"a.conf:2: two processes of this group have the process_name `a`");
}

#[test]
fn what_the_syntax_cannot_say_is_refused_when_written() {
    let mut spec = ProgramSpec::new("p", vec!["x".into()]);
    spec.environment.insert("A".into(), "two\nlines".into());
    assert!(render("g", &[spec]).is_err());
    assert!(render("../g", &[]).is_err());
    assert!(render("g", &[ProgramSpec::new("p", Vec::new())]).is_err());
}

#[test]
fn what_would_not_be_read_back_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |programs: &[ProgramSpec]| {
        let error = write_group(dir.path(), "g", programs).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "something was written");
        error.to_string()
    };
    let program = |name: &str| ProgramSpec::new(name, vec!["x".into()]);
    insta::assert_snapshot!(refusal(&[program("web"), program("db"), program("web")]), @"group `g`: two programs are named `web`");
    let mut twin = program("db");
    twin.process_name = "web".into();
    insta::assert_snapshot!(refusal(&[program("web"), twin]), @"group `g` cannot be written: g.conf:2: two processes of this group have the process_name `web`");
    let mut nameless = program("web");
    nameless.user = Some(String::new());
    insta::assert_snapshot!(refusal(&[nameless]), @"group `g` cannot be written: program `web` would be read back differently");
}

#[test]
fn only_its_own_file_makes_a_group_doubtful() {
    let dir = tempfile::tempdir().unwrap();
    let spec = [ProgramSpec::new("p", vec!["x".into()])];
    write_group(dir.path(), "good", &spec).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("bad.conf", "[group:bad]\nprograms=p\npriority=x\n");
    write("hand.conf", "[group:written]\npriority=x\n[program:alone]\ncommand=x\n[group:good]\n");
    // Comes before the group's own file, and yet does not count.
    write("a.conf", "[group:good]\nprograms=\n");
    let read = read_dir(dir.path());
    let doubts = |group: &str| read.errors_of(group).count();
    assert_eq!(["bad", "written", "alone", "good", "absent"].map(doubts), [1, 1, 1, 0, 0]);
    assert_eq!(read.errors.len(), 3);
    assert_eq!(read.groups["good"].programs, spec);
    write("good.conf", "nonsense");
    assert_eq!(read_dir(dir.path()).errors_of("good").count(), 1, "its own file is wrong");
}

#[test]
fn a_wrong_file_is_reported_and_does_not_hide_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let spec = ProgramSpec::new("p", vec!["x".into()]);
    assert!(write_group(dir.path(), "good", std::slice::from_ref(&spec)).unwrap());
    assert!(!write_group(dir.path(), "good", &[spec]).unwrap());
    std::fs::write(dir.path().join("bad.conf"), "nonsense").unwrap();
    std::fs::write(dir.path().join("twin.conf"), "[group:good]\nprograms=\n").unwrap();
    let read = read_dir(dir.path());
    assert_eq!(read.groups.keys().collect::<Vec<_>>(), ["good"]);
    assert_eq!(read.errors.len(), 2);
    assert!(remove_group(dir.path(), "good").unwrap());
    assert!(!remove_group(dir.path(), "good").unwrap());
}

#[test]
fn an_absent_directory_defines_nothing() {
    let read = read_dir(Path::new("/nonexistent/conf.d"));
    assert!(read.groups.is_empty() && read.errors.is_empty());
}

fn spec() -> impl Strategy<Value = ProgramSpec> {
    let signal = prop_oneof![Just(Signal::SIGTERM), Just(Signal::SIGQUIT), Just(Signal::SIGUSR2)];
    let restart = prop_oneof![
        Just(AutoRestart::Always),
        Just(AutoRestart::Never),
        Just(AutoRestart::Unexpected)
    ];
    let texts = (
        vec("[ -~é]{0,12}", 1..4).prop_filter("a command", |c| !c[0].is_empty()),
        hash_map("[A-Z_]{1,8}", "[ -~é]{0,16}", 0..4),
        proptest::option::of("/[a-z%;#]{0,10}x"),
        proptest::option::of("[a-z0-9]{1,8}"),
    );
    let numbers = (
        any::<(bool, bool, bool)>(),
        any::<(u32, u32, u32, u32)>(),
        vec(-1i32..256, 0..4),
        (0u64..1 << 40, 0u32..0o777, any::<i32>()),
    );
    (texts, numbers, signal, restart).prop_map(|(texts, numbers, signal, restart)| {
        let (command, environment, path, user) = texts;
        let (flags, counts, exitcodes, (size, umask, priority)) = numbers;
        let mut spec = ProgramSpec::new("g_p", command);
        spec.process_name = "p".into();
        spec.environment = environment.into_iter().collect();
        spec.directory = path.clone().map(Into::into);
        spec.stdout_logfile = path.map(Into::into);
        spec.user = user.clone();
        spec.group = user;
        (spec.autostart, spec.stopasgroup, spec.killasgroup) = flags;
        (spec.startsecs, spec.startretries, spec.stopwaitsecs) = (counts.0, counts.1, counts.2);
        spec.stdout_logfile_backups = counts.3;
        spec.exitcodes = exitcodes;
        spec.stdout_logfile_maxbytes = size;
        spec.umask = umask;
        spec.priority = priority;
        spec.stopsignal = StopSignal(signal);
        spec.autorestart = restart;
        spec
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(spec in spec()) {
        let text = render("g", std::slice::from_ref(&spec)).unwrap();
        let groups = parse(&text, "g.conf").unwrap();
        prop_assert_eq!(&groups[0].programs[..], &[spec][..]);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[A-Z=\"', \n%a]{0,40}") {
        let _ = parse::environment(&text);
        let _ = parse(&format!("[program:a]\ncommand={text}\n"), "f");
    }
}
