//! One file from one address into one partial file: resumed, retried, bounded and measured.
//!
//! Invariant: the partial file is always a prefix of what some address of the wanted content sent,
//! or it is thrown away. With a digest this is proven at the end. Without one a prefix is only
//! continued when the server confirms by its validator that the file did not change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ureq::http::Response;
use url::Url;

use crate::digest::{Measured, measure};
use crate::http::{Http, Patience, check_status, header};
use crate::{Digest, Failure, Progress};

/// However slowly a server that keeps breaking off gets on, this many connections are enough.
const MOST_CONNECTIONS: u32 = 200;

/// What to download, and how.
pub(crate) struct Download<'a> {
    pub(crate) http: &'a Http,
    pub(crate) patience: &'a Patience,
    pub(crate) url: &'a Url,
    pub(crate) partial: &'a Path,
    pub(crate) want: Option<&'a Digest>,
    pub(crate) max_bytes: u64,
    pub(crate) progress: &'a dyn Progress,
}

/// What the server said about the body that follows.
struct Plan {
    start: u64,
    total: Option<u64>,
}

impl Download<'_> {
    /// Brings the file to `partial` and measures it. On a wrong digest nothing is kept.
    pub(crate) fn run(&self) -> Result<Measured, Failure> {
        let resumed = self.length() > 0;
        self.complete()?;
        match self.verify() {
            Err(Failure::WrongDigest { .. }) if resumed => {
                // The older part may be to blame: once more, from the first byte.
                self.complete()?;
                self.verify()
            }
            result => result,
        }
    }

    /// Throws the partial file away.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_file(self.partial);
        self.forget_note();
    }

    /// Throws away what was noted about the address, when the partial file is complete.
    pub(crate) fn forget_note(&self) {
        let _ = fs::remove_file(self.note());
    }

    fn verify(&self) -> Result<Measured, Failure> {
        verify_file(self.partial, self.want).inspect_err(|_| self.forget())
    }

    fn complete(&self) -> Result<(), Failure> {
        let mut retries = 0;
        for _ in 0..MOST_CONNECTIONS {
            let before = self.length();
            let failure = match self.connect_once() {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if self.length() > before {
                retries = 0;
            }
            if !failure.is_transient() || retries >= self.retries(&failure) {
                return Err(failure);
            }
            self.progress.text(&format!("{failure}; trying again"));
            pause(self.patience.pause(retries), self.progress)?;
            retries += 1;
        }
        Err(Failure::Transport(format!("the connection broke {MOST_CONNECTIONS} times")))
    }

    /// An address that does not even answer is given one more chance: others may have the bytes.
    fn retries(&self, failure: &Failure) -> u32 {
        let silent = matches!(failure, Failure::Transport(_)) && self.length() == 0;
        if silent { self.patience.retries.min(1) } else { self.patience.retries }
    }

    fn connect_once(&self) -> Result<(), Failure> {
        let offset = self.length();
        let validator = self.validator();
        if offset > 0 && self.want.is_none() && validator.is_none() {
            self.forget();
            return self.connect_once();
        }
        let range = format!("bytes={offset}-");
        let mut headers = Vec::new();
        if offset > 0 {
            headers.push(("range", range.as_str()));
            if let Some(validator) = &validator {
                headers.push(("if-range", validator.as_str()));
            }
        }
        let response = self.http.get(self.url, &headers)?;
        match self.plan(&response, offset)? {
            Some(plan) => self.receive(response, &plan),
            None => Ok(()),
        }
    }

    /// Where the body belongs; `None` when there is nothing left to receive.
    fn plan<B>(&self, response: &Response<B>, offset: u64) -> Result<Option<Plan>, Failure> {
        let range = header(response, "content-range");
        let range = range.as_deref().and_then(parse_content_range);
        let plan = match response.status().as_u16() {
            206 if offset > 0 => match range {
                Some((Some(start), total)) if start == offset => Plan { start, total },
                _ => return Err(self.restart("the server sent another range than was asked for")),
            },
            416 if offset > 0 => match range {
                Some((None, Some(total))) if total == offset => return Ok(None),
                _ => return Err(self.restart("the server does not have that range")),
            },
            _ => {
                check_status(response)?;
                let length = header(response, "content-length");
                Plan { start: 0, total: length.and_then(|length| length.trim().parse().ok()) }
            }
        };
        match plan.total {
            Some(total) if total > self.max_bytes => {
                Err(Failure::TooLarge { limit: self.max_bytes })
            }
            _ => Ok(Some(plan)),
        }
    }

    fn receive(&self, response: Response<ureq::Body>, plan: &Plan) -> Result<(), Failure> {
        self.keep_validator(&response)?;
        let mut file = self.open_at(plan.start)?;
        let mut done = plan.start;
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            self.progress.bytes(done, plan.total);
            if self.progress.cancelled() {
                return Err(Failure::Cancelled);
            }
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let message = format!("the connection broke after {done} bytes: {error}");
                    return Err(Failure::Transport(message));
                }
            };
            done += read as u64;
            if done > self.max_bytes {
                self.forget();
                return Err(Failure::TooLarge { limit: self.max_bytes });
            }
            file.write_all(&buffer[..read])
                .map_err(|error| self.write_failed(error, plan.total.map(|t| t - done.min(t))))?;
        }
        match plan.total {
            Some(total) if done < total => Err(Failure::Transport(format!(
                "the connection was closed after {done} of {total} bytes"
            ))),
            _ => Ok(()),
        }
    }

    fn open_at(&self, start: u64) -> Result<File, Failure> {
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(self.partial)?;
            file.set_len(start)?;
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        };
        open().map_err(Failure::file("open", self.partial))
    }

    fn write_failed(&self, error: io::Error, needed: Option<u64>) -> Failure {
        let failure = Failure::from_write(error, self.partial, needed);
        if matches!(failure, Failure::NoSpace { .. }) {
            // A full disk hurts others: give back what this download took.
            self.forget();
        }
        failure
    }

    fn restart(&self, why: &str) -> Failure {
        self.forget();
        Failure::Transport(format!("{why}; starting over"))
    }

    fn length(&self) -> u64 {
        fs::metadata(self.partial).map_or(0, |meta| meta.len())
    }

    fn note(&self) -> PathBuf {
        let mut name = self.partial.as_os_str().to_owned();
        name.push(".from");
        name.into()
    }

    /// What the address called this version of the file when the partial file was begun.
    fn validator(&self) -> Option<String> {
        let note = slapos_sys::fs::read_to_string_limited(&self.note(), 16 * 1024).ok()?;
        let (url, validator) = note.split_once('\n')?;
        (url == self.url.as_str() && !validator.is_empty()).then(|| validator.to_owned())
    }

    fn keep_validator<B>(&self, response: &Response<B>) -> Result<(), Failure> {
        let validator = header(response, "etag")
            .filter(|tag| tag.starts_with('"'))
            .or_else(|| header(response, "last-modified"))
            .unwrap_or_default();
        let text = format!("{}\n{validator}", self.url);
        let note = self.note();
        slapos_sys::fs::write_replace(&note, text.as_bytes(), 0o600)
            .map_err(Failure::file("write", &note))
    }
}

/// Measures the file and compares it with what it should be.
pub(crate) fn verify_file(path: &Path, want: Option<&Digest>) -> Result<Measured, Failure> {
    let file = OpenOptions::new().read(true).open(path).map_err(Failure::file("read", path))?;
    let measured = measure(file, want).map_err(Failure::file("read", path))?;
    match want {
        Some(want) if measured.asked != *want => {
            Err(Failure::WrongDigest { expected: Box::new(*want), got: Box::new(measured.asked) })
        }
        _ => Ok(measured),
    }
}

/// `bytes FIRST-LAST/TOTAL` or `bytes */TOTAL`: the first byte, and the total where it is known.
fn parse_content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let total = total.trim().parse().ok();
    match range.trim() {
        "*" => Some((None, total)),
        range => Some((Some(range.split_once('-')?.0.trim().parse().ok()?), total)),
    }
}

/// Waits, but not longer than the watcher wants.
fn pause(time: std::time::Duration, progress: &dyn Progress) -> Result<(), Failure> {
    let step = std::time::Duration::from_millis(100);
    let mut left = time;
    while !left.is_zero() {
        if progress.cancelled() {
            return Err(Failure::Cancelled);
        }
        std::thread::sleep(left.min(step));
        left = left.saturating_sub(step);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_content_ranges() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(parse_content_range("bytes */10"), Some((None, Some(10))));
        for bad in ["", "bytes", "items 1-2/3", "bytes x-2/3", "bytes 12"] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }
}
