//! The same questions to our Master and to the original's, in the same run.

use std::time::Duration;

use crate::Target;
use crate::http::Request;
use crate::load::{Load, Measure};
use crate::ours::Master;
use crate::peer::Peer;
use crate::process::resident_mib;
use crate::words::Words;

/// Partitions of the computer that is asked about, all in use.
pub(crate) const PARTITIONS: usize = 50;
/// How long each question is asked.
pub(crate) const TIME: Duration = Duration::from_secs(5);
/// Clients at a time: one that waits for each answer, and many.
pub(crate) const CONNECTIONS: [usize; 2] = [1, 32];
/// Computers whose partitions are given out one by one. The original gets a tenth.
const COMPUTERS: usize = 400;
/// More than any load lasts.
const NO_END: Duration = Duration::from_secs(600);
pub(crate) const BUSY: &str = "busy";

/// Asks our Master and, if it is to be compared, the original, and prints.
pub(crate) fn compare(master: &Master, with_peer: bool) {
    let ours = measure(&Target::of(master), COMPUTERS);
    let theirs = with_peer.then(measure_peer).flatten();
    println!(
        "{:36} {:>7} | {:>9} {:>8} {:>8} {:>7} | {:>8} {:>8} {:>8} | ratio",
        "question", "clients", "ours/s", "p50 ms", "p99 ms", "cpu us", "peer/s", "p50 ms", "p99 ms"
    );
    for (index, row) in ours.rows.iter().enumerate() {
        print_row(row, theirs.as_ref().and_then(|theirs| theirs.rows.get(index)));
    }
    print!("memory of the Master: {:.0} MiB", ours.resident);
    match theirs {
        Some(theirs) => println!(", of the original {:.0} MiB\n", theirs.resident),
        None => println!("\n"),
    }
}

fn measure_peer() -> Option<Answers> {
    match Peer::start() {
        Ok(peer) => {
            let (address, pid, words) = (peer.address, peer.pid(), peer.words.clone());
            Some(measure(&Target { address, secret: None, pid, words }, COMPUTERS / 10))
        }
        Err(why) => {
            println!("no ratios: {why}");
            None
        }
    }
}

struct Row {
    name: &'static str,
    connections: usize,
    measure: Measure,
}

struct Answers {
    rows: Vec<Row>,
    resident: f64,
}

fn measure(target: &Target, computers: usize) -> Answers {
    prepare(target, computers);
    let words = &target.words;
    let reports: Vec<Request> = (0..PARTITIONS).map(|index| words.started(BUSY, index)).collect();
    let partitions: Vec<Request> =
        (0..PARTITIONS).map(|index| words.partition(BUSY, index)).collect();
    let questions = [
        ("full information of 50 partitions", vec![words.full(BUSY)]),
        ("information about one partition", partitions),
        ("request, repeated", repeated(words, BUSY)),
        ("report of an instance", reports),
    ];
    let mut rows = Vec::new();
    for (name, requests) in questions {
        for connections in CONNECTIONS {
            let measure = asked(target, connections, requests.clone());
            rows.push(Row { name, connections, measure });
        }
    }
    rows.extend(allocations(target, computers));
    Answers { rows, resident: resident_mib(target.pid) }
}

/// Asks these again and again.
pub(crate) fn asked(target: &Target, connections: usize, requests: Vec<Request>) -> Measure {
    let next = move |turn: usize| requests.get(turn % requests.len()).cloned();
    Load { connections, time: TIME }.run(target.address, target.pid, next)
}

/// New instances until all partitions of half of the computers are in use, once for each number of
/// clients.
fn allocations(target: &Target, computers: usize) -> Vec<Row> {
    let half = computers / 2 * PARTITIONS;
    let mut first = 0;
    let mut rows = Vec::new();
    for connections in CONNECTIONS {
        let words = target.words.clone();
        let begin = first;
        let next = move |turn: usize| {
            let number = begin + turn;
            let computer = format!("free{}", number / PARTITIONS);
            (turn < half).then(|| words.request(&format!("new {number}"), &computer, "small"))
        };
        let load = Load { connections, time: TIME };
        let measure = load.run(target.address, target.pid, next);
        rows.push(Row { name: "request, new", connections, measure });
        first += half;
    }
    rows
}

/// Makes a computer that is asked about, and others.
pub(crate) fn prepare(target: &Target, computers: usize) {
    let words = target.words.clone();
    let formats = move |turn: usize| {
        let name = format!("free{}", turn.saturating_sub(1));
        let name = if turn == 0 { BUSY } else { &name };
        (turn <= computers).then(|| words.format(name, PARTITIONS))
    };
    // One after the other: the original fails when several write and the machine is busy.
    run_all(target, 1, formats);
    fill(target, BUSY);
}

/// Has all partitions of a computer in use.
pub(crate) fn fill(target: &Target, computer: &'static str) {
    let words = target.words.clone();
    let requests = move |turn: usize| match turn {
        0 => Some(words.supply(computer)),
        1..=PARTITIONS => Some(words.request(&title(turn - 1), computer, "small")),
        _ => None,
    };
    // One after the other, so that instance and partition have the same number.
    run_all(target, 1, requests);
}

fn title(index: usize) -> String {
    format!("busy {index}")
}

/// The requests for what is there, as it is.
pub(crate) fn repeated(words: &Words, computer: &str) -> Vec<Request> {
    (0..PARTITIONS).map(|index| words.request(&title(index), computer, "small")).collect()
}

/// Makes all of these requests.
pub(crate) fn run_all(
    target: &Target,
    connections: usize,
    next: impl Fn(usize) -> Option<Request> + 'static,
) -> Measure {
    Load { connections, time: NO_END }.run(target.address, target.pid, next)
}

fn print_row(row: &Row, theirs: Option<&Row>) {
    let Measure { rate, p50, p99, cpu, .. } = row.measure;
    let (name, connections) = (row.name, row.connections);
    print!("{name:36} {connections:>7} | {rate:>9.0} {p50:>8.3} {p99:>8.3} {cpu:>7.0} |");
    match theirs {
        Some(Row { measure: Measure { rate: their, p50, p99, .. }, .. }) => {
            println!(" {their:>8.1} {p50:>8.2} {p99:>8.2} | {:.0}x", rate / their);
        }
        None => println!(),
    }
}
