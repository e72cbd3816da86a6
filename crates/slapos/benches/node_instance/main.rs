//! What a pass of `node instance` costs: nothing changed, and forced, for 1, 10 and 50 partitions.
//!
//! `cargo bench -p slapos [-- N ...]`. If the Python original is installed at `$PEER/venv`
//! (default `/var/tmp/slapos-peer/venv`), the same profile is run by it in the same session and
//! ratios are printed; as root it runs as the user `$PEER_USER` (default `slappeer`), because it
//! refuses root. CPU is that of the command and all its children, medians of several runs.

#![allow(clippy::disallowed_methods, reason = "a benchmark runs programs directly")]

#[path = "../cost.rs"]
mod cost;
mod ours;
mod peer;
mod profile;

use cost::{Cost, median};

/// Runs of a no-op pass; one that does work is run fewer times.
const NOOP_RUNS: usize = 7;
const FORCED_RUNS: usize = 3;

/// The costs of one implementation with one number of partitions.
#[derive(Clone, Copy, Debug)]
struct Pass {
    noop: Cost,
    forced: Cost,
}

fn main() {
    let counts: Vec<u32> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1, 10, 50] } else { counts };
    let peer = peer::Peer::find();
    if peer.is_none() {
        println!("The Python original is not installed: no ratios. (See PEER in this benchmark.)");
    }
    println!("partitions  pass    ours wall  ours cpu  peer wall  peer cpu  cpu ratio");
    for count in counts {
        let ours = ours::measure(count);
        let theirs = peer.as_ref().map(|peer| measure_peer(peer, count));
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
        Some(their) => {
            println!("  {:7.3} s  {:6.3} s  {:8.0}x", their.wall, their.cpu, their.cpu / cpu);
        }
        None => println!(),
    }
}
