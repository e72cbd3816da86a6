//! `slapos.cookbook:urlparse`: the pieces of a URL, split as Python's `urlparse` does.
//!
//! Options:
//! - `url`: the URL.
//!
//! Sets `scheme`, `username`, `password`, `host` (lower case, without brackets), `port`, `path`
//! (without `/` at its ends), `params` (what follows `;` in the last segment), `query` and
//! `fragment`; each empty when it is absent. `password` is a secret.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};
use slapos_sys::Secret;

use crate::common;

/// Schemes whose last path segment may have `;params`.
const WITH_PARAMS: [&str; 16] = [
    "", "ftp", "hdl", "prospero", "http", "imap", "https", "shttp", "rtsp", "rtsps", "rtspu",
    "sip", "sips", "mms", "sftp", "tel",
];

/// The recipe.
pub(crate) struct UrlParse;

impl Recipe for UrlParse {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let url = init.require("url")?;
        let pieces = Pieces::of(&url).map_err(|message| init.error("url", &message, None))?;
        init.set("scheme", &pieces.scheme);
        init.set("username", &pieces.username);
        init.set_secret("password", Secret::new(pieces.password));
        init.set("host", &pieces.host);
        init.set("port", &pieces.port);
        init.set("path", pieces.path.trim_matches('/'));
        init.set("params", &pieces.params);
        init.set("query", &pieces.query);
        init.set("fragment", &pieces.fragment);
        Ok(Box::new(common::OptionsOnly))
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Pieces {
    scheme: String,
    username: String,
    password: String,
    host: String,
    port: String,
    path: String,
    params: String,
    query: String,
    fragment: String,
}

impl Pieces {
    fn of(url: &str) -> Result<Self, String> {
        let mut pieces = Self::default();
        let mut rest = url;
        if let Some((scheme, after)) = url.split_once(':')
            && is_scheme(scheme)
        {
            pieces.scheme = scheme.to_ascii_lowercase();
            rest = after;
        }
        if let Some(after) = rest.strip_prefix("//") {
            let end = after.find(['/', '?', '#']).unwrap_or(after.len());
            pieces.take_place(&after[..end])?;
            rest = &after[end..];
        }
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let segment = path.rfind('/').unwrap_or(0);
        let semicolon = path[segment..].find(';').map(|at| segment + at);
        let (path, params) = match semicolon {
            Some(at) if WITH_PARAMS.contains(&&*pieces.scheme) => (&path[..at], &path[at + 1..]),
            _ => (path, ""),
        };
        pieces.path = path.to_owned();
        pieces.params = params.to_owned();
        pieces.query = query.to_owned();
        pieces.fragment = fragment.to_owned();
        Ok(pieces)
    }

    /// Reads `user:password@host:port`.
    fn take_place(&mut self, place: &str) -> Result<(), String> {
        let (user, host) = place.rsplit_once('@').unwrap_or(("", place));
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let (host, port) = match host.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed
                    .split_once(']')
                    .ok_or_else(|| "`url` has a `[` without its `]`".to_owned())?;
                (host, after.split_once(':').map_or("", |(_, port)| port))
            }
            None => host.split_once(':').unwrap_or((host, "")),
        };
        if !port.is_empty() {
            let number = port.parse::<u16>();
            let number =
                number.map_err(|_| format!("`url` has the port `{port}`, which is none"))?;
            self.port = number.to_string();
        }
        self.username = name.to_owned();
        self.password = password.to_owned();
        self.host = host.to_lowercase();
        Ok(())
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        let p = Pieces::of(url).unwrap();
        [p.scheme, p.username, p.password, p.host, p.port, p.path, p.params, p.query, p.fragment]
            .join("|")
    }

    #[test]
    fn urls_fall_apart_as_in_python() {
        insta::assert_snapshot!(shown("HTTPS://u:p%40:x@[2001:DB8::1]:8443/a/b;c?d=1#e"), @"https|u|p%40:x|2001:db8::1|8443|/a/b|c|d=1|e");
        insta::assert_snapshot!(shown("mysql://root@Host/db;x"), @"mysql|root||host||/db;x|||");
        insta::assert_snapshot!(shown("a@b@example.com/x"), @"|||||a@b@example.com/x|||");
        insta::assert_snapshot!(shown("http://h:/a;b/c?d?e"), @"http|||h||/a;b/c||d?e|");
        insta::assert_snapshot!(shown("//h#f?q"), @"|||h|||||f?q");
        assert!(Pieces::of("http://h:99999/").unwrap_err().contains("99999"));
        assert!(Pieces::of("http://[::1/").is_err());
    }
}
