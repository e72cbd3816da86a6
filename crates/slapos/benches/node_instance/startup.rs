//! What it costs to begin and end: commands that do nothing.

use std::process::Command;

use crate::cost::{Cost, median};
use crate::peer::Peer;

/// Runs of each command.
const RUNS: usize = 9;
/// Has this benchmark run the words after it and print the peak memory of that: the kernel keeps
/// one maximum for all children, so that each command needs a parent of its own.
const PEAK: &str = "--peak-of";

/// Commands that do nothing.
const COMMANDS: [&[&str]; 2] = [&["--version"], &["node", "instance", "--help"]];

/// The costs of one command.
struct Start {
    cost: Cost,
    /// Bytes.
    peak: u64,
    /// System calls, if they can be counted.
    calls: Option<usize>,
}

/// If this process was started to measure a peak: does so, and says so.
pub(crate) fn is_measuring() -> bool {
    let mut words = std::env::args().skip_while(|word| word != PEAK).skip(1);
    let Some(program) = words.next() else { return false };
    let output = Command::new(program).args(words).output();
    assert!(output.is_ok_and(|output| output.status.success()), "the command can be executed");
    println!("{}", slapos_sys::process::children_peak_bytes());
    true
}

/// Measures and prints.
pub(crate) fn compare(peer: Option<&Peer>) {
    println!("start-up                           wall        cpu      peak  system calls");
    for words in COMMANDS {
        let ours = measure(|| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_slapos"));
            command.args(words);
            command
        });
        print_row(&format!("ours {}", words.join(" ")), &ours);
        let Some(peer) = peer else { continue };
        let theirs = measure(|| peer.start(words));
        print_row(&format!("peer {}", words.join(" ")), &theirs);
        let times = |their: f64, our: f64| their / our.max(1e-4);
        #[allow(clippy::cast_precision_loss, reason = "a ratio")]
        let memory = theirs.peak as f64 / ours.peak.max(1) as f64;
        println!(
            "ratio                          {:7.0}x   {:7.0}x  {memory:6.1}x",
            times(theirs.cost.wall, ours.cost.wall),
            times(theirs.cost.cpu, ours.cost.cpu)
        );
    }
    println!();
}

fn measure(command: impl Fn() -> Command) -> Start {
    Start { cost: median(RUNS, &command), peak: peak(&command()), calls: calls(&command()) }
}

/// The program and arguments of a command, in its environment and directory.
fn behind(wrapper: &mut Command, command: &Command) -> Option<String> {
    wrapper.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapper.env(name, value),
            None => wrapper.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        wrapper.current_dir(directory);
    }
    let output = wrapper.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn peak(command: &Command) -> u64 {
    let own = std::env::current_exe().expect("this program has a file");
    let said = behind(Command::new(own).arg(PEAK), command).expect("this program can be run");
    said.trim().parse().expect("a number")
}

/// Counted by strace, in all processes of the command.
fn calls(command: &Command) -> Option<usize> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let trace = directory.path().join("trace");
    let mut strace = Command::new("strace");
    behind(strace.args(["-f", "-qq", "-o"]).arg(&trace), command)?;
    let text = std::fs::read(trace).ok()?;
    let text = String::from_utf8_lossy(&text);
    let is_call = |line: &&str| {
        let rest = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
        !rest.starts_with(['+', '-', '<'])
    };
    Some(text.lines().filter(is_call).count())
}

fn print_row(name: &str, start: &Start) {
    let Cost { wall, cpu } = start.cost;
    #[allow(clippy::cast_precision_loss, reason = "mebibytes")]
    let peak = start.peak as f64 / f64::from(1 << 20);
    let calls = start.calls.map_or("no strace".to_owned(), |calls| calls.to_string());
    println!("{name:28}  {wall:7.4} s  {cpu:7.4} s  {peak:5.1} MB  {calls:>12}");
}
