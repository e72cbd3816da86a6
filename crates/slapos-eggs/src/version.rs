//! Versions of distributions (PEP 440): reading, normal form, order.
//!
//! Written here because the crates that do it depend on one whose licence this project does not
//! take.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version. Equal and ordered as versions are: `1.0` equals `1`.
#[derive(Debug, Clone)]
pub struct Version {
    epoch: u64,
    release: Vec<u64>,
    pre: Option<(Pre, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
    local: Vec<Local>,
}

/// Kind of a pre-release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    Alpha,
    Beta,
    Candidate,
}

/// A segment after `+`; numbers are greater than words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Local {
    Word(String),
    Number(u64),
}

/// Text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version")]
pub struct VersionError(pub(crate) String);

impl Version {
    /// An alpha, a beta, a release candidate or a development release.
    pub fn is_prerelease(&self) -> bool {
        self.pre.is_some() || self.dev.is_some()
    }

    pub(crate) fn is_postrelease(&self) -> bool {
        self.post.is_some()
    }

    pub(crate) fn has_local(&self) -> bool {
        !self.local.is_empty()
    }

    /// The same without what follows `+`.
    #[must_use]
    pub fn public(&self) -> Self {
        Self { local: Vec::new(), ..self.clone() }
    }

    /// The same with `local` after the `+`.
    pub(crate) fn with_local(&self, local: &str) -> Option<Self> {
        Some(Self { local: parse_local(local)?, ..self.clone() })
    }

    /// Epoch and release numbers alone.
    pub(crate) fn base(&self) -> Self {
        Self { pre: None, post: None, dev: None, local: Vec::new(), ..self.clone() }
    }

    /// The same without its last release number, and nothing after the release.
    pub(crate) fn series(&self) -> Option<Self> {
        let mut base = self.base();
        (base.release.len() > 1).then(|| {
            base.release.pop();
            base
        })
    }

    /// Whether this is `prefix` or something that begins with it, as `==prefix.*` means it.
    pub(crate) fn starts_with(&self, prefix: &Self) -> bool {
        let number = |at: usize| self.release.get(at).copied().unwrap_or(0);
        let release = prefix.release.iter().enumerate().all(|(at, n)| number(at) == *n);
        let whole = self.release.len() <= prefix.release.len();
        let pre = prefix.pre.is_none() || (whole && prefix.pre == self.pre);
        let post = prefix.post.is_none() || (whole && prefix.post == self.post);
        self.epoch == prefix.epoch && release && pre && post
    }

    fn significant(&self) -> &[u64] {
        let used = self.release.iter().rposition(|n| *n != 0).map_or(0, |at| at + 1);
        &self.release[..used]
    }

    /// A development release of nothing else comes before all pre-releases, a final one after.
    fn pre_rank(&self) -> (u8, Option<(Pre, u64)>) {
        match (self.pre, self.post, self.dev) {
            (Some(_), _, _) => (1, self.pre),
            (None, None, Some(_)) => (0, None),
            (None, _, _) => (2, None),
        }
    }

    fn local_rank(&self) -> Option<&[Local]> {
        self.has_local().then_some(&self.local)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |version: &Self| (version.dev.is_none(), version.dev);
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| self.significant().cmp(other.significant()))
            .then_with(|| self.pre_rank().cmp(&other.pre_rank()))
            .then_with(|| self.post.cmp(&other.post))
            .then_with(|| rank(self).cmp(&rank(other)))
            .then_with(|| self.local_rank().cmp(&other.local_rank()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    /// The normal form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 {
            write!(f, "{}!", self.epoch)?;
        }
        let release: Vec<String> = self.release.iter().map(u64::to_string).collect();
        f.write_str(&release.join("."))?;
        if let Some((kind, number)) = self.pre {
            let letter = match kind {
                Pre::Alpha => "a",
                Pre::Beta => "b",
                Pre::Candidate => "rc",
            };
            write!(f, "{letter}{number}")?;
        }
        if let Some(number) = self.post {
            write!(f, ".post{number}")?;
        }
        if let Some(number) = self.dev {
            write!(f, ".dev{number}")?;
        }
        for (at, segment) in self.local.iter().enumerate() {
            f.write_str(if at == 0 { "+" } else { "." })?;
            match segment {
                Local::Word(word) => f.write_str(word)?,
                Local::Number(number) => write!(f, "{number}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        parse(text).ok_or_else(|| VersionError(text.trim().to_owned()))
    }
}

fn parse(text: &str) -> Option<Version> {
    let lower = text.trim().to_ascii_lowercase();
    let (public, local) = match lower.split_once('+') {
        Some((public, local)) => (public, parse_local(local)?),
        None => (lower.as_str(), Vec::new()),
    };
    let mut rest = public.strip_prefix('v').unwrap_or(public);
    let mut epoch = 0;
    if let Some((number, after)) = rest.split_once('!') {
        epoch = digits(number)?;
        rest = after;
    }
    let mut release = vec![number(&mut rest)?];
    while let Some(after) = rest.strip_prefix('.').filter(|after| starts_with_digit(after)) {
        rest = after;
        release.push(number(&mut rest)?);
    }
    let pre = suffix(&mut rest, &PRE)?.and_then(|(at, n)| Some((PRE_KINDS.get(at).copied()?, n)));
    let post = match rest.strip_prefix('-').filter(|after| starts_with_digit(after)) {
        Some(after) => {
            rest = after;
            Some(number(&mut rest)?)
        }
        None => suffix(&mut rest, &["post", "rev", "r"])?.map(|(_, n)| n),
    };
    let dev = suffix(&mut rest, &["dev"])?.map(|(_, n)| n);
    rest.is_empty().then_some(Version { epoch, release, pre, post, dev, local })
}

/// Spellings of pre-releases; a longer one comes before what it begins with.
const PRE: [&str; 8] = ["alpha", "a", "beta", "b", "preview", "pre", "rc", "c"];
const PRE_KINDS: [Pre; 8] = [
    Pre::Alpha,
    Pre::Alpha,
    Pre::Beta,
    Pre::Beta,
    Pre::Candidate,
    Pre::Candidate,
    Pre::Candidate,
    Pre::Candidate,
];

/// Takes `[-._]?word[-._]?N?` from the front; the outer `None` is a number too large.
#[expect(clippy::option_option, reason = "absent and impossible are different answers")]
fn suffix(rest: &mut &str, words: &[&str]) -> Option<Option<(usize, u64)>> {
    let start = rest.strip_prefix(['.', '-', '_']).unwrap_or(rest);
    let found = words.iter().enumerate().find_map(|(at, word)| {
        let after = start.strip_prefix(word)?;
        Some((at, after))
    });
    let Some((at, after)) = found else {
        return Some(None);
    };
    *rest = after.strip_prefix(['.', '-', '_']).unwrap_or(after);
    let value = if starts_with_digit(rest) { number(rest)? } else { 0 };
    Some(Some((at, value)))
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn number(rest: &mut &str) -> Option<u64> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits_, after) = rest.split_at(end);
    *rest = after;
    digits(digits_)
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn parse_local(text: &str) -> Option<Vec<Local>> {
    let lower = text.to_ascii_lowercase();
    lower.split(['.', '-', '_']).map(segment).collect()
}

fn segment(text: &str) -> Option<Local> {
    if let Some(number) = digits(text) {
        return Some(Local::Number(number));
    }
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| Local::Word(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn all_spellings_have_one_normal_form() {
        for (text, normal) in [
            ("v1.0-ALPHA_2", "1.0a2"),
            ("1.0.preview", "1.0rc0"),
            ("1.0-3", "1.0.post3"),
            ("1.0.rev4-dev", "1.0.post4.dev0"),
            ("2!01.0c1+Ubuntu-1_x", "2!1.0rc1+ubuntu.1.x"),
            ("2025.11.12", "2025.11.12"),
            ("3.0.1+SlapOS010", "3.0.1+slapos010"),
        ] {
            assert_eq!(version(text).to_string(), normal, "{text}");
        }
        for text in ["", "x", "1.x", "1..2", "1.0+", "1.0+a..b", "1-", "1.0 beta", "1a1a1"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_order_is_that_of_the_specification() {
        let sorted = [
            "1.0.dev1",
            "1.0a1.dev1",
            "1.0a1",
            "1.0a2",
            "1.0b1",
            "1.0rc1",
            "1.0",
            "1.0+abc",
            "1.0+abc.1",
            "1.0+5",
            "1.0.post1.dev2",
            "1.0.post1",
            "1.1.dev1",
            "1.1",
            "1.10",
            "1!0",
        ];
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("1.0"), version("1"));
        assert_ne!(version("1.0+a"), version("1.0"));
    }

    proptest! {
        #[test]
        fn the_normal_form_reads_back(text in "(v)?([0-9]{1,3}!)?[0-9]{1,4}(\\.[0-9]{1,3}){0,3}([._-]?(a|beta|rc)[._-]?[0-9]{0,2})?(-[0-9]|\\.post[0-9]?)?(\\.dev[0-9]?)?(\\+[a-z0-9]{1,3}(\\.[a-z0-9]{1,3})?)?") {
            let version: Version = text.parse().unwrap();
            let normal = version.to_string();
            let again: Version = normal.parse().unwrap();
            prop_assert_eq!(&again, &version);
            prop_assert_eq!(again.to_string(), normal);
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,20}") {
            let _ = text.parse::<Version>();
        }
    }
}
