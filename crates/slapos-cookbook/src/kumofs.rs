//! `slapos.cookbook:generic.kumofs`: start scripts of the three servers of kumofs, a distributed
//! key-value store.
//!
//! Options:
//! - `gateway-wrapper`, `manager-wrapper`, `server-wrapper`: the executables to write, mode 0700;
//! - `shell-path`: the shell that starts them;
//! - `kumo-{gateway,manager,server}-binary`: the programs;
//!   `kumo-{gateway,manager,server}-log`: their logs;
//! - `ip`: where all listen; `gateway-port`, `manager-port`, `server-port`, `server-listen-port`;
//! - `data-path`: the file of the data; or `data-directory`, for `kumodb.tch` there.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, shell_quote};

/// The recipe.
pub(crate) struct Kumofs;

impl Recipe for Kumofs {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let ip = init.require("ip")?;
        let at = |option: &str| port(init, option).map(|port| format!("{}:{port}", ip.trim()));
        let (manager, gateway, server) =
            (at("manager-port")?, at("gateway-port")?, at("server-port")?);
        let storage = match init.get("data-path") {
            Some(path) => path.trim().to_owned(),
            None => format!("{}/kumodb.tch", init.require("data-directory")?.trim()),
        };
        let listen = port(init, "server-listen-port")?;
        let files = [
            script(init, "gateway", &["-F", "-E", "-m", &manager, "-t", &gateway])?,
            script(init, "manager", &["-a", "-l", &manager])?,
            script(
                init,
                "server",
                &["-l", &server, "-L", &listen, "-m", &manager, "-s", &storage],
            )?,
        ];
        Ok(Box::new(common::Files(files.into())))
    }
}

fn port(init: &PartInit<'_>, option: &str) -> Result<String, ProfileError> {
    let text = init.require(option)?.trim().to_owned();
    match text.parse::<u16>() {
        Ok(_) => Ok(text),
        Err(_) => {
            Err(init.error(option, &format!("`{option}` must be a number, not `{text}`"), None))
        }
    }
}

/// The script that starts one of the servers.
fn script(
    init: &PartInit<'_>,
    name: &str,
    arguments: &[&str],
) -> Result<(std::path::PathBuf, String, u32), ProfileError> {
    let program = init.require(&format!("kumo-{name}-binary"))?;
    let log = init.require(&format!("kumo-{name}-log"))?;
    let words = std::iter::once(program.trim()).chain(arguments.iter().copied());
    let words: Vec<String> = words.chain(["-o", log.trim()]).map(shell_quote).collect();
    let text = format!("#!{}\nexec {}\n", init.require("shell-path")?.trim(), words.join(" "));
    Ok((common::path(init, &init.require(&format!("{name}-wrapper"))?), text, 0o700))
}
