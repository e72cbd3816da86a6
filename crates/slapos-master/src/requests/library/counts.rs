//! Schemas in numbers: how many are kept, how often they were read, and who judged by them.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = [(&'static str, &'static str); 1];

/// See the module. All clones count together.
#[derive(Debug, Clone, Default)]
pub(in crate::requests) struct Counts {
    kept: Gauge<i64, AtomicI64>,
    bytes: Gauge<i64, AtomicI64>,
    readings: Family<Labels, Counter>,
    verdicts: Family<Labels, Counter>,
}

impl Counts {
    /// Has them told.
    pub(in crate::requests) fn register(&self, registry: &mut Registry) {
        registry.register(
            "schemas_kept",
            "Software Releases of the network whose schemas are kept",
            self.kept.clone(),
        );
        registry.register("schemas_kept_bytes", "How large they are", self.bytes.clone());
        registry.register(
            "schema_readings",
            "How often the schemas of a Software Release were read of the network",
            self.readings.clone(),
        );
        registry.register(
            "schema_verdicts",
            "What came of parameters: judged by a process, known from before, or not judged",
            self.verdicts.clone(),
        );
    }

    /// Counts a reading.
    pub(super) fn read(&self, well: bool) {
        let outcome = if well { "read" } else { "failed" };
        self.readings.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Notes what is kept: how many, and how many bytes.
    pub(super) fn kept(&self, (number, bytes): (usize, usize)) {
        self.kept.set(i64::try_from(number).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts a verdict: `judged`, `known` or `unreadable`.
    pub(in crate::requests) fn verdict(&self, outcome: &'static str) {
        self.verdicts.get_or_create(&[("outcome", outcome)]).inc();
    }
}
