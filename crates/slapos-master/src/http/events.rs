//! `GET /api/v1/events?computer=ID`: what changes on a computer, told the moment it does; without
//! `computer`, what changes at all, see [`super::feed`].
//!
//! See [`slapos_slap::Change`] for what is sent. A listener that comes back says how far it had
//! come (`Last-Event-ID`, or `since`) and misses nothing; where what it missed is not kept, and when
//! it says nothing, it is told to look at everything. Invariants: a listener costs a task and a few
//! messages, however slowly it reads, because what is to be told stays in the store until there is
//! room; it hears everything from the store, so that it does not matter which of several Masters
//! over one store it listens to (what the others did is told with the next heartbeat at the latest);
//! listeners never take all connections, nor one of them all places (see [`super::seats`]); whose token or certificate is not good any more hears nothing
//! after the next heartbeat.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use serde::Deserialize;
use slapos_slap::{Change, ComputerId, RESYNC};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::access::{Caller, Route, Rule};
use super::api::take::Asked;
use super::evidence::Evidence;
use super::feed::Everything;
use super::seats::{Seat, Seats};
use super::{ApiError, App};
use crate::store::{Bell, News, Position};

/// Between two signs of life: well below the time after which an idle connection is ended, here and
/// by what usually stands in between.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Messages that wait for a listener to read them.
const WAITING: usize = 16;

/// An event on its way: there is room for many, and most of the time there is none.
type Message = Box<Event>;

/// What all listeners have in common.
pub(crate) struct Listeners {
    /// Fewer than there may be connections: others have to be answered too.
    seats: Arc<Seats>,
    /// See [`HEARTBEAT`].
    pub(super) heartbeat: Duration,
    leaving: watch::Sender<bool>,
}

impl Listeners {
    /// How many listen.
    pub(super) fn count(&self) -> usize {
        self.seats.count()
    }

    /// Room for so many.
    pub(crate) fn new(most: usize) -> Listeners {
        let seats = Arc::new(Seats::new(most));
        Listeners { seats, heartbeat: HEARTBEAT, leaving: watch::Sender::new(false) }
    }

    /// Ends what they hear, for good.
    pub(crate) fn dismiss(&self) {
        self.leaving.send_replace(true);
    }
}

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/events", Rule::USER_OR_NODE, listen)]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// Everything that the caller may see, unless it is given.
    computer: Option<String>,
    #[serde(default)]
    since: String,
}

async fn listen(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(evidence): Extension<Evidence>,
    headers: HeaderMap,
    Asked(wish): Asked<Wish>,
) -> Result<Response, ApiError> {
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let since = header.unwrap_or(&wish.since);
    let computer = wish.computer.map(ComputerId::new);
    if let Some(computer) = &computer {
        app.allow_computer(&caller, computer).await?;
    }
    let full = |why| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, why);
    let place = (app.listeners.seats.take(&caller).map_err(full)?, evidence);
    match computer {
        Some(computer) => answer(&app, place, OfComputer::new(&app, caller, computer, since)).await,
        None => answer(&app, place, Everything::new(&app, caller, since)).await,
    }
}

/// Where a listener hears from.
pub(super) trait Source: Send + 'static {
    /// What wakes it. Its present value counts as heard.
    fn bell(&self) -> Bell;

    /// What is to be told next, in order.
    fn news(&mut self) -> impl Future<Output = Result<Batch, ApiError>> + Send;
}

/// Some events, and when to ask for more.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    pub(super) again: Again,
}

/// When a listener looks again.
#[derive(Default)]
pub(super) enum Again {
    /// When its bell rings, or with the next sign of life.
    #[default]
    Rung,
    /// After that time: there will be more which rings no bell.
    After(Duration),
    /// At once.
    Now,
}

/// What changes on one computer.
struct OfComputer {
    app: Arc<App>,
    caller: Caller,
    computer: ComputerId,
    position: Option<Position>,
}

impl OfComputer {
    fn new(app: &Arc<App>, caller: Caller, computer: ComputerId, since: &str) -> OfComputer {
        // What is no position was never told by us: as good as none.
        let (app, position) = (Arc::clone(app), since.parse().ok());
        OfComputer { app, caller, computer, position }
    }
}

impl Source for OfComputer {
    fn bell(&self) -> Bell {
        self.app.store.bell(&self.computer)
    }

    async fn news(&mut self) -> Result<Batch, ApiError> {
        self.app.node_of_operator(&self.caller, &self.computer).await?;
        let mut batch = Batch::default();
        let news = self.app.store.news(&self.computer, self.position.as_ref()).await?;
        // It may have become another's. After the look: what happened since is in it, too.
        self.app.allow_computer(&self.caller, &self.computer).await?;
        match news {
            News::Changes(changes) => {
                for (position, change) in changes {
                    batch.events.push(change_event(&position, &change));
                    self.position = Some(position);
                }
            }
            News::Resync(position) => {
                batch.events.push(resync(&position));
                self.position = Some(position);
            }
        }
        if !batch.events.is_empty() {
            batch.again = Again::Now;
        }
        Ok(batch)
    }
}

/// Answers with what is heard from there, from now on.
async fn answer(
    app: &Arc<App>,
    (seat, evidence): (Seat, Evidence),
    mut source: impl Source,
) -> Result<Response, ApiError> {
    // Before the first look, so that nothing is missed in between.
    let bell = source.bell();
    let first = source.news().await?;
    let (out, messages) = mpsc::channel(WAITING);
    let leaving = app.listeners.leaving.subscribe();
    let heartbeat = app.listeners.heartbeat;
    let now = Instant::now();
    let standing = Standing { app: Arc::clone(app), evidence };
    let beat = now + heartbeat;
    let listener = Listener { source, bell, standing, heartbeat, beat, leaving, out, _seat: seat };
    tokio::spawn(listener.serve(first));
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "no");
    Ok(([unbuffered], Sse::new(Messages(messages))).into_response())
}

/// Somebody who listens.
struct Listener<S> {
    source: S,
    bell: Bell,
    standing: Standing,
    heartbeat: Duration,
    /// When the next sign of life is due.
    beat: Instant,
    leaving: watch::Receiver<bool>,
    out: mpsc::Sender<Message>,
    _seat: Seat,
}

/// Whether he who listens still may.
struct Standing {
    app: Arc<App>,
    evidence: Evidence,
}

impl Standing {
    async fn is_good(&self) -> bool {
        match self.evidence.caller(&self.app).await {
            Ok(Some(_)) => true,
            Ok(None) => {
                tracing::info!("the token or certificate of one who listens is not good any more");
                false
            }
            Err(error) => {
                tracing::warn!("who listens has to come again: {error}");
                false
            }
        }
    }
}

/// Why a listener hears nothing more.
struct Gone;

impl<S: Source> Listener<S> {
    async fn serve(mut self, first: Batch) {
        let mut batch = first;
        while self.tell(batch).await.is_ok() {
            // What these need they have while they look, and not while everybody waits.
            batch = match Box::pin(self.source.news()).await {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::warn!("who listens has to come again: {}", error.message);
                    return;
                }
            };
            // After the look: what happened after a revocation was looked at after it.
            if !Box::pin(self.standing.is_good()).await {
                return;
            }
        }
    }

    /// Tells what is new, and waits until something else is.
    async fn tell(&mut self, batch: Batch) -> Result<(), Gone> {
        for event in batch.events {
            self.send(event).await?;
        }
        match batch.again {
            Again::Rung => self.wait(None).await,
            Again::After(time) => self.wait(Some(time)).await,
            Again::Now => Ok(()),
        }
    }

    /// Waits for the bell, or for that time; and gives a sign of life when one is due.
    async fn wait(&mut self, time: Option<Duration>) -> Result<(), Gone> {
        tokio::select! {
            () = self.bell.rung(), if time.is_none() => return Ok(()),
            () = tokio::time::sleep(time.unwrap_or_default()), if time.is_some() => return Ok(()),
            () = tokio::time::sleep_until(self.beat) => {}
            () = self.out.closed() => return Err(Gone),
            _ = self.leaving.wait_for(|leaving| *leaving) => return Err(Gone),
        }
        self.send(Event::default().comment("")).await
    }

    async fn send(&mut self, event: Event) -> Result<(), Gone> {
        self.beat = Instant::now() + self.heartbeat;
        tokio::select! {
            sent = self.out.send(Box::new(event)) => sent.map_err(|_| Gone),
            _ = self.leaving.wait_for(|leaving| *leaving) => Err(Gone),
        }
    }
}

/// To look at everything, and to go on from there.
pub(super) fn resync(position: &impl std::fmt::Display) -> Event {
    Event::default().event(RESYNC).id(position.to_string()).data("")
}

fn change_event(position: &Position, change: &Change) -> Event {
    let event = Event::default().event("change").id(position.to_string());
    // Words and names only, which can always be worded.
    event.data(serde_json::to_string(change).unwrap_or_default())
}

/// The body of the answer.
struct Messages(mpsc::Receiver<Message>);

impl Stream for Messages {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|message| message.map(|event| Ok(*event)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How large what an asynchronous function gives is.
    fn size<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn who_waits_is_small() {
        let size = size(Listener::<OfComputer>::serve);
        assert!(size <= 1536, "{size} bytes");
        // For each of these there is room for 32.
        assert_eq!(size_of::<Message>(), size_of::<usize>());
    }
}
