//! Which options there are, so that one that is misspelt is told instead of silently having no effect.
//!
//! The lists name the options as they have to be written. Tests hold them against what is read and against
//! `docs/configuration.md`. Sections that are not here are left alone: the same file may serve others.

use slapos_config::{Config, shown_section};
use slapos_profile::closest;

/// Options of `[slapos]`; those of [`FORMAT`] may stand there, too.
const NODE: &[&str] = &[
    "agent_poll_interval",
    "build_time_part_list",
    "buildout_debug",
    "buildout-debug",
    "cert_file",
    "certificate_repository_path",
    "collect_cache",
    "computer_id",
    "develop",
    "download_cache",
    "forbid_supervisord_automatic_launch",
    "force_stop",
    "force-stop",
    "generations_kept",
    "instance_jobs",
    "instance_min_free_space",
    "instance_root",
    "instance_storage_home",
    "ipv4_global_network",
    "key_file",
    "manager_list",
    "master_ca_file",
    "master_timeout",
    "master_token_file",
    "master_url",
    "maximal_delay",
    "maximum_periodicity",
    "only_cp",
    "only-cp",
    "only_sr",
    "only-sr",
    "partition_timeout",
    "partition-timeout",
    "pidfile_instance",
    "pidfile_report",
    "pidfile_software",
    "power_user_list",
    "promise_timeout",
    "rollback",
    "rollback_deadline",
    "root_check",
    "shared_part_list",
    "signature_private_key_file",
    "software_min_free_space",
    "software_root",
];

/// Options of `[slapformat]`.
const FORMAT: &[&str] = &[
    "alter_network",
    "alter_user",
    "bridge_name",
    "cert_file",
    "certificate_repository_path",
    "computer_json",
    "computer_xml",
    "create_tap",
    "create_tun",
    "input_definition_file",
    "instance_storage_home",
    "interface_name",
    "ipv4_local_network",
    "ipv6_interface",
    "ipv6_prefixshift",
    "key_file",
    "log_file",
    "master_ca_file",
    "no_bridge",
    "output_definition_file",
    "partition_amount",
    "partition_base_name",
    "partition_has_ipv6_range",
    "public_ipv4_address",
    "software_user",
    "tap_base_name",
    "tap_gateway_interface",
    "tap_ipv6",
    "tun_ipv6",
    "user_base_name",
];

/// Options of `[networkcache]`.
const CACHE: &[&str] = &[
    "binary-cache-url-blacklist",
    "download-binary-cache-url",
    "download-binary-dir-url",
    "download-dir-url",
    "download-from-binary-cache-force-url-list",
    "download-from-binary-cache-url-blacklist",
    "shacache-ca-file",
    "shacache-cert-file",
    "shacache-key-file",
    "shadir-ca-file",
    "shadir-cert-file",
    "shadir-key-file",
    "signature-certificate-list",
    "signature-private-key-file",
    "signature_private_key_file",
    "upload-binary-cache-url",
    "upload-binary-dir-url",
    "upload-to-binary-cache-url-blacklist",
];

/// Options of `[slapproxy]`.
const MASTER: &[&str] = &[
    "allow_plain_http",
    "certificate_days",
    "certificate_file",
    "connections",
    "database_password_file",
    "database_uri",
    "direct_frontends",
    "directory",
    "failures_per_minute",
    "host",
    "key_file",
    "listeners",
    "port",
    "requests_per_second",
    "schema",
    "schema_http",
    "shacache_anonymous_download",
    "shacache-anonymous-download",
    "shacache_content_directory",
    "shacache-content-directory",
    "shacache_largest_content",
    "shacache-largest-content",
    "shacache_metadata_directory",
    "shacache-metadata-directory",
    "shacache_shared",
    "shacache-shared",
    "shacache_upstream_cache_url",
    "shacache-upstream-cache-url",
    "shacache_upstream_dir_url",
    "shacache-upstream-dir-url",
    "software_product_list",
    "tls_host",
    "tls_names",
    "tls_port",
    "trusted_proxies",
    "user",
];

/// A section, lists of its options, and options without effect.
type Section = (&'static str, &'static [&'static [&'static str]], &'static [&'static str]);

/// Sections, the options that each may have, and those of the original that have no effect here and
/// harm nobody, or are told of elsewhere
/// ([`NodeConfig::without_effect`](super::NodeConfig::without_effect)).
const SECTIONS: &[Section] = &[
    (
        "slapos",
        &[NODE, FORMAT],
        &[
            "buildout",
            "master_rest_url",
            "supervisord_configuration_path",
            "supervisord-configuration-path",
            "supervisord_socket",
            "supervisord-socket",
        ],
    ),
    ("slapformat", &[FORMAT], &["computer_model_id", "heating_sensor_id"]),
    ("networkcache", &[CACHE], &["download-cache-url", "upload-cache-url", "upload-dir-url"]),
    (
        "slapproxy",
        &[MASTER],
        &[
            "local_software_release_root",
            "public_directory_path",
            "shacache_signing_key_path",
            "shacache-signing-key-path",
        ],
    ),
    (
        MULTIMASTER,
        &[&[
            "ca_file",
            "cert",
            "computer",
            "key",
            "partition",
            "software_release_list",
            "token_file",
        ]],
        &[],
    ),
    ("slapconsole", &[&["cert_file", "key_file"]], &["alias", "master_rest_url", "master_url"]),
    (
        "collect",
        &[&["disk_snapshot_time_cycle", "disk_snapshot_use_quota", "report_disk_usage"]],
        // The second row is in the original's example, and read by nobody.
        &[
            "disk_snapshot_process_pid_foder",
            "disk_snapshot_process_pid_folder",
            "enable",
            "pid_folder",
            "time_cycle",
            "use_quota",
        ],
    ),
    (
        "firewall",
        &[&[
            "authorized_sources",
            "dbus_executable",
            "dbus_log_file",
            "firewall_cmd",
            "firewall_executable",
            "log_file",
            "reload_config_cmd",
            "testing",
        ]],
        &[],
    ),
    ("manager:devperm", &[&["allowed-disk-for-vm"]], &[]),
    ("manager:cpuset", &[&["cgroup-path"]], &[]),
];

/// The sections with the URL of a Master are alike.
const MULTIMASTER: &str = "multimaster/URL";

/// The options that a section may have; `None` of a section that is not ours.
fn known(section: &str) -> Option<(Vec<&'static str>, &'static [&'static str])> {
    let name = if section.starts_with("multimaster/") { MULTIMASTER } else { section };
    let (_, lists, ignored) = SECTIONS.iter().find(|(known, ..)| *known == name)?;
    Some((lists.concat(), ignored))
}

/// What the file says that nobody reads, each with its place and what may have been meant.
pub(crate) fn unread(config: &Config) -> Vec<String> {
    let mut told = Vec::new();
    for section in config.sections() {
        let Some((options, ignored)) = known(section) else { continue };
        for (option, line) in config.stated(section) {
            if !options.contains(&option) && !ignored.contains(&option) {
                let (file, meant) = (config.name(), meant(option, &options));
                let section = shown_section(section);
                told.push(format!("{file}:{line}: `{option}` is no option of [{section}]{meant}"));
            }
        }
    }
    told
}

/// The nearest option of the section, or the section that has that very option.
fn meant(option: &str, options: &[&'static str]) -> String {
    let plain = |name: &str| name.replace('-', "_");
    let (word, names) = (plain(option), options.iter().map(|name| plain(name)).collect::<Vec<_>>());
    let names = || names.iter().map(String::as_str);
    let longer = |name: &&str| name.strip_prefix(&word).is_some_and(|rest| rest.starts_with('_'));
    let near = names().find(|name| *name == word).or_else(|| closest(&word, names()));
    let near = near.or_else(|| names().find(longer));
    if let Some(near) = near.and_then(|near| options.iter().find(|name| plain(name) == near)) {
        return format!("; did you mean `{near}`?");
    }
    let elsewhere = SECTIONS.iter().find(|(_, lists, _)| lists.concat().contains(&option));
    match elsewhere {
        Some((section, ..)) => format!(", but of [{section}]"),
        None => ", and has no effect".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::documented::asked_by;
    use super::*;

    const GUIDE: &str = include_str!("../../../../docs/configuration.md");

    fn told(text: &str) -> String {
        unread(&Config::parse(text, "slapos.cfg").unwrap()).join("\n")
    }

    #[test]
    fn what_is_misspelt_is_told_with_its_place_and_what_may_be_meant() {
        let text = "[slapos]\nmaximum_periodicty = 1\npartition_amount = 3\n\
            master-url = http://m\nhost = ::\n[slapformat]\ninterface = eth0\n[networkcache]\n\
            download_binary_dir_url = http://d\n[multimaster/http://me:secret@m]\ncertificate_days = 1\n\
            [slapproxy]\nfrobnicate = 1\n[other]\nanything = 1\n";
        insta::assert_snapshot!(told(text), @r"
        slapos.cfg:2: `maximum_periodicty` is no option of [slapos]; did you mean `maximum_periodicity`?
        slapos.cfg:4: `master-url` is no option of [slapos]; did you mean `master_url`?
        slapos.cfg:5: `host` is no option of [slapos], but of [slapproxy]
        slapos.cfg:7: `interface` is no option of [slapformat]; did you mean `interface_name`?
        slapos.cfg:9: `download_binary_dir_url` is no option of [networkcache]; did you mean `download-binary-dir-url`?
        slapos.cfg:11: `certificate_days` is no option of [multimaster/http://me:***@m], but of [slapproxy]
        slapos.cfg:13: `frobnicate` is no option of [slapproxy], and has no effect
        ");
    }

    #[test]
    fn what_the_originals_files_say_is_no_slip() {
        let text = "[DEFAULT]\nroot = /r\n[slapos]\nbase = %(root)s/b\nsoftware_root = %(base)s/s\n\
            master_rest_url = http://m\n[slapformat]\nbridge_name = br0\n[collect]\n\
            enable = True\ntime_cycle = 1\npid_folder = /p\nuse_quota = False\n[slapproxy]\n\
            local_software_release_root = /\npublic_directory_path = /p\n\
            shacache-signing-key-path = /k\n[networkcache]\ndownload-cache-url = http://c\n\
            upload-dir-url = http://u\n[slapconsole]\nalias = a http://a\n[disabled-firewall]\nx = 1\n";
        assert_eq!(told(text), "");
    }

    #[test]
    fn every_option_that_is_read_is_known() {
        let (node, user) = asked_by();
        assert!(node.len() > 100 && user.len() > 5, "{} {}", node.len(), user.len());
        let unknown = |(section, option): &&(String, String)| {
            !known(section).is_some_and(|(options, _)| options.contains(&option.as_str()))
        };
        let unknown: Vec<_> = node.iter().chain(&user).filter(unknown).collect();
        assert!(unknown.is_empty(), "not in {}: {unknown:?}", file!());
    }

    #[test]
    fn every_option_that_is_known_is_documented_and_the_other_way_round() {
        let mut section = "";
        let mut documented = Vec::new();
        for line in GUIDE.lines() {
            if let Some(heading) = line.strip_prefix("## [") {
                section = heading.split(']').next().unwrap_or_default();
            } else if line.starts_with("## ") {
                section = "";
            }
            let first = line.strip_prefix("| `").and_then(|row| row.split(" | ").next());
            // What follows a name in its cell is no name.
            let names = first.into_iter().flat_map(|cell| cell.split("`, `"));
            let names = names.filter_map(|name| name.split('`').next());
            documented.extend(names.map(|name| (section, name)));
        }
        assert!(documented.len() > 100, "{documented:?}");
        for (section, option) in documented {
            let Some((options, _)) = known(section) else { continue };
            assert!(options.contains(&option), "[{section}] `{option}` is not in {}", file!());
        }
        for option in SECTIONS.iter().flat_map(|(_, lists, _)| lists.concat()) {
            let (low, high) = (option.replace('-', "_"), option.replace('_', "-"));
            let mut spellings = [option, &low, &high].into_iter();
            let found = spellings.any(|option| GUIDE.contains(&format!("{option}`")));
            // "and the same with `shadir`"
            assert!(found || option.starts_with("shadir-"), "`{option}` is not documented");
        }
    }
}
