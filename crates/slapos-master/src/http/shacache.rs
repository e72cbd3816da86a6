//! The network cache over HTTP, as the original's embedded Master has it below `/shacache`.
//!
//! Invariants: what goes in or out is never held in memory as a whole; what did not come to its end
//! is not kept.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Seek as _, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use super::access::{Asker, May, Route, Rule};
use super::{ApiError, App, text};
use crate::shacache::{
    Arriving, Digest, Failure, Found, Key, Outlook, Refused, Shacache, Upstream, is_entry,
};

type Shared = State<Arc<App>>;
type Answer = Result<Response, ApiError>;

/// How much is read at a time, in bytes, and how many such pieces may wait.
const PIECE: usize = 64 << 10;
const WAITING: usize = 4;

/// How long a large file may take.
const LONG: std::time::Duration = std::time::Duration::from_secs(3600);

/// The handler itself looks how much comes: as much as is configured.
const ITSELF: usize = usize::MAX;

/// People and nodes build, and so have something to keep.
const UPLOAD: Rule = Rule { user: May::All, computer: May::All, ..Rule::OPERATOR };

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/shacache/cache/{digest}", Rule::KNOWN, download).within(LONG),
        Route::put("/shacache/cache/{digest}", UPLOAD, upload_as).body(ITSELF).within(LONG),
        Route::post("/shacache/cache", UPLOAD, upload).body(ITSELF).within(LONG),
        Route::post("/shacache/cache/", UPLOAD, upload).body(ITSELF).within(LONG),
        Route::get("/shacache/dir/{key}", Rule::KNOWN, entries).within(LONG),
        Route::put("/shacache/dir/{key}", UPLOAD, index).within(LONG),
        Route::post("/shacache/update", Rule::OPERATOR, update).within(LONG),
    ]
}

/// The rule of a route: that of the list, except that whoever reaches the Master may read from the
/// cache if that is configured. Clients in Python can show no token over HTTP.
pub(super) fn rule(app: &App, route: &Route) -> Rule {
    let open = app.shacache.as_ref().is_some_and(|cache| cache.config.anonymous_download);
    let read = route.method == Method::GET && route.path.starts_with("/shacache/");
    if open && read { Rule::ANYBODY } else { route.rule }
}

/// The cache, if there is one.
fn cache(app: &App) -> Result<Shacache, ApiError> {
    app.shacache
        .clone()
        .ok_or_else(|| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Shacache not configured"))
}

/// Does what waits for the disk where it holds up nobody.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&io::Error::other(error)))?
}

fn failed(error: &io::Error) -> ApiError {
    tracing::error!("the network cache: {error}");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the network cache fails: {error}"))
}

fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "this cache does not have it")
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> ApiError {
        match failure {
            Failure::Absent => not_found(),
            Failure::Here(error) => failed(&error),
            Failure::Upstream(_) => ApiError::new(StatusCode::BAD_GATEWAY, failure.to_string()),
            Failure::Busy => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, failure.to_string()),
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> ApiError {
        match refused {
            Refused::TooLarge(_) => {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, refused.to_string())
            }
            Refused::Mismatch => ApiError::bad_request(refused.to_string()),
            Refused::Io(error) => failed(&error),
        }
    }
}

/// Gives a content; what is not here yet while it comes from upstream, and then from its beginning,
/// whatever range is asked for.
async fn download(
    State(app): Shared,
    Extension(Asker(asker)): Extension<Asker>,
    headers: HeaderMap,
    Path(digest): Path<String>,
) -> Answer {
    let cache = cache(&app)?;
    let digest = Digest::parse(&digest).ok_or_else(not_found)?;
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let mut arriving = match found(&cache, &digest, &asker).await? {
        Found::Here(file) => return served(file, &digest, range).await,
        Found::Coming(arriving) => arriving,
    };
    if let Outlook::Coming(length) = arriving.outlook().await? {
        return Ok(attachment(&digest, following(arriving), (StatusCode::OK, length, None)));
    }
    match found(&cache, &digest, &asker).await? {
        Found::Here(file) => served(file, &digest, range).await,
        Found::Coming(_) => Err(not_found()),
    }
}

async fn found(cache: &Shacache, digest: &Digest, asker: &str) -> Result<Found, ApiError> {
    let (cache, digest, asker) = (cache.clone(), digest.clone(), asker.to_owned());
    aside(move || Ok(cache.find(&digest, &asker)?)).await
}

/// A file as an attachment, or the range of it that is asked for.
async fn served(mut file: File, name: &Digest, range: Option<&str>) -> Answer {
    let (file, length, range) = {
        let range = range.map(str::to_owned);
        aside(move || {
            let length = file.metadata().map_err(|error| failed(&error))?.len();
            let range = range.and_then(|range| parse_range(&range, length));
            if let Some(Ok((first, _))) = range {
                file.seek(SeekFrom::Start(first)).map_err(|error| failed(&error))?;
            }
            Ok((file, length, range))
        })
        .await?
    };
    let (status, count, content_range) = match range {
        None => (StatusCode::OK, length, None),
        Some(Ok((first, last))) => {
            let told = format!("bytes {first}-{last}/{length}");
            (StatusCode::PARTIAL_CONTENT, last - first + 1, Some(told))
        }
        Some(Err(Unsatisfiable)) => {
            let told = format!("bytes */{length}");
            (StatusCode::RANGE_NOT_SATISFIABLE, 0, Some(told))
        }
    };
    Ok(attachment(name, pieces(file, count), (status, Some(count), content_range)))
}

/// A content in pieces: its status, its length if that is known, and which range of it that is.
fn attachment(
    name: &Digest,
    pieces: Pieces,
    (status, length, range): (StatusCode, Option<u64>, Option<String>),
) -> Response {
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = status;
    let fixed = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename={}", name.as_str())),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    let length = length.map(|length| (header::CONTENT_LENGTH, length.to_string()));
    let range = range.map(|told| (header::CONTENT_RANGE, told));
    for (name, value) in fixed.into_iter().chain(length).chain(range) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A range that begins behind the end.
#[derive(Debug, PartialEq)]
struct Unsatisfiable;

/// The first and last byte that a header `Range` asks for; `None` for what is not one range, which
/// is then ignored.
fn parse_range(value: &str, length: u64) -> Option<Result<(u64, u64), Unsatisfiable>> {
    let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1);
    let (first, last) = match (first.trim(), last.trim()) {
        ("", count) => {
            let count: u64 = count.parse().ok()?;
            let end = end.filter(|_| count > 0);
            return Some(end.map(|end| (length.saturating_sub(count), end)).ok_or(Unsatisfiable));
        }
        (first, "") => (first.parse::<u64>().ok()?, u64::MAX),
        (first, last) => (first.parse().ok()?, last.parse().ok()?),
    };
    if last < first {
        return None;
    }
    let end = end.filter(|end| first <= *end);
    Some(end.map(|end| (first, last.min(end))).ok_or(Unsatisfiable))
}

/// The next so many bytes of a file. No thread waits for who takes them.
fn pieces(file: File, count: u64) -> Pieces {
    let (send, receive) = mpsc::channel(WAITING);
    let mut file = tokio::fs::File::from_std(file);
    tokio::spawn(async move {
        let mut left = count;
        while left > 0 {
            let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
            let read = file.read_exact(&mut piece).await.map(|_| Bytes::from(piece));
            let length = read.as_ref().map_or(left, |piece| piece.len() as u64);
            // Nobody reads any more.
            if send.send(read).await.is_err() {
                break;
            }
            left -= length.min(left);
        }
    });
    Pieces(receive)
}

/// What arrives, as it arrives; an error breaks the connection off.
fn following(mut arriving: Arriving) -> Pieces {
    let (send, receive) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut at = 0;
        while let Some(piece) = arriving.piece(at).await {
            let failed = piece.is_err();
            at += piece.as_ref().map_or(0, |piece| piece.len() as u64);
            // Nobody reads any more.
            if send.send(piece).await.is_err() || failed {
                break;
            }
        }
    });
    Pieces(receive)
}

struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

async fn upload(State(app): Shared, body: Body) -> Answer {
    keep(cache(&app)?, None, body).await
}

async fn upload_as(State(app): Shared, Path(digest): Path<String>, body: Body) -> Answer {
    let cache = cache(&app)?;
    let digest = Digest::parse(&digest).ok_or(Refused::Mismatch)?;
    keep(cache, Some(digest), body).await
}

/// Keeps a body under its digest, which has to be the wanted one. No thread waits for who sends it.
async fn keep(cache: Shacache, wanted: Option<Digest>, body: Body) -> Answer {
    let mut incoming = aside(move || cache.incoming().map_err(|error| failed(&error))).await?;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = poll_fn(|cx| Pin::new(&mut pieces).poll_next(cx)).await {
        let piece = piece.map_err(|_| ApiError::bad_request("the content was cut off"))?;
        incoming = aside(move || {
            incoming.take(&piece)?;
            Ok(incoming)
        })
        .await?;
    }
    let digest = aside(move || Ok(incoming.finish(wanted.as_ref())?)).await?;
    Ok((StatusCode::CREATED, text(digest.as_str())).into_response())
}

/// What is known of a key, taken from upstream where it is not here yet.
async fn entries(State(app): Shared, Path(key): Path<String>) -> Answer {
    let cache = cache(&app)?;
    let key = Key::parse(&key).ok_or_else(not_found)?;
    let here = {
        let (cache, key) = (cache.clone(), key.clone());
        aside(move || cache.entries(&key).map_err(|error| failed(&error))).await?
    };
    if let Some(text) = here {
        return Ok(super::with_type("application/json", text));
    }
    let taken = {
        let cache = cache.clone();
        move || -> Result<String, Failure> {
            let entries = Upstream::for_entries().entries(&cache, &key)?;
            cache.set_entries(&key, &entries)?;
            Ok(Value::from(entries).to_string())
        }
    };
    let text = cache.away(taken).await??;
    Ok(super::with_type("application/json", text))
}

/// Replaces what is known of a key, as the original does.
async fn index(State(app): Shared, Path(key): Path<String>, body: Bytes) -> Answer {
    let cache = cache(&app)?;
    let invalid = || ApiError::bad_request("Invalid entry format");
    let key = Key::parse(&key).ok_or_else(|| ApiError::bad_request("Invalid key"))?;
    let entry: Value = serde_json::from_slice(&body).map_err(|_| invalid())?;
    if !is_entry(&entry) {
        return Err(invalid());
    }
    aside(move || cache.set_entries(&key, &[entry]).map_err(|error| failed(&error))).await?;
    Ok(StatusCode::CREATED.into_response())
}

/// Without another cache, forgets the entries whose content is not here; else takes over what the
/// other one has of each key.
async fn update(State(app): Shared) -> Answer {
    let cache = cache(&app)?;
    let renewed = {
        let cache = cache.clone();
        move || renew_all(&cache)
    };
    let (removed, updated) = cache.away(renewed).await??;
    Ok(Json(json!({ "removed": removed, "updated": updated })).into_response())
}

/// The keys whose entries went, and those whose entries came.
fn renew_all(cache: &Shacache) -> Result<(Vec<String>, Vec<String>), ApiError> {
    let (mut removed, mut updated) = (Vec::new(), Vec::new());
    for key in cache.keys().map_err(|error| failed(&error))? {
        match renew(cache, &key)? {
            Renewed::Removed => removed.push(key.as_str().to_owned()),
            Renewed::Updated => updated.push(key.as_str().to_owned()),
            Renewed::Kept => {}
        }
    }
    Ok((removed, updated))
}

enum Renewed {
    Removed,
    Updated,
    Kept,
}

fn renew(cache: &Shacache, key: &Key) -> Result<Renewed, ApiError> {
    let set = |entries: &[Value]| cache.set_entries(key, entries).map_err(|error| failed(&error));
    if cache.config.upstream_dir.is_none() {
        return match cache.kept_entries(key).map_err(|error| failed(&error))? {
            None => Ok(Renewed::Kept),
            Some(kept) => set(&kept).map(|()| Renewed::Removed),
        };
    }
    match Upstream::for_entries().entries(cache, key) {
        Ok(entries) => {
            set(&entries)?;
            Ok(if entries.is_empty() { Renewed::Removed } else { Renewed::Updated })
        }
        Err(Failure::Absent) => set(&[]).map(|()| Renewed::Removed),
        Err(failure) => {
            tracing::warn!("the entries of {} stay as they are: {failure}", key.as_str());
            Ok(Renewed::Kept)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_take_what_he_asked_for_holds_no_thread() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let file = tempfile::tempfile().unwrap();
        let length = PIECE as u64 * 2 * WAITING as u64;
        file.set_len(length).unwrap();
        runtime.block_on(async {
            let slow = pieces(file, length);
            while slow.0.len() < WAITING {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            let other = tokio::task::spawn_blocking(|| ());
            let patience = std::time::Duration::from_secs(60);
            tokio::time::timeout(patience, other).await.expect("a thread is free").unwrap();
        });
    }

    #[test]
    fn ranges() {
        for (value, range) in [
            ("bytes=0-", Some(Ok((0, 9)))),
            ("bytes=3-", Some(Ok((3, 9)))),
            ("bytes=3-4", Some(Ok((3, 4)))),
            ("bytes=3-99", Some(Ok((3, 9)))),
            ("bytes=-4", Some(Ok((6, 9)))),
            ("bytes=-40", Some(Ok((0, 9)))),
            ("bytes=10-", Some(Err(Unsatisfiable))),
            ("bytes=-0", Some(Err(Unsatisfiable))),
            ("bytes=4-3", None),
            ("bytes=0-1,3-4", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(parse_range(value, 10), range, "{value}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(Err(Unsatisfiable)));
    }
}
