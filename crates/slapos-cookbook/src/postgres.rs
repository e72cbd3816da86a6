//! `slapos.cookbook:postgres`: a PostgreSQL cluster with a superuser and a database, and the
//! service that runs it.
//!
//! Options:
//! - `bin`: directory of `initdb`, `postgres`, `pg_ctl` and `psql`;
//! - `pgdata-directory`: where the cluster is made, unless it is there; it stays when the part goes;
//! - `dbname`: the database, made with the cluster, which has the locale C and UTF-8;
//! - `superuser`, `password`: of the cluster; the password is set whenever it changes;
//! - `ipv4`, `ipv6`: addresses to listen on, one a line, or none; `port`: for all of them;
//! - `ipv4-netmask-bits` (32), `ipv6-netmask-bits` (128): whom each address lets in with the
//!   password; a Unix socket in `pgdata-directory`, for its user only, needs none;
//! - `max-connections`: default 100;
//! - `services`: directory that gets the start script, `postgres-start`: usually `etc/service`.
//!
//! Sets `url`, a secret, if there is an IPv6 address: `postgresql://user:password@[ipv6]:port/dbname`.
//!
//! A new cluster is made beside its final place and renamed when it is whole, so that an
//! interrupted run leaves none that is half made. `postgresql.conf` and `pg_hba.conf` are written
//! by this part alone and go with it. The password is sent as its MD5 hash, in a file.

use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use slapos_engine::{CommandSpec, Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::Digest;
use slapos_sys::Secret;

use crate::common::{self, environment, shell_quote};

/// Runs statements, whether or not the server runs.
const SQL: &str = include_str!("postgres/sql.sh");

/// The recipe.
pub(crate) struct Postgres;

impl Recipe for Postgres {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let word = |option: &str| line(init, option);
        let (superuser, dbname, port) = (word("superuser")?, word("dbname")?, word("port")?);
        if superuser.is_empty() || superuser.contains(['"', '$', '\'', '\\']) {
            let message = "`superuser` must have a name without quotes, `$` and `\\`";
            return Err(init.error("superuser", message, Some("PostgreSQL wants it so")));
        }
        let password = Secret::new(word("password")?);
        let bin = common::path(init, &init.require("bin")?);
        let data = common::path(init, &init.require("pgdata-directory")?);
        let start = common::path(init, &init.require("services")?).join("postgres-start");
        let addresses = (lines(init, "ipv4"), lines(init, "ipv6"));
        let hba = access(init, &addresses);
        let connections = init.get("max-connections").unwrap_or("100").trim().to_owned();
        if connections.parse::<u32>().is_err() {
            let message = format!("`max-connections` must be a number, not `{connections}`");
            return Err(init.error("max-connections", &message, None));
        }
        if let Some(ipv6) = addresses.1.first() {
            let password = password.expose();
            let url = format!("postgresql://{superuser}:{password}@[{ipv6}]:{port}/{dbname}");
            init.set_secret("url", Secret::new(url));
        }
        let configuration = configuration(&addresses, &port, &connections, &data);
        let files = vec![
            (data.join("postgresql.conf"), configuration, 0o600),
            (data.join("pg_hba.conf"), hba, 0o600),
            (start, start_script(&bin, &data), 0o700),
        ];
        Ok(Box::new(Cluster { bin, data, superuser, password, dbname, port, files }))
    }
}

/// An option that must be one line; it may be empty.
fn line(init: &PartInit<'_>, option: &str) -> Result<String, ProfileError> {
    let text = init.require(option)?.trim().to_owned();
    if text.contains(['\n', '\0']) {
        return Err(init.error(option, &format!("`{option}` must be one line"), None));
    }
    Ok(text)
}

fn lines(init: &PartInit<'_>, option: &str) -> Vec<String> {
    let text = init.get(option).unwrap_or_default();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// A text as a configuration of PostgreSQL, or its SQL, has to spell it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn configuration(
    (ipv4, ipv6): &(Vec<String>, Vec<String>),
    port: &str,
    connections: &str,
    data: &Path,
) -> String {
    let listen: Vec<&str> = ipv4.iter().chain(ipv6).map(String::as_str).collect();
    let port = if port.is_empty() { String::new() } else { format!("port = {port}\n") };
    format!(
        "listen_addresses = {}\n{port}logging_collector = on\nlog_rotation_size = 50MB\n\
         max_connections = {connections}\ndatestyle = 'iso, mdy'\nlc_messages = 'C.UTF-8'\n\
         lc_monetary = 'C.UTF-8'\nlc_numeric = 'C.UTF-8'\nlc_time = 'C.UTF-8'\n\
         default_text_search_config = 'pg_catalog.english'\nunix_socket_directories = {}\n\
         unix_socket_permissions = 0700\n",
        quoted(&listen.join(",")),
        quoted(&data.to_string_lossy()),
    )
}

/// The text of `pg_hba.conf`: who may connect from where, and how they show who they are.
fn access(init: &PartInit<'_>, (ipv4, ipv6): &(Vec<String>, Vec<String>)) -> String {
    let bits = |option: &str, default: &str| init.get(option).unwrap_or(default).trim().to_owned();
    let (bits4, bits6) = (bits("ipv4-netmask-bits", "32"), bits("ipv6-netmask-bits", "128"));
    let mut text = "local all all trust\n".to_owned();
    let own = [("127.0.0.1", "32"), ("::1", "128")];
    let own = own.map(|(ip, bits)| (ip.to_owned(), bits.to_owned()));
    let given = ipv4.iter().map(|ip| (ip.clone(), bits4.clone()));
    let given = given.chain(ipv6.iter().map(|ip| (ip.clone(), bits6.clone())));
    for (ip, bits) in own.into_iter().chain(given) {
        text.push_str(&format!("host all all {ip}/{bits} md5\n"));
    }
    text
}

fn start_script(bin: &Path, data: &Path) -> String {
    let postgres = bin.join("postgres");
    format!(
        "#!/bin/sh\nexec {} \\\n    -D {}\n",
        shell_quote(&postgres.to_string_lossy()),
        shell_quote(&data.to_string_lossy())
    )
}

struct Cluster {
    bin: PathBuf,
    data: PathBuf,
    superuser: String,
    password: Secret,
    dbname: String,
    port: String,
    files: Vec<(PathBuf, String, u32)>,
}

impl Cluster {
    fn exists(&self) -> bool {
        self.data.join("PG_VERSION").exists()
    }

    /// Makes the cluster, with its database and superuser, and gives it its name.
    fn create(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        let new = PathBuf::from(format!("{}.new", self.data.display()));
        let made = self.create_at(&new, cx);
        if made.is_err() && new.exists() {
            // The error says why; a rest that cannot be removed is in the way of the next try only.
            let _ = slapos_sys::fs::remove_tree(&new);
        }
        made
    }

    fn create_at(&self, new: &Path, cx: &PartContext<'_>) -> Result<(), PartError> {
        if new.exists() {
            let removed = slapos_sys::fs::remove_tree(new);
            removed.map_err(|error| PartError::io("remove", new, &error))?;
        }
        common::create_parent(new)?;
        cx.progress("making the cluster");
        let initdb = CommandSpec::new(self.bin.join("initdb")).arg("-D").arg(new);
        let options = ["-A", "ident", "-E", "UTF8", "-U", &self.superuser];
        let initdb = options.into_iter().fold(initdb, CommandSpec::arg);
        cx.run(&initdb.envs(variables(cx)))?;
        let database = format!("CREATE DATABASE \"{}\";\n", self.dbname.replace('"', "\"\""));
        self.statements(new, &database, cx)?;
        self.set_password(new, cx)?;
        slapos_sys::fs::rename(new, &self.data).map_err(|error| {
            let help = "the directory must be empty, or hold a cluster";
            PartError::io("make", &self.data, &error).with_help(help)
        })
    }

    fn set_password(&self, data: &Path, cx: &PartContext<'_>) -> Result<(), PartError> {
        let salted = format!("{}{}", self.password.expose(), self.superuser);
        let hash = Digest::Md5(Md5::digest(salted).into()).hex();
        let user = &self.superuser;
        let statement = format!("ALTER USER \"{user}\" ENCRYPTED PASSWORD 'md5{hash}';\n");
        self.statements(data, &statement, cx)
    }

    /// Runs statements on the cluster in `data`.
    fn statements(&self, data: &Path, text: &str, cx: &PartContext<'_>) -> Result<(), PartError> {
        let file = data.join("slapos.sql");
        common::write_file(&file, text.as_bytes(), 0o600)?;
        let [bin, data, file_argument] =
            [&self.bin, data, &file].map(|path: &Path| path.as_os_str().to_owned());
        let spec = CommandSpec::new("/bin/sh").arg("-c").arg(SQL).arg("sh");
        let spec = spec.arg(bin).arg(data).arg(file_argument);
        let spec = spec.arg(&self.port).arg(&self.superuser).arg(&self.dbname);
        let what =
            text.split(" ENCRYPTED").next().unwrap_or_default().trim_end_matches([';', '\n']);
        let ran = cx.run(&spec.envs(variables(cx)).shown_as(what));
        let removed = slapos_sys::fs::remove_tree(&file);
        ran?;
        removed.map_err(|error| PartError::io("remove", &file, &error))
    }
}

fn variables(cx: &PartContext<'_>) -> std::collections::BTreeMap<String, String> {
    environment::base(cx.directory(), &std::env::temp_dir())
}

impl Part for Cluster {
    fn claims(&self) -> Vec<PathBuf> {
        self.files.iter().map(|(path, _, _)| path.clone()).collect()
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let is_new = !self.exists();
        if is_new {
            self.create(cx)?;
        }
        for (path, content, mode) in &self.files {
            common::write_file(path, content.as_bytes(), *mode)?;
        }
        if !is_new {
            self.set_password(&self.data, cx)?;
        }
        Ok(self.claims())
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        self.install(cx).map(drop)
    }

    fn needs_update(&self) -> Option<String> {
        let missing = || self.files.iter().find(|(path, _, _)| !path.exists());
        if !self.exists() {
            return Some(format!("there is no cluster in {}", self.data.display()));
        }
        missing().map(|(path, _, _)| format!("{} is missing", path.display()))
    }
}
