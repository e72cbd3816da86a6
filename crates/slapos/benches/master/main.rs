//! What a Master bears: simulated nodes and users, over real HTTP, at the real binary.
//!
//! `cargo bench -p slapos --bench master [-- PART ...]`, where a part is
//! - `ratios`: rates and latencies next to those of the original's `slapos proxy`, in the same run;
//! - `rates`: the same for our Master alone, when it is named;
//! - `tokens`: what a token of a computer's own, or of a user's, costs beside the operator's;
//! - `events[=NODES]`: so many nodes listen (10,000 unless told otherwise), and users ask;
//! - `secret[=NODES]`: the same over TLS;
//! - `growth[=NODES]`: what a request costs with 100, 1,000 ... NODES nodes of 10 instances each.
//!
//! All of them but `rates` unless some are named. Our Master keeps everything in an SQLite file; with
//! `SLAPOS_BENCH_POSTGRES=1` in a PostgreSQL server that is started for it, one database for each part.
//! `SLAPOS_BENCH_BINARY` names another `slapos` to measure, such as a former one. The load runs in one thread
//! of this process, on the same machine; the Master's own cost is its processor time for each
//! request. A table and plots (SVG) of `growth` are left in the directory that is printed. Aims: 50
//! times the original's rate of full information and of requests; 10,000 listeners in 300 MB, told
//! of a request within 100 ms (p99); costs that do not grow with the number of nodes.

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark arranges files and runs programs directly"
)]

mod events;
mod growth;
mod http;
mod load;
mod ours;
mod peer;
mod plot;
mod process;
mod ratios;
mod secret;
mod tokens;
mod words;

use std::net::SocketAddr;

use slapos_testkit::Postgres;
use words::Words;

/// A Master under load.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Where it answers by TLS.
    pub(crate) secret: Option<SocketAddr>,
    pub(crate) pid: u32,
    pub(crate) words: Words,
}

impl Target {
    fn of(master: &ours::Master) -> Target {
        let words = master.words.clone();
        Target { address: master.address, secret: master.secret, pid: master.pid(), words }
    }
}

fn main() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let is_asked = std::env::var_os("SLAPOS_BENCH_POSTGRES").is_some();
    let server = is_asked.then(|| Postgres::start(true).unwrap_or_else(|why| panic!("{why}")));
    let start = |part: &str| {
        let database = server.as_ref().map(|server| server.database(part));
        ours::Master::start(database.as_deref(), part == "secret")
    };
    if wanted(&parts, "ratios").is_some() {
        ratios::compare(&start("ratios"), true);
    }
    if parts.iter().any(|part| part == "rates") {
        ratios::compare(&start("rates"), false);
    }
    if wanted(&parts, "tokens").is_some() {
        tokens::compare(&start("tokens"));
    }
    if let Some(nodes) = wanted(&parts, "events") {
        events::measure(&start("events"), nodes);
    }
    if let Some(nodes) = wanted(&parts, "secret") {
        events::measure(&start("secret"), nodes);
    }
    if let Some(nodes) = wanted(&parts, "growth") {
        growth::measure(&start("growth"), nodes);
    }
}

/// For how many nodes that part is wanted, if it is.
fn wanted(parts: &[String], name: &str) -> Option<usize> {
    const NODES: usize = 10_000;
    if parts.is_empty() {
        return Some(NODES);
    }
    parts.iter().find_map(|part| match part.split_once('=') {
        Some((part, nodes)) if part == name => {
            Some(nodes.parse().unwrap_or_else(|_| panic!("{nodes} is no number of nodes")))
        }
        None if part == name => Some(NODES),
        _ => None,
    })
}
