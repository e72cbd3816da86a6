//! `slapos cachelookup ...`: what the network cache of the configuration has.

use serde_json::{Value as Json, json};
use slapos_config::Config;
use slapos_node::NodeError;
use slapos_slap::SoftwareUrl;
use slapos_sources::{CacheEntry, lookup};

use crate::cli::{CacheLookup, Global};
use crate::output::{Table, say, say_json};
use crate::place;

pub(crate) fn run(global: &Global, command: &CacheLookup) -> Result<u8, NodeError> {
    let file = place::absolute(&place::config_file(global))?;
    let config = Config::read(&file)?;
    let (dir, key, columns): (_, _, &[&str]) = match command {
        CacheLookup::BinarySr { software } => {
            let columns =
                &["multiarch", "distribution", "version", "id", "compatible?", "verified?"];
            ("download-binary-dir-url", md5_of(software), columns)
        }
        CacheLookup::Url { url } => {
            let key = format!("file-urlmd5:{}", SoftwareUrl::new(url.as_str()).md5_hex());
            ("download-dir-url", key, &["url", "sha512", "signed"])
        }
        CacheLookup::Pypi { name, version } => (
            "download-dir-url",
            format!("pypi:{name}={version}"),
            &["basename", "sha512", "signed"],
        ),
    };
    let option = |name: &str| {
        let value = config.get("networkcache", name).filter(|value| !value.is_empty());
        value.ok_or_else(|| {
            config.error("networkcache", name, format!("[networkcache] needs the option `{name}`"))
        })
    };
    let (url, certificates) = (option(dir)?, option("signature-certificate-list")?);
    let found = lookup(url, &key, certificates);
    let found = found.map_err(|error| NodeError::user(format!("the network cache: {error}")))?;
    let Some(entries) = found else {
        return Err(NodeError::user(format!("{key} is not in the network cache at {url}")));
    };
    if global.json {
        let rows = entries
            .iter()
            .map(|entry| json!({ "information": entry.information, "verified": entry.verified }));
        say_json(&Json::Array(rows.collect()));
    } else if entries.is_empty() {
        say("Object found in cache, but has no entry.");
    } else {
        show(command, columns, &entries);
    }
    Ok(0)
}

/// The MD5 of a URL; what looks like one is one already.
fn md5_of(software: &str) -> String {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match software.len() == 32 && software.bytes().all(hex) {
        true => software.to_owned(),
        false => SoftwareUrl::new(software).md5_hex(),
    }
}

fn show(command: &CacheLookup, columns: &[&str], entries: &[CacheEntry]) {
    let mut table = Table::new(columns);
    let own = Machine::this();
    for entry in entries {
        let text = |name: &str| entry.information[name].as_str().unwrap_or_default().to_owned();
        let verified = if entry.verified { "yes" } else { "no" }.to_owned();
        match command {
            CacheLookup::BinarySr { .. } => {
                let machine = Machine::of(&entry.information);
                let fits = if machine.runs_on(&own) { "yes" } else { "no" }.to_owned();
                let [name, version, id] = machine.os;
                table.row([machine.multiarch, name, version, id, fits, verified]);
            }
            CacheLookup::Url { .. } => table.row([text("url"), text("sha512"), verified]),
            CacheLookup::Pypi { .. } => table.row([text("basename"), text("sha512"), verified]),
        }
    }
    say(&table.to_string());
}

/// A kind of machine that something was built for.
#[derive(Debug, Clone, PartialEq)]
struct Machine {
    multiarch: String,
    /// The distribution, its version and its name.
    os: [String; 3],
}

impl Machine {
    /// As an entry tells it.
    fn of(information: &Json) -> Self {
        let part = |index: usize| information["os"][index].as_str().unwrap_or_default().to_owned();
        let multiarch = information["multiarch"].as_str().unwrap_or_default().to_owned();
        Self { multiarch, os: [part(0), part(1), part(2)] }
    }

    fn this() -> Self {
        let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let os = [value("ID"), value("VERSION_ID"), value("VERSION_CODENAME")];
        Self { multiarch: format!("{}-linux-gnu", std::env::consts::ARCH), os }
    }

    fn runs_on(&self, other: &Self) -> bool {
        self.multiarch == other.multiarch && self.family() == other.family()
    }

    /// Versions of Debian are alike whose first number is.
    fn family(&self) -> (String, String, String) {
        let [name, version, id] = self.os.clone().map(|part| part.to_lowercase());
        match name.as_str() {
            "debian" | "raspbian" => {
                let major = version.split('.').next().unwrap_or_default().to_owned();
                ("debian".to_owned(), major, String::new())
            }
            _ => (name, version, id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_that_are_alike() {
        let machine = |os: [&str; 3]| Machine {
            multiarch: "x86_64-linux-gnu".to_owned(),
            os: os.map(str::to_owned),
        };
        let debian = machine(["debian", "12.5", "bookworm"]);
        assert!(machine(["Debian", "12", ""]).runs_on(&debian));
        assert!(!machine(["debian", "11", ""]).runs_on(&debian));
        assert!(
            !machine(["ubuntu", "22.04", "jammy"]).runs_on(&machine(["ubuntu", "24.04", "noble"]))
        );
        let other = Machine { multiarch: "aarch64-linux-gnu".to_owned(), ..debian.clone() };
        assert!(!other.runs_on(&debian));
    }

    #[test]
    fn keys() {
        assert_eq!(md5_of("d41d8cd98f00b204e9800998ecf8427e"), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_of(""), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
