//! The JavaScript registry that this machine's npm uses.
//!
//! npm is asked for the registry's address only; the package's metadata names the tarball.

use serde_json::Value;
use url::Url;

use super::{Found, client};
use crate::http::{Http, redacted};
use crate::{Failure, Progress};

const PAGE_LIMIT: u64 = 256 << 20;

/// Finds the tarball of `name` (with scope) in exactly `version`.
pub(super) fn resolve(
    http: &Http,
    name: &str,
    version: &str,
    progress: &dyn Progress,
) -> Result<Vec<Found>, Failure> {
    let registry = registry_of(name, progress)?;
    // A mirror may know whole packages only.
    let pages = [
        (metadata_page(&registry, &[name, version]), &[][..]),
        (metadata_page(&registry, &[name]), &["versions", version][..]),
    ];
    let mut failure = Failure::Registry(format!("{} is no registry", redacted(&registry)));
    for (page, path) in pages {
        let Some(page) = page else { continue };
        match http.page(&page, "application/json", PAGE_LIMIT) {
            Ok(page) => match tarball(&page.body, path) {
                Some(url) => return Ok(vec![Found::Url(url)]),
                None => {
                    failure = Failure::Registry(format!(
                        "the registry does not have {name} {version}; look at the name and version"
                    ));
                }
            },
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// What npm is configured to use for the scope of `name`, or for everything.
fn registry_of(name: &str, progress: &dyn Progress) -> Result<Url, Failure> {
    let scope = name.split_once('/').map(|(scope, _)| scope);
    let keys =
        scope.map(|scope| format!("{scope}:registry")).into_iter().chain(["registry".to_owned()]);
    for key in keys {
        let mut npm = client::command("npm");
        let text = client::output("npm", npm.args(["config", "get", &key]), progress)?;
        if let Ok(url) = Url::parse(text.trim()) {
            return Ok(url);
        }
    }
    let message = "npm names no registry; set one with npm config set registry";
    Err(Failure::Registry(message.into()))
}

fn metadata_page(registry: &Url, path: &[&str]) -> Option<Url> {
    let mut page = registry.clone();
    // A scoped name is one segment: its slash is encoded.
    page.path_segments_mut().ok()?.pop_if_empty().extend(path);
    Some(page)
}

fn tarball(json: &[u8], path: &[&str]) -> Option<Url> {
    let json: Value = serde_json::from_slice(json).ok()?;
    let version = path.iter().try_fold(&json, |value, key| value.get(key))?;
    let url = Url::parse(version.get("dist")?.get("tarball")?.as_str()?).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scoped_name_is_one_segment() {
        let registry = Url::parse("http://r/npm/").unwrap();
        let page = metadata_page(&registry, &["@types/node", "1.0.0"]).unwrap();
        assert_eq!(page.as_str(), "http://r/npm/@types%2Fnode/1.0.0");
    }

    #[test]
    fn metadata_names_the_tarball() {
        let one = br#"{"dist":{"tarball":"http://r/x.tgz"}}"#;
        assert_eq!(tarball(one, &[]).unwrap().as_str(), "http://r/x.tgz");
        let all = br#"{"versions":{"1.0.0":{"dist":{"tarball":"http://r/x.tgz"}}}}"#;
        assert!(tarball(all, &["versions", "1.0.0"]).is_some());
        assert!(tarball(all, &["versions", "2.0.0"]).is_none());
        assert!(tarball(br#"{"dist":{"tarball":"file:///etc/passwd"}}"#, &[]).is_none());
        assert!(tarball(b"<html>", &[]).is_none());
    }
}
