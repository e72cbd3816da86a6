//! Where a Master's memory is: an SQLite file, or a database of a PostgreSQL server.
//!
//! Invariant: a password is in no text that is shown; see [`Database`]'s `Display`.

use std::fmt;
use std::path::{Path, PathBuf};

use slapos_sys::Secret;
use url::Url;

use super::postgres;
use crate::error::StoreError;

/// How the names of the sessions of a Master begin.
pub(super) const NAMED: &str = "slapos-";

/// What a server's address may say after `?`; all of it is honoured.
const OPTIONS: &[&str] = &[
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "options",
];

/// The database of a Master.
#[derive(Debug, Clone)]
pub enum Database {
    /// An SQLite file; made, with its directory, when it does not exist.
    File(PathBuf),
    /// A database of a PostgreSQL server.
    Server(Server),
}

/// The address of a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct Server {
    url: Secret,
    shown: String,
}

impl Server {
    /// The address with its password, for who connects.
    pub(super) fn url(&self) -> &str {
        self.url.expose()
    }

    /// The address as it may be shown.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The same with a name for its sessions, unless they have one.
    fn named(&self, name: &str) -> Result<Server, StoreError> {
        let mut url = Url::parse(self.url()).map_err(|error| invalid(&error.to_string()))?;
        if !url.query_pairs().any(|(key, _)| key == "application_name") {
            url.query_pairs_mut().append_pair("application_name", name);
        }
        Ok(Server { url: Secret::new(url), shown: self.shown.clone() })
    }
}

impl Database {
    /// Reads what `database_uri` says: the path of a file, or
    /// `postgresql://user:password@host:port/name?sslmode=...`, where `host=/directory` after the
    /// `?` names the directory of a unix socket. `password` is one that was kept elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] says what is wrong, without the password.
    pub fn parse(text: &str, password: Option<&Secret>) -> Result<Database, StoreError> {
        if !["postgresql://", "postgres://"].iter().any(|scheme| text.starts_with(scheme)) {
            // What follows may have a password.
            if let Some((scheme, _)) = text.split_once("://") {
                return Err(invalid(&format!(
                    "{scheme}: is no kind of database here; it is the path of a file, or \
                     postgresql://user@host/DATABASE"
                )));
            }
            return match password {
                None => Ok(Database::File(text.into())),
                Some(_) => Err(invalid("a file has no password: remove `database_password_file`")),
            };
        }
        let url = Url::parse(text).map_err(|error| invalid(&format!("it is no URL: {error}")))?;
        for (key, _) in url.query_pairs() {
            if !OPTIONS.contains(&key.as_ref()) {
                let known = OPTIONS.join(", ");
                return Err(invalid(&format!("`{key}` is not known; what is: {known}")));
            }
        }
        if url.path().len() < 2 && !url.query_pairs().any(|(key, _)| key == "dbname") {
            return Err(invalid("it names no database: postgresql://user@host/DATABASE"));
        }
        Ok(Database::Server(server(url, password)?))
    }
}

fn server(mut url: Url, password: Option<&Secret>) -> Result<Server, StoreError> {
    let given = url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password");
    let mut shown = url.clone();
    // Fails where there is no host, and then there is no password before it.
    let _ = shown.set_password(None);
    let kept: Vec<_> = url.query_pairs().filter(|(key, _)| key != "password").collect();
    shown.set_query(None);
    if !kept.is_empty() {
        shown.query_pairs_mut().extend_pairs(kept);
    }
    if let Some(password) = password {
        if given {
            return Err(invalid("it has a password, and `database_password_file` another"));
        }
        url.query_pairs_mut().append_pair("password", password.expose());
    }
    Ok(Server { url: Secret::new(url), shown: shown.into() })
}

fn invalid(why: &str) -> StoreError {
    StoreError::Invalid(format!("`database_uri` in [slapproxy]: {why}"))
}

impl Database {
    /// The same database, whose sessions the server shows by a name with that mark: Masters that have
    /// other marks find each other by it.
    ///
    /// # Errors
    /// None, as long as the address is one that was read by [`parse`](Database::parse).
    pub(crate) fn marked(&self, mark: &str) -> Result<Database, StoreError> {
        match self {
            Database::File(path) => Ok(Database::File(path.clone())),
            Database::Server(server) => {
                Ok(Database::Server(server.named(&format!("{NAMED}{mark}"))?))
            }
        }
    }

    /// Whether it is a file that is not there, or has nothing in it.
    pub(super) fn is_absent(&self) -> bool {
        match self {
            Database::File(path) => match path.metadata() {
                Ok(found) => found.len() == 0,
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            },
            Database::Server(_) => false,
        }
    }

    /// Whether a Master is at the server that has another mark.
    ///
    /// # Errors
    /// Failures of the server.
    pub(crate) async fn has_other(&self, mark: &str) -> Result<bool, StoreError> {
        match self {
            Database::File(_) => Ok(false),
            Database::Server(server) => {
                postgres::has_other(server, &format!("{NAMED}{mark}")).await
            }
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::File(path) => path.display().fmt(f),
            Database::Server(server) => f.write_str(&server.shown),
        }
    }
}

impl From<PathBuf> for Database {
    fn from(path: PathBuf) -> Database {
        Database::File(path)
    }
}

impl From<&Path> for Database {
    fn from(path: &Path) -> Database {
        Database::File(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, password: Option<&str>) -> (String, String) {
        match Database::parse(text, password.map(Secret::new).as_ref()) {
            Ok(Database::Server(server)) => (server.shown.clone(), server.url().to_owned()),
            Ok(Database::File(path)) => (path.display().to_string(), "a file".to_owned()),
            Err(error) => (error.to_string(), "an error".to_owned()),
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let (shown, url) =
            parsed("postgresql://u:s3cret@h:1/db?sslmode=require&password=s3cret", None);
        assert_eq!(shown, "postgresql://u@h:1/db?sslmode=require");
        assert!(url.contains("s3cret"));
        let database = Database::parse("postgres://u:s3cret@h/db", None).unwrap();
        assert!(!format!("{database:?} {database}").contains("s3cret"));
        let (shown, url) = parsed("postgresql:///db?host=/run/pg", Some("a&b c"));
        assert_eq!(shown, "postgresql:///db?host=%2Frun%2Fpg");
        assert!(url.ends_with("&password=a%26b+c"), "{url}");
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        insta::assert_snapshot!(parsed("postgres://h/db?ssl_mode=require", None).0, @"`database_uri` in [slapproxy]: `ssl_mode` is not known; what is: host, port, user, password, dbname, sslmode, sslrootcert, sslcert, sslkey, application_name, options");
        insta::assert_snapshot!(parsed("postgres://u:s3cret@h", None).0, @"`database_uri` in [slapproxy]: it names no database: postgresql://user@host/DATABASE");
        insta::assert_snapshot!(parsed("postgres://u:s3cret@h:port/db", None).0, @"`database_uri` in [slapproxy]: it is no URL: invalid port number");
        insta::assert_snapshot!(parsed("postgres://u:s3cret@h/db", Some("other")).0, @"`database_uri` in [slapproxy]: it has a password, and `database_password_file` another");
        insta::assert_snapshot!(parsed("/a/file.db", Some("other")).0, @"`database_uri` in [slapproxy]: a file has no password: remove `database_password_file`");
        insta::assert_snapshot!(parsed("mysql://a:s3cret@h/db", None).0, @"`database_uri` in [slapproxy]: mysql: is no kind of database here; it is the path of a file, or postgresql://user@host/DATABASE");
        assert_eq!(parsed("/a/file.db", None), ("/a/file.db".to_owned(), "a file".to_owned()));
    }
}
