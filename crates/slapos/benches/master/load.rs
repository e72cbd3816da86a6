//! Many clients, each of which asks again as soon as it was answered.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::http::{Connection, Request};

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measure {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Latencies in milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Processor time of the Master for each request, in microseconds.
    pub(crate) cpu: f64,
    /// Requests that were answered.
    pub(crate) count: usize,
}

/// How long a load lasts: until there is no further request, or the time is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) time: Duration,
}

impl Load {
    /// Lets `connections` clients ask what `next` gives for the number of the request.
    ///
    /// # Panics
    /// When a request is not granted.
    pub(crate) fn run(
        self,
        address: SocketAddr,
        pid: u32,
        next: impl Fn(usize) -> Option<Request> + 'static,
    ) -> Measure {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let latencies = Rc::new(RefCell::new(Vec::new()));
        let (next, number) = (Rc::new(next), Rc::new(RefCell::new(0)));
        let local = LocalSet::new();
        let (cpu, started) = (crate::process::cpu_seconds(pid), Instant::now());
        let end = started + self.time;
        for _ in 0..self.connections {
            let (latencies, next, number) =
                (Rc::clone(&latencies), Rc::clone(&next), Rc::clone(&number));
            local.spawn_local(async move {
                let mut connection = Connection::new(address);
                while Instant::now() < end {
                    let turn = number.replace_with(|number| *number + 1);
                    let Some(request) = next(turn) else { return };
                    let asked = Instant::now();
                    let answer = connection.exchange(&request).await;
                    answer.unwrap_or_else(|error| panic!("request {turn}: {error}"));
                    latencies.borrow_mut().push(asked.elapsed().as_secs_f64() * 1e3);
                }
            });
        }
        runtime.expect("a runtime can be made").block_on(local);
        let wall = started.elapsed().as_secs_f64();
        let cpu = crate::process::cpu_seconds(pid) - cpu;
        let mut latencies = latencies.take();
        measure(&mut latencies, wall, cpu)
    }
}

#[allow(clippy::cast_precision_loss, reason = "rates are rounded anyhow")]
fn measure(latencies: &mut [f64], wall: f64, cpu: f64) -> Measure {
    let count = latencies.len();
    Measure {
        rate: count as f64 / wall,
        p50: percentile(latencies, 50),
        p99: percentile(latencies, 99),
        cpu: cpu * 1e6 / count.max(1) as f64,
        count,
    }
}

/// The value that so many of a hundred do not exceed; 0 of none.
pub(crate) fn percentile(values: &mut [f64], of_hundred: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() * of_hundred / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or_default()
}
