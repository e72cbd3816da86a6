//! What the embedded Master does with requests: `schema`, `schema_http` and `direct_frontends` of
//! `[slapproxy]`, and `[multimaster/URL]`, which has the original's options and, of ours, `token_file` and `ca_file`.

use std::path::PathBuf;

use slapos_config::{Config, ConfigError, shown_section};
use slapos_slap::{ComputerId, PartitionId, SoftwareUrl, told_url};

use super::{IdentityFiles, Reader};

/// How its sections begin.
const SECTION: &str = "multimaster/";

/// What becomes of parameters that do not fit the Software Release's schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// `enforce`: the request is refused.
    #[default]
    Enforce,
    /// `warn`: the Master's log tells it.
    Warn,
    /// `off`: nobody looks.
    Off,
}

/// Which schemas are read from the network. `https`, the default, is public addresses by https, `true`
/// by http too; hosts that it names, `NAME` or `NAME:PORT`, are read by either, whatever their
/// addresses, and nothing else unless it says that, too; `false` is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaHttp {
    /// Public addresses by https.
    pub https: bool,
    /// And by http.
    pub http: bool,
    /// The hosts, in lower case.
    pub hosts: Vec<String>,
}

impl Default for SchemaHttp {
    fn default() -> Self {
        Self { https: true, ..Self::NOTHING }
    }
}

impl SchemaHttp {
    const NOTHING: Self = Self { https: false, http: false, hosts: Vec::new() };

    fn read(r: &Reader<'_>) -> Result<Self, ConfigError> {
        let words = r.optional("schema_http").unwrap_or_default().to_ascii_lowercase();
        let words: Vec<_> = words.split([',', '\n', ' ']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => return Ok(Self::default()),
            ["false"] => return Ok(Self::NOTHING),
            _ => {}
        }
        let mut read = Self::NOTHING;
        for word in words {
            match word {
                "true" => (read.https, read.http) = (true, true),
                "https" => read.https = true,
                host if host != "false" && is_host(host) => read.hosts.push(host.to_owned()),
                other => {
                    let message = format!(
                        "`schema_http` is false, https, true, or names hosts such as \
                         forge.example.org:8443, not `{other}`"
                    );
                    return Err(r.error("schema_http", message));
                }
            }
        }
        Ok(read)
    }
}

/// Whether a word may be a host, with a port or without.
fn is_host(word: &str) -> bool {
    let (name, port) = word.split_once(':').unwrap_or((word, "1"));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    !name.is_empty() && name.chars().all(plain) && port.parse::<u16>().is_ok()
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestsOptions {
    /// `schema`.
    pub schema: Schema,
    /// `schema_http`: where schemas are read from.
    pub schema_http: SchemaHttp,
    /// `direct_frontends`: whether who asks for a frontend that nobody has is told his own address.
    pub direct_frontends: bool,
    /// `[multimaster/URL]`, in the order of the file.
    pub other_masters: Vec<OtherMasterOptions>,
}

/// `[multimaster/URL]`: a Master that requests may be forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherMasterOptions {
    /// From the section's name.
    pub url: String,
    /// `software_release_list`: what it serves, one a line.
    pub software: Vec<SoftwareUrl>,
    /// `computer` and `partition`: in whose name it is asked.
    pub requester: Option<(ComputerId, PartitionId)>,
    /// `key` and `cert`: the files of what is shown there.
    pub identity: Option<IdentityFiles>,
    /// `ca_file`: who signs its certificate; those that the machine trusts unless set.
    pub ca_file: Option<PathBuf>,
    /// `token_file`: what is proved there, if it is one of ours.
    pub token_file: Option<PathBuf>,
}

impl RequestsOptions {
    pub(super) fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let r = Reader::of(config, "slapproxy");
        let schema = match r.optional("schema") {
            None | Some("enforce") => Schema::Enforce,
            Some("warn") => Schema::Warn,
            Some("off") => Schema::Off,
            Some(other) => {
                let message = format!("`schema` must be enforce, warn or off, not `{other}`");
                return Err(r.error("schema", message));
            }
        };
        let names = config.sections().filter(|section| section.starts_with(SECTION));
        let names: Vec<_> = names.collect();
        require_one_token(config, &names)?;
        let masters = names.into_iter();
        Ok(Self {
            schema,
            schema_http: SchemaHttp::read(&r)?,
            direct_frontends: r.boolean("direct_frontends", false)?,
            other_masters: masters.map(|name| other(config, name)).collect::<Result<_, _>>()?,
        })
    }
}

/// A Master is known by its address without a token, so that with two it could not be said which.
fn require_one_token(config: &Config, sections: &[&str]) -> Result<(), ConfigError> {
    let bare = |address: &str| address.trim_end_matches('/').to_owned();
    let mut known: Vec<(String, String, &str)> = Vec::new();
    for &section in sections {
        let written = bare(section.trim_start_matches(SECTION));
        let told = bare(&told_url(&written));
        let twin = known.iter().find(|(_, other, _)| *other == told);
        if let Some((_, _, first)) = twin.filter(|(other, ..)| *other != written) {
            let line = config.section_line(first).unwrap_or_default();
            let message = format!(
                "[{}] is the Master of line {line} with another token: remove one of the two",
                shown_section(section)
            );
            return Err(config.error(section, "", message));
        }
        known.push((written, told, section));
    }
    Ok(())
}

fn other(config: &Config, section: &str) -> Result<OtherMasterOptions, ConfigError> {
    let r = Reader::of(config, section);
    let url = section.trim_start_matches(SECTION).to_owned();
    let lines = r.optional("software_release_list").unwrap_or_default().lines();
    let software = lines.map(str::trim).filter(|line| !line.is_empty());
    let pair = |one: &str, two: &str| match (r.optional(one), r.optional(two)) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(r.error(two, format!("`{one}` needs `{two}`"))),
        (None, Some(_)) => Err(r.error(one, format!("`{two}` needs `{one}`"))),
    };
    let identity = pair("key", "cert")?;
    if identity.is_some() && !url.starts_with("https") {
        let message = "a key and a certificate are shown by https only".to_owned();
        return Err(r.error("key", message));
    }
    let requester = pair("computer", "partition")?;
    Ok(OtherMasterOptions {
        software: software.map(SoftwareUrl::new).collect(),
        requester: requester.map(|(computer, partition)| (computer.into(), partition.into())),
        identity: identity.map(|(key, certificate)| IdentityFiles {
            key: key.into(),
            certificate: certificate.into(),
        }),
        ca_file: r.optional_path("ca_file")?,
        token_file: r.optional_path("token_file")?,
        url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RequestsOptions, String> {
        let config = Config::parse(text, "slapos.cfg").map_err(|error| error.to_string())?;
        RequestsOptions::from_config(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_originals_sections() {
        assert_eq!(read("[slapproxy]\nport = 1\n").unwrap(), RequestsOptions::default());
        let read_all = read(
            "[slapproxy]\nschema = warn\nschema_http = true\n\
             [multimaster/https://m/]\nkey = /k\ncert = /c\nsoftware_release_list =\n  http://a\n\n  http://b\n\
             [multimaster/http://n]\ncomputer = C\npartition = p\n",
        )
        .unwrap();
        assert_eq!((read_all.schema, read_all.schema_http.http), (Schema::Warn, true));
        let [first, second] = read_all.other_masters.as_slice() else { panic!("two") };
        assert_eq!((first.url.as_str(), first.software.len()), ("https://m/", 2));
        assert!(first.identity.is_some() && first.requester.is_none());
        assert_eq!(second.requester, Some(("C".into(), "p".into())));
    }

    #[test]
    fn where_schemas_are_read_from() {
        let read = |value: &str| read(&format!("[slapproxy]\nschema_http = {value}\n"));
        let read_from = |value: &str| read(value).unwrap().schema_http;
        assert_eq!(read_from(""), SchemaHttp::default());
        assert_eq!(read_from("false"), SchemaHttp::NOTHING);
        assert_eq!(read_from("https"), SchemaHttp::default());
        assert!(SchemaHttp::default().https && !SchemaHttp::default().http);
        let hosts = vec!["forge.example".to_owned(), "10.0.0.1:8443".to_owned()];
        let named = SchemaHttp { hosts, ..SchemaHttp::NOTHING };
        assert_eq!(read_from("Forge.example, 10.0.0.1:8443"), named);
        assert_eq!(
            read_from("true forge"),
            SchemaHttp { https: true, http: true, hosts: vec!["forge".to_owned()] }
        );
        for wrong in ["https://forge/", "false forge", "forge:x", "*.example"] {
            assert!(read(wrong).unwrap_err().contains("or names hosts such as"), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        insta::assert_snapshot!(read("[slapproxy]\nschema = strict\n").unwrap_err(), @"slapos.cfg:2: `schema` must be enforce, warn or off, not `strict`");
        insta::assert_snapshot!(read("[multimaster/http://m]\nkey = /k\ncert = /c\n").unwrap_err(), @"slapos.cfg:2: a key and a certificate are shown by https only");
        insta::assert_snapshot!(read("[multimaster/https://m]\nkey = /k\n").unwrap_err(), @"slapos.cfg:1: `key` needs `cert`");
        insta::assert_snapshot!(read("[multimaster/http://m]\npartition = p\n").unwrap_err(), @"slapos.cfg:1: `partition` needs `computer`");
        insta::assert_snapshot!(read("[multimaster/http://me:one@m]\n[multimaster/http://me:two@m/]\n").unwrap_err(), @"slapos.cfg:2: [multimaster/http://me:***@m/] is the Master of line 1 with another token: remove one of the two");
        read("[multimaster/http://me:one@m]\n[multimaster/http://you:one@m]\n").unwrap();
    }
}
