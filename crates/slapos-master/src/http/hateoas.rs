//! The part of the HATEOAS face that `slapos service` and `slapos computer` read.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::json;
use slapos_slap::instance_xml::dict2xml;
use slapos_slap::{ComputerId, InstanceInfo};

use super::access::{Caller, Route, Rule};
use super::{ApiError, App};

type Shared = State<Arc<App>>;
type Answer = Result<Response, ApiError>;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/hateoas", Rule::KNOWN, |headers: HeaderMap| async move {
            Redirect::permanent(&format!("{}/hateoas/", prefix(&headers)))
        }),
        Route::get("/hateoas/", Rule::USER, entry),
        Route::get("/hateoas/partitions/{title}", Rule::USER, partition),
        Route::get("/hateoas/shared/{title}", Rule::USER, shared),
        Route::get("/hateoas/computers/{reference}", Rule::USER, computer),
    ]
}

/// The address under which the caller sees us: scheme, host and any prefix, without a slash.
pub(super) fn origin(headers: &HeaderMap) -> String {
    let first = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        value.split(',').next().map(str::trim).filter(|value| !value.is_empty())
    };
    let scheme = first("x-forwarded-proto").unwrap_or("http");
    let host = first(header::HOST.as_str()).unwrap_or("localhost");
    format!("{scheme}://{host}{}", prefix(headers))
}

/// What stands before our paths where the caller sees us, without a slash at its end.
fn prefix(headers: &HeaderMap) -> &str {
    let value = headers.get("x-forwarded-prefix").and_then(|value| value.to_str().ok());
    let first = value.and_then(|value| value.split(',').next()).unwrap_or("").trim();
    // Only a path of this host: what is told to be elsewhere is told to nobody.
    let path = first.starts_with('/') && !first.starts_with("//");
    if path { first.trim_end_matches('/') } else { "" }
}

#[derive(Deserialize)]
struct EntryQuery {
    mode: Option<String>,
    query: Option<String>,
    relative_url: Option<String>,
}

/// The entry document, a search, or the way to a document, by `mode`.
async fn entry(
    State(app): Shared,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<EntryQuery>,
) -> Answer {
    let origin = origin(&headers);
    match query.mode.as_deref() {
        None | Some("") | Some("root") => Ok(links(&origin)),
        Some("search") => search(&app, &caller, query.query.as_deref().unwrap_or("")).await,
        Some("traverse") => traverse(prefix(&headers), query.relative_url.as_deref().unwrap_or("")),
        Some(mode) => Err(ApiError::bad_request(format!("Unknown mode: {mode}"))),
    }
}

fn links(origin: &str) -> Response {
    let search = "?mode=search&query={query}&select_list={select_list}";
    let traverse = "?mode=traverse&relative_url={relative_url}&view={view}";
    Json(json!({"_links": {
        // Clients append the path of a document to it.
        "self": {"href": format!("{origin}/hateoas")},
        "raw_search": {"href": format!("{origin}/hateoas/{search}")},
        "traverse": {"href": format!("{origin}/hateoas/{traverse}")},
    }}))
    .into_response()
}

/// Redirects below ourselves only.
fn traverse(prefix: &str, relative_url: &str) -> Answer {
    if !relative_url.starts_with("/hateoas/") || !relative_url.is_ascii() {
        let message = format!("{relative_url:?} is not the address of a document here");
        return Err(ApiError::bad_request(message));
    }
    let location = header::HeaderValue::from_str(&format!("{prefix}{relative_url}"))
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]).into_response())
}

async fn search(app: &App, caller: &Caller, query: &str) -> Answer {
    let unhandled = || ApiError::bad_request(format!("Unhandled query: {query}"));
    let contents = match parse_query(query).ok_or_else(unhandled)? {
        Search::Trees(title) => {
            let trees = app.trees(caller, title.as_deref()).await?;
            trees.iter().map(tree_row).collect::<Vec<_>>()
        }
        Search::Computers(None) => {
            app.computers(caller).await?.iter().map(computer_row).collect::<Vec<_>>()
        }
        Search::Computers(Some(reference)) => {
            let computer = ComputerId::new(reference);
            let seen = app.sees_computer(caller, &computer).await?;
            seen.then(|| computer_row(&computer)).into_iter().collect()
        }
    };
    Ok(Json(json!({"_embedded": {"contents": contents}})).into_response())
}

fn computer_row(computer: &ComputerId) -> serde_json::Value {
    let name = computer.as_str();
    let url = format!("/hateoas/computers/{}", encode(name));
    json!({"reference": name, "title": name, "relative_url": url})
}

fn tree_row(tree: &InstanceInfo) -> serde_json::Value {
    let kind = if tree.shared { "shared" } else { "partitions" };
    json!({
        "title": tree.title,
        "url_string": tree.software.as_str(),
        "software_type": tree.software_type,
        "slap_state": tree.requested_state,
        "relative_url": format!("/hateoas/{kind}/{}", encode(&tree.title)),
    })
}

#[derive(Debug, PartialEq)]
enum Search {
    Trees(Option<String>),
    Computers(Option<String>),
}

/// The few queries that clients send. The title of a computer is its reference.
fn parse_query(query: &str) -> Option<Search> {
    let trees = query.starts_with("portal_type:\"Instance Tree\"");
    let make = if trees { Search::Trees } else { Search::Computers };
    let (kind, keys): (_, &[&str]) = match trees {
        true => ("Instance Tree", &["title"]),
        false => ("Compute Node", &["reference", "title"]),
    };
    let start = format!("portal_type:\"{kind}\" AND validation_state:validated");
    let rest = query.strip_prefix(&start)?;
    if rest.is_empty() {
        return Some(make(None));
    }
    let rest = rest.strip_prefix(" AND ")?;
    let quoted = keys.iter().find_map(|key| rest.strip_prefix(key)?.strip_prefix(":="))?;
    unquote(quoted).map(|text| make(Some(text)))
}

/// The text of exactly one double-quoted string with backslash escapes.
fn unquote(quoted: &str) -> Option<String> {
    let mut characters = quoted.strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

/// A text as one part of a path.
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

async fn partition(State(app): Shared, caller: Caller, Path(title): Path<String>) -> Answer {
    instance(&app, &caller, &title, false).await
}

async fn shared(State(app): Shared, caller: Caller, Path(title): Path<String>) -> Answer {
    instance(&app, &caller, &title, true).await
}

async fn instance(app: &App, caller: &Caller, title: &str, shared: bool) -> Answer {
    let trees = app.trees(caller, Some(title)).await?;
    let Some(tree) = trees.into_iter().find(|tree| tree.shared == shared) else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format!("there is no instance tree {title}"),
        ));
    };
    let connection = match tree.connection.is_empty() {
        true => serde_json::Value::Null,
        false => dict2xml(&tree.connection)?.into(),
    };
    let news = match shared {
        false => app.store.news_of_tree(&tree.project, title).await?,
        true => Vec::new(),
    };
    let news: Vec<_> =
        news.iter().map(|(title, text)| json!({"title": title, "text": text})).collect();
    let field = |kind: &str, key: &str, value: serde_json::Value| json!({"type": kind, "key": format!("field_{key}"), "default": value});
    let string = |key: &str, value: &str| field("StringField", key, value.into());
    Ok(Json(json!({
        "_embedded": {"_view": {
            "form_id": field("StringField", "form_id", "SoftwareInstance_view".into()),
            "my_reference": string("my_reference", &tree.title),
            "my_title": string("my_title", &tree.title),
            "my_slap_state": string("my_slap_state", &tree.requested_state),
            "my_text_content":
                field("TextAreaField", "my_text_content", dict2xml(&tree.parameters)?.into()),
            "my_connection_parameter_list":
                field("TextAreaField", "my_connection_parameter_list", connection),
            "my_url_string": string("my_url_string", tree.software.as_str()),
            "my_source_reference": string("my_source_reference", &tree.software_type),
            // What was last heard of each instance of the tree.
            "my_news": field("StringField", "my_news", json!({"instance": news})),
            "my_root_slave": field("IntegerField", "my_root_slave", i64::from(shared).into()),
        }},
        "_links": {"type": {"name": "Instance Tree"}},
    }))
    .into_response())
}

async fn computer(State(app): Shared, caller: Caller, Path(reference): Path<String>) -> Answer {
    if !app.sees_computer(&caller, &ComputerId::new(reference.as_str())).await? {
        let message = format!("there is no computer {reference}");
        return Err(ApiError::new(StatusCode::NOT_FOUND, message));
    }
    let field = |key: &str| json!({"type": "StringField", "key": format!("field_{key}"), "default": reference});
    let view = json!({
        "form_id": field("form_id"),
        "my_reference": field("my_reference"),
        "my_title": field("my_title"),
    });
    let links = json!({"type": {"name": "Computer"}});
    Ok(Json(json!({"_embedded": {"_view": view}, "_links": links})).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_clients() {
        let base = "portal_type:\"Instance Tree\" AND validation_state:validated";
        assert_eq!(parse_query(base), Some(Search::Trees(None)));
        assert_eq!(
            parse_query(&format!("{base} AND title:=\"a \\\"b\\\" \\\\\"")),
            Some(Search::Trees(Some("a \"b\" \\".to_owned())))
        );
        let node = "portal_type:\"Compute Node\" AND validation_state:validated";
        assert_eq!(
            parse_query(&format!("{node} AND reference:=\"c\"")),
            Some(Search::Computers(Some("c".to_owned())))
        );
        for wrong in ["", "x", &format!("{base} AND title:=\"a\" OR \"b\""), &format!("{base}x")] {
            assert_eq!(parse_query(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn redirects_stay_here() {
        let answer = traverse("/token/t", "/hateoas/partitions/a%20b").unwrap();
        assert_eq!(answer.headers()["location"], "/token/t/hateoas/partitions/a%20b");
        for wrong in ["", "http://elsewhere/", "//elsewhere/", "/hateoas/\r\nx: y"] {
            assert!(traverse("", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_origin_follows_the_proxy_in_front() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "m:1".parse().unwrap());
        assert_eq!(origin(&headers), "http://m:1");
        headers.insert("x-forwarded-proto", "https, http".parse().unwrap());
        headers.insert("x-forwarded-prefix", "/slap/".parse().unwrap());
        assert_eq!(origin(&headers), "https://m:1/slap");
        for elsewhere in ["//elsewhere", "http://elsewhere/"] {
            headers.insert("x-forwarded-prefix", elsewhere.parse().unwrap());
            assert_eq!(origin(&headers), "https://m:1", "{elsewhere}");
        }
    }
}
