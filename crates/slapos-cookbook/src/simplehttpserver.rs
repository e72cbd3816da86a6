//! `slapos.cookbook:simplehttpserver`: a small HTTP server for the files of a directory.
//!
//! Options:
//! - `host` and `port`, or `socketpath`, or `abstract`: where it listens: an address, a Unix
//!   socket, or a Unix socket with an abstract name;
//! - `base-path`: the directory it serves;
//! - `log-file`: where it logs each request, with its headers (not those that prove who asks);
//! - `wrapper`: the executable to write, mode 0700; in `etc/service` or `etc/run` it is a service;
//! - `cert-file`, `key-file`: for TLS; without `key-file`, the key is in `cert-file`;
//! - `allow-write`: `true` lets a POST with the fields `path`, `content` and `clear` (`1`: do not
//!   append) of a form write a file below the directory; default `false`.
//!
//! Sets `address`: `(host, port)`, typed; or the path; or the abstract name after a NUL.
//!
//! The wrapper is Python, of the standard library only, run by the `python3` in the `PATH` when
//! the service starts: a shell has no server, and what a wrapper runs must not be the node.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, Literal, nonempty, required_path};

/// What the wrapper does, after the lines that set its variables.
const SERVER: &str = include_str!("simplehttpserver/server.py");

/// The recipe.
pub(crate) struct SimpleHttpServer;

impl Recipe for SimpleHttpServer {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let address = address(init)?;
        init.set("address", &address.to_option());
        let allow_write = common::boolean(init, "allow-write", false)?;
        let file = |init: &PartInit<'_>, option: &str| {
            nonempty(init, option)
                .map(|text| Literal::from(&*common::path(init, &text).to_string_lossy()))
        };
        let base_path = required_path(init, "base-path")?;
        let log_file = required_path(init, "log-file")?;
        let variables = [
            ("ADDRESS", address),
            ("BASE_PATH", Literal::from(&*base_path.to_string_lossy())),
            ("LOG_FILE", Literal::from(&*log_file.to_string_lossy())),
            ("CERT_FILE", file(init, "cert-file").unwrap_or(Literal::None)),
            ("KEY_FILE", file(init, "key-file").unwrap_or(Literal::None)),
            ("ALLOW_WRITE", Literal::Bool(allow_write)),
        ];
        let mut script = "#!/usr/bin/env python3\n".to_owned();
        for (name, value) in variables {
            script.push_str(&format!("{name} = {value}\n"));
        }
        script.push_str(SERVER);
        let wrapper = required_path(init, "wrapper")?;
        Ok(Box::new(common::Files(vec![(wrapper, script, 0o700)])))
    }
}

/// Where the server listens.
fn address(init: &PartInit<'_>) -> Result<Literal, ProfileError> {
    let places = ["host", "socketpath", "abstract"].map(|option| nonempty(init, option));
    match (places, nonempty(init, "port")) {
        ([Some(host), None, None], Some(port)) => match port.parse::<u16>() {
            Ok(port) => Ok(Literal::Tuple(vec![host.as_str().into(), Literal::Int(port.into())])),
            Err(_) => {
                let message = format!("`port` must be a number up to 65535, not `{port}`");
                Err(init.error("port", &message, None))
            }
        },
        ([None, Some(path), None], None) => {
            Ok(Literal::from(&*common::path(init, &path).to_string_lossy()))
        }
        ([None, None, Some(name)], None) => Ok(Literal::Str(format!("\0{name}"))),
        _ => {
            let message = "one of `host` with `port`, `socketpath` and `abstract` is needed";
            Err(init.error("recipe", message, None))
        }
    }
}
