//! `slapos.cookbook:redis.server`: configuration and start script of a Redis server.
//!
//! Options:
//! - `config-file`: the configuration to write, mode 0600;
//! - `wrapper`: the executable that starts the server; in `etc/service` it is a service;
//! - `server-bin`, `cli-bin`: the programs `redis-server` and `redis-cli`;
//! - `ipv6`, `port`: where it listens; `unixsocket`: a socket besides, for its user only;
//! - `pid-file`, `log-file`, `server-dir` (its data);
//! - `use-passwd`: `true` for a replica of a server that wants the password `passwd`;
//! - `promise-wrapper`: an executable to write that publishes a message to see whether the server
//!   answers; needs `cli-bin`.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, nonempty};
use crate::wrapper::script;

/// What is not as Redis has it by default, or was not in some version.
const SETTINGS: &str = "daemonize no\ntimeout 0\ntcp-keepalive 0\nloglevel notice\n\
                        databases 16\nsave 900 1\nsave 300 10\nsave 60 10000\n\
                        repl-diskless-sync no\n";

/// The recipe.
pub(crate) struct RedisServer;

impl Recipe for RedisServer {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("config-file")?);
        let socket = nonempty(init, "unixsocket");
        let mut words = vec![required(init, "server-bin")?, path.to_string_lossy().into_owned()];
        let none = std::collections::BTreeMap::new();
        let mut files = vec![(path, configuration(init, socket.as_deref())?, 0o600)];
        let wrapper = common::path(init, &init.require("wrapper")?);
        files.push((wrapper, script(&words, &none, ""), 0o700));
        if let Some(promise) = nonempty(init, "promise-wrapper") {
            let (cli, host, port) =
                (required(init, "cli-bin")?, required(init, "ipv6")?, required(init, "port")?);
            words = vec![cli, "-h".to_owned(), host, "-p".to_owned(), port];
            words.extend(socket.into_iter().flat_map(|socket| ["-s".to_owned(), socket]));
            words.extend(["publish", "Promise-Service", "SlapOS Promise"].map(str::to_owned));
            files.push((common::path(init, &promise), script(&words, &none, ""), 0o700));
        }
        Ok(Box::new(common::Files(files)))
    }
}

fn required(init: &PartInit<'_>, option: &str) -> Result<String, ProfileError> {
    init.require(option).map(|text| text.trim().to_owned())
}

fn configuration(init: &PartInit<'_>, socket: Option<&str>) -> Result<String, ProfileError> {
    let mut text = String::new();
    for (name, option) in [
        ("pidfile", "pid-file"),
        ("port", "port"),
        ("bind", "ipv6"),
        ("logfile", "log-file"),
        ("dir", "server-dir"),
    ] {
        text.push_str(&format!("{name} {}\n", quoted(&required(init, option)?)));
    }
    if let Some(socket) = socket {
        text.push_str(&format!("unixsocket {}\nunixsocketperm 700\n", quoted(socket)));
    }
    if init.get("use-passwd").is_some_and(common::is_true) {
        text.push_str(&format!("masterauth {}\n", quoted(&required(init, "passwd")?)));
    }
    Ok(text + SETTINGS)
}

/// A value as one word of Redis' configuration.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n").replace('\r', "\\r"))
}
