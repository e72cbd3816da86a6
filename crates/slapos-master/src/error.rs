//! What can go wrong when a Master starts and when its store is asked.

use std::io;
use std::path::PathBuf;

use slapos_slap::{ComputerId, PartitionId};

/// Why a Master cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The port cannot be had.
    #[error("the Master cannot listen on {address}: {reason}")]
    Bind {
        /// Host and port as configured.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// No token, which would let anybody in.
    #[error(
        "the Master has no token, and would obey everybody who can reach it: configure a token"
    )]
    NoToken,
    /// A new token cannot be used.
    #[error("the Master's new token: {0}")]
    Token(String),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others would read along.
    #[error(
        "the Master will not answer by plain HTTP on {address}, where others can read its token on \
         the way: set `host = 127.0.0.1` in [slapproxy] and `tls_port` for https, or \
         `allow_plain_http = true` if the network is yours alone"
    )]
    Plain {
        /// The address.
        address: std::net::SocketAddr,
    },
    /// What one Master's network cache has, another one would not.
    #[error(
        "the network cache is in directories of this machine, and the database may serve several \
         Masters: set `shacache_shared = true` in [slapproxy] if {content} is on a file system that all \
         of them have (or there is no other Master), or remove the options `shacache_...` and name one \
         Master as the cache"
    )]
    ShacacheNotShared {
        /// Where contents are.
        content: String,
    },
    /// Certificates cannot be used.
    #[error("the Master's TLS: {0}; check `certificate_file` and `key_file` in [slapproxy]")]
    Tls(String),
    /// The Master's own authority cannot be used.
    #[error(transparent)]
    Authority(#[from] crate::authority::AuthorityError),
    /// The machine refused something else.
    #[error("the Master cannot run: {0}")]
    Io(#[from] io::Error),
}

impl MasterError {
    /// Words the reason for which a listener could not be made, at what these two options say.
    pub(crate) fn bind(
        address: String,
        (host, port): (&str, &str),
        error: &io::Error,
    ) -> MasterError {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another program has that port: stop it (is a Master running already?), or set \
                 another `{port}` in [slapproxy]"
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("this machine does not have that address: correct `{host}` in [slapproxy]")
            }
            io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 are reserved: set a higher `{port}` in [slapproxy]")
            }
            _ => format!("{error}; check `{host}` and `{port}` in [slapproxy]"),
        };
        MasterError::Bind { address, reason }
    }
}

/// Why the store did not do something. The first three are answers, the others are failures.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What was asked about is not there, or there is no room.
    #[error("{0}")]
    NotFound(String),
    /// It would contradict what is there.
    #[error("{0}")]
    Conflict(String),
    /// The question makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The database belongs to something else; it was not touched.
    #[error(
        "{database} is not a slapos Master database ({found}); it was left as it is: set another \
         `database_uri` in [slapproxy]"
    )]
    NotOurs {
        /// The database, as it may be shown.
        database: String,
        /// What it is instead.
        found: String,
    },
    /// The database was written by a later version.
    #[error(
        "{database} was written by a newer slapos (schema {found}, this one knows {known}); it was \
         left as it is: use the newer slapos, or another `database_uri`"
    )]
    Newer {
        /// The database, as it may be shown.
        database: String,
        /// Its schema.
        found: i64,
        /// Our schema.
        known: i64,
    },
    /// A Master is there, whose memory would be another from one moment to the next.
    #[error(
        "{database} is used by {by}, and was left as it is: stop every Master of it first \
         (`slapos down`, or end its `slapos proxy start`), and start them again afterwards"
    )]
    InUse {
        /// The database, as it may be shown.
        database: String,
        /// By whom.
        by: String,
    },
    /// What the Master remembers may be of a former content.
    #[error(
        "{database} was, or is being, restored or taken to another schema while this Master had lost \
         its connection: it ends rather than go on with what it remembers of the former content; start \
         it again"
    )]
    Replaced {
        /// The database, as it may be shown.
        database: String,
    },
    /// The file or its directory cannot be used.
    #[error("the Master's database {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The machine's words.
        source: io::Error,
    },
    /// The content of the database is not what this version writes.
    #[error("the Master's database is damaged: {0}")]
    Damaged(String),
    /// The database did not answer in time, or gave up in favour of others.
    #[error("the Master's database is busy: {0}; try again")]
    Busy(String),
    /// The database is not there at present. What was asked may be asked again; whether it happened
    /// is not known if the connection broke in the very moment of the commit.
    #[error("the Master's database cannot be used at present: {0}; try again later")]
    Unavailable(String),
    /// The database failed.
    #[error("the Master's database fails: {0}")]
    Database(String),
    /// A backup cannot be written, read, or put in place.
    #[error("the backup: {0}")]
    Backup(String),
}

impl StoreError {
    /// There is no such computer.
    pub(crate) fn no_computer(computer: &ComputerId) -> StoreError {
        StoreError::NotFound(format!(
            "computer {computer} is not known: run `slapos node format` there first"
        ))
    }

    /// There is no such partition.
    pub(crate) fn no_partition(computer: &ComputerId, partition: &PartitionId) -> StoreError {
        StoreError::NotFound(format!("computer {computer} has no partition {partition}"))
    }
}
