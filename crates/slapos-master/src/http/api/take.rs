//! How requests of the API are read: strictly. What is not known is refused rather than ignored, and
//! so is what could be kept but never be told again.

use std::collections::BTreeMap;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize as _, Deserializer};
use serde_json::Value;
use slapos_slap::marshal::is_xml;

use super::super::ApiError;

/// The longest name or title, in bytes: what an index takes on any database.
const MAX_NAME: usize = 500;

/// The longest address of a Software Release, in bytes.
const MAX_URL: usize = 2000;

/// The JSON body of a request.
pub(in crate::http) struct Body<T>(pub(in crate::http) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, ApiError> {
        let value = json(request, state).await?;
        if let Some(place) = unsendable(&value, "") {
            return Err(ApiError::bad_request(format!("{place} has a control character")));
        }
        read(value).map(Body)
    }
}

/// A JSON body with the output of programs, in which control characters are to be expected: they
/// are replaced.
pub(super) struct Output<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Output<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Output<T>, ApiError> {
        let mut value = json(request, state).await?;
        replace(&mut value);
        read(value).map(Output)
    }
}

/// The parameters in the address.
pub(in crate::http) struct Asked<T>(pub(in crate::http) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, ApiError> {
        let bad = |error: axum::extract::rejection::QueryRejection| {
            ApiError::bad_request(error.body_text())
        };
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        for (name, text) in pairs.map_err(bad)?.0 {
            sendable(&format!("the parameter {name:?}"), &text)?;
        }
        let asked = Query::<T>::from_request_parts(parts, state).await.map_err(bad)?;
        Ok(Asked(asked.0))
    }
}

/// The name in the path.
pub(in crate::http) struct Named(pub(in crate::http) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named, ApiError> {
        let name: String = in_path(parts, state).await?;
        named("the name in the address", &name)?;
        Ok(Named(name))
    }
}

/// The two names in the path.
pub(in crate::http) struct Pair(pub(in crate::http) String, pub(in crate::http) String);

impl<S: Send + Sync> FromRequestParts<S> for Pair {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Pair, ApiError> {
        let (one, two): (String, String) = in_path(parts, state).await?;
        named("the first name in the address", &one)?;
        named("the second name in the address", &two)?;
        Ok(Pair(one, two))
    }
}

async fn in_path<S: Send + Sync, T: DeserializeOwned + Send>(
    parts: &mut Parts,
    state: &S,
) -> Result<T, ApiError> {
    let path = Path::<T>::from_request_parts(parts, state).await;
    path.map(|path| path.0).map_err(|error| ApiError::bad_request(error.body_text()))
}

/// Reads an object of texts.
pub(super) fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let items = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let text = |(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        _ => Err(D::Error::custom(format!(
            "{key:?} has to be a text: what is none is given in \"_\", as one text of JSON"
        ))),
    };
    items.into_iter().map(text).collect()
}

/// Requires a name that can be kept and told.
pub(super) fn named(what: &str, name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::bad_request(format!("{what} is empty")));
    }
    short(what, name, MAX_NAME)
}

/// Requires the address of a Software Release that can be kept and told.
pub(super) fn addressed(what: &str, url: &str) -> Result<(), ApiError> {
    if url.is_empty() {
        return Err(ApiError::bad_request(format!("{what} is empty")));
    }
    short(what, url, MAX_URL)
}

fn short(what: &str, text: &str, most: usize) -> Result<(), ApiError> {
    if text.len() > most {
        return Err(ApiError::bad_request(format!("{what} is longer than {most} bytes")));
    }
    sendable(what, text)
}

fn sendable(what: &str, text: &str) -> Result<(), ApiError> {
    if text.chars().all(is_xml) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("{what} has a control character")))
}

async fn json<S: Send + Sync>(request: Request, state: &S) -> Result<Value, ApiError> {
    let body = axum::Json::<Value>::from_request(request, state).await;
    body.map(|json| json.0).map_err(|error| {
        let status = match &error {
            JsonRejection::MissingJsonContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            JsonRejection::BytesRejection(_) => error.status(),
            _ => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, error.body_text())
    })
}

/// Members have names: a list, which would be taken for them in some order, is refused.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    if !value.is_object() {
        return Err(ApiError::bad_request("the body is not an object"));
    }
    serde_json::from_value(value)
        .map_err(|error| ApiError::bad_request(format!("the body is not as described: {error}")))
}

/// Where a text is that answers, which may be XML, could not hold.
fn unsendable(value: &Value, place: &str) -> Option<String> {
    let here = || if place.is_empty() { "the body".to_owned() } else { place.to_owned() };
    match value {
        Value::String(text) => (!text.chars().all(is_xml)).then(here),
        Value::Array(items) => items.iter().find_map(|item| unsendable(item, place)),
        Value::Object(members) => members.iter().find_map(|(key, value)| {
            if !key.chars().all(is_xml) {
                return Some(here());
            }
            unsendable(value, &format!("{place}/{key}"))
        }),
        _ => None,
    }
}

fn replace(value: &mut Value) {
    match value {
        Value::String(text) if !text.chars().all(is_xml) => {
            *text = text
                .chars()
                .map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER })
                .collect();
        }
        Value::Array(items) => items.iter_mut().for_each(replace),
        Value::Object(members) => members.values_mut().for_each(replace),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn control_characters_are_found_or_replaced() {
        let body = json!({"a": ["x", {"b": "y\u{1}"}], "c": "z"});
        assert_eq!(unsendable(&body, "").as_deref(), Some("/a/b"));
        assert_eq!(unsendable(&json!({"\u{0}": 1}), "").as_deref(), Some("the body"));
        let mut body = body;
        replace(&mut body);
        assert_eq!(body, json!({"a": ["x", {"b": "y\u{fffd}"}], "c": "z"}));
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(serde::Deserialize)]
        struct Wish {
            title: String,
        }
        assert_eq!(read::<Wish>(json!({"title": "a"})).ok().unwrap().title, "a");
        let refused = read::<Wish>(json!(["a"])).err().unwrap();
        assert_eq!(refused.message, "the body is not an object");
    }

    #[test]
    fn names_have_a_length() {
        assert!(named("the title", "é").is_ok());
        let message = |result: Result<(), ApiError>| result.unwrap_err().message;
        assert_eq!(message(named("the title", "")), "the title is empty");
        assert_eq!(message(named("it", &"x".repeat(501))), "it is longer than 500 bytes");
        assert_eq!(message(addressed("it", "a\u{7}")), "it has a control character");
    }
}
