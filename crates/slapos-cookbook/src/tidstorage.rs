//! `slapos.cookbook:tidstorage`: configuration and wrappers of tidstorage, which knows what
//! transactions of several ZODB storages belong together.
//!
//! Options:
//! - `configuration-path`: the configuration to write, mode 0600; it is Python;
//! - `known-tid-storage-identifier-dict`: a mapping (typed, or its text): the storages;
//! - `ip`, `port`: where it listens; `timestamp-file-path`, `logfile-name`, `pidfile-name`,
//!   `status-file`: its files;
//! - `tidstorage-wrapper`: the executable that starts the service; none if absent;
//!   `tidstoraged-binary`: its program;
//! - `repozo-wrapper`: the executable that makes backups, with the programs
//!   `tidstorage-repozo-binary` and `repozo-binary`.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, Literal};
use crate::wrapper;

/// The recipe.
pub(crate) struct TidStorage;

impl Recipe for TidStorage {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("configuration-path")?);
        let config = path.to_string_lossy().into_owned();
        let mut files = vec![(path, configuration(init)?, 0o600)];
        let mut wrap = |option: &str, words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let script = wrapper::script(&words, &Default::default(), "");
            let path = init.get(option).map(|text| common::path(init, text));
            files.extend(path.map(|path| (path, script, 0o700)));
        };
        if init.get("tidstorage-wrapper").is_some_and(|text| !text.trim().is_empty()) {
            let daemon = init.require("tidstoraged-binary")?;
            wrap("tidstorage-wrapper", &[&daemon, "--nofork", "--config", &config]);
        }
        init.require("repozo-wrapper")?;
        let (backup, repozo) =
            (init.require("tidstorage-repozo-binary")?, init.require("repozo-binary")?);
        let words = [&backup, "--config", &config, "--repozo", &repozo, "--gzip", "--quick"];
        wrap("repozo-wrapper", &words);
        Ok(Box::new(common::Files(files)))
    }
}

fn configuration(init: &PartInit<'_>) -> Result<String, ProfileError> {
    let storages = init.require("known-tid-storage-identifier-dict")?;
    let port = init.require("port")?;
    if port.trim().parse::<u16>().is_err() {
        return Err(init.error("port", &format!("`port` must be a number, not `{port}`"), None));
    }
    let mut text = format!(
        "known_tid_storage_identifier_dict = {}\naddress = {}\nport = {}\n\
         burst_period = 30\nfull_dump_period = 300\n",
        Literal::of_option(&storages).to_text(),
        Literal::Str(init.require("ip")?),
        port.trim()
    );
    for option in ["timestamp-file-path", "logfile-name", "pidfile-name", "status-file"] {
        let value = Literal::Str(init.require(option)?);
        text.push_str(&format!("{} = {value}\n", option.replace('-', "_")));
    }
    Ok(text)
}
