//! The daemon is killed, or its program replaced, at any moment of everything it does.

use std::time::{Duration, Instant};

use slapos_supervisor::{AutoRestart, Client, ProcessInfo};

use crate::support::{Node, PATIENCE, alive, eventually, leaders_with, service};

const SERVICES: usize = 12;
/// How long the moments are looked for; at least so many kills.
const BUSY: Duration = Duration::from_secs(8);
const KILLS: u32 = 12;

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn define(node: &Node, version: u64) {
    let specs: Vec<_> = (0..SERVICES)
        .map(|number| {
            let file = node.file(&format!("{number}"));
            std::fs::write(&file, "").unwrap();
            let mut spec = service(&format!("s{number}"), "");
            spec.command = ["/usr/bin/tail", "-f", file.to_str().unwrap()].map(String::from).into();
            spec.autostart = true;
            spec.autorestart = AutoRestart::Always;
            // Every third changes.
            let mark = if number % 3 == 0 { version } else { 0 };
            spec.environment.insert("VERSION".into(), mark.to_string());
            spec
        })
        .collect();
    node.define("p", &specs);
}

/// Something that changes processes, which may fail in the middle.
fn disturb(node: &Node, client: &Client, dice: &mut Dice) {
    let name = format!("p:s{}", dice.below(SERVICES as u64));
    match dice.below(6) {
        0 => drop(client.stop(&name, None)),
        1 => drop(client.start(&name, None)),
        2 => drop(client.stop_group("p", None)),
        3 => drop(client.start_group("p", None)),
        4 => {
            define(node, dice.below(1000));
            drop(client.call_within("slapos.update", Vec::new(), Duration::from_millis(50)));
        }
        _ => {
            if let Some(pid) = client.process_info(&name).ok().and_then(|info| info.pid) {
                let _ = slapos_sys::process::kill(pid, slapos_sys::process::Signal::SIGKILL);
            }
        }
    }
}

#[test]
fn killed_at_any_moment_it_leaves_one_of_each_and_no_stranger() {
    let node = Node::new();
    let mark = node.file("").display().to_string();
    let mut dice = Dice(20_260_101);
    let (mut kills, mut replaced, mut steps) = (0, 0, 0);
    define(&node, 0);
    let begun = Instant::now();
    while begun.elapsed() < BUSY || kills < KILLS {
        let client = node.client();
        for _ in 0..dice.below(8) {
            disturb(&node, &client, &mut dice);
            steps += 1;
        }
        if dice.below(4) == 0 {
            let _ = client.call("slapos.replace", Vec::new());
            replaced += 1;
        }
        let daemon = client.pid();
        std::thread::sleep(Duration::from_micros(dice.below(30_000)));
        if let Ok(daemon) = daemon {
            node.kill(daemon);
            eventually("the daemon's end", || (!alive(daemon)).then_some(()));
            kills += 1;
        }
    }
    let client = node.client();
    client.update(None, PATIENCE).unwrap();
    client.start_group("p", None).unwrap();
    let all_run = |infos: &[ProcessInfo]| infos.iter().all(|info| info.pid.is_some());
    client.wait(PATIENCE, all_run).unwrap();
    eventually("exactly what the daemon tells", || {
        let infos = client.all_process_info().ok()?;
        let mut told: Vec<u32> = infos.iter().filter_map(|info| info.pid).collect();
        let mut running = leaders_with(&mark);
        told.sort_unstable();
        running.sort_unstable();
        (told == running && told.len() == SERVICES).then_some(())
    });
    println!("survived {kills} kills amid {steps} changes and {replaced} replacements");
    client.stop_group("p", Some(PATIENCE)).unwrap();
    assert!(leaders_with(&mark).is_empty());
}
