//! Which of the supplied Software Releases a command names: by their URL, by the MD5 of it, or by where
//! they are on this machine, as a path or as the URL of a file, whichever of both they are supplied by.

use std::path::PathBuf;

use slapos_slap::{SoftwareRelease, SoftwareUrl};
use slapos_sources::SourceUrl;

use crate::error::NodeError;

/// More are not listed where none is the one that is named.
const MOST_LISTED: usize = 10;

/// Those of `known` that `only` names, in their order; all if it is empty.
///
/// # Errors
/// The first name of `only` that is none of theirs.
pub(super) fn chosen<'a>(
    only: &[String],
    known: &'a [SoftwareRelease],
) -> Result<Vec<&'a SoftwareRelease>, NodeError> {
    let meant = |name: &String, release: &SoftwareRelease| is_meant(name, &release.url);
    let unknown = only.iter().find(|name| !known.iter().any(|release| meant(name, release)));
    if let Some(name) = unknown {
        return Err(none_is(name, known));
    }
    let chosen = |release: &&SoftwareRelease| {
        only.is_empty() || only.iter().any(|name| meant(name, release))
    };
    Ok(known.iter().filter(chosen).collect())
}

fn is_meant(name: &str, url: &SoftwareUrl) -> bool {
    name == url.as_str() || name == url.md5_hex() || is_same_file(name, url.as_str())
}

/// Whether the file that `name` names from here is the one that `url` does.
fn is_same_file(name: &str, url: &str) -> bool {
    let Some(there) = file(url) else { return false };
    let named = file(name).unwrap_or_else(|| PathBuf::from(name));
    // As `slapos supply` has paths. What is gone is still called what it was.
    named == there || named.canonicalize().is_ok_and(|path| path == there)
}

/// The file of this machine that `text` names by an absolute path or a URL.
fn file(text: &str) -> Option<PathBuf> {
    match text.parse() {
        Ok(SourceUrl::File(path)) => Some(path),
        _ => None,
    }
}

fn none_is(name: &str, known: &[SoftwareRelease]) -> NodeError {
    let error = NodeError::user(format!("the Master supplies no `{name}` to this computer"));
    let mut lines: Vec<_> = known.iter().take(MOST_LISTED).map(|it| it.url.to_string()).collect();
    let more = known.len() - lines.len();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    match lines.is_empty() {
        true => error.hint("nothing is supplied to it: `slapos supply URL COMPUTER` does"),
        false => error
            .detail(format!("supplied are\n  {}", lines.join("\n  ")))
            .hint("name one of these, or have it supplied: `slapos supply URL COMPUTER`"),
    }
}

#[cfg(test)]
mod tests {
    use slapos_slap::SoftwareState;

    use super::*;

    fn supplied(urls: &[&str]) -> Vec<SoftwareRelease> {
        let release = |url: &&str| SoftwareRelease {
            url: SoftwareUrl::new(*url),
            state: SoftwareState::Available,
        };
        urls.iter().map(release).collect()
    }

    fn names(name: &str, url: &str) -> bool {
        chosen(&[name.to_owned()], &supplied(&["http://a/s.cfg", url])).is_ok()
    }

    #[test]
    fn a_file_is_named_by_its_path_or_its_url() {
        for (name, url) in [
            ("/no/s.cfg", "/no/s.cfg"),
            ("file:///no/s.cfg", "/no/s.cfg"),
            ("/no/s.cfg", "file:///no/s.cfg"),
            ("file:///no/a%20b.cfg", "/no/a b.cfg"),
            ("http://h/s.cfg", "http://h/s.cfg"),
        ] {
            assert!(names(name, url), "{name} {url}");
        }
        assert!(names(&SoftwareUrl::new("/no/s.cfg").md5_hex(), "/no/s.cfg"));
        assert!(
            !names("/no/other.cfg", "/no/s.cfg") && !names("file:///no/s.cfg", "http://no/s.cfg")
        );
    }

    #[test]
    fn a_link_is_what_it_leads_to() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().canonicalize().unwrap();
        let (file, link) = (there.join("s.cfg"), there.join("link.cfg"));
        slapos_sys::fs::write_atomic(&file, b"", 0o644).unwrap();
        slapos_sys::fs::symlink_atomic(&file, &link).unwrap();
        let (file, link) = (file.display().to_string(), link.display().to_string());
        assert!(names(&link, &file) && names(&format!("file://{link}"), &file));
    }

    #[test]
    fn what_is_not_supplied_is_refused_with_what_is() {
        let said = |known: &[&str]| {
            let error = chosen(&["x.cfg".to_owned()], &supplied(known)).unwrap_err();
            format!("{error}\n{}", error.detail_text().or(error.hint_text()).unwrap())
        };
        insta::assert_snapshot!(said(&["http://a/s.cfg", "/b/s.cfg"]), @r"
        the Master supplies no `x.cfg` to this computer
        supplied are
          http://a/s.cfg
          /b/s.cfg
        ");
        insta::assert_snapshot!(said(&[]), @r"
        the Master supplies no `x.cfg` to this computer
        nothing is supplied to it: `slapos supply URL COMPUTER` does
        ");
        assert!(said(&["/a"; 12]).ends_with("\n  and 2 more"));
    }

    #[test]
    fn without_names_all_are_chosen() {
        assert_eq!(chosen(&[], &supplied(&["/a", "/b"])).unwrap().len(), 2);
    }
}
