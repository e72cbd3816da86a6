//! `slapos proxy migrate`, killed at any of the calls by which it writes: the next one, or the Master
//! that starts, goes on from there. Killed by `strace`.

use super::disk::can_trace;
use super::masters::{BINARY, Configured, Place, computer, server, wish};

/// By what the two kinds of databases are written to.
const CALLS: &str = "pwrite64,fdatasync,write,writev,sendto,sendmsg";

/// At so many calls, spread over all, it is killed.
const KILLS: usize = 12;

/// Runs `slapos proxy migrate` under `strace`; whether it succeeded.
fn traced(master: &Configured, words: &[&str], rest: &[&str]) -> bool {
    let migrate = master.command(&[&["migrate"], words].concat());
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-e"]).args(rest).arg(BINARY).args(migrate.get_args());
    strace.env_remove("SLAPOS_CONFIGURATION").env("NO_COLOR", "1");
    strace.stdin(std::process::Stdio::null()).output().unwrap().status.success()
}

/// How many calls an undisturbed run takes in the thread with the most.
fn count(place: &Place, master: &Configured, words: &[&str]) -> usize {
    let trace = place.path("trace").display().to_string();
    assert!(traced(master, words, &[&format!("trace={CALLS}"), "-o", &trace]));
    let text = std::fs::read_to_string(&trace).unwrap();
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for line in text.lines().filter(|line| line.contains('(')) {
        *counts.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

fn survives(place: &Place, master: &Configured) {
    let running = master.start();
    let client = master.client();
    client.load_computer_configuration(&computer(3)).unwrap();
    for title in ["a", "b"] {
        client.request(&wish(title)).unwrap();
    }
    let before = client.overview().unwrap().instances;
    running.kill();
    for (there, back) in [(["--to", "1"].as_slice(), [].as_slice()), (&[], &["--to", "1"])] {
        master.ok(&[&["migrate"], back].concat());
        let calls = count(place, master, there);
        assert!(calls > KILLS, "{calls} calls");
        let mut killed = 0;
        for point in (1..=calls).step_by(calls / KILLS) {
            master.ok(&[&["migrate"], back].concat());
            let kill = format!("inject={CALLS}:signal=KILL:when={point}");
            killed += usize::from(!traced(master, there, &[&kill, "-o", "/dev/null"]));
            // What it had begun is done, or taken back, from wherever it was.
            if point % 2 == 0 {
                master.ok(&[&["migrate"], there].concat());
            }
        }
        assert!(killed > KILLS / 2, "{killed} of {KILLS} were killed");
    }
    let running = master.start();
    assert_eq!(client.overview().unwrap().instances, before);
    client.request(&wish("c")).unwrap();
    running.kill();
}

#[test]
fn a_migration_that_is_killed_goes_on_with_sqlite() {
    if can_trace("a_migration_that_is_killed_goes_on_with_sqlite") {
        let place = Place::new();
        survives(&place, &place.configure("a.cfg", &place.file()));
    }
}

#[test]
fn a_migration_that_is_killed_goes_on_with_postgresql() {
    let test = "a_migration_that_is_killed_goes_on_with_postgresql";
    let Some(server) = server(test) else { return };
    if can_trace(test) {
        let place = Place::new();
        survives(&place, &place.configure("a.cfg", &server.database("master")));
    }
}
