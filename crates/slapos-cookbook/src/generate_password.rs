//! `slapos.cookbook:generate.password`: a password drawn once and kept in a file.
//!
//! Options:
//! - `bytes`: how many letters and digits, default 16;
//! - `storage-path`: the file that keeps it, mode 0600, default `<parts-directory>/<name>`; empty
//!   for none, where something else keeps it (see `publish-early`);
//! - `create-once`: default true, the file outlives the part; false, it goes with it;
//! - `passwd`: set to the password; a profile that gives it decides;
//! - `passwd-<scheme>`: a hash of it that the file already has. New ones need Python and are
//!   refused.
//!
//! The file is JSON, `{"": password, "passwd-<scheme>": hash}`; one that is no such JSON is taken
//! as the password itself. The password is a secret to the engine: not recorded, not compared, not
//! shown. Where another option refers to it, prefer a template of which `passwd` is the context.

use std::collections::BTreeMap;
use std::path::PathBuf;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sys::Secret;

use crate::common::{self, Literal, draw};
use crate::jinja::json;

/// Longest password, in characters.
const LONGEST: usize = 4096;
/// How the options for hashes begin.
const HASH: &str = "passwd-";

/// The recipe.
pub(crate) struct GeneratePassword;

impl Recipe for GeneratePassword {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let create_once = init.get("create-once").is_none_or(common::is_true);
        let default = init.parts_location();
        let stored_at = init.set_default("storage-path", &default.to_string_lossy());
        let path = Some(stored_at.trim()).filter(|text| !text.is_empty());
        let path = path.map(|text| common::path(init, text));
        let given = init.get("passwd").map(str::to_owned).filter(|text| !text.is_empty());
        let text = match &path {
            Some(path) => common::read_if_there(init, "storage-path", path)?,
            None => None,
        };
        let mut known = text.as_deref().map(read).unwrap_or_default();
        if let Some(given) = given
            && known.get("") != Some(&given)
        {
            known = BTreeMap::from([(String::new(), given)]);
        }
        let password = match known.get("").filter(|password| !password.is_empty()) {
            Some(password) => password.clone(),
            None => draw::password(init, length(init)?)?,
        };
        known.insert(String::new(), password.clone());
        init.set_secret("passwd", Secret::new(password));
        for (name, hash) in known.iter().filter(|(name, _)| name.starts_with(HASH)) {
            init.set_secret(name, Secret::new(hash.clone()));
        }
        let help = "hashes of a password need the Python host (passlib), which this version does \
                    not have: hash it where it is used, or have the program hash it";
        init.explain_missing("", HASH, help);
        let content = Secret::new(written(&known));
        let is_stored = text.as_deref() == Some(content.expose());
        Ok(Box::new(Password { path, content, create_once, is_stored }))
    }
}

fn length(init: &PartInit<'_>) -> Result<usize, ProfileError> {
    let text = init.get("bytes").unwrap_or("16");
    match text.trim().parse::<usize>() {
        Ok(length) if (1..=LONGEST).contains(&length) => Ok(length),
        _ => {
            let message = format!("`bytes` must be a number from 1 to {LONGEST}, not `{text}`");
            Err(init.error("bytes", &message, None))
        }
    }
}

/// Password (under the empty name) and hashes in a stored file, of the new or the old form.
fn read(text: &str) -> BTreeMap<String, String> {
    let text = text.trim_matches('\n');
    match serde_json::from_str::<BTreeMap<String, String>>(text) {
        Ok(known) if known.contains_key("") => known,
        _ => BTreeMap::from([(String::new(), text.to_owned())]),
    }
}

fn written(known: &BTreeMap<String, String>) -> String {
    let pairs = known.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    json::of_literal(&Literal::Dict(pairs.collect()))
}

struct Password {
    path: Option<PathBuf>,
    content: Secret,
    create_once: bool,
    /// The file has this content already.
    is_stored: bool,
}

impl Password {
    fn store(&self) -> Result<(), PartError> {
        match &self.path {
            Some(path) => {
                common::write_file(path, self.content.expose().as_bytes(), 0o600).map(drop)
            }
            None => Ok(()),
        }
    }
}

impl Part for Password {
    fn claims(&self) -> Vec<PathBuf> {
        self.path.iter().filter(|_| !self.create_once).cloned().collect()
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.store().map(|()| self.claims())
    }

    fn update(&self, _cx: &PartContext<'_>) -> Result<(), PartError> {
        self.store()
    }

    fn needs_update(&self) -> Option<String> {
        let path = self.path.as_ref().filter(|_| !self.is_stored)?;
        Some(format!("its password is not in {} yet", path.display()))
    }

    fn is_trivial(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_file_are_read() {
        assert_eq!(read("old\n")[""], "old");
        assert_eq!(read("12345\n")[""], "12345");
        assert_eq!(read("{\"a\": \"b\"}")[""], "{\"a\": \"b\"}");
        let known = read("{\"\": \"p\", \"passwd-x\": \"h\"}");
        assert_eq!((&*known[""], &*known["passwd-x"]), ("p", "h"));
        assert_eq!(written(&known), "{\"\": \"p\", \"passwd-x\": \"h\"}");
    }
}
