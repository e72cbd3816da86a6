//! Disks for virtual machines: `.slapos-disk-permission` lists them, and their device files are
//! given to the partition's user and the group `disk` (manager `devperm`).
//!
//! Only disks that `allowed-disk-for-vm` in `[manager:devperm]` names are given away, and only by
//! root or by whom they were given to before: no partition takes another's. The original gives any
//! disk of the machine if that option is not set, its own included; here it gives none. What is given
//! is recorded before. When the instance is removed, its disks are root's again, whatever the option
//! says by then.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_slap::PartitionId;
use slapos_sys::user::{self, Identity};

use super::Hook;
use super::planted::{self, Planted};
use super::scene::{Member, Occasion, Scene};
use crate::command;
use crate::config::{HooksConfig, Manager};
use crate::error::{IoContext, NodeError};
use crate::place::partition_owner;
use crate::shelf::{Kept, Shelf};

const FILE: &str = ".slapos-disk-permission";
const OPTION: &str = "allowed-disk-for-vm";
/// Owns disks beside their user.
const GROUP: &str = "disk";

/// The disks that a partition was given.
#[derive(Default, Serialize, Deserialize)]
struct Given(BTreeSet<PathBuf>);

impl Kept for Given {
    const NAME: &'static str = "record of its disks";
    const LONGEST: u64 = 1 << 20;
}

fn shelf<'a>(scene: &Scene<'a, '_>) -> Shelf<'a, Given> {
    scene.shelf("devperm")
}

/// See the module.
pub(super) struct Devperm {
    allowed: Vec<PathBuf>,
}

impl Devperm {
    pub(super) fn new(config: &HooksConfig) -> Self {
        let lines = config.lines(Manager::Devperm, OPTION).unwrap_or_default();
        Self { allowed: lines.into_iter().map(PathBuf::from).collect() }
    }

    fn give(&self, scene: &Scene<'_, '_>, member: &Member<'_>) -> Result<(), NodeError> {
        let entries = match planted::list(scene, member, FILE)? {
            Planted::Said(entries) if !entries.is_empty() => entries,
            _ => return Ok(()),
        };
        let owner = member.owner(scene)?;
        let disks = disks()?;
        for entry in &entries {
            match self.one(entry, &disks, &owner) {
                Ok(None) => {}
                Ok(Some(disk)) => {
                    Self::record(scene, &member.partition.id, &disk)?;
                    let to = Identity { gid: disk_group(&owner)?, ..owner.clone() };
                    user::chown(&disk, &to).context("give away", &disk)?;
                    scene.note(member, &format!("{} is now its", disk.display()));
                }
                Err(why) => scene.warn(member, &format!("{FILE}: {entry}: {why}")),
            }
        }
        Ok(())
    }

    fn record(
        scene: &Scene<'_, '_>,
        partition: &PartitionId,
        disk: &Path,
    ) -> Result<(), NodeError> {
        let shelf = shelf(scene);
        let mut given = shelf.load(partition.as_str())?.unwrap_or_default();
        given.0.insert(disk.to_owned());
        shelf.store(partition.as_str(), &given)
    }

    /// The disk that an entry asks for, if it is to be given away; `None` if it was before.
    fn one(
        &self,
        entry: &serde_json::Value,
        disks: &BTreeSet<PathBuf>,
        owner: &Identity,
    ) -> Result<Option<PathBuf>, String> {
        let named = entry.get("disk").and_then(serde_json::Value::as_str);
        let named = named.ok_or("it names no disk")?;
        let disk = std::fs::canonicalize(named).map_err(|error| error.to_string())?;
        let found = std::fs::symlink_metadata(&disk).map_err(|error| error.to_string())?;
        let holder = found.file_type().is_block_device().then_some(found.uid());
        decide(&disk, holder, &self.allowed, disks, owner.uid).map(|give| give.then_some(disk))
    }
}

impl Hook for Devperm {
    fn name(&self) -> &'static str {
        "devperm"
    }

    fn instance(&self, scene: &Scene<'_, '_>, member: &Member<'_>) -> Result<(), NodeError> {
        match member.occasion {
            Occasion::Going => Ok(()),
            _ => self.give(scene, member),
        }
    }

    fn instance_tear_down(
        &self,
        scene: &Scene<'_, '_>,
        member: &Member<'_>,
    ) -> Result<(), NodeError> {
        self.instance(scene, member)
    }

    /// Nobody of the partition's user is left to use them.
    fn removed(&self, scene: &Scene<'_, '_>, partition: &PartitionId) -> Result<(), NodeError> {
        let directory = scene.node.config.instance_root.join(partition.as_str());
        let Ok(owner) = partition_owner(&directory) else { return Ok(()) };
        // Also allowed ones that were given before there was a record.
        let shelf = shelf(scene);
        let mut disks = shelf.load(partition.as_str())?.unwrap_or_default().0;
        disks.extend(self.allowed.iter().cloned());
        for disk in &disks {
            let Ok(disk) = std::fs::canonicalize(disk) else { continue };
            let is_its = std::fs::symlink_metadata(&disk)
                .is_ok_and(|found| found.file_type().is_block_device() && found.uid() == owner.uid);
            if is_its && user::is_root() && owner.uid != 0 {
                let root = user::by_uid(0).context("look up root for", &disk)?;
                let root = Identity { gid: disk_group(&root)?, ..root };
                user::chown(&disk, &root).context("take back", &disk)?;
                let text = format!("{} is root's again", disk.display());
                scene.node.reporter.note(partition.as_str(), &text);
            }
        }
        shelf.forget(partition.as_str())
    }
}

/// Whether the disk, which `holder` has (none: it is no block device), is to be given to `wanter`:
/// a pure function. Refusals say why.
fn decide(
    disk: &Path,
    holder: Option<u32>,
    allowed: &[PathBuf],
    disks: &BTreeSet<PathBuf>,
    wanter: u32,
) -> Result<bool, String> {
    if !allowed.iter().any(|known| known == disk) {
        return Err(format!("`{OPTION}` in [manager:devperm] does not name {}", disk.display()));
    }
    if !disks.contains(disk) {
        return Err(format!("lsblk knows no disk {}", disk.display()));
    }
    match holder {
        None => Err(format!("{} is no block device", disk.display())),
        Some(holder) if holder == wanter => Ok(false),
        Some(0) => Ok(true),
        Some(holder) => Err(format!(
            "{} belongs to uid {holder}; `chown root` it if nobody uses it any more",
            disk.display()
        )),
    }
}

/// The group that disks have, or that of `user` where there is none.
fn disk_group(user: &Identity) -> Result<u32, NodeError> {
    let found = user::group_id(GROUP).context("look up the group of", Path::new("/dev"))?;
    Ok(found.unwrap_or(user.gid))
}

#[derive(Deserialize)]
struct Listing {
    blockdevices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    path: Option<PathBuf>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    children: Vec<Device>,
}

/// The disks and their partitions, as lsblk tells.
fn disks() -> Result<BTreeSet<PathBuf>, NodeError> {
    let words = ["lsblk", "--json", "--output-all"].map(str::to_owned);
    let said = command::run(&words)?;
    let fail = |why: &str| NodeError::user(format!("lsblk does not tell the disks: {why}"));
    if !said.success {
        return Err(fail(&said.output));
    }
    parse(&said.output).map_err(|error| fail(&error.to_string()))
}

fn parse(text: &str) -> serde_json::Result<BTreeSet<PathBuf>> {
    let listing: Listing = serde_json::from_str(text)?;
    let mut found = BTreeSet::new();
    for device in listing.blockdevices {
        let parts = device.children.iter().map(|child| (child, "part"));
        for (device, kind) in parts.chain([(&device, "disk")]) {
            if device.kind.as_deref() == Some(kind) {
                found.extend(device.path.clone());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_and_their_partitions_are_known() {
        let text = r#"{"blockdevices": [
            {"path": "/dev/sda", "type": "disk", "size": "1G", "children": [
                {"path": "/dev/sda1", "type": "part"}, {"path": "/dev/mapper/x", "type": "crypt"}]},
            {"path": "/dev/loop0", "type": "loop"}, {"path": null, "type": "disk"}]}"#;
        let found: Vec<_> = parse(text).unwrap().into_iter().collect();
        assert_eq!(found, [PathBuf::from("/dev/sda"), PathBuf::from("/dev/sda1")]);
        assert!(parse("[]").is_err());
    }

    #[test]
    fn only_what_is_allowed_and_free_is_given_away() {
        let disk = Path::new("/dev/sdb");
        let allowed = [disk.to_owned()];
        let disks = BTreeSet::from([disk.to_owned(), PathBuf::from("/dev/sda")]);
        assert_eq!(decide(disk, Some(0), &allowed, &disks, 7), Ok(true));
        assert_eq!(decide(disk, Some(7), &allowed, &disks, 7), Ok(false));
        let why = |disk: &str, holder, allowed: &[PathBuf]| {
            decide(Path::new(disk), holder, allowed, &disks, 7).unwrap_err()
        };
        insta::assert_snapshot!(why("/dev/sdb", Some(8), &allowed), @"/dev/sdb belongs to uid 8; `chown root` it if nobody uses it any more");
        insta::assert_snapshot!(why("/dev/sda", Some(0), &allowed), @"`allowed-disk-for-vm` in [manager:devperm] does not name /dev/sda");
        insta::assert_snapshot!(why("/dev/sda", Some(0), &[]), @"`allowed-disk-for-vm` in [manager:devperm] does not name /dev/sda");
        insta::assert_snapshot!(why("/dev/null", None, &["/dev/null".into()]), @"lsblk knows no disk /dev/null");
        insta::assert_snapshot!(why("/dev/sdb", None, &allowed), @"/dev/sdb is no block device");
    }
}
