//! One pool of jobs for everything that runs: parts, and the make processes inside them.
//!
//! The protocol is GNU make's: a pipe holds one byte for every job but the first, which belongs
//! to whoever holds no byte. Parts follow it too: of the running parts one uses the free job and
//! each other holds a byte. So a byte lost by a killed make can slow a build but not stop it.

use std::io;
use std::os::fd::RawFd;

use jobserver::{Acquired, Client, HelperThread};

/// The pool as commands see it.
pub(crate) struct Jobserver {
    client: Client,
    makeflags: String,
    descriptors: [RawFd; 2],
}

impl Jobserver {
    /// A pool of `jobs` jobs; `None` for a single one, which needs no pool.
    pub(crate) fn new(jobs: usize) -> io::Result<Option<Self>> {
        if jobs <= 1 {
            return Ok(None);
        }
        let client = Client::new(jobs - 1)?;
        let descriptors = descriptors(&client)?;
        let [read, write] = descriptors;
        let makeflags = format!(" -j --jobserver-auth={read},{write}");
        Ok(Some(Self { client, makeflags, descriptors }))
    }

    /// Value of `MAKEFLAGS`; the leading blank tells make that no word of single letters follows.
    pub(crate) fn makeflags(&self) -> &str {
        &self.makeflags
    }

    /// The ends of the pipe, to be inherited under these numbers.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        self.descriptors
    }

    /// A thread that fetches tokens when asked and hands each to `deliver`.
    pub(crate) fn tokens(
        &self,
        deliver: impl FnMut(io::Result<Acquired>) + Send + 'static,
    ) -> io::Result<HelperThread> {
        self.client.clone().into_helper_thread(deliver)
    }
}

/// The crate tells its descriptors only through the environment that it would set.
fn descriptors(client: &Client) -> io::Result<[RawFd; 2]> {
    #[allow(clippy::disallowed_methods, reason = "never started, only asked for its environment")]
    let mut probe = std::process::Command::new("make");
    client.configure(&mut probe);
    let flags = probe.get_envs().find_map(|(name, value)| {
        (name == "CARGO_MAKEFLAGS").then(|| value.map(|v| v.to_string_lossy().into_owned()))?
    });
    let pair = flags.as_deref().and_then(|flags| flags.split("--jobserver-auth=").nth(1));
    let numbers = pair.and_then(|pair| {
        let (read, write) = pair.split_once(',')?;
        Some([read.parse().ok()?, write.trim().parse().ok()?])
    });
    numbers.ok_or_else(|| io::Error::other("the jobserver has no descriptors to inherit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_job_needs_no_pool_and_more_have_a_pipe() {
        assert!(Jobserver::new(1).unwrap().is_none());
        let pool = Jobserver::new(3).unwrap().unwrap();
        let [read, write] = pool.descriptors();
        assert_eq!(pool.makeflags(), format!(" -j --jobserver-auth={read},{write}"));
        assert!(read > 2 && write > 2);
    }
}
