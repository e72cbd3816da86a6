//! The dashboard: the files of `ui/`, which are inside the program, for any browser.
//!
//! Invariants: what is served is this list and nothing of the file system; the page may load and
//! ask nothing but this Master, and no other page may frame it; a browser asks each time whether a
//! file is still the same, so that a new program and an old page never meet for long. Files are no secret:
//! data needs a token, which the page sends with what it asks.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use sha2::{Digest as _, Sha256};

use super::access::{Route, Rule};
use super::{ApiError, text};

/// Where the page is.
const HOME: &str = "/ui/";

const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; \
    form-action 'self'";

/// A file of the dashboard.
struct File {
    /// Below `/ui/`.
    path: &'static str,
    content: &'static str,
}

macro_rules! files {
    ($($path:literal)*) => {
        &[$(File { path: $path, content: include_str!(concat!("../../ui/", $path)) }),*]
    };
}

const FILES: &[File] = files![
    "api.js"
    "app.js"
    "dialog.js"
    "dom.js"
    "events.js"
    "fields.js"
    "form.css"
    "form.js"
    "frame.js"
    "groups.js"
    "icon.svg"
    "index.html"
    "live-list.js"
    "page.css"
    "parameter-editor.js"
    "parameters.js"
    "parts.css"
    "parts.js"
    "plot.js"
    "reach.js"
    "router.js"
    "schema.js"
    "screen.js"
    "secrets.js"
    "session.js"
    "shapes.js"
    "sla.js"
    "theme.css"
    "theme.js"
    "validate.js"
    "views/audit.js"
    "views/change.js"
    "views/computer-actions.js"
    "views/computer.js"
    "views/computers.js"
    "views/instance-actions.js"
    "views/instance.js"
    "views/instances.js"
    "views/me.js"
    "views/missing.js"
    "views/overview.js"
    "views/people.js"
    "views/person.js"
    "views/projects.js"
    "views/promises.js"
    "views/request.js"
    "views/schema-choice.js"
    "views/search.js"
    "views/sign-in.js"
    "views/software-one.js"
    "views/software-parts.js"
    "views/software.js"
    "views/tokens.js"
    "views/usage.js"
    "words.js"
];

/// What a browser compares, for each file in the order of [`FILES`].
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |file: &File| {
        let digest = Sha256::digest(file.content.as_bytes());
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    };
    FILES.iter().map(tag).collect()
});

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/", Rule::ANYBODY, root),
        Route::get(HOME, Rule::ANYBODY, index),
        Route::get("/ui/{*path}", Rule::ANYBODY, file),
        Route::get("/ui", Rule::ANYBODY, home),
        // Where the original has its own.
        Route::get("/panel", Rule::ANYBODY, home),
        Route::get("/panel/", Rule::ANYBODY, home),
    ]
}

/// The dashboard for browsers; programs that start a Master wait for an answer from its root.
async fn root(headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let page = accepted.is_some_and(|accepted| accepted.contains("text/html"));
    let mut response =
        if page { Redirect::to(HOME).into_response() } else { text("SlapOS Master") };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

async fn home() -> Redirect {
    Redirect::to(HOME)
}

async fn index(headers: HeaderMap) -> Result<Response, ApiError> {
    serve("index.html", &headers)
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    serve(&path, &headers)
}

/// A file, or that the one which the browser has is the same.
fn serve(path: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let found = FILES.iter().zip(TAGS.iter()).find(|(file, _)| file.path == path);
    let Some((file, tag)) = found else {
        let message = format!("the dashboard has no file {path:?}: see {HOME}");
        return Err(ApiError::new(StatusCode::NOT_FOUND, message));
    };
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut response = if known.filter_map(|value| value.to_str().ok()).any(|have| knows(have, tag))
    {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, content_type(path))], file.content).into_response()
    };
    let answered = response.headers_mut();
    for (name, value) in common() {
        answered.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(tag) {
        answered.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Whether the value of `If-None-Match` names the tag.
fn knows(have: &str, tag: &str) -> bool {
    have.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// The headers that all files have.
fn common() -> [(HeaderName, &'static str); 6] {
    [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ]
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn below(directory: &std::path::Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                below(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_directory_is_served_and_none_else() {
        let mut there = BTreeSet::new();
        let ui = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
        below(&ui, "", &mut there);
        let served: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(served, there);
    }

    #[test]
    fn files_come_with_type_tag_and_policy_and_only_once() {
        for file in FILES {
            let first = serve(file.path, &HeaderMap::new()).unwrap();
            assert_eq!(first.status(), StatusCode::OK, "{}", file.path);
            let kind = first.headers()[header::CONTENT_TYPE].to_str().unwrap();
            assert_ne!(kind, "application/octet-stream", "{}", file.path);
            assert_eq!(first.headers()[header::CONTENT_SECURITY_POLICY], CONTENT_SECURITY);
            assert_eq!(first.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            let tag = first.headers()[header::ETAG].clone();
            let again = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag.clone())]);
            let second = serve(file.path, &again).unwrap();
            assert_eq!(second.status(), StatusCode::NOT_MODIFIED, "{}", file.path);
            assert_eq!(second.headers()[header::ETAG], tag);
            assert_eq!(second.headers()[header::CACHE_CONTROL], "no-cache");
        }
        let other = HeaderValue::from_static("\"another\"");
        let other = HeaderMap::from_iter([(header::IF_NONE_MATCH, other)]);
        assert_eq!(serve("app.js", &other).unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn nothing_else_is_reached() {
        for path in
            ["", "/", "../Cargo.toml", "views/../app.js", "views", "/app.js", "app.js/", "x"]
        {
            let refused = serve(path, &HeaderMap::new()).unwrap_err();
            assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn tags_are_compared_as_browsers_send_them() {
        assert!(knows("\"a\"", "\"a\""));
        assert!(knows("\"b\", W/\"a\"", "\"a\""));
        assert!(knows("*", "\"a\""));
        assert!(!knows("\"b\"", "\"a\""));
    }

    /// What would need more than the policy allows, or would make a page out of data.
    #[test]
    fn no_file_names_another_server_or_makes_html_of_text() {
        let banned = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "style=",
            "onclick=",
            "<style",
            "cssText",
        ];
        for file in FILES {
            for word in banned {
                assert!(!file.content.contains(word), "{} in {}", word, file.path);
            }
            let named = file.content.replace("http://www.w3.org/2000/svg", "");
            assert!(!named.contains("://www") && !named.contains("src=\"http"), "{}", file.path);
        }
    }
}
