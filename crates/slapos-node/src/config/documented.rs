//! Holds that `docs/configuration.md` names every option that is read.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use slapos_config::Config;

use super::NodeConfig;

thread_local! {
    static ASKED: RefCell<BTreeSet<(String, String)>> = RefCell::default();
}

/// Notes that an option was looked for.
pub(super) fn asked(section: &str, option: &str) {
    // The two spellings of an option are one.
    let option = (section.to_owned(), option.replace('-', "_"));
    ASKED.with_borrow_mut(|asked| asked.insert(option));
}

#[test]
fn every_option_that_is_read_is_documented() {
    let text = "[slapos]\nsoftware_root = /s\ninstance_root = /i\ncomputer_id = c\n\
        master_url = http://m\n[slapformat]\n[collect]\n[slapproxy]\n\
        database_uri = /m/proxy.db\ntls_port = 1\ncertificate_file = /c\nkey_file = /k\n\
        [multimaster/http://o]\n";
    let config = Config::parse(text, "slapos.cfg").unwrap();
    NodeConfig::from_config(&config, Path::new("slapos.cfg")).unwrap();
    let guide = include_str!("../../../../docs/configuration.md");
    let asked = ASKED.take();
    assert!(asked.len() > 90, "{}", asked.len());
    let undocumented: Vec<_> =
        asked.iter().filter(|(_, option)| !guide.contains(&format!("`{option}`"))).collect();
    assert!(undocumented.is_empty(), "not in docs/configuration.md: {undocumented:?}");
}
