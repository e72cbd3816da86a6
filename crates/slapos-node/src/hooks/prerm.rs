//! Services that run before an instance is removed: every executable of `etc/prerm` is run once, as
//! the partition's user, in the supervisor's group `<partition>-prerm` (manager `prerm`). `node
//! report` removes the instance when none of them runs any more, however they ended.
//!
//! Once means: at least once, and not again after it was seen to have started. Which those are is
//! recorded where partitions cannot write.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slapos_slap::PartitionId;
use slapos_supervisor::definitions::is_name;
use slapos_supervisor::{Client, ProcessInfo, ProgramSpec};

use super::scene::{Member, Scene};
use super::{Hook, Removal, planted};
use crate::error::NodeError;
use crate::services;
use crate::shelf::{Kept, Shelf};
use crate::worker::Service;

const DIRECTORY: &str = "etc/prerm";
/// Where the original says what it waits for.
const WAIT_LIST: &str = ".slapos-report-wait-service-list";
/// How long a start may take until the process is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Prerm;

impl Hook for Prerm {
    fn name(&self) -> &'static str {
        "prerm"
    }

    fn report(
        &self,
        scene: &Scene<'_, '_>,
        member: &Member<'_>,
        may_destroy: &dyn Fn() -> Result<bool, NodeError>,
    ) -> Result<Removal, NodeError> {
        let names = names(scene, member)?;
        if names.is_empty() {
            return Ok(Removal::Now);
        }
        if !may_destroy()? {
            return Ok(Removal::Later("it is kept for now".to_owned()));
        }
        let group = group_of(&member.partition.id);
        let client = define(scene, member, &group, &names)?;
        for name in to_start(scene, member, &client, &names)? {
            scene.note(member, &format!("running {DIRECTORY}/{name}"));
            let failed = |error| NodeError::user(format!("{DIRECTORY}/{name}: {error}"));
            client
                .start(&format!("{group}:{name}"), Some(PATIENCE))
                .or_else(ended)
                .map_err(failed)?;
        }
        // Each has started, or cannot.
        record(scene, member, &names)?;
        Ok(verdict(&of_group(&client, &group)?))
    }

    fn removed(&self, scene: &Scene<'_, '_>, partition: &PartitionId) -> Result<(), NodeError> {
        // Also where nothing is defined any more: a killed run may have got no further than that.
        services::stop(scene.node, &group_of(partition))?;
        shelf(scene).forget(partition.as_str())
    }
}

fn group_of(partition: &PartitionId) -> PartitionId {
    PartitionId::new(format!("{partition}-prerm"))
}

/// The executables, as far as their names can name a process.
fn names(scene: &Scene<'_, '_>, member: &Member<'_>) -> Result<Vec<String>, NodeError> {
    let mut names = planted::files(scene, member, DIRECTORY)?;
    names.retain(|name| {
        let fine = is_name(name);
        if !fine {
            scene.warn(
                member,
                &format!("{DIRECTORY}/{name:?} is not run: its name cannot name a process"),
            );
        }
        fine
    });
    Ok(names)
}

fn define(
    scene: &Scene<'_, '_>,
    member: &Member<'_>,
    group: &PartitionId,
    names: &[String],
) -> Result<Client, NodeError> {
    let (directory, owner) = (member.directory(scene), member.owner(scene)?);
    let program = |name: &String| {
        let path = directory.join(DIRECTORY).join(name);
        let service = Service { name: name.clone(), path, watched: false };
        let program = services::program(group, &directory, &owner, &service);
        ProgramSpec { autostart: false, startretries: 0, ..program }
    };
    let programs = names.iter().map(program).collect();
    services::define_group(scene.node, group, &member.partition.id, programs)?;
    let waited: String = names.iter().map(|name| format!("{group}:{name}\n")).collect();
    planted::replace(scene, member, WAIT_LIST, &waited)?;
    let client = services::supervisor(scene.node)?;
    services::update(&client, group.as_str())?;
    Ok(client)
}

/// Those that were never seen to have started.
fn to_start(
    scene: &Scene<'_, '_>,
    member: &Member<'_>,
    client: &Client,
    names: &[String],
) -> Result<Vec<String>, NodeError> {
    let mut known = started(&of_group(client, &group_of(&member.partition.id))?);
    known.extend(shelf(scene).load(member.id())?.unwrap_or_default().0);
    Ok(names.iter().filter(|name| !known.contains(*name)).cloned().collect())
}

fn started(infos: &[ProcessInfo]) -> BTreeSet<String> {
    infos.iter().filter(|info| info.start != 0).map(|info| info.name.clone()).collect()
}

fn of_group(client: &Client, group: &PartitionId) -> Result<Vec<ProcessInfo>, NodeError> {
    let all = client.all_process_info();
    let mut all = all.map_err(|error| NodeError::user(error.to_string()))?;
    all.retain(|info| info.group == group.as_str());
    Ok(all)
}

/// One that has already ended, or that cannot be executed, did what it could.
fn ended(error: slapos_supervisor::ClientError) -> Result<(), slapos_supervisor::ClientError> {
    use slapos_supervisor::fault;
    match error.fault_code() {
        Some(fault::ALREADY_STARTED | fault::ABNORMAL_TERMINATION | fault::SPAWN_ERROR) => Ok(()),
        _ => Err(error),
    }
}

/// Waits while one of them runs.
fn verdict(infos: &[ProcessInfo]) -> Removal {
    let running = infos.iter().filter(|info| !info.state.is_down());
    let names: Vec<_> = running.map(|info| format!("{DIRECTORY}/{}", info.name)).collect();
    match names.as_slice() {
        [] => Removal::Now,
        names => Removal::Later(format!("waiting for {}", names.join(", "))),
    }
}

/// The names of those that were seen to have started.
#[derive(Default, Serialize, Deserialize)]
struct Started(BTreeSet<String>);

impl Kept for Started {
    const NAME: &'static str = "record of what ran before its removal";
    const LONGEST: u64 = 64 << 10;
}

fn shelf<'a>(scene: &Scene<'a, '_>) -> Shelf<'a, Started> {
    scene.shelf("prerm")
}

/// Notes, beside what is noted already, what has started.
fn record(scene: &Scene<'_, '_>, member: &Member<'_>, names: &[String]) -> Result<(), NodeError> {
    let shelf = shelf(scene);
    let mut all = shelf.load(member.id())?.unwrap_or_default();
    all.0.extend(names.iter().cloned());
    shelf.store(member.id(), &all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporter::Deaf;
    use slapos_supervisor::state::State;
    use slapos_sys::fs;

    fn info(name: &str, state: State, start: i64) -> ProcessInfo {
        ProcessInfo {
            name: name.to_owned(),
            group: "slappart0-prerm".to_owned(),
            state,
            pid: None,
            start,
            stop: 0,
            exit_status: 0,
            spawn_error: String::new(),
            description: String::new(),
            log: String::new(),
        }
    }

    #[test]
    fn the_instance_goes_when_nothing_runs_however_it_ended() {
        let over = [info("a", State::Exited, 5), info("b", State::Fatal, 6)];
        assert_eq!(verdict(&over), Removal::Now);
        let still = [info("a", State::Exited, 5), info("b", State::Running, 6)];
        assert_eq!(verdict(&still), Removal::Later("waiting for etc/prerm/b".to_owned()));
    }

    #[test]
    fn what_has_started_is_known() {
        let infos = [info("a", State::Stopped, 0), info("b", State::Exited, 6)];
        assert_eq!(started(&infos), BTreeSet::from(["b".to_owned()]));
    }

    #[test]
    fn nothing_is_run_while_the_instance_is_kept_for_another_reason() {
        let dir = tempfile::tempdir().unwrap();
        let partition = dir.path().join("slappart0");
        fs::create_dir_all(&partition.join(DIRECTORY), 0o755).unwrap();
        fs::set_mode(&partition, 0o750).unwrap();
        fs::write_atomic(&partition.join(DIRECTORY).join("a"), b"", 0o755).unwrap();
        let text = format!(
            "[slapos]\nsoftware_root = /s\ninstance_root = {}\nmaster_url = http://127.0.0.1:1\ncomputer_id = c\n",
            dir.path().display()
        );
        let parsed = slapos_config::Config::parse(&text, "s").unwrap();
        let config = crate::NodeConfig::from_config(&parsed, std::path::Path::new("s")).unwrap();
        let clock = slapos_sys::clock::SystemClock;
        let node = crate::Node { config: &config, reporter: &Deaf, clock: &clock };
        let wanted = slapos_slap::ComputerPartition::free("c".into(), "slappart0".into());
        let member = Member { partition: &wanted, occasion: super::super::Occasion::Going };
        let scene = Scene { node: &node, master: None };
        let said = Prerm.report(&scene, &member, &|| Ok(false)).unwrap();
        assert_eq!(said, Removal::Later("it is kept for now".to_owned()));
        assert!(!dir.path().join("etc").exists(), "nothing is defined");
        // Without such services it is nothing to this hook.
        fs::remove_tree(&partition.join(DIRECTORY)).unwrap();
        assert_eq!(Prerm.report(&scene, &member, &|| Ok(false)).unwrap(), Removal::Now);
    }
}
