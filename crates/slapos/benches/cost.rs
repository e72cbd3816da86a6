//! What a command costs.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::process::Command;
use std::time::Instant;

/// Seconds; the CPU is that of the command and all its children.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// Runs the command `runs` times and returns the medians.
pub(crate) fn median(runs: usize, mut command: impl FnMut() -> Command) -> Cost {
    let costs: Vec<_> = (0..runs).map(|_| cost(&mut command())).collect();
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Cost {
        wall: middle(costs.iter().map(|cost| cost.wall).collect()),
        cpu: middle(costs.iter().map(|cost| cost.cpu).collect()),
    }
}

/// Runs the command once.
pub(crate) fn cost(command: &mut Command) -> Cost {
    let before = slapos_sys::process::children_cpu_seconds();
    let started = Instant::now();
    let output = command.output().expect("the command can be executed");
    let wall = started.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    Cost { wall, cpu: slapos_sys::process::children_cpu_seconds() - before }
}
