//! A token in front of the path: `/token/TOKEN/getRunId` is `/getRunId` asked by somebody who shows
//! that token.
//!
//! Nodes in Python say who a partition is in the header by which they would show their token
//! (`Authorization: X-SlapPartition ...`), so that one in the URL's user part, or in `.netrc`, is
//! lost just where it is needed. A Master's URL with a path survives everything that they do with it.
//! A client with a certificate needs none of this.
//!
//! Invariant: behind here no path has a token, so that none gets into a log.

use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Uri, header};

const MARK: &str = "/token/";

/// The request as if its token had come in the header.
pub(super) async fn taken_off(mut request: Request) -> Request {
    let split = request.uri().path_and_query().and_then(|path| split(path.as_str()));
    let Some((token, rest)) = split else { return request };
    let prefix = HeaderValue::from_str(&format!("{MARK}{token}"));
    let shown = HeaderValue::from_str(&format!("Bearer {token}"));
    let (Ok(prefix), Ok(mut shown)) = (prefix, shown) else { return request };
    shown.set_sensitive(true);
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, shown);
    // Addresses that we tell have it too.
    headers.insert("x-forwarded-prefix", prefix);
    *request.uri_mut() = Uri::from(rest);
    request
}

/// The token and what follows it.
fn split(path: &str) -> Option<(String, PathAndQuery)> {
    let (token, _) = path.strip_prefix(MARK)?.split_once('/')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    if token.is_empty() || !token.bytes().all(plain) {
        return None;
    }
    let rest = path.get(MARK.len() + token.len()..)?;
    Some((token.to_owned(), rest.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split() {
        let (token, rest) = split("/token/a-b_c/getRunId?x=/token/y/").unwrap();
        assert_eq!((token.as_str(), rest.as_str()), ("a-b_c", "/getRunId?x=/token/y/"));
        assert_eq!(split("/token/a/").unwrap().1.as_str(), "/");
        for other in
            ["/", "/token", "/token/", "/token//x", "/token/a", "/token/a%20b/x", "/x/token/a/b"]
        {
            assert!(split(other).is_none(), "{other}");
        }
    }
}
