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
    /// Words the reason for which a listener could not be made.
    pub(crate) fn bind(address: String, error: &io::Error) -> MasterError {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => "another program has that port: stop it (is a Master \
                 running already?), or set another `port` in [slapproxy]"
                .to_owned(),
            io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address: correct `host` in [slapproxy]".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 are reserved: set a higher `port` in [slapproxy]".to_owned()
            }
            _ => format!("{error}; check `host` and `port` in [slapproxy]"),
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
    /// The file belongs to something else; it was not touched.
    #[error(
        "{} is not a slapos Master database ({found}); it was left as it is: set another \
         `database_uri` in [slapproxy]", path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The file was written by a later version.
    #[error(
        "{} was written by a newer slapos (schema {found}, this one knows {known}); it was left \
         as it is: use the newer slapos, or another `database_uri`", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Our schema.
        known: i64,
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
    /// The database did not answer in time.
    #[error("the Master's database is busy: {0}; try again")]
    Busy(sqlx::Error),
    /// The database failed.
    #[error("the Master's database fails: {0}")]
    Database(sqlx::Error),
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

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        let locked = match &error {
            sqlx::Error::PoolTimedOut => true,
            // SQLITE_BUSY in all its variants.
            sqlx::Error::Database(inner) => inner
                .code()
                .and_then(|code| code.parse::<u32>().ok())
                .is_some_and(|code| code & 0xff == 5),
            _ => false,
        };
        if locked { StoreError::Busy(error) } else { StoreError::Database(error) }
    }
}
