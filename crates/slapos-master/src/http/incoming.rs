//! The body of a request as it comes in: whose fault it is that a request takes too long, and what is
//! said of a body that stays away or is too large.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::ApiError;

/// How far a body is.
#[derive(Debug, Clone, Default)]
pub(super) struct Incoming(Arc<State>);

#[derive(Debug, Default)]
struct State {
    awaited: AtomicBool,
    rest: AtomicBool,
}

impl Incoming {
    /// Whether somebody waits for more of it at present.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.awaited.load(Ordering::Relaxed)
    }

    /// Whether there is something of it that nobody has taken.
    fn has_rest(&self) -> bool {
        self.0.rest.load(Ordering::Relaxed)
    }
}

/// The same request, of whose body it is known how far it is.
pub(super) fn watched(request: Request) -> (Request, Incoming) {
    let incoming = Incoming::default();
    if request.body().is_end_stream() {
        return (request, incoming);
    }
    incoming.0.rest.store(true, Ordering::Relaxed);
    let told = incoming.clone();
    (request.map(|inner| Body::new(Watched { inner, told })), incoming)
}

struct Watched {
    inner: Body,
    told: Incoming,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.told.0.awaited.store(polled.is_pending(), Ordering::Relaxed);
        let ended = matches!(polled, Poll::Ready(None)) || self.inner.is_end_stream();
        self.told.0.rest.store(!ended, Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The same answer, which says that the connection ends where the body was not taken whole: what is left
/// of it stands before whatever else would be asked.
pub(super) fn told(body: &Incoming, mut answer: Response) -> Response {
    if body.has_rest() {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// What is answered when the body of such a request stayed away.
pub(super) fn late(what: &str, time: Duration) -> Response {
    let message = format!(
        "the body of {what} did not come within {} s: ask again, and send all of it",
        time.as_secs()
    );
    ApiError::new(StatusCode::REQUEST_TIMEOUT, message).into_response()
}

/// What is answered when the body of such a request has more bytes than it may.
pub(super) fn too_large(what: &str, most: usize) -> Response {
    let message = format!("{what} takes a body of at most {most} bytes, and this one is larger");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    impl HttpBody for Silent {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Pending
        }
    }

    fn poll(request: &mut Request) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Pin::new(request.body_mut()).poll_frame(&mut cx).is_ready()
    }

    #[test]
    fn a_body_is_awaited_from_when_it_is_read_until_it_is_there() {
        let (mut request, awaited) = watched(Request::new(Body::new(Silent)));
        assert!(!awaited.is_awaited(), "nobody reads it yet");
        assert!(!poll(&mut request) && awaited.is_awaited());
        let (mut request, awaited) = watched(Request::new(Body::from("here")));
        assert_eq!(request.body().size_hint().exact(), Some(4));
        assert!(poll(&mut request) && !awaited.is_awaited());
        let (_, awaited) = watched(Request::new(Body::empty()));
        assert!(!awaited.is_awaited());
    }

    #[test]
    fn a_connection_ends_with_a_body_that_nobody_took() {
        let ends = |body: &Incoming| {
            told(body, Response::default()).headers().contains_key(header::CONNECTION)
        };
        let (mut request, body) = watched(Request::new(Body::from("here")));
        assert!(ends(&body));
        assert!(poll(&mut request) && !ends(&body));
        let (_, body) = watched(Request::new(Body::empty()));
        assert!(!ends(&body));
    }
}
