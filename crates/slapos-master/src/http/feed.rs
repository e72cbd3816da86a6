//! `GET /api/v1/events` without a computer: all changes that the caller may see.
//!
//! Invariant: what the caller may see is asked anew for every look, so that who is taken out of a
//! project hears nothing of it from then on.

use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;

use super::access::Caller;
use super::events::{Batch, Source, resync};
use super::{ApiError, App};
use crate::store::{Bell, FeedEntry, Place};

/// Before another look at what is not certain yet: transactions are short.
const SOON: Duration = Duration::from_millis(50);

/// Somebody who listens to everything.
pub(super) struct Everything {
    app: Arc<App>,
    caller: Caller,
    place: Option<Place>,
    /// Whether the last look saw that there will be more.
    pending: bool,
}

impl Everything {
    pub(super) fn new(app: &Arc<App>, caller: Caller, since: &str) -> Everything {
        // What is no place was never told by us: as good as none.
        let (app, place) = (Arc::clone(app), since.parse().ok());
        Everything { app, caller, place, pending: false }
    }
}

impl Source for Everything {
    fn bell(&self) -> Bell {
        self.app.store.feed_bell()
    }

    async fn news(&mut self) -> Result<Batch, ApiError> {
        if self.pending {
            tokio::time::sleep(SOON).await;
        }
        let scope = self.app.seen_by(&self.caller).await?;
        let told = self.app.store.feed(&scope, self.place.as_ref()).await?;
        let mut events = Vec::with_capacity(told.entries.len() + 1);
        if told.resync {
            events.push(resync(&told.place));
        }
        events.extend(told.entries.iter().map(|(place, entry)| event(place, entry)));
        self.place = Some(told.place);
        // After a full part there is more at once; what is not certain yet needs a moment.
        self.pending = told.pending && !told.full;
        Ok(Batch { events, more: told.pending || told.full })
    }
}

fn event(place: &Place, entry: &FeedEntry) -> Event {
    let event = Event::default().event("change").id(place.to_string());
    // Words and names only, which can always be worded.
    event.data(serde_json::to_string(entry).unwrap_or_default())
}
