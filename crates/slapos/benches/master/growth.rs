//! What each request costs while the fleet grows.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::Target;
use crate::http::Request;
use crate::load::{Load, Measure};
use crate::ours::Master;
use crate::plot::{Line, plot};
use crate::process::resident_mib;
use crate::ratios::run_all;
use crate::words::Words;

/// Partitions of each node, all in use.
const PARTITIONS: usize = 10;
/// Nodes that are added at each size, to be given instances there.
const SPARE: usize = 100;
const CONNECTIONS: usize = 16;
const TIME: Duration = Duration::from_secs(3);

/// What is asked at each size.
const QUESTIONS: [&str; 6] = [
    "full information, first",
    "full information",
    "one partition",
    "request, repeated",
    "request, new",
    "report",
];

/// What it came to at one size.
struct Step {
    nodes: usize,
    measures: Vec<Measure>,
    resident: f64,
}

/// Grows the fleet of a Master tenfold from 100 up to `most` nodes; prints a table and leaves plots.
pub(crate) fn measure(master: &Master, most: usize) {
    let target = Target::of(master);
    let mut steps = Vec::new();
    let (mut size, mut known) = (100.min(most), 0);
    println!("nodes    instances  memory   {}", heading());
    loop {
        let filling = fill(&target, known, size);
        known = size;
        let step = Step {
            nodes: size,
            measures: QUESTIONS.iter().map(|question| ask(&target, size, question)).collect(),
            resident: resident_mib(target.pid),
        };
        print_step(&step, &filling);
        steps.push(step);
        if size >= most {
            break;
        }
        size = (size * 10).min(most);
    }
    leave(&steps);
}

fn heading() -> String {
    QUESTIONS.map(|question| format!("{question:>24}")).join("")
}

fn name(index: usize) -> String {
    format!("node{index}")
}

/// Adds nodes `from..to`, with an instance in each of their partitions.
fn fill(target: &Target, from: usize, to: usize) -> Measure {
    let words = target.words.clone();
    run_all(target, CONNECTIONS, move |turn| {
        let node = from + turn;
        (node < to).then(|| words.format(&name(node), PARTITIONS))
    });
    let words = target.words.clone();
    run_all(target, CONNECTIONS, move |turn| {
        let number = from * PARTITIONS + turn;
        (number < to * PARTITIONS).then(|| instance(&words, number))
    })
}

/// The request for the instance of that number: one in each partition.
fn instance(words: &Words, number: usize) -> Request {
    words.request(&format!("instance {number}"), &name(number / PARTITIONS), "small")
}

fn ask(target: &Target, nodes: usize, question: &str) -> Measure {
    let words = target.words.clone();
    // Visits all, in no order that storage has.
    let instance_of = move |turn: usize| turn * 7919 % (nodes * PARTITIONS);
    let node_of = move |turn: usize| name(instance_of(turn) / PARTITIONS);
    let load = Load { connections: CONNECTIONS, time: TIME };
    let run =
        |next: Box<dyn Fn(usize) -> Option<Request>>| load.run(target.address, target.pid, next);
    match question {
        // Each node once, about whom nothing is kept yet.
        "full information, first" => run_all(target, CONNECTIONS, move |node| {
            (node < nodes).then(|| words.full(&name(node)))
        }),
        "full information" => run(Box::new(move |turn| Some(words.full(&node_of(turn))))),
        "one partition" => run(Box::new(move |turn| {
            Some(words.partition(&node_of(turn), instance_of(turn) % PARTITIONS))
        })),
        "request, repeated" => run(Box::new(move |turn| Some(instance(&words, instance_of(turn))))),
        "report" => run(Box::new(move |turn| {
            Some(words.started(&node_of(turn), instance_of(turn) % PARTITIONS))
        })),
        _ => {
            let formats = words.clone();
            run_all(target, CONNECTIONS, move |turn| {
                (turn < SPARE).then(|| formats.format(&format!("spare{nodes}-{turn}"), 50))
            });
            run(Box::new(move |turn| {
                let computer = format!("spare{nodes}-{}", turn / 50);
                let title = format!("spare {nodes} {turn}");
                (turn < SPARE * 50).then(|| words.request(&title, &computer, "small"))
            }))
        }
    }
}

fn print_step(step: &Step, filling: &Measure) {
    print!("{:<8} {:<9} {:5.0} MiB", step.nodes, step.nodes * PARTITIONS, step.resident);
    for measure in &step.measures {
        print!("  {:>7.0}/s {:>6.0} us cpu", measure.rate, measure.cpu);
    }
    println!("   ({:.0} new instances/s until here)", filling.rate);
}

/// Leaves the numbers and their plots where `cargo` keeps what benchmarks leave.
fn leave(steps: &[Step]) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-master");
    std::fs::create_dir_all(&directory).expect("the target directory can be written");
    let mut table = "nodes\tinstances\tquestion\trate\tp50 ms\tp99 ms\tcpu us\tMiB\n".to_owned();
    for step in steps {
        for (question, measure) in QUESTIONS.iter().zip(&step.measures) {
            let Measure { rate, p50, p99, cpu, .. } = measure;
            let (nodes, instances) = (step.nodes, step.nodes * PARTITIONS);
            let _ = writeln!(
                table,
                "{nodes}\t{instances}\t{question}\t{rate:.0}\t{p50:.3}\t{p99:.3}\t{cpu:.0}\t{:.0}",
                step.resident
            );
        }
    }
    std::fs::write(directory.join("growth.tsv"), table).expect("it can be written");
    let lines = |value: fn(&Measure) -> f64| -> Vec<Line> {
        let point = |step: &Step, index: usize| (step.nodes, value(&step.measures[index]));
        let line = |(index, name): (usize, &&'static str)| Line {
            name,
            points: steps.iter().map(|step| point(step, index)).collect(),
        };
        QUESTIONS.iter().enumerate().map(line).collect()
    };
    let cost = plot("Processor time of a request, in microseconds", &lines(|measure| measure.cpu));
    std::fs::write(directory.join("cost.svg"), cost).expect("it can be written");
    let latency =
        plot("Median latency of a request, in milliseconds", &lines(|measure| measure.p50));
    std::fs::write(directory.join("latency.svg"), latency).expect("it can be written");
    println!("table and plots: {}\n", directory.display());
}
