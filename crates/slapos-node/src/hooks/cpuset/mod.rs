//! Processors for single processes: `.slapos-cpu-exclusive` lists process ids, and each gets a
//! processor that nothing else runs on (manager `cpuset`), as long as there are any.
//!
//! Only users in `power_user_list` may ask, and only for processes of their own. As in the original,
//! what got a processor is taken out of the file, and what still waits stays in it.
//! `[manager:cpuset] cgroup-path` names the mounted control groups where they are not in the usual
//! place. With version 2 of control groups, a process that gets a processor leaves the group of its
//! partition; where that has limits, none is given.

mod plan;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use slapos_sys::cgroup::Cpus;

use self::plan::plan;
use super::Hook;
use super::planted::{self, Planted};
use super::scene::{Member, Occasion, Scene};
use crate::config::{HooksConfig, Manager};
use crate::error::{IoContext, NodeError};

const FILE: &str = ".slapos-cpu-exclusive";
/// Where control groups are mounted: version 1, version 2.
const USUAL: [&str; 2] = ["/sys/fs/cgroup/cpuset", "/sys/fs/cgroup"];
const PROCESSORS: &str = "/sys/devices/system/cpu";

/// See the module.
pub(super) struct Cpuset {
    power_users: Vec<String>,
    places: Vec<PathBuf>,
    /// Who holds it decides about processors.
    turn: Mutex<()>,
}

impl Cpuset {
    pub(super) fn new(config: &HooksConfig) -> Self {
        let named = config.option(Manager::Cpuset, "cgroup-path").map(PathBuf::from);
        let usual = || USUAL.map(PathBuf::from).to_vec();
        Self {
            power_users: config.power_users.clone(),
            places: named.map_or_else(usual, |path| vec![path]),
            turn: Mutex::new(()),
        }
    }

    fn cpus(&self) -> Option<Cpus> {
        self.places.iter().find_map(|place| Cpus::at(place, Path::new(PROCESSORS)))
    }

    fn serve(
        &self,
        scene: &Scene<'_, '_>,
        member: &Member<'_>,
        cpus: &Cpus,
        wanted: &[u32],
    ) -> Result<(), NodeError> {
        let uid = member.owner(scene)?.uid;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let words = "govern the processors by";
        cpus.tidy().context(words, cpus.root())?;
        let exclusive = cpus.exclusive().context(words, cpus.root())?;
        let plan = plan(wanted, uid, &exclusive, plan::owner_of);
        for pid in &plan.foreign {
            scene.warn(member, &format!("{FILE}: process {pid} is not its"));
        }
        if !plan.give.is_empty() {
            cpus.clear_pool().context(words, cpus.root())?;
        }
        let mut waiting = plan.waiting;
        for (pid, cpu) in plan.give {
            match cpus.give(cpu, pid) {
                Ok(()) => scene.note(member, &format!("process {pid} has processor {cpu}")),
                Err(error) => {
                    let text = format!("process {pid} gets no processor for itself: {error}");
                    scene.warn(member, &text);
                    waiting.push(pid);
                }
            }
        }
        if waiting != wanted {
            let text: String = waiting.iter().map(|pid| format!("{pid}\n")).collect();
            planted::replace(scene, member, FILE, &text)?;
        }
        Ok(())
    }
}

impl Hook for Cpuset {
    fn name(&self) -> &'static str {
        "cpuset"
    }

    fn format(&self, scene: &Scene<'_, '_>) -> Result<(), NodeError> {
        match self.cpus() {
            Some(cpus) => cpus.format().context("prepare the control groups at", cpus.root()),
            None => {
                let places: Vec<_> =
                    self.places.iter().map(|path| path.display().to_string()).collect();
                let text = format!("no control groups for processors at {}", places.join(" or "));
                scene.node.reporter.warn("cpuset", &text);
                Ok(())
            }
        }
    }

    fn instance(&self, scene: &Scene<'_, '_>, member: &Member<'_>) -> Result<(), NodeError> {
        if member.occasion == Occasion::Going {
            return Ok(());
        }
        let Planted::Said(text) = planted::text(scene, member, FILE)? else {
            return Ok(());
        };
        let (wanted, odd) = plan::read(&text);
        if let Some(odd) = odd {
            scene.warn(member, &format!("{FILE}: {odd:?} is no process id"));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let user = member.owner(scene)?.name;
        if !self.power_users.contains(&user) {
            scene.warn(member, &format!("{FILE}: {user} is not in power_user_list of slapos.cfg"));
            return Ok(());
        }
        let limits = &scene.node.config.service_limits.of(member.id())?.together;
        match self.cpus().filter(Cpus::is_formatted) {
            Some(cpus) if !limits.is_empty() && !cpus.keeps_limits() => {
                let names: Vec<_> = limits.options().map(|(name, _)| name).collect();
                let text = format!(
                    "{FILE}: no process gets a processor for itself: it would leave {} of \
                     [service_limits]",
                    names.join(", ")
                );
                scene.warn(member, &text);
                Ok(())
            }
            Some(cpus) => self.serve(scene, member, &cpus, &wanted),
            None => {
                scene.warn(member, "processors are not prepared; `slapos node format` does it");
                Ok(())
            }
        }
    }
}
