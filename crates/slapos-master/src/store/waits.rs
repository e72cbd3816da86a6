//! How long requests waited for the database, and how often it could not be had: what tells first that
//! it is too slow for what is asked of it.

use std::future::Future;
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::error::StoreError;

/// Up to how many seconds, each.
const TIMES: [f64; 8] = [0.000_1, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

type Labels = [(&'static str, &'static str); 1];

/// See the module. All clones count together.
#[derive(Clone)]
pub(crate) struct Waits {
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    refused: Family<Labels, Counter>,
}

impl Default for Waits {
    fn default() -> Waits {
        let histogram: fn() -> Histogram = || Histogram::new(TIMES);
        Waits { seconds: Family::new_with_constructor(histogram), refused: Family::default() }
    }
}

impl Waits {
    /// Has them told.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "database_wait_seconds",
            "How long requests waited until they could read or write",
            self.seconds.clone(),
        );
        registry.register(
            "database_refused",
            "How often the database could not be had",
            self.refused.clone(),
        );
    }

    /// Counts a wait for the right to do something.
    pub(super) async fn count<T>(
        &self,
        what: &'static str,
        turn: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let labels = [("for", what)];
        let begun = Instant::now();
        let turn = turn.await;
        self.seconds.get_or_create(&labels).observe(begun.elapsed().as_secs_f64());
        if turn.is_err() {
            self.refused.get_or_create(&labels).inc();
        }
        turn
    }
}
