//! The XML-RPC face: HTTP on a unix socket, for root and the daemon's own user only.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_core::Stream;
use tokio::net::{UnixListener, UnixStream, unix};
use tokio::sync::{mpsc, oneshot};

use super::background::with_rights_of;
use super::core::Message;
use super::follow as following;
use super::logs::Log;
use crate::fault::{self, fault};
use crate::paths::with_socket_path;
use crate::xmlrpc::{self, Call, Fault, Value};

/// A request may be so long.
const MAX_REQUEST: usize = 1 << 20;
/// Following a log begins so many bytes before its end, and looks so often.
const FOLLOW_FROM: u64 = 1024;
const FOLLOW_EVERY: Duration = Duration::from_millis(200);
const FOLLOW_CHUNK: u64 = 64 << 10;

type Outbox = mpsc::UnboundedSender<Message>;

/// Binds the socket, mode 0700. A socket that is there is replaced: the caller holds the lock, so
/// nobody is behind it.
pub(crate) fn bind(socket: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = with_socket_path(socket, |path| std::os::unix::net::UnixListener::bind(path))?;
    slapos_sys::fs::set_mode(socket, 0o700)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers requests until `end`, then until those under way are answered.
pub(crate) async fn serve(
    listener: UnixListener,
    outbox: Outbox,
    end: impl Future<Output = ()> + Send + 'static,
) {
    let router = Router::new()
        .route("/RPC2", post(call))
        .route("/logtail/{name}", get(follow))
        .route("/logtail/{name}/{channel}", get(follow_channel))
        .route("/mainlogtail", get(follow_own))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(outbox);
    let served = axum::serve(Guarded(listener), router).with_graceful_shutdown(end);
    let _ = served.await;
}

/// A listener that hangs up on other users. The mode of the socket says the same; this holds also
/// where a file system does not mind the mode of sockets.
struct Guarded(UnixListener);

impl axum::serve::Listener for Guarded {
    type Io = UnixStream;
    type Addr = unix::SocketAddr;

    async fn accept(&mut self) -> (UnixStream, unix::SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) if is_allowed(&stream) => return (stream, address),
                Ok(_) => {}
                // Out of descriptors, most likely: others may be closed soon.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<unix::SocketAddr> {
        self.0.local_addr()
    }
}

fn is_allowed(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn call(State(outbox): State<Outbox>, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body);
    let call = match xmlrpc::parse_call(&text) {
        Ok(call) => call,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let answer = if call.method == "system.multicall" {
        multicall(&outbox, &call).await
    } else {
        ask(&outbox, call).await
    };
    let headers = [(header::CONTENT_TYPE, "text/xml")];
    (headers, xmlrpc::render_response(&answer)).into_response()
}

async fn ask(outbox: &Outbox, call: Call) -> Result<Value, Fault> {
    let (reply, answer) = oneshot::channel();
    let _ = outbox.send(Message::Request(call, reply));
    let answer = answer.await;
    answer.unwrap_or_else(|_| Err(fault(fault::SHUTDOWN_STATE, "")))
}

/// One after the other; each answer is an array of one value, or a fault.
async fn multicall(outbox: &Outbox, call: &Call) -> Result<Value, Fault> {
    let wrong = || fault(fault::INCORRECT_PARAMETERS, "an array of structs is needed");
    let calls = call.params.first().and_then(Value::as_array);
    let mut answers = Vec::new();
    for call in calls.ok_or_else(wrong)? {
        let method = call.member("methodName").and_then(Value::as_str);
        let params = call.member("params").and_then(Value::as_array);
        let call = Call {
            method: method.ok_or_else(wrong)?.to_owned(),
            params: params.unwrap_or_default().to_vec(),
        };
        answers.push(match ask(outbox, call).await {
            Ok(value) => Value::Array(vec![value]),
            Err(fault) => xmlrpc::fault_value(&fault),
        });
    }
    Ok(Value::Array(answers))
}

async fn follow_own(State(outbox): State<Outbox>) -> Response {
    follow_log(&outbox, String::new()).await
}

async fn follow(State(outbox): State<Outbox>, UrlPath(name): UrlPath<String>) -> Response {
    follow_log(&outbox, name).await
}

async fn follow_channel(
    State(outbox): State<Outbox>,
    UrlPath((name, channel)): UrlPath<(String, String)>,
) -> Response {
    if channel != "stdout" {
        return (StatusCode::GONE, "errors are in the stdout log").into_response();
    }
    follow_log(&outbox, name).await
}

async fn follow_log(outbox: &Outbox, name: String) -> Response {
    let (reply, answer) = oneshot::channel();
    let _ = outbox.send(Message::FindLog(name, reply));
    match answer.await {
        Ok(Ok(log)) => {
            let (pieces, stream) = mpsc::channel(4);
            tokio::spawn(send_log(log, pieces));
            let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            (headers, Body::from_stream(Pieces(stream))).into_response()
        }
        Ok(Err(fault)) => (StatusCode::NOT_FOUND, fault.text).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Sends the end of a log and what is added to it, until nobody listens.
async fn send_log(log: Log, pieces: mpsc::Sender<io::Result<Bytes>>) {
    let mut position = None;
    while !pieces.is_closed() {
        let source = log.clone();
        let read = tokio::task::spawn_blocking(move || {
            let length = if position.is_none() { FOLLOW_FROM } else { FOLLOW_CHUNK };
            with_rights_of(source.user.as_deref(), || following::follow(&source, position, length))
        });
        let Ok(Ok(Ok(piece))) = read.await else {
            return;
        };
        position = piece.position;
        if piece.bytes.is_empty() {
            tokio::time::sleep(FOLLOW_EVERY).await;
        } else if pieces.send(Ok(piece.bytes.into())).await.is_err() {
            return;
        }
    }
}

/// What a channel receives, as the body of a response.
struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
