//! `slapos.cookbook:sshkeys_authority`, a service that makes the SSH keys which other parts of the
//! partition ask for, and `sshkeys_authority.request`, which asks for some.
//!
//! Options of the authority:
//! - `request-directory`: where requests are found;
//! - `keygen-binary`: the program; `openssh` in its path means `ssh-keygen`, else it is
//!   `dropbearkey`;
//! - `wrapper`: the executable to write, mode 0700.
//!
//! Options of a request:
//! - `request-directory`; `keys-directory`: where the keys are made, named after the SHA-256 of
//!   `name`, which is the part's name by default;
//! - `type` (default `rsa`), `size` (4096): of the key, in bits;
//! - `private-key`, `public-key`: links to make to the two keys;
//! - `executable`: a program; `wrapper`: the script to write that waits for both keys, then
//!   becomes the program.
//!
//! A request sets `name` and `public-key-value`, the public key, empty while there is none. The
//! keys stay when the parts go. The authority is a `/bin/sh` script where the original has one in
//! Python; it looks for requests every five seconds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common::{self, required_path, shell_quote};
use crate::symbolic_link::make_link;
use crate::wrapper;

/// What the wrapper does, after the lines that set its variables.
const DAEMON: &str = include_str!("sshkeys_authority/daemon.sh");

/// The recipe of the authority.
pub(crate) struct SshKeysAuthority;

/// The recipe of a request.
pub(crate) struct Request;

impl Recipe for SshKeysAuthority {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let requests = required_path(init, "request-directory")?;
        let script = format!(
            "#!/bin/sh\nrequests={}\nkeygen={}\n{DAEMON}",
            shell_quote(&requests.to_string_lossy()),
            shell_quote(init.require("keygen-binary")?.trim())
        );
        Ok(Box::new(common::Files(vec![(required_path(init, "wrapper")?, script, 0o700)])))
    }
}

impl Recipe for Request {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let part = init.name().to_owned();
        let name = init.set_default("name", &part);
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\n']) {
            let message = "`name` must be the name of a file, and not begin with a dot";
            return Err(init.error("name", message, None));
        }
        let hash: String = Sha256::digest(&name).iter().map(|byte| format!("{byte:02x}")).collect();
        let keys = required_path(init, "keys-directory")?;
        let [private, public] = [keys.join(&hash), keys.join(format!("{hash}.pub"))];
        let value = common::read_if_there(init, "keys-directory", &public)?;
        init.set("public-key-value", value.as_deref().unwrap_or_default());
        let text = request(init, &private, &public)?;
        let before: Vec<String> =
            wrapper::wait_for(&[private.clone(), public.clone()]).into_iter().collect();
        let words = [init.require("executable")?.trim().to_owned()];
        let script = wrapper::script_after(&before, &words, &BTreeMap::new(), "");
        let links = [
            (required_path(init, "public-key")?, public),
            (required_path(init, "private-key")?, private),
        ];
        let request = required_path(init, "request-directory")?.join(name);
        let files = vec![(request, text, 0o600), (required_path(init, "wrapper")?, script, 0o700)];
        Ok(Box::new(Requested { files: common::Files(files), links }))
    }
}

/// The text of a request, as the authority reads it.
fn request(init: &PartInit<'_>, private: &Path, public: &Path) -> Result<String, ProfileError> {
    let (private, public) = (private.display().to_string(), public.display().to_string());
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic() && !"\"\\,}".contains(c));
    if !plain(&private) {
        let message = "`keys-directory` must be a path of plain ASCII without blanks and quotes";
        return Err(init.error("keys-directory", message, None));
    }
    let mut text = format!("{{\"private_key\": \"{private}\", \"public_key\": \"{public}\"");
    if let Some(size) = init.get("size").map(str::trim) {
        let Ok(size) = size.parse::<u32>() else {
            return Err(init.error(
                "size",
                &format!("`size` must be a number, not `{size}`"),
                None,
            ));
        };
        text.push_str(&format!(", \"size\": {size}"));
    }
    if let Some(kind) = init.get("type").map(str::trim) {
        if !plain(kind) {
            return Err(init.error("type", "`type` must be a word such as `rsa`", None));
        }
        text.push_str(&format!(", \"type\": \"{kind}\""));
    }
    Ok(text + "}")
}

struct Requested {
    files: common::Files,
    links: [(PathBuf, PathBuf); 2],
}

impl Part for Requested {
    fn claims(&self) -> Vec<PathBuf> {
        self.files.claims()
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let mut made = self.files.install(cx)?;
        for (link, target) in &self.links {
            make_link(link, target)?;
            cx.record_path(link)?;
            made.push(link.clone());
        }
        Ok(made)
    }
}
