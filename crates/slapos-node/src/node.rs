//! A node at work: its configuration, its Master, its clock and who watches.

use std::path::PathBuf;
use std::time::Duration;

use slapos_slap::{Computer, ComputerPartition, SlapClient, TlsIdentity};
use slapos_supervisor::{Client, Paths};
use slapos_sys::clock::Clock;
use slapos_sys::fs;
use slapos_sys::lock::FileLock;

use crate::config::{IdentityFiles, NodeConfig};
use crate::error::{IoContext, NodeError};
use crate::history::Histories;
use crate::journal::{Deed, Journal};
use crate::record::PartitionRecord;
use crate::reporter::Reporter;
use crate::shelf::Shelf;
use crate::token_file::{having_looked, token};
use crate::told;

/// Everything that the commands of a node share.
pub struct Node<'a> {
    /// What `slapos.cfg` says.
    pub config: &'a NodeConfig,
    /// Who watches.
    pub reporter: &'a dyn Reporter,
    /// What time it is.
    pub clock: &'a dyn Clock,
}

impl Node<'_> {
    /// A client of the node's Master.
    ///
    /// # Errors
    /// When the token's file cannot be read, or the URL is none.
    pub fn master(&self) -> Result<SlapClient, NodeError> {
        master(self.config)
    }

    /// What the Master wants of this computer.
    ///
    /// # Errors
    /// When the Master does not answer or does not know the computer.
    pub fn computer(&self, master: &SlapClient) -> Result<Computer, NodeError> {
        Ok(master.full_computer_information(&self.config.computer_id)?)
    }

    /// Whether `slapos down` was said, which lasts until `slapos up`: cron must not undo it. Says so.
    pub fn is_down(&self) -> bool {
        self.is_down_and("nothing is done")
    }

    /// The same for who does something all the same: `what` is said to be done, or not.
    pub fn is_down_and(&self, what: &str) -> bool {
        let down = self.down_marker().exists();
        if down {
            let runs = Client::connect(&self.supervisor_paths()).is_ok();
            let though = if runs { ", though the supervisor runs" } else { "" };
            let text =
                format!("`slapos down` was said{though}: {what}; `slapos up` brings it back");
            self.reporter.note("node", &text);
        }
        down
    }

    pub(crate) fn down_marker(&self) -> PathBuf {
        self.config.instance_root.join("var/run/slapos.down")
    }

    /// The records of the partitions.
    pub(crate) fn records(&self) -> Shelf<'_, PartitionRecord> {
        Shelf::new(self.config.instance_root.join("var/slapgrid"), self.reporter)
    }

    /// The histories of the partitions' generations.
    pub(crate) fn histories(&self) -> Histories<'_> {
        Histories::new(&self.config.instance_root, self.reporter)
    }

    /// What was done, and why.
    pub(crate) fn journal(&self) -> Journal {
        Journal::new(&self.config.instance_root)
    }

    /// Writes down what was done with `subject`.
    pub(crate) fn did(&self, subject: &str, deed: Deed) {
        self.journal().write(subject, self.clock.now(), deed);
    }

    /// Tells the Master that something went wrong with `partition`, as far as others may know it.
    /// The error itself goes another way: a Master that does not hear of it is no reason to lose it.
    pub(crate) fn tell_error(
        &self,
        master: &SlapClient,
        partition: &ComputerPartition,
        error: &NodeError,
    ) {
        let text = told::for_master(error, Some(partition));
        if let Err(unheard) = master.instance_error(&partition.computer, &partition.id, &text) {
            let text = format!("the Master was not told: {unheard}");
            self.reporter.warn(partition.id.as_str(), &text);
        }
    }

    /// Where the supervisor keeps its things.
    pub fn supervisor_paths(&self) -> Paths {
        Paths::new(&self.config.instance_root)
    }

    /// As [`lock`](Self::lock), unless the command only says what it would do: then nothing is touched,
    /// and it need not wait for another one.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_unless(
        &self,
        dry_run: bool,
        what: &str,
        lock: &std::path::Path,
    ) -> Result<Option<FileLock>, NodeError> {
        if dry_run { Ok(None) } else { self.lock(what, lock).map(Some) }
    }

    /// Holds `lock` for the time of the command `what`, and tidies up after a command that was
    /// killed. Those at work, under whatever lock, keep what they are writing.
    ///
    /// # Errors
    /// [`NodeError::busy`] when another process holds it; when its directory is missing, unless it is one
    /// of the node's own.
    pub fn lock(&self, what: &str, lock: &std::path::Path) -> Result<FileLock, NodeError> {
        self.check_place(lock)?;
        let held = take_lock(what, lock)?;
        for room in self.rooms() {
            fs::remove_unnamed(&room).context("tidy up", &room)?;
        }
        Ok(held)
    }

    /// Whether there is a directory for `lock`. One that a configuration or an argument names elsewhere is not
    /// made, nor is it by the original: it is most likely a slip.
    fn check_place(&self, lock: &std::path::Path) -> Result<(), NodeError> {
        let Some(directory) = lock.parent() else { return Ok(()) };
        if directory.is_dir() || directory.starts_with(&self.config.instance_root) {
            return Ok(());
        }
        let text = format!("cannot lock {}: there is no {}", lock.display(), directory.display());
        Err(NodeError::user(text).hint(
            "make that directory, or name another file: with --pidfile, or as `pidfile_software`, \
             `pidfile_instance` or `pidfile_report` in slapos.cfg",
        ))
    }

    /// The directories of files that are written while the node is at work: records and those of
    /// hooks, marks of the watchdog, definitions.
    fn rooms(&self) -> Vec<PathBuf> {
        let var = self.config.instance_root.join("var");
        let records = var.join("slapgrid");
        let entries = std::fs::read_dir(&records).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut rooms: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
        let named = [records, var.join("slapformat"), var.join("watchdog")];
        rooms.extend(named);
        rooms.push(self.supervisor_paths().conf_dir());
        rooms
    }
}

/// Holds `lock` for the time of the command `what`.
///
/// # Errors
/// [`NodeError::busy`] when another process holds it.
pub fn take_lock(what: &str, lock: &std::path::Path) -> Result<FileLock, NodeError> {
    if let Some(parent) = lock.parent() {
        fs::create_dir_all(parent, 0o755).context("create", parent)?;
    }
    let held = FileLock::try_acquire(lock).context("lock", lock)?;
    held.ok_or_else(|| NodeError::busy(what, lock))
}

/// A client of the Master that `config` names, with the token it names.
///
/// # Errors
/// When the token's file cannot be read, or the URL is none.
pub fn master(config: &NodeConfig) -> Result<SlapClient, NodeError> {
    master_within(config, config.grid.master_timeout)
}

/// The same; each call takes at most `limit`.
pub(crate) fn master_within(config: &NodeConfig, limit: Duration) -> Result<SlapClient, NodeError> {
    let file = config.master_token_file.as_ref();
    let token = token(file)?;
    let grid = &config.grid;
    let identity = tls_identity(grid.identity.as_ref(), grid.master_ca_file.as_deref())?;
    let client = SlapClient::with_identity(&config.master_url, token, limit, &identity)?;
    Ok(having_looked(client, file))
}

/// Who we are to a Master by https, and by whom that is vouched for.
pub fn tls_identity(
    own: Option<&IdentityFiles>,
    authorities: Option<&std::path::Path>,
) -> Result<TlsIdentity, NodeError> {
    let read = |path: &std::path::Path| fs::read(path).context("read", path);
    let mut identity = TlsIdentity::default();
    if let Some(files) = own {
        let key = read(&files.key)?;
        identity = identity.with_certificate(&read(&files.certificate)?, &key)?;
    }
    if let Some(authorities) = authorities {
        identity = identity.with_authorities(&read(authorities)?)?;
    }
    Ok(identity)
}
