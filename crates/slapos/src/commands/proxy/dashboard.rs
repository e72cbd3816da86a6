//! `slapos proxy dashboard`: where the dashboard is, and the address that signs in there.
//!
//! Invariants: the token is shown to who asks for it by this command only, and given to nobody but a
//! Master that has just proved to know it; it is in no argument of a process, because others can read
//! those.

use std::path::{Path, PathBuf};

use serde_json::json;
use slapos_node::{NodeError, OperatorConfig, read_token};
use slapos_sys::process::Command;

use crate::cli::Global;
use crate::output::{say, say_json};

/// What opens a page in the browser of a desktop.
const OPENER: &str = "xdg-open";

/// What it has to know of the desktop.
const DESKTOP: &[&str] = &[
    "BROWSER",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "HOME",
    "LANG",
    "PATH",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_CURRENT_DESKTOP",
    "XDG_DATA_DIRS",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_TYPE",
];

/// The dashboard's address, which is no secret.
pub(crate) fn page(master_url: &str) -> String {
    format!("{}/ui/", master_url.trim_end_matches('/'))
}

pub(super) fn run(global: &Global, config: &OperatorConfig, open: bool) -> Result<u8, NodeError> {
    let page = page(&config.client.master_url);
    let file = config.token_file().ok_or_else(|| {
        NodeError::user(format!("{} names no token to sign in with", config.file.display()))
            .hint(format!("sign in with yours at {page}"))
    })?;
    let token = read_token(file)?;
    // A port may have changed hands.
    config.master()?.ping()?;
    let address = format!("{page}#token={}", escaped(token.expose()));
    if open {
        let door = door(file, &address)?;
        opened(&door)?;
        match global.json {
            true => say_json(&json!({ "dashboard": page })),
            false => say(&format!("dashboard  {page}")),
        }
        return Ok(0);
    }
    match global.json {
        true => say_json(&json!({ "dashboard": page, "sign-in": address })),
        false => say(&format!(
            "dashboard  {address}\n\n\
             This address carries the token, and signs in whoever opens it: keep it out of logs and \
             messages.\nThe browser takes the token out of the address at once, and forgets it with \
             the tab."
        )),
    }
    Ok(0)
}

/// Writes the page that leads to the address, beside the token and as closed to others as it is.
fn door(token: &Path, address: &str) -> Result<PathBuf, NodeError> {
    let path = token.with_file_name("dashboard.html");
    let text = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0; url={address}\">\n<title>SlapOS Master</title>\n\
         <a href=\"{address}\">To the dashboard</a>\n"
    );
    match slapos_sys::fs::write_atomic(&path, text.as_bytes(), 0o600) {
        Ok(()) => Ok(path),
        Err(error) => Err(NodeError::user(format!("cannot write {}: {error}", path.display()))
            .hint("`slapos proxy dashboard` without `--open` prints the address instead")),
    }
}

fn opened(door: &Path) -> Result<(), NodeError> {
    let status = Command::new(OPENER).arg(door).inherit_env(DESKTOP).status();
    let why = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Err(NodeError::user(format!("no browser could be opened ({OPENER}: {why})"))
        .hint("`slapos proxy dashboard` without `--open` prints the address"))
}

/// A token as a fragment has it.
fn escaped(token: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    token.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_can_be_anything() {
        assert_eq!(escaped("aZ0-._~"), "aZ0-._~");
        assert_eq!(escaped("a+b&c=\"<ü"), "a%2Bb%26c%3D%22%3C%C3%BC");
    }
}
