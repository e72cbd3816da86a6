//! Where distributions may come from: `allow-hosts` of `[buildout]`.

use slapos_sources::{PythonPlaces, Source, SourceUrl};
use slapos_sys::pattern::fits;

/// Patterns of hosts, with `*` and `?`; a pattern may end in `:port`. Without any, all are allowed.
/// What is on this machine always is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// The patterns of a text, separated by white space.
    pub fn new(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_lowercase).collect())
    }

    fn allow(&self, host: &str, port: Option<u16>) -> bool {
        let host = host.to_lowercase();
        let whole = port.map(|port| format!("{host}:{port}"));
        let fits_one = |pattern: &String| {
            fits(&host, pattern) || whole.as_ref().is_some_and(|whole| fits(whole, pattern))
        };
        self.0.is_empty() || self.0.iter().any(fits_one)
    }

    /// The host of `source` if nothing may come from there.
    pub(crate) fn refused(&self, source: &Source) -> Option<String> {
        let SourceUrl::Http(url) = &source.primary else {
            return None;
        };
        let host = url.host_str().unwrap_or_default();
        (!self.allow(host, url.port())).then(|| host.to_owned())
    }

    /// The places that may be looked at. Pages with links are left out where they are not allowed.
    ///
    /// # Errors
    /// The host of the index, if that is not allowed.
    pub(crate) fn among(&self, places: &PythonPlaces) -> Result<PythonPlaces, String> {
        let refused = |text: &str| {
            let source = text.parse::<Source>().ok().filter(|_| text.contains("://"))?;
            self.refused(&source)
        };
        if let Some(host) = places.index.as_deref().and_then(refused) {
            return Err(host);
        }
        let links = places.links.iter().filter(|link| refused(link).is_none());
        Ok(PythonPlaces { index: places.index.clone(), links: links.cloned().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_patterns_and_this_machine_is_no_host() {
        let hosts = Hosts::new("*.example.com\nlocalhost:80?0 plain");
        let refused = |url: &str| hosts.refused(&url.parse().unwrap());
        assert_eq!(refused("http://a.Example.com/x-1.tar.gz"), None);
        assert_eq!(refused("http://localhost:8080/x"), None);
        assert_eq!(refused("http://localhost:8181/x").as_deref(), Some("localhost"));
        assert_eq!(refused("https://example.com/x").as_deref(), Some("example.com"));
        assert_eq!(refused("/some/x-1.tar.gz"), None);
        assert_eq!(Hosts::new(" ").refused(&"http://any/x".parse().unwrap()), None);
    }

    #[test]
    fn places_that_are_not_allowed_are_not_looked_at() {
        let hosts = Hosts::new("good");
        let places = |index: &str| PythonPlaces {
            index: Some(index.to_owned()),
            links: vec!["http://good/a/".into(), "http://bad/".into(), "/dir".into()],
        };
        let left = hosts.among(&places("/index")).unwrap();
        assert_eq!(left.links, ["http://good/a/", "/dir"]);
        assert_eq!(hosts.among(&places("http://other/simple")), Err("other".to_owned()));
    }
}
