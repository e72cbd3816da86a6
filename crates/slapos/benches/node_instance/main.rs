//! What it costs to begin, and what a pass of `node instance` costs: nothing changed, and forced,
//! for 1, 10 and 50 partitions.
//!
//! `cargo bench -p slapos --bench node_instance [-- N ...]`; 500 is a number to try. Where PyPI can
//! be reached, the Python original does the same in the same session and ratios are printed; it
//! runs as an ordinary user, because it refuses root, and up to 50 partitions only. CPU is that of
//! the command and all its children; medians of several runs.

#![allow(clippy::disallowed_methods, reason = "a benchmark runs programs directly")]

#[path = "../cost.rs"]
mod cost;
mod deployed;
mod ours;
mod peer;
mod profile;
mod startup;

use cost::{Cost, median};

/// Runs of a no-op pass; one that does work is run fewer times.
const NOOP_RUNS: usize = 7;
const FORCED_RUNS: usize = 3;
/// With more partitions the original takes too long: it spends more than a second on each.
const MOST_OF_PEER: u32 = 50;

/// The costs of one implementation with one number of partitions.
#[derive(Clone, Copy, Debug)]
struct Pass {
    noop: Cost,
    forced: Cost,
}

fn main() {
    if startup::is_measuring() {
        return;
    }
    let counts: Vec<u32> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1, 10, 50] } else { counts };
    let peer = peer::Peer::find().map_err(|why| println!("no ratios: {why}")).ok();
    startup::compare(peer.as_ref());
    println!("partitions  pass    ours wall  ours cpu  peer wall  peer cpu  ratios: wall  cpu");
    for count in counts {
        let ours = ours::measure(count);
        let peer = peer.as_ref().filter(|_| count <= MOST_OF_PEER);
        let theirs = peer.map(|peer| measure_peer(peer, count));
        print_row(count, "no-op", ours.noop, theirs.map(|pass| pass.noop));
        print_row(count, "forced", ours.forced, theirs.map(|pass| pass.forced));
    }
}

/// Deploys `count` instances with the original and measures further passes.
fn measure_peer(peer: &peer::Peer, count: u32) -> Pass {
    let run = peer::Deployment::new(peer, count);
    Pass {
        noop: median(NOOP_RUNS, || run.slapos(&["node", "instance"])),
        // It takes more than a second for each partition.
        forced: median(1, || run.slapos(&["node", "instance", "--all"])),
    }
}

fn print_row(count: u32, pass: &str, ours: Cost, theirs: Option<Cost>) {
    let Cost { wall, cpu } = ours;
    print!("{count:10}  {pass:6}  {wall:7.3} s  {cpu:6.3} s");
    match theirs {
        Some(their) => println!(
            "  {:7.3} s  {:6.3} s  {:11.0}x {:4.0}x",
            their.wall,
            their.cpu,
            their.wall / wall,
            their.cpu / cpu
        ),
        None => println!(),
    }
}
