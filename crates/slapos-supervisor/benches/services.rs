//! What a thousand services cost: started, adopted after `kill -9` of the daemon, taken over by a
//! new program in place, stopped; ours and Python's supervisor in the same run.
//!
//! `cargo bench -p slapos-supervisor [-- COUNT] [alone]`. Each service is a `sleep` with a log of its own, ten to a
//! group. Supervisor comes from PyPI; where that cannot be reached, there are no ratios.

#![allow(clippy::disallowed_methods, reason = "a benchmark runs programs directly")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark that fails should say so")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use slapos_supervisor::state::State;
use slapos_supervisor::{AutoRestart, Client, Paths, ProgramSpec, ensure_running, write_group};
use slapos_sys::process::Signal;

const PATIENCE: Duration = Duration::from_secs(600);
const GROUP: usize = 10;

/// Seconds of wall clock; of adoption also how many were.
#[derive(Debug)]
struct Times {
    /// Of processor time, of the daemon alone.
    start_cpu: f64,
    start: f64,
    adopt: Option<(f64, usize)>,
    replace: Option<f64>,
    status: f64,
    stop: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, root] = &arguments[..]
        && word == "daemon"
    {
        slapos_supervisor::run_daemon(&Paths::new(root)).expect("the daemon runs");
        return;
    }
    if arguments.iter().any(|word| word == "--help") {
        return println!("see the source");
    }
    let count = arguments.iter().find_map(|word| word.parse().ok()).unwrap_or(1000);
    println!("{count} services          start    status     adopt   replace      stop");
    let ours = ours(count);
    print_row("slapos", &ours, count);
    if arguments.iter().any(|word| word == "alone") {
        return;
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("supervisor");
    match slapos_testkit::python_with(&place, &["supervisor==4.3.0"]) {
        Err(why) => println!("no comparison: {why}"),
        Ok(bin) => {
            let theirs = theirs(&bin, count);
            print_row("supervisor", &theirs, count);
            let ratio = |a: f64, b: f64| format!("{:8.1}x", b / a);
            let (start, status) =
                (ratio(ours.start, theirs.start), ratio(ours.status, theirs.status));
            println!("{:20}{start} {status} {:19} {}", "ratio", "", ratio(ours.stop, theirs.stop));
        }
    }
}

fn print_row(name: &str, times: &Times, count: usize) {
    let seconds = |time: f64| format!("{time:7.3} s");
    let adopt = times.adopt.map_or("        -".to_owned(), |(time, _)| seconds(time));
    let replace = times.replace.map_or("        -".to_owned(), seconds);
    let Times { start, status, stop, .. } = times;
    println!(
        "{name:20}{} {} {adopt} {replace} {}",
        seconds(*start),
        seconds(*status),
        seconds(*stop)
    );
    let adopted = times.adopt.map_or(0, |(_, adopted)| adopted);
    let cpu = times.start_cpu;
    println!("{:20}start: {cpu:.2} s of CPU; adopted after kill -9: {adopted} of {count}", "");
}

fn specs(root: &Path, group: usize, count: usize) -> Vec<ProgramSpec> {
    let spec = |number: usize| {
        let name = format!("g{group}_s{number}");
        let log = root.join(format!("{name}.log"));
        let mut spec = ProgramSpec::new(name, vec!["/bin/sleep".into(), "86400".into()]);
        spec.process_name = format!("s{number}");
        spec.autostart = false;
        spec.autorestart = AutoRestart::Never;
        spec.startsecs = 0;
        spec.stopasgroup = true;
        spec.killasgroup = true;
        spec.environment.insert("HOME".into(), root.display().to_string());
        spec.stdout_logfile = Some(log);
        spec
    };
    (0..count.min(GROUP)).map(spec).collect()
}

fn define(root: &Path, conf: &Path, count: usize) {
    for group in 0..count.div_ceil(GROUP) {
        let specs = specs(root, group, count - group * GROUP);
        write_group(conf, &format!("g{group}"), &specs).expect("it is ours");
    }
}

fn timed<T>(act: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let done = act();
    (done, begun.elapsed().as_secs_f64())
}

fn running(client: &Client) -> Vec<u32> {
    let infos = client.all_process_info().expect("it answers").into_iter();
    let mut pids: Vec<u32> =
        infos.filter(|info| info.state == State::Running).filter_map(|info| info.pid).collect();
    pids.sort_unstable();
    pids
}

/// The processor time that a process has used.
fn cpu(pid: u32) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, rest) = stat.rsplit_once(')').expect("it has a name");
    let fields = rest.split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / TICKS_PER_SECOND
}

fn kill(pid: u32) {
    let start = slapos_sys::process::start_time(pid).expect("it runs");
    slapos_sys::process::kill(pid, Signal::SIGKILL).expect("it is ours");
    while slapos_sys::process::alive(pid, start) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn ours(count: usize) -> Times {
    let dir = tempfile::tempdir().expect("there is room");
    let paths = Paths::new(dir.path());
    paths.prepare().expect("it is ours");
    define(dir.path(), &paths.conf_dir(), count);
    let exe = std::env::current_exe().expect("it runs");
    let root = dir.path().display().to_string();
    let connect = || ensure_running(&paths, &exe, &["daemon", &root]).expect("it starts");
    let client = connect();
    let daemon = client.pid().expect("it answers");
    let idle = cpu(daemon);
    let (_, start) = timed(|| client.start_all(Some(PATIENCE)).expect("they start"));
    let start_cpu = cpu(daemon) - idle;
    let before = running(&client);
    assert_eq!(before.len(), count);
    let (_, status) = timed(|| client.all_process_info().expect("it answers"));
    let (_, replace) = timed(|| client.replace(PATIENCE).expect("it is replaced"));
    assert_eq!(running(&client), before);
    // Whatever the ledger held back is written.
    std::thread::sleep(Duration::from_millis(1500));
    kill(client.pid().expect("it answers"));
    let (after, adopt) = timed(|| running(&connect()));
    let adopted = after.iter().filter(|pid| before.binary_search(pid).is_ok()).count();
    assert_eq!(adopted, count, "all were adopted after kill -9 of the daemon");
    let (_, stop) = timed(|| client.stop_all(Some(PATIENCE)).expect("they stop"));
    assert!(running(&client).is_empty());
    client.shutdown(Some(PATIENCE)).expect("it ends");
    let adopt = Some((adopt, adopted));
    Times { start_cpu, start, status, adopt, replace: Some(replace), stop }
}

/// Supervisor, with its socket where our client looks.
struct Peer {
    program: PathBuf,
    conf: PathBuf,
}

impl Peer {
    fn start(&self, paths: &Paths) -> (Child, Client) {
        let mut command = Command::new(&self.program);
        command.arg("-n").arg("-c").arg(&self.conf).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("supervisor can be executed");
        let client = slapos_testkit::wait_for("supervisor", 60, || Client::connect(paths).ok());
        (child, client)
    }
}

fn theirs(bin: &Path, count: usize) -> Times {
    let dir = tempfile::tempdir().expect("there is room");
    let paths = Paths::new(dir.path());
    paths.prepare().expect("it is ours");
    define(dir.path(), &paths.conf_dir(), count);
    let conf = dir.path().join("supervisord.conf");
    let root = dir.path().display();
    let text = format!(
        "[supervisord]\nlogfile={root}/d.log\npidfile={root}/d.pid\nminfds=16384\n\
         [unix_http_server]\nfile={root}/sv.sock\n\
         [rpcinterface:supervisor]\n\
         supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
         [include]\nfiles={root}/etc/supervisord.conf.d/*.conf\n"
    );
    std::fs::write(&conf, text).expect("it is ours");
    let peer = Peer { program: bin.join("supervisord"), conf };
    let (mut child, client) = peer.start(&paths);
    let idle = cpu(child.id());
    let (_, start) = timed(|| client.start_all(Some(PATIENCE)).expect("they start"));
    let start_cpu = cpu(child.id()) - idle;
    let before = running(&client);
    let (_, status) = timed(|| client.all_process_info().expect("it answers"));
    let (_, stop) = timed(|| client.stop_all(Some(PATIENCE)).expect("they stop"));
    client.start_all(Some(PATIENCE)).expect("they start");
    let orphans = running(&client);
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    let (mut child, client) = peer.start(&paths);
    let after = running(&client);
    let adopted = after.iter().filter(|pid| orphans.binary_search(pid).is_ok()).count();
    assert_eq!(before.len(), count);
    for pid in orphans {
        let _ = slapos_sys::process::kill(pid, Signal::SIGKILL);
    }
    client.shutdown(Some(PATIENCE)).expect("it ends");
    child.wait().expect("it is ours");
    Times { start_cpu, start, status, adopt: Some((f64::NAN, adopted)), replace: None, stop }
}
