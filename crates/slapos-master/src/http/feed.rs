//! `GET /api/v1/events` without a computer: all changes that the caller may see.
//!
//! Invariant: what the caller may see is asked anew for every look, so that who is taken out of a
//! project hears nothing of it from then on.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::Event;

use super::access::Caller;
use super::events::{Again, Batch, Source, resync};
use super::{ApiError, App};
use crate::store::{Bell, FeedEntry, Place};

/// Before another look at what is not certain yet: transactions are short.
const SOON: Duration = Duration::from_millis(50);

/// The longest time before such a look, which it takes when there is one transaction that is not short.
const LATER: Duration = Duration::from_secs(1);

/// Somebody who listens to everything.
pub(super) struct Everything {
    app: Arc<App>,
    caller: Caller,
    place: Option<Place>,
    /// How many looks saw nothing but that there will be more.
    pending: u32,
}

impl Everything {
    pub(super) fn new(app: &Arc<App>, caller: Caller, since: &str) -> Everything {
        // What is no place was never told by us: as good as none.
        let (app, place) = (Arc::clone(app), since.parse().ok());
        Everything { app, caller, place, pending: 0 }
    }
}

impl Source for Everything {
    fn bell(&self) -> Bell {
        self.app.store.feed_bell()
    }

    async fn news(&mut self) -> Result<Batch, ApiError> {
        let scope = self.app.seen_by(&self.caller).await?;
        let told = self.app.store.feed(&scope, self.place.as_ref()).await?;
        // What happened since is in it, too.
        if self.app.seen_by(&self.caller).await? != scope {
            let message = "what may be heard has changed: come again";
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message));
        }
        let mut events = Vec::with_capacity(told.entries.len() + 1);
        if told.resync {
            events.push(resync(&told.place));
        }
        events.extend(told.entries.iter().map(|(place, entry)| event(place, entry)));
        self.place = Some(told.place);
        self.pending = if told.pending && events.is_empty() { self.pending + 1 } else { 0 };
        let again = match (told.full, told.pending) {
            (true, _) => Again::Now,
            (false, true) => Again::After(LATER.min(SOON * (1 << self.pending.min(8)))),
            (false, false) => Again::Rung,
        };
        Ok(Batch { events, again })
    }
}

fn event(place: &Place, entry: &FeedEntry) -> Event {
    let event = Event::default().event("change").id(place.to_string());
    // Words and names only, which can always be worded.
    event.data(serde_json::to_string(entry).unwrap_or_default())
}
