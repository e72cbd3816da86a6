//! Who may ask: whoever presents the Master's token, as a bearer or as the password of HTTP's basic
//! authentication, under any name. The latter is what programs say that know of passwords only: the
//! clients of the original take one from the URL or from `.netrc`.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::access::{Caller, May, Rule};
use super::{ApiError, App};
use crate::connections::Guest;

/// The digest of a token. Comparing digests takes the same time for every wrong token, and the
/// token itself is not kept.
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn of(token: &str) -> TokenDigest {
        TokenDigest(Sha256::digest(token.as_bytes()).into())
    }

    fn matches(&self, presented: &str) -> bool {
        let other = TokenDigest::of(presented);
        // No early exit: every byte counts.
        self.0.iter().zip(other.0).fold(0, |differs, (one, two)| differs | (one ^ two)) == 0
    }
}

/// Lets a request through to its handler if the rule of its route grants it, with the [`Caller`] in its
/// extensions; the connection of a caller who is known may stay.
pub(crate) async fn guard(
    State((app, rule)): State<(Arc<App>, Rule)>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match recognise(&app, &request) {
        Ok(caller) => caller,
        Err(_) if rule.anybody => return next.run(request).await,
        Err(reason) => return refuse(&request, StatusCode::UNAUTHORIZED, reason),
    };
    if let Some(ConnectInfo(guest)) = request.extensions().get::<ConnectInfo<Guest>>() {
        guest.welcome();
    }
    if rule.grants(&caller) == May::Not {
        return refuse(&request, StatusCode::FORBIDDEN, "this is not for you");
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Who the caller is, by what the request presents.
fn recognise(app: &App, request: &Request) -> Result<Caller, &'static str> {
    let header = request.headers().get(header::AUTHORIZATION);
    match header.and_then(|value| value.to_str().ok()).and_then(presented) {
        Some(token) if app.token.matches(&token) => Ok(Caller::Operator),
        Some(_) => Err("the token is not this Master's"),
        None => Err("this Master wants its token, as the header `Authorization: Bearer TOKEN`"),
    }
}

fn refuse(request: &Request, status: StatusCode, reason: &str) -> Response {
    tracing::warn!("refused {} {}: {reason}", request.method(), request.uri().path());
    let mut response = ApiError::new(status, reason).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = header::HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The token that the value of the header `Authorization` has.
fn presented(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_a_bearer_or_a_password() {
        assert_eq!(presented("Bearer  a:b ").as_deref(), Some("a:b"));
        // `any name:a:b`.
        assert_eq!(presented("basic YW55IG5hbWU6YTpi").as_deref(), Some("a:b"));
        for nothing in ["Bearer", "Basic ?", "Basic YQ==", "Basic /w==", "X-SlapPartition a=b", ""]
        {
            assert_eq!(presented(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn only_the_very_token_matches() {
        let digest = TokenDigest::of("secret");
        assert!(digest.matches("secret"));
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert!(!digest.matches(wrong));
        }
    }
}
