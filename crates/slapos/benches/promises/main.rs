//! What it costs to check promises that are all due: plugins in Python, 5 in each of 1, 10 and 50
//! partitions, by `node promise`.
//!
//! `cargo bench -p slapos --bench promises [-- N ...]`. If the Python original is installed (see
//! the benchmark `node_instance`), the same plugins are checked by it in the same session and ratios
//! are printed. Wall time and CPU are those of the command and all its children, medians of several
//! runs.

#![allow(clippy::disallowed_methods, reason = "a benchmark runs programs directly")]

#[path = "../cost.rs"]
mod cost;
#[path = "../node_instance/deployed.rs"]
mod deployed;
#[path = "../node_instance/peer.rs"]
mod peer;
#[path = "../node_instance/profile.rs"]
mod profile;

use std::path::Path;

use cost::{Cost, median};

/// Promises of each partition.
const PROMISES: u32 = 5;
const RUNS: usize = 5;

/// A check as instances have them: it looks at a file and says what it found. The original's runner
/// wants the first assignment to be that of the path.
const PLUGIN: &str = "import sys
sys.path[0:0] = []
import os
from zope.interface import implementer
from slapos.grid.promise import interface
from slapos.grid.promise.generic import GenericPromise

@implementer(interface.IPromise)
class RunPromise(GenericPromise):
  def sense(self):
    path = os.path.join(self.getPartitionFolder(), 'etc', 'demo.conf')
    if os.path.exists(path):
      self.logger.info('OK %r is there', path)
    else:
      self.logger.error('ERROR %r is not there', path)

  def anomaly(self):
    return self._anomaly(result_count=3, failure_amount=3)
";

fn main() {
    let counts: Vec<u32> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1, 10, 50] } else { counts };
    let peer = peer::Peer::find().map_err(|why| println!("no ratios: {why}")).ok();
    println!(
        "partitions  promises  ours wall  ours cpu  peer wall  peer cpu  wall ratio  cpu ratio"
    );
    for count in counts {
        let ours = ours(count);
        let theirs = peer.as_ref().map(|peer| theirs(peer, count));
        print_row(count, ours, theirs);
    }
}

fn print_row(count: u32, ours: Cost, theirs: Option<Cost>) {
    let Cost { wall, cpu } = ours;
    print!("{count:10}  {:8}  {wall:7.3} s  {cpu:6.3} s", count * PROMISES);
    match theirs {
        Some(their) => println!(
            "  {:7.3} s  {:6.3} s  {:9.0}x  {:8.0}x",
            their.wall,
            their.cpu,
            their.wall / wall,
            their.cpu / cpu
        ),
        None => println!(),
    }
}

fn write_plugins(partition: &Path) {
    let folder = partition.join("etc/plugin");
    std::fs::create_dir_all(&folder).expect("the plugins' folder can be made");
    for number in 0..PROMISES {
        let path = folder.join(format!("check-{number}.py"));
        std::fs::write(path, PLUGIN).expect("a plugin can be written");
    }
}

fn ours(count: u32) -> Cost {
    let node = deployed::node(count);
    (0..count).for_each(|index| write_plugins(&node.partition(index)));
    median(RUNS, || node.command(&["node", "promise"]))
}

fn theirs(peer: &peer::Peer, count: u32) -> Cost {
    let run = peer::Deployment::new(peer, count);
    (0..count).for_each(|index| write_plugins(&run.path(&format!("inst/slappart{index}"))));
    run.give_to_user();
    // A run takes a quarter of a minute with 50 partitions.
    median(1, || run.slapos(&["node", "promise"]))
}
