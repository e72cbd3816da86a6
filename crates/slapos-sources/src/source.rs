//! A source as a profile asks for it: where bytes come from first, where else, and what they are.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, SourceUrl, SpellingError};

/// Bytes wanted, and the places that may have them.
///
/// ```
/// # use slapos_sources::Source;
/// let source: Source = "debian:nginx=1.22.1-9/nginx_1.22.1.orig.tar.gz\
///     #sha256=9ebb333a9e82b952acd3e2b4aeb1d4ff6406f72491bab6cd9fe69f0dea737f31".parse()?;
/// assert!(source.digest.is_some());
/// # Ok::<(), slapos_sources::SpellingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The first place to ask.
    pub primary: SourceUrl,
    /// Places to ask when the first has failed, in order.
    pub alternates: Vec<Alternate>,
    /// What the bytes of `primary` are, and of every alternate that has no digest of its own.
    pub digest: Option<Digest>,
    /// Accept whatever `http(s)` answers when there is no digest. Registries always need one.
    pub allow_unverified: bool,
}

/// Another place for the same purpose, written `URL` or `URL#sha256=HEX` (or `md5`, `sha512`).
///
/// It has a digest of its own where its bytes differ from the primary's, as for archives that
/// Debian packed again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alternate {
    /// The place.
    pub url: SourceUrl,
    /// What its bytes are; `None` for the same as the primary's.
    pub digest: Option<Digest>,
}

impl Source {
    /// A source with one place and no digest yet.
    pub fn new(primary: SourceUrl) -> Self {
        Self { primary, alternates: Vec::new(), digest: None, allow_unverified: false }
    }

    /// The same with `digest`.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The same with one more place to ask at last.
    #[must_use]
    pub fn with_alternate(mut self, alternate: Alternate) -> Self {
        self.alternates.push(alternate);
        self
    }

    /// The same, but content may be taken over `http(s)` without a digest.
    #[must_use]
    pub fn allow_unverified(mut self) -> Self {
        self.allow_unverified = true;
        self
    }

    /// All places in the order they are asked, each with what its bytes must be.
    pub(crate) fn places(&self) -> Vec<Alternate> {
        let primary = Alternate { url: self.primary.clone(), digest: self.digest };
        let others = self.alternates.iter().map(|alternate| Alternate {
            url: alternate.url.clone(),
            digest: alternate.digest.or(self.digest),
        });
        std::iter::once(primary).chain(others).collect()
    }

    /// Every digest that satisfies this source, the primary's first, none twice.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        let mut digests = Vec::new();
        for digest in self.places().into_iter().filter_map(|place| place.digest) {
            if !digests.contains(&digest) {
                digests.push(digest);
            }
        }
        digests
    }
}

impl FromStr for Alternate {
    type Err = SpellingError;

    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let text = text.trim();
        if let Some((place, fragment)) = text.rsplit_once('#')
            && let Some((algorithm, _)) = fragment.split_once('=')
            && matches!(algorithm, "sha256" | "sha512" | "md5")
        {
            let digest = fragment
                .parse()
                .map_err(|error: crate::DigestError| SpellingError::new(text, error.to_string()))?;
            return Ok(Self { url: place.parse()?, digest: Some(digest) });
        }
        Ok(Self { url: text.parse()?, digest: None })
    }
}

impl fmt::Display for Alternate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.digest {
            Some(digest) => write!(f, "{}#{}={}", self.url, digest.algorithm(), digest.hex()),
            None => self.url.fmt(f),
        }
    }
}

impl FromStr for Source {
    type Err = SpellingError;

    /// One place, with its digest after `#` if it has one.
    fn from_str(text: &str) -> Result<Self, SpellingError> {
        let Alternate { url, digest } = text.parse()?;
        Ok(Self { digest, ..Self::new(url) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn alternates_without_digest_must_match_the_primary() {
        let own = "00".repeat(32);
        let source: Source = format!("http://h/a#md5={}", "11".repeat(16)).parse().unwrap();
        let source = source
            .with_alternate("http://h/b".parse().unwrap())
            .with_alternate(format!("debian:a=1/b.tar.gz#sha256={own}").parse().unwrap());
        let digests: Vec<_> =
            source.places().iter().map(|place| place.digest.unwrap().hex()).collect();
        assert_eq!(digests, ["11".repeat(16), "11".repeat(16), own]);
        assert_eq!(source.digests().len(), 2);
    }

    #[test]
    fn a_damaged_digest_is_an_error_and_another_fragment_is_part_of_the_url() {
        let error = "http://h/a#md5=12".parse::<Alternate>().unwrap_err();
        insta::assert_snapshot!(error, @r#""http://h/a#md5=12" is not a source: "md5=12" is not a digest: 2 digits fit no known algorithm; write sha256:HEX (64 digits), sha512:HEX or md5:HEX"#);
        let other: Alternate = "http://h/a#egg=x".parse().unwrap();
        assert_eq!(other.to_string(), "http://h/a#egg=x");
    }

    proptest! {
        #[test]
        fn display_round_trips(hash: [u8; 32], path in "/[ -~]{0,20}", with: bool) {
            let alternate = Alternate {
                url: SourceUrl::File(path.into()),
                digest: with.then_some(Digest::Sha256(hash)),
            };
            prop_assert_eq!(alternate.to_string().parse::<Alternate>().unwrap(), alternate);
        }
    }
}
