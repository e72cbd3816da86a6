//! Finds out about the machine what decisions are made from.

use std::path::{Path, PathBuf};

use slapos_slap::PartitionId;
use slapos_sys::fs;

use super::known;
use super::view::{NetworkView, has_ipv6_loopback, view};
use super::wanted::Survey;
use crate::config::NodeConfig;
use crate::error::{IoContext, NodeError};

/// Looks at what is known of the partitions, at the network and at the storage. The network is not
/// looked at where it is left alone.
///
/// # Errors
/// When something is there that cannot be read.
pub fn survey(config: &NodeConfig) -> Result<Survey, NodeError> {
    let network = &config.format.network;
    let network = match (network.is_altered(), network.interface_with_ipv6()) {
        (true, _) => view()?,
        // Only for the computer's own address, which is known from before where it matters.
        (false, Some(_)) => view().unwrap_or_default(),
        (false, None) => NetworkView::default(),
    };
    Ok(Survey {
        known: known::read(config)?,
        network,
        ipv6_loopback: has_ipv6_loopback(),
        storage: storage(config)?,
        os_type: Some(os_type()),
        refused: Default::default(),
    })
}

/// The directories that `partition` has outside of its own, as far as there are any.
///
/// # Errors
/// When `instance_storage_home` cannot be listed.
pub(crate) fn storage_of(
    config: &NodeConfig,
    partition: &PartitionId,
) -> Result<Vec<PathBuf>, NodeError> {
    Ok(storage(config)?.into_iter().map(|data| data.join(partition.as_str())).collect())
}

fn storage(config: &NodeConfig) -> Result<Vec<PathBuf>, NodeError> {
    config.grid.instance_storage_home.as_deref().map_or(Ok(Vec::new()), numbered)
}

/// The directories `data<number>` in `home`, by number; none where there is no `home`.
fn numbered(home: &Path) -> Result<Vec<PathBuf>, NodeError> {
    const LIST: &str = "list `instance_storage_home`";
    let entries = match std::fs::read_dir(home) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.context(LIST, home)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.context(LIST, home)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let digits = name.strip_prefix("data").filter(|rest| !rest.is_empty());
        let number = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(number) = number.filter(|_| path.is_dir()) {
            found.push((number.len(), number.to_owned(), path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, _, path)| path).collect())
}

/// Platform, distribution, its version and its name, as a JSON list in the form of Python.
fn os_type() -> String {
    let release = fs::read_to_string_lossy(Path::new("/etc/os-release"), 1 << 16);
    let release = release.unwrap_or_default();
    let word = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let kernel = fs::read_to_string_lossy(Path::new("/proc/sys/kernel/osrelease"), 1 << 10);
    let kernel = kernel.unwrap_or_default();
    let platform = format!("Linux-{}-{}", kernel.trim(), std::env::consts::ARCH);
    let words = [platform, word("ID"), word("VERSION_ID"), word("NAME")];
    let words = words.map(|word| serde_json::Value::from(word).to_string());
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
mod tests {
    use super::*;

    #[test]
    fn storage_is_numbered_directories() {
        let home = tempfile::tempdir().unwrap();
        for name in ["data10", "data2", "data", "dataX", "other1"] {
            std::fs::create_dir(home.path().join(name)).unwrap();
        }
        std::fs::write(home.path().join("data3"), "").unwrap();
        let found = numbered(home.path()).unwrap();
        assert_eq!(found, ["data2", "data10"].map(|name| home.path().join(name)));
        assert!(numbered(&home.path().join("none")).unwrap().is_empty());
        assert!(numbered(&home.path().join("data3")).is_err());
    }

    #[test]
    fn the_operating_system_is_a_list_of_four() {
        let list: Vec<String> = serde_json::from_str(&os_type()).unwrap();
        assert_eq!(list.len(), 4);
        assert!(list[0].starts_with("Linux-"), "{list:?}");
    }
}
