//! `[networkcache]` of `slapos.cfg`, as far as it is about binary Software Releases.

use std::path::PathBuf;

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
    /// `upload-binary-dir-url`, `upload-binary-cache-url` and `signature-private-key-file`, with how one
    /// is let in; none unless all three are set.
    pub(crate) upload: Option<Upload>,
    /// `upload-to-binary-cache-url-blacklist`: how URLs begin that are not uploaded.
    kept: Vec<String>,
}

/// A part of a network cache, and how we are let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Face {
    /// `shacache` or `shadir`: how its options begin.
    pub(crate) name: &'static str,
    /// Its address.
    pub(crate) url: String,
    /// The authorities that sign its certificate.
    pub(crate) authorities: Option<PathBuf>,
    /// What we show to it, and the key of that.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
}

/// Where Software Releases go, and who vouches for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Upload {
    /// Has the archives.
    pub(crate) store: Face,
    /// Has the entries.
    pub(crate) directory: Face,
    /// The private key that signs entries.
    pub(crate) key: PathBuf,
    /// The certificates that are believed; one is of that key.
    pub(crate) certificates: String,
}

impl BinaryConfig {
    /// Reads the section. To `without_effect` comes what is set and has none, because something else is
    /// not set.
    pub(crate) fn from_config(config: &Config, without_effect: &mut Vec<String>) -> Self {
        let set = |option: &str| {
            let value = config.get(SECTION, option).map(str::trim);
            value.filter(|value| !value.is_empty())
        };
        let lines = |option: &str| {
            let lines = set(option).unwrap_or_default().lines().map(str::trim);
            lines.filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let (directory, store) = ("download-binary-dir-url", "download-binary-cache-url");
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
        let upload = Upload::from_config(config, without_effect);
        let kept = lines("upload-to-binary-cache-url-blacklist");
        Self { cache, built, forced, upload, kept }
    }

    /// Whether what is built of `url` is not uploaded.
    pub(crate) fn stays_here(&self, url: &SoftwareUrl) -> bool {
        self.kept.iter().any(|start| url.as_str().starts_with(start))
    }

    /// Where `url` is looked for before it is built; `None` if it is just built.
    pub(crate) fn of(&self, url: &SoftwareUrl) -> Option<BinaryCache> {
        let begins = |list: &[String]| list.iter().any(|start| url.as_str().starts_with(start));
        let forced = begins(&self.forced);
        let cache = self.cache.clone().filter(|_| forced || !begins(&self.built))?;
        Some(BinaryCache { forced, ..cache })
    }
}

impl Upload {
    fn from_config(config: &Config, without_effect: &mut Vec<String>) -> Option<Self> {
        let set = |section: &str, option: &str| {
            let value = config.get(section, option).map(str::trim);
            value.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let cached = |option: &str| set(SECTION, option);
        let (directory, store) = ("upload-binary-dir-url", "upload-binary-cache-url");
        let key = "signature-private-key-file";
        let given = [
            (directory, cached(directory)),
            (store, cached(store)),
            // The original takes it from either section, and from an argument.
            (
                key,
                set("slapos", "signature_private_key_file")
                    .or_else(|| cached(key))
                    .or_else(|| cached("signature_private_key_file")),
            ),
        ];
        let missing = given.iter().find(|(_, value)| value.is_none());
        if let Some((missing, _)) = missing {
            // A key alone is for somebody else.
            for (option, _) in given[..2].iter().filter(|(_, value)| value.is_some()) {
                let text = format!("[{SECTION}] {option} has no effect: it needs {missing}");
                without_effect.push(text);
            }
            return None;
        }
        let face = |name: &'static str, url: Option<String>| {
            let path = |what: &str| cached(&format!("{name}-{what}-file")).map(PathBuf::from);
            Face {
                name,
                url: url.unwrap_or_default(),
                authorities: path("ca"),
                certificate: path("cert").zip(path("key")),
            }
        };
        let [(_, directory), (_, store), (_, key)] = given;
        Some(Self {
            store: face("shacache", store),
            directory: face("shadir", directory),
            key: key.unwrap_or_default().into(),
            certificates: cached("signature-certificate-list").unwrap_or_default(),
        })
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
        read_and_say(text).0
    }

    /// The same, and what has no effect.
    fn read_and_say(text: &str) -> (BinaryConfig, String) {
        let mut said = Vec::new();
        let config = Config::parse(text, "slapos.cfg").unwrap();
        (BinaryConfig::from_config(&config, &mut said), said.join("\n"))
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
            let text = format!("[networkcache]\n{option} = http://x\n");
            let (config, said) = read_and_say(&text);
            assert_eq!(config.of(&SoftwareUrl::new("http://x")), None);
            said
        };
        insta::assert_snapshot!(said("download-binary-dir-url"), @"[networkcache] download-binary-dir-url has no effect: it needs download-binary-cache-url");
        insta::assert_snapshot!(said("download-from-binary-cache-force-url-list"), @"[networkcache] download-from-binary-cache-force-url-list has no effect: it needs download-binary-dir-url");
        assert_eq!(said("signature-certificate-list"), "");
        insta::assert_snapshot!(said("upload-binary-dir-url"), @"[networkcache] upload-binary-dir-url has no effect: it needs upload-binary-cache-url");
        assert_eq!(said("signature-private-key-file"), "");
    }

    #[test]
    fn what_is_uploaded_needs_a_key_and_may_be_kept() {
        let both = "[networkcache]\nupload-binary-dir-url = http://d\nupload-binary-cache-url = http://c\n";
        let (config, said) = read_and_say(both);
        assert_eq!(config.upload, None);
        insta::assert_snapshot!(said, @"
        [networkcache] upload-binary-dir-url has no effect: it needs signature-private-key-file
        [networkcache] upload-binary-cache-url has no effect: it needs signature-private-key-file
        ");
        let config = read(&format!(
            "{both}signature-private-key-file = /k\nshadir-cert-file = /cert\nshadir-key-file = /key\n\
             shacache-ca-file = /ca\nupload-to-binary-cache-url-blacklist = http://own/\n"
        ));
        let upload = config.upload.as_ref().unwrap();
        assert_eq!(upload.key, PathBuf::from("/k"));
        assert_eq!(upload.directory.certificate, Some(("/cert".into(), "/key".into())));
        assert_eq!(upload.store.authorities, Some("/ca".into()));
        assert!(config.stays_here(&SoftwareUrl::new("http://own/software.cfg")));
        assert!(!config.stays_here(&SoftwareUrl::new("http://a/software.cfg")));
        let argument = format!("[slapos]\nsignature_private_key_file = /other\n{both}");
        assert_eq!(read(&argument).upload.unwrap().key, PathBuf::from("/other"));
    }
}
