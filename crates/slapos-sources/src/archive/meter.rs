//! Counting what comes out of an archive, and stopping when it is too much.

use std::cell::Cell;
use std::io::{self, Read};

use super::{Limits, Stop};
use crate::Progress;

/// Below this nobody speaks of a bomb.
const HARMLESS: u64 = 64 << 20;

/// Counts the bytes of one extraction.
pub(super) struct Meter<'a> {
    unpacked: Cell<u64>,
    limit: u64,
    archive_size: u64,
    by_ratio: bool,
    progress: &'a dyn Progress,
}

impl<'a> Meter<'a> {
    /// A meter for an archive of `size` bytes.
    pub(super) fn new(limits: &Limits, size: u64, progress: &'a dyn Progress) -> Self {
        let by_ratio = size.saturating_mul(limits.blow_up).max(HARMLESS);
        Self {
            unpacked: Cell::new(0),
            limit: by_ratio.min(limits.total_bytes),
            archive_size: size,
            by_ratio: by_ratio < limits.total_bytes,
            progress,
        }
    }

    /// How many bytes came out so far.
    pub(super) fn unpacked(&self) -> u64 {
        self.unpacked.get()
    }

    /// A reader whose bytes are counted; it fails once they are too many.
    pub(super) fn metered<'m, R: Read>(&'m self, inner: R) -> Metered<'m, R> {
        Metered { meter: self, inner }
    }

    /// What a failure to read means: an exceeded limit, a cancelled watcher, or damage.
    pub(super) fn explain(&self, error: &io::Error) -> Stop {
        if self.progress.cancelled() {
            return Stop::Cancelled;
        }
        if self.unpacked.get() > self.limit {
            return Stop::TooLarge(if self.by_ratio {
                format!(
                    "its {} bytes unpack to more than {}, as a bomb does",
                    self.archive_size, self.limit
                )
            } else {
                format!("it unpacks to more than {} bytes", self.limit)
            });
        }
        Stop::Damaged(match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends too early".into(),
            _ => error.to_string(),
        })
    }

    fn count(&self, read: usize) -> io::Result<()> {
        let unpacked = self.unpacked.get() + read as u64;
        self.unpacked.set(unpacked);
        self.progress.bytes(unpacked, None);
        if unpacked > self.limit {
            return Err(io::Error::other("too many bytes"));
        }
        if self.progress.cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        Ok(())
    }
}

/// See [`Meter::metered`].
pub(super) struct Metered<'m, R> {
    meter: &'m Meter<'m>,
    inner: R,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.count(read)?;
        Ok(read)
    }
}
