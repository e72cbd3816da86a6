//! The words of an SLA: what a request may say about the place and the keeping of an instance.

use indexmap::IndexMap;

/// What the original's large Master knows of a computer.
pub const PROPERTIES: [&str; 11] = [
    "group",
    "cpu_core",
    "cpu_frequency",
    "cpu_type",
    "local_area_network_type",
    "region",
    "memory_size",
    "memory_type",
    "storage_capacity",
    "storage_interface",
    "storage_redundancy",
];

/// All other words.
const WORDS: [&str; 12] = [
    "capability",
    "computer_guid",
    "fw_authorized_sources",
    "fw_rejected_sources",
    "fw_restricted_access",
    "instance_guid",
    "master_url",
    "mode",
    "network_guid",
    "project_guid",
    "retention_delay",
    "rollback",
];

/// What another Master is told about who asks it.
const SOURCE: &str = "source_instance_id";

/// The keys that nobody knows: most likely a slip of the pen.
pub fn unknown_keys(sla: &IndexMap<String, String>) -> Vec<&str> {
    let known = |key: &str| {
        WORDS.contains(&key)
            || PROPERTIES.contains(&key)
            || key == SOURCE
            || key.strip_prefix("label_").is_some_and(|label| !label.is_empty())
    };
    sla.keys().map(String::as_str).filter(|key| !known(key)).collect()
}

/// What is known, for messages.
pub fn known_keys() -> String {
    format!("{}, {}, label_KEY", WORDS.join(", "), PROPERTIES.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_found() {
        let sla = ["computer_gid", "computer_guid", "label_", "label_disk", "cpu_core", "rollback"];
        let sla = sla.map(|key| (key.to_owned(), "x".to_owned())).into();
        assert_eq!(unknown_keys(&sla), ["computer_gid", "label_"]);
        assert!(known_keys().contains("network_guid"));
    }
}
