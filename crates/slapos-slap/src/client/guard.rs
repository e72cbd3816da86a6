//! No connection to the Master is used before its other end has proved that it knows the token.
//!
//! The proof is asked on every new connection, before the connection is given to the request that
//! wanted one: a request with the token can only travel where the proof came from, whatever process
//! has taken the port in the meantime. It costs one round trip for each connection; connections are
//! kept, so that is one for a process that asks often enough.
//!
//! What remains: somebody at the Master's address who can also reach the real Master (elsewhere, or
//! as a proxy) can pass on the proof and then read the token; against that helps https only.

use std::io;

use slapos_sys::Secret;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Transport, TransportAdapter};
use url::Url;

use crate::proof::{PROOF_ROUTE, ProofKey};
use crate::token::{digest, id_of_digest, is_issued};

/// The longest answer to the question for a proof, in bytes: its head, then its body.
const MAX_HEAD: usize = 8 << 10;
const MAX_BODY: usize = 8 << 10;

/// Random bytes of a nonce.
const NONCE: usize = 32;

/// Why a connection is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It did something else than prove.
    #[error("{0}")]
    NoProof(String),
    /// Something before the Master says that the Master is not there: 502 to 504; or a Master that
    /// the token is not valid any more: 401.
    #[error("HTTP status {status}: {body}")]
    Absent { status: u16, body: String },
}

/// The last link of the chain that makes connections.
#[derive(Debug)]
pub(super) struct Guard {
    base: Url,
    key: ProofKey,
    /// What follows the nonce: which token is meant, if the Master has several.
    which: String,
}

impl Guard {
    pub(super) fn new(base: Url, token: &Secret) -> Guard {
        let which = match is_issued(token.expose()) {
            true => format!("&token={}", id_of_digest(&digest(token.expose()))),
            false => String::new(),
        };
        Guard { base, key: ProofKey::new(token), which }
    }

    /// Whether requests to that address may carry the token: those to the Master's host, as after
    /// a redirection the port may be another. In doubt they do.
    fn is_ours(&self, uri: &str) -> bool {
        Url::parse(uri).map_or(true, |url| url.host() == self.base.host())
    }

    /// Asks the other end of a connection for its proof.
    fn challenge(
        &self,
        host: &str,
        stream: &mut (impl io::Read + io::Write),
    ) -> Result<(), ureq::Error> {
        let nonce = slapos_sys::random::hex(NONCE)?;
        let path = self.base.path();
        // Names and passwords that an URL may have before its host are not for everybody.
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let question = format!(
            "GET {path}{PROOF_ROUTE}?nonce={nonce}{} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n",
            self.which
        );
        stream.write_all(question.as_bytes())?;
        stream.flush()?;
        let (status, body) = read_answer(stream)?;
        match status {
            200 if self.key.verifies(&nonce, &body) => Ok(()),
            200 => Err(no_proof("its proof is wrong")),
            // It says so in its own name: nothing was shown.
            401 if !self.which.is_empty() => {
                Err(ureq::Error::Other(Box::new(Refusal::Absent { status, body })))
            }
            502..=504 => Err(ureq::Error::Other(Box::new(Refusal::Absent { status, body }))),
            _ => Err(no_proof(format!("it answers {status} to /{PROOF_ROUTE}"))),
        }
    }
}

impl Connector<Box<dyn Transport>> for Guard {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<Box<dyn Transport>>,
    ) -> Result<Option<Box<dyn Transport>>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !self.is_ours(&details.uri.to_string()) {
            return Ok(Some(transport));
        }
        let mut stream = TransportAdapter::new(transport, details.current_time.clone());
        stream.set_timeout(details.timeout);
        let host = details.uri.authority().map_or("", |authority| authority.as_str());
        self.challenge(host, &mut stream)?;
        let mut transport = stream.into_inner();
        // It would be taken for the answer to the request that follows.
        if !transport.buffers().input().is_empty() {
            return Err(no_proof("it says more than it was asked"));
        }
        Ok(Some(transport))
    }
}

fn no_proof(reason: impl Into<String>) -> ureq::Error {
    ureq::Error::Other(Box::new(Refusal::NoProof(reason.into())))
}

/// The status and body of a short answer whose length is announced, as our Master gives it; not a
/// byte more is read.
fn read_answer(stream: &mut impl io::Read) -> Result<(u16, String), ureq::Error> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte)? {
            0 if head.is_empty() => {
                let reason = "the connection was closed without an answer";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason).into());
            }
            0 => return Err(no_proof("its answer is not HTTP")),
            _ => head.extend(byte),
        }
        if head.len() > MAX_HEAD || (head.len() == 5 && !head.starts_with(b"HTTP/")) {
            return Err(no_proof("its answer is not HTTP"));
        }
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| no_proof("its answer is not HTTP"))?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok())
        .filter(|length| *length <= MAX_BODY);
    let Some(length) = length else {
        // What it says is of no use, but the status is.
        return match status {
            200 => Err(no_proof("its answer is not a proof")),
            _ => Ok((status, String::new())),
        };
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, String::from_utf8_lossy(&body).trim().to_owned()))
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
