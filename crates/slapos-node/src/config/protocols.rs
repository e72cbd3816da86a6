//! What the embedded Master serves beside SLAP: options of `[slapproxy]`, as the original names
//! them. Those of the network cache may be written with `-` or `_`.

use std::path::PathBuf;

use slapos_config::ConfigError;
use slapos_slap::SoftwareUrl;

use super::Reader;

/// The largest content of a network cache unless set, in bytes.
const LARGEST: u64 = 8 << 30;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct ProtocolsConfig {
    /// `software_product_list`: lines of a name and the Software Release it stands for.
    pub products: Vec<(String, SoftwareUrl)>,
    /// `shacache_...`; `None` unless both directories are set.
    pub shacache: Option<ShacacheOptions>,
}

/// The network cache.
#[derive(Clone, Debug)]
pub struct ShacacheOptions {
    /// `shacache_content_directory`.
    pub content: PathBuf,
    /// `shacache_metadata_directory`.
    pub metadata: PathBuf,
    /// `shacache_upstream_cache_url`.
    pub upstream_cache: Option<String>,
    /// `shacache_upstream_dir_url`.
    pub upstream_dir: Option<String>,
    /// `shacache_anonymous_download`: whether reading needs no token; clients in Python cannot show
    /// one over HTTP.
    pub anonymous_download: bool,
    /// `shacache_shared`: whether all Masters of the database have these directories.
    pub shared: bool,
    /// `shacache_largest_content`, bytes; 8G unless set.
    pub largest: u64,
}

impl ProtocolsConfig {
    pub(super) fn read(r: &Reader<'_>) -> Result<Self, ConfigError> {
        Ok(Self { products: products(r)?, shacache: shacache(r)? })
    }
}

fn products(r: &Reader<'_>) -> Result<Vec<(String, SoftwareUrl)>, ConfigError> {
    const OPTION: &str = "software_product_list";
    let lines = r.optional(OPTION).unwrap_or_default().lines().map(str::trim);
    let pair = |line: &str| match line.split_once(char::is_whitespace) {
        Some((name, url)) if !url.trim().contains(char::is_whitespace) => {
            Ok((name.to_owned(), SoftwareUrl::new(url.trim())))
        }
        _ => Err(r.error(OPTION, format!("`{OPTION}`: `{line}` is not a name and a URL"))),
    };
    lines.filter(|line| !line.is_empty()).map(pair).collect()
}

fn shacache(r: &Reader<'_>) -> Result<Option<ShacacheOptions>, ConfigError> {
    let named = |option: &'static str, other: &'static str| r.spelling(option, other);
    let content = named("shacache_content_directory", "shacache-content-directory");
    let metadata = named("shacache_metadata_directory", "shacache-metadata-directory");
    let cache = named("shacache_upstream_cache_url", "shacache-upstream-cache-url");
    let dir = named("shacache_upstream_dir_url", "shacache-upstream-dir-url");
    let open = named("shacache_anonymous_download", "shacache-anonymous-download");
    let shared = named("shacache_shared", "shacache-shared");
    let largest = named("shacache_largest_content", "shacache-largest-content");
    match (r.optional_path(content)?, r.optional_path(metadata)?) {
        (Some(content), Some(metadata)) => Ok(Some(ShacacheOptions {
            content,
            metadata,
            upstream_cache: url(r, cache)?,
            upstream_dir: url(r, dir)?,
            anonymous_download: r.boolean(open, false)?,
            shared: r.boolean(shared, false)?,
            largest: r.size(largest, LARGEST)?,
        })),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(r.error(content, format!("`{content}` is set, and needs `{metadata}` too")))
        }
        (None, Some(_)) => {
            Err(r.error(metadata, format!("`{metadata}` is set, and needs `{content}` too")))
        }
    }
}

fn url(r: &Reader<'_>, option: &str) -> Result<Option<String>, ConfigError> {
    match r.optional(option) {
        None => Ok(None),
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            Ok(Some(url.to_owned()))
        }
        Some(other) => {
            Err(r.error(option, format!("`{option}` must be an http(s) URL, not `{other}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slapos_config::Config;

    fn read(options: &str) -> Result<ProtocolsConfig, String> {
        let config = Config::parse(&format!("[slapproxy]\n{options}"), "slapos.cfg").unwrap();
        ProtocolsConfig::read(&Reader::of(&config, "slapproxy")).map_err(|e| e.to_string())
    }

    #[test]
    fn names_of_software() {
        let found = read("software_product_list =\n  kvm  http://a/kvm.cfg\n  b /b.cfg\n").unwrap();
        let expected = [("kvm", "http://a/kvm.cfg"), ("b", "/b.cfg")];
        assert_eq!(found.products, expected.map(|(name, url)| (name.to_owned(), url.into())));
        insta::assert_snapshot!(read("software_product_list = kvm\n").unwrap_err(), @"slapos.cfg:2: `software_product_list`: `kvm` is not a name and a URL");
    }

    #[test]
    fn the_cache_has_both_directories_or_is_not_there() {
        assert!(read("").unwrap().shacache.is_none());
        let found = read(
            "shacache-content-directory = /a\nshacache_metadata_directory = /b\n\
             shacache-upstream-dir-url = http://up\nshacache_largest_content = 1M\nshacache-shared = true\n",
        );
        let found = found.unwrap().shacache.unwrap();
        assert_eq!((found.largest, found.upstream_dir.as_deref()), (1 << 20, Some("http://up")));
        assert!(!found.anonymous_download && found.shared);
        insta::assert_snapshot!(read("shacache-content-directory = /a\n").unwrap_err(), @"slapos.cfg:2: `shacache-content-directory` is set, and needs `shacache_metadata_directory` too");
        insta::assert_snapshot!(read("shacache_content_directory = /a\nshacache_metadata_directory = /b\nshacache_upstream_cache_url = ftp://x\n").unwrap_err(), @"slapos.cfg:4: `shacache_upstream_cache_url` must be an http(s) URL, not `ftp://x`");
    }
}
