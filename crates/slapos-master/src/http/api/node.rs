//! What nodes tell beside the reports of classic SLAP. Telling the same again changes nothing but the
//! time at which it was heard.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use slapos_slap::convert::partition_id;
use slapos_slap::{
    BuildProgress, ComputerId, NodeMetrics, PartitionPromises, PromiseReport, PromiseResult,
};
use slapos_sys::clock::Timestamp;

use super::super::access::{Caller, Route, Rule};
use super::super::{ApiError, App};
use super::take::{Named, Output, addressed, named};
use crate::store::PartitionTold;

type Shared = State<Arc<App>>;
type Done = Result<StatusCode, ApiError>;

/// The most results of promises in one report.
const MOST_RESULTS: usize = 20_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/computers/{id}/progress", Rule::NODE, progress),
        Route::post("/api/v1/computers/{id}/promises", Rule::NODE, promises),
        Route::post("/api/v1/computers/{id}/metrics", Rule::NODE, metrics),
    ]
}

async fn progress(
    State(app): Shared,
    caller: Caller,
    Named(id): Named,
    Output(progress): Output<BuildProgress>,
) -> Done {
    let computer = ComputerId::new(id);
    app.allow_computer(&caller, &computer).await?;
    addressed("`url`", &progress.url)?;
    app.store.build_progress(&computer, &progress).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn promises(
    State(app): Shared,
    caller: Caller,
    Named(id): Named,
    Output(report): Output<PromiseReport>,
) -> Done {
    let computer = ComputerId::new(id);
    app.allow_computer(&caller, &computer).await?;
    let results: usize = report.partitions.iter().map(|part| part.results.len()).sum();
    if results > MOST_RESULTS || report.partitions.len() > MOST_RESULTS {
        let message = format!("there are more than {MOST_RESULTS} results: tell them in parts");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    let told: Result<Vec<_>, _> = report.partitions.into_iter().map(checked).collect();
    app.store.promises(&computer, &told?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn checked(part: PartitionPromises) -> Result<PartitionTold, ApiError> {
    let partition = partition_id(&part.partition)?;
    let timed = |result: PromiseResult| {
        named("the name of a promise", &result.name)?;
        Ok((time("at", &result.at)?, result))
    };
    let results: Result<_, ApiError> = part.results.into_iter().map(timed).collect();
    Ok(PartitionTold { partition, results: results?, names: part.names })
}

async fn metrics(
    State(app): Shared,
    caller: Caller,
    Named(id): Named,
    Output(metrics): Output<NodeMetrics>,
) -> Done {
    let computer = ComputerId::new(id);
    app.allow_computer(&caller, &computer).await?;
    app.store.node_metrics(&computer, &metrics).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A time in microseconds since 1970.
pub(super) fn time(what: &str, text: &str) -> Result<i64, ApiError> {
    text.parse::<Timestamp>().map(Timestamp::as_microsecond).map_err(|_| {
        let example = "2026-11-23T10:00:00Z";
        ApiError::bad_request(format!("`{what}` must be a time such as {example}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        assert_eq!(time("at", "1970-01-01T00:00:01.5Z").unwrap(), 1_500_000);
        assert!(time("at", "yesterday").is_err());
    }
}
