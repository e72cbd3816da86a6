//! `slapos cachelookup ...`: what the network cache of the configuration has.

use serde_json::{Value as Json, json};
use slapos_config::Config;
use slapos_node::NodeError;
use slapos_slap::SoftwareUrl;
use slapos_sources::{CacheEntry, Machine, lookup};

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
                let fits = Machine::of(&entry.information).as_ref() == Some(&own);
                let fits = if fits { "yes" } else { "no" }.to_owned();
                let part = |index: usize| {
                    entry.information["os"][index].as_str().unwrap_or_default().to_owned()
                };
                table.row([text("multiarch"), part(0), part(1), part(2), fits, verified]);
            }
            CacheLookup::Url { .. } => table.row([text("url"), text("sha512"), verified]),
            CacheLookup::Pypi { .. } => table.row([text("basename"), text("sha512"), verified]),
        }
    }
    say(&table.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(md5_of("d41d8cd98f00b204e9800998ecf8427e"), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_of(""), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
