//! What `slapos.cfg` says about hooks: `manager_list`, `power_user_list`, the `[manager:...]`
//! sections and `[firewall]`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use slapos_config::{Config, ConfigError};

/// What selects and steers the hooks.
#[derive(Clone, Debug, Default)]
pub struct HooksConfig {
    /// `[slapos] manager_list`, in its order.
    pub managers: Vec<Manager>,
    /// `[slapos] power_user_list`: users that may ask for processors of their own.
    pub power_users: Vec<String>,
    /// `[firewall]`; the firewall is on if the file has that section.
    pub firewall: Option<FirewallConfig>,
    /// The `[manager:...]` sections by the manager's name.
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

/// A manager of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// Processors for single processes.
    Cpuset,
    /// Disks for virtual machines.
    Devperm,
    /// Ports of the machine that lead to a partition.
    Portredir,
    /// Services that run before an instance is removed.
    Prerm,
    /// Where a partition may connect to.
    Whitelistfirewall,
}

const MANAGERS: [(&str, Manager); 5] = [
    ("cpuset", Manager::Cpuset),
    ("devperm", Manager::Devperm),
    ("portredir", Manager::Portredir),
    ("prerm", Manager::Prerm),
    ("whitelistfirewall", Manager::Whitelistfirewall),
];

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            MANAGERS.iter().find(|(_, manager)| manager == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Manager {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = MANAGERS.iter().find(|(name, _)| *name == text);
        found.map(|(_, manager)| *manager).ok_or_else(|| {
            let known = MANAGERS.map(|(name, _)| name).join(", ");
            format!("there is no manager `{text}`; there are {known}")
        })
    }
}

/// `[firewall]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallConfig {
    /// `firewall_cmd`: program and arguments; `firewall-cmd` unless set.
    pub firewall_cmd: Vec<String>,
    /// `firewall_executable`: a firewalld that the supervisor runs.
    pub firewall_executable: Option<Vec<String>>,
    /// `dbus_executable`: a D-Bus daemon that the supervisor runs for it.
    pub dbus_executable: Option<Vec<String>>,
    /// `reload_config_cmd`: a shell command that brings changed rules into force.
    pub reload_config_cmd: Option<String>,
    /// `authorized_sources`: addresses or networks that reach every instance.
    pub authorized_sources: Vec<String>,
    /// `log_file`: what the firewalld prints.
    pub log_file: PathBuf,
    /// `dbus_log_file`: what the D-Bus daemon prints.
    pub dbus_log_file: PathBuf,
    /// `testing`: the supervisor is given neither of the two programs.
    pub testing: bool,
}

impl HooksConfig {
    /// Reads what concerns hooks.
    ///
    /// # Errors
    /// Names the file and line of what is wrong, such as a manager that does not exist.
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let list = |option: &str| {
            let text = config.get("slapos", option).unwrap_or_default().replace(',', " ");
            text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let wrong = |why: String| config.error("slapos", "manager_list", why);
        let mut managers = Vec::new();
        for name in list("manager_list") {
            let manager = name.parse().map_err(wrong)?;
            if !managers.contains(&manager) {
                managers.push(manager);
            }
        }
        Ok(Self {
            managers,
            power_users: list("power_user_list"),
            firewall: FirewallConfig::from_config(config)?,
            sections: sections(config),
        })
    }

    /// An option of a manager's own section.
    pub fn option(&self, manager: Manager, option: &str) -> Option<&str> {
        let section = self.sections.get(&manager.to_string())?;
        section.get(option).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The lines of an option of a manager's own section; `None` if it is not set.
    pub fn lines(&self, manager: Manager, option: &str) -> Option<Vec<String>> {
        self.option(manager, option).map(lines)
    }
}

/// The sections called `manager`, any character, and a name.
fn sections(config: &Config) -> BTreeMap<String, BTreeMap<String, String>> {
    let named = config.sections().filter_map(|section| {
        let mut rest = section.strip_prefix("manager")?.chars();
        rest.next()?;
        let options =
            config.items(section).map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some((rest.as_str().to_owned(), options.collect()))
    });
    named.collect()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

impl FirewallConfig {
    fn from_config(config: &Config) -> Result<Option<Self>, ConfigError> {
        const SECTION: &str = "firewall";
        if config.section_line(SECTION).is_none() {
            return Ok(None);
        }
        let text = |option: &str| config.get(SECTION, option).filter(|value| !value.is_empty());
        let words = |option: &str| match text(option).map(shlex::split) {
            None => Ok(None),
            Some(Some(words)) if !words.is_empty() => Ok(Some(words)),
            Some(_) => Err(config.error(SECTION, option, format!("`{option}` is no command"))),
        };
        let path = |option: &str, default: &str| PathBuf::from(text(option).unwrap_or(default));
        let testing = match text("testing").unwrap_or("false").to_lowercase().as_str() {
            "true" => true,
            "false" => false,
            other => {
                let why = format!("`testing` must be true or false, not `{other}`");
                return Err(config.error(SECTION, "testing", why));
            }
        };
        Ok(Some(Self {
            firewall_cmd: words("firewall_cmd")?.unwrap_or_else(|| vec!["firewall-cmd".to_owned()]),
            firewall_executable: words("firewall_executable")?,
            dbus_executable: words("dbus_executable")?,
            reload_config_cmd: text("reload_config_cmd").map(str::to_owned),
            authorized_sources: lines(text("authorized_sources").unwrap_or_default()),
            log_file: path("log_file", "/var/log/firewall.log"),
            dbus_log_file: path("dbus_log_file", "/var/log/dbus.log"),
            testing,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HooksConfig, ConfigError> {
        HooksConfig::from_config(&Config::parse(text, "slapos.cfg").unwrap())
    }

    #[test]
    fn managers_are_selected_under_the_originals_names() {
        let config = read(
            "[slapos]\nmanager_list = prerm, cpuset devperm cpuset\npower_user_list = a b\n[manager:devperm]\nallowed-disk-for-vm =\n  /dev/sdb\n\n  /dev/sdc\n",
        )
        .unwrap();
        assert_eq!(config.managers, [Manager::Prerm, Manager::Cpuset, Manager::Devperm]);
        assert_eq!(config.power_users, ["a", "b"]);
        let disks = config.lines(Manager::Devperm, "allowed-disk-for-vm").unwrap();
        assert_eq!(disks, ["/dev/sdb", "/dev/sdc"]);
        assert_eq!(config.lines(Manager::Prerm, "x"), None);
        assert_eq!(config.firewall, None);
        insta::assert_snapshot!(read("[slapos]\nmanager_list = prem\n").unwrap_err(), @"slapos.cfg:2: there is no manager `prem`; there are cpuset, devperm, portredir, prerm, whitelistfirewall");
    }

    #[test]
    fn the_firewall_is_on_when_it_has_a_section() {
        let firewall = read("[firewall]\nauthorized_sources =\n  10.0.0.0/8\n  1.2.3.4\n").unwrap();
        let firewall = firewall.firewall.unwrap();
        assert_eq!(firewall.firewall_cmd, ["firewall-cmd"]);
        assert_eq!(firewall.authorized_sources, ["10.0.0.0/8", "1.2.3.4"]);
        assert_eq!(firewall.reload_config_cmd, None);
        insta::assert_snapshot!(read("[firewall]\ntesting = maybe\n").unwrap_err(), @"slapos.cfg:2: `testing` must be true or false, not `maybe`");
        insta::assert_snapshot!(read("[firewall]\nfirewall_cmd = a 'b\n").unwrap_err(), @"slapos.cfg:2: `firewall_cmd` is no command");
    }
}
