//! Notes which options are looked for, and holds that `docs/configuration.md` names each.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use slapos_config::Config;

use super::NodeConfig;
use crate::client_config::ClientConfig;

type Options = BTreeSet<(String, String)>;

thread_local! {
    static ASKED: RefCell<Options> = RefCell::default();
}

/// Notes that an option was looked for.
pub(super) fn asked(section: &str, option: &str) {
    ASKED.with_borrow_mut(|asked| asked.insert((section.to_owned(), option.to_owned())));
}

/// All options that a node and a user look for, by section.
pub(super) fn asked_by() -> (Options, Options) {
    let text = "[slapos]\nsoftware_root = /s\ninstance_root = /i\ncomputer_id = c\n\
        master_url = http://m\n[slapformat]\n[collect]\n[slapproxy]\n\
        database_uri = /m/proxy.db\ntls_port = 1\ncertificate_file = /c\nkey_file = /k\n\
        shacache_content_directory = /a\nshacache_metadata_directory = /b\n\
        [multimaster/http://o]\n";
    let config = Config::parse(text, "slapos.cfg").unwrap();
    ASKED.take();
    NodeConfig::from_config(&config, Path::new("slapos.cfg")).unwrap();
    let node = ASKED.take();
    ClientConfig::from_config(&config).unwrap();
    (node, ASKED.take())
}

#[test]
fn every_option_that_is_read_is_documented() {
    let guide = include_str!("../../../../docs/configuration.md");
    let (asked, _) = asked_by();
    assert!(asked.len() > 90, "{}", asked.len());
    // The two spellings of an option are one.
    let spelt = |option: &str| option.replace('-', "_");
    let named = |option: &str| guide.contains(&format!("`{}`", spelt(option)));
    let undocumented: Vec<_> = asked.iter().filter(|(_, option)| !named(option)).collect();
    assert!(undocumented.is_empty(), "not in docs/configuration.md: {undocumented:?}");
}
