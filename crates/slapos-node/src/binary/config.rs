//! `[networkcache]` of `slapos.cfg`, as far as it is about binary Software Releases.

use slapos_config::Config;
use slapos_slap::SoftwareUrl;

use super::BinaryCache;

const SECTION: &str = "networkcache";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Which Software Releases are looked for in which cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BinaryConfig {
    /// `download-binary-dir-url`, `download-binary-cache-url` and `signature-certificate-list`; none
    /// unless both addresses are set.
    cache: Option<BinaryCache>,
    /// `download-from-binary-cache-url-blacklist`: how URLs begin that are always built.
    built: Vec<String>,
    /// `download-from-binary-cache-force-url-list`: how URLs begin that are never built.
    forced: Vec<String>,
    /// What is set and has no effect, because something else is not set.
    pub(crate) without_effect: Vec<String>,
}

impl BinaryConfig {
    /// Reads the section.
    pub(crate) fn from_config(config: &Config) -> Self {
        let set = |option: &str| {
            let value = config.get(SECTION, option).map(str::trim);
            value.filter(|value| !value.is_empty())
        };
        let lines = |option: &str| {
            let lines = set(option).unwrap_or_default().lines().map(str::trim);
            lines.filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let (directory, store) = ("download-binary-dir-url", "download-binary-cache-url");
        let mut without_effect = Vec::new();
        let mut needs = |option: &str, other: &str| {
            let text = format!("[{SECTION}] {option} has no effect: it needs {other}");
            without_effect.push(text);
            None
        };
        let mut cache = match (set(directory), set(store)) {
            (Some(directory_url), Some(cache_url)) => Some(BinaryCache {
                directory_url: directory_url.to_owned(),
                cache_url: cache_url.to_owned(),
                certificates: certificates(&lines("signature-certificate-list").join("\n")),
                forced: false,
            }),
            (None, None) => None,
            (Some(_), None) => needs(directory, store),
            (None, Some(_)) => needs(store, directory),
        };
        let former = lines("binary-cache-url-blacklist");
        let built = Some(lines("download-from-binary-cache-url-blacklist"));
        let built = built.filter(|list| !list.is_empty()).unwrap_or(former);
        let force = "download-from-binary-cache-force-url-list";
        let forced = lines(force);
        if cache.is_none() && !forced.is_empty() {
            cache = needs(force, directory);
        }
        Self { cache, built, forced, without_effect }
    }

    /// Where `url` is looked for before it is built; `None` if it is just built.
    pub(crate) fn of(&self, url: &SoftwareUrl) -> Option<BinaryCache> {
        let begins = |list: &[String]| list.iter().any(|start| url.as_str().starts_with(start));
        let forced = begins(&self.forced);
        let cache = self.cache.clone().filter(|_| forced || !begins(&self.built))?;
        Some(BinaryCache { forced, ..cache })
    }
}

/// The certificates of a text that has one after the other.
fn certificates(text: &str) -> Vec<String> {
    let pieces = text.split(BEGIN).skip(1);
    pieces.map(|piece| format!("{BEGIN}{piece}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &str = "[networkcache]\ndownload-binary-dir-url = http://d\ndownload-binary-cache-url = http://c\n";

    fn read(text: &str) -> BinaryConfig {
        BinaryConfig::from_config(&Config::parse(text, "slapos.cfg").unwrap())
    }

    #[test]
    fn lists_say_what_is_looked_for() {
        let config = read(&format!(
            "{BOTH}download-from-binary-cache-url-blacklist =\n  http://own/\n\
             download-from-binary-cache-force-url-list =\n  http://far/\n\
             signature-certificate-list =\n  {BEGIN}\n  one\n  {BEGIN}\n  two\n"
        ));
        let of = |url: &str| config.of(&SoftwareUrl::new(url)).map(|cache| cache.forced);
        assert_eq!(of("http://a/software.cfg"), Some(false));
        assert_eq!(of("http://own/software.cfg"), None);
        assert_eq!(of("http://far/software.cfg"), Some(true));
        let cache = config.of(&SoftwareUrl::new("x")).unwrap();
        assert_eq!(cache.certificates, [format!("{BEGIN}\none\n"), format!("{BEGIN}\ntwo")]);
        assert_eq!(read("[slapos]\n").of(&SoftwareUrl::new("x")), None);
    }

    #[test]
    fn half_a_cache_is_none() {
        let said = |option: &str| {
            let config = read(&format!("[networkcache]\n{option} = http://x\n"));
            assert_eq!(config.of(&SoftwareUrl::new("http://x")), None);
            config.without_effect.join("\n")
        };
        insta::assert_snapshot!(said("download-binary-dir-url"), @"[networkcache] download-binary-dir-url has no effect: it needs download-binary-cache-url");
        insta::assert_snapshot!(said("download-from-binary-cache-force-url-list"), @"[networkcache] download-from-binary-cache-force-url-list has no effect: it needs download-binary-dir-url");
        assert_eq!(said("signature-certificate-list"), "");
    }
}
