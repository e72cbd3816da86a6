//! The options of `[slapproxy]` that say how the embedded Master is reached, and how much it bears.
//!
//! All are ours. Without any of them the Master answers by plain HTTP on this machine only.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use slapos_config::ConfigError;

use super::{PORT, Reader};

/// The longest life of a certificate, in days: half of what its authority has.
const MOST_DAYS: f64 = 3650.0;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct ProxyAccess {
    /// `tls_port`, `tls_host` and more: where it is reached by https.
    pub tls: Option<ProxyTls>,
    /// `allow_plain_http`: answer by plain HTTP where others can read along.
    pub allow_plain_http: bool,
    /// `connections`: at a time, at each port.
    pub connections: Option<usize>,
    /// `listeners`: connections that wait for events, at a time.
    pub listeners: Option<usize>,
    /// `trusted_proxies`: addresses of proxies whose `X-Forwarded-For` is believed; none unless set.
    pub trusted_proxies: Vec<IpAddr>,
    /// `requests_per_second`: of each caller but the operator, on the average.
    pub requests_per_second: Option<f64>,
    /// `failures_per_minute`: of each address that presents tokens or certificates that are not valid.
    pub failures_per_minute: Option<f64>,
    /// `certificate_days`: how long certificates of computers and partitions last; a year unless set.
    /// Nodes renew theirs in the last third.
    pub certificate_days: Option<f64>,
}

/// The port with TLS.
#[derive(Clone, Debug)]
pub struct ProxyTls {
    /// `tls_host`; `host` unless set.
    pub host: String,
    /// `tls_port`.
    pub port: u16,
    /// `tls_names`: what the Master's own certificate is for, one a line or after commas; this
    /// machine's names and `tls_host` unless set.
    pub names: Vec<String>,
    /// `certificate_file` and `key_file`: a certificate that others signed, and its key.
    pub files: Option<(PathBuf, PathBuf)>,
}

impl ProxyAccess {
    /// Reads them; `host` is where plain HTTP is.
    pub(super) fn read(r: &Reader<'_>, host: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            tls: tls(r, host)?,
            allow_plain_http: r.boolean("allow_plain_http", false)?,
            connections: number(r, "connections", 1)?,
            listeners: number(r, "listeners", 0)?,
            trusted_proxies: addresses(r, "trusted_proxies")?,
            requests_per_second: rate(r, "requests_per_second")?,
            failures_per_minute: rate(r, "failures_per_minute")?,
            certificate_days: days(r, "certificate_days")?,
        })
    }
}

fn tls(r: &Reader<'_>, host: &str) -> Result<Option<ProxyTls>, ConfigError> {
    let certificate = r.optional_path("certificate_file")?;
    let files = match (certificate, r.optional_path("key_file")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(
                r.error("certificate_file", "`certificate_file` needs `key_file`".to_owned())
            );
        }
        (None, Some(_)) => {
            return Err(r.error("key_file", "`key_file` needs `certificate_file`".to_owned()));
        }
    };
    if r.optional("tls_port").is_none() {
        for option in ["certificate_file", "tls_host", "tls_names"] {
            if r.optional(option).is_some() {
                let message = format!("`{option}` has no effect without `tls_port`");
                return Err(r.error(option, message));
            }
        }
        return Ok(None);
    }
    let (plain, host) = (host, r.optional("tls_host").unwrap_or(host).to_owned());
    let port = r.parsed("tls_port", 0)?;
    refuse_one_port_for_both(r, plain, (&host, port))?;
    let names = match r.optional("tls_names") {
        Some(names) => names.split([',', '\n', ' ']).map(str::trim).map(str::to_owned).collect(),
        None => default_names(&host),
    };
    let names = names.into_iter().filter(|name| !name.is_empty()).collect();
    Ok(Some(ProxyTls { host, port, names, files }))
}

/// Plain HTTP and https need a port each, unless they have addresses of their own.
fn refuse_one_port_for_both(
    r: &Reader<'_>,
    plain: &str,
    (host, port): (&str, u16),
) -> Result<(), ConfigError> {
    let anywhere = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let apart = plain != host && !anywhere(plain) && !anywhere(host);
    if apart || port == 0 || port != r.parsed("port", PORT)? {
        return Ok(());
    }
    let message = format!(
        "`tls_port` and `port` are both {port}: plain HTTP and https need a port each; set another \
         `tls_port`"
    );
    Err(r.error("tls_port", message))
}

/// The names by which others may reach this machine.
fn default_names(host: &str) -> Vec<String> {
    let mut names = Vec::new();
    let anywhere = host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    if !anywhere {
        names.push(host.to_owned());
    }
    if let Ok(name) = slapos_sys::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")) {
        names.push(name.trim().to_owned());
    }
    for local in ["localhost", "127.0.0.1", "::1"] {
        if host != local {
            names.push(local.to_owned());
        }
    }
    names
}

fn addresses(r: &Reader<'_>, option: &str) -> Result<Vec<IpAddr>, ConfigError> {
    let texts = r.optional(option).unwrap_or_default().split([',', '\n', ' ']).map(str::trim);
    let one = |text: &str| {
        let wrong = |_| r.error(option, format!("`{option}`: `{text}` is no IP address"));
        text.parse::<IpAddr>().map(|address| address.to_canonical()).map_err(wrong)
    };
    texts.filter(|text| !text.is_empty()).map(one).collect()
}

fn number(r: &Reader<'_>, option: &str, least: usize) -> Result<Option<usize>, ConfigError> {
    if r.optional(option).is_none() {
        return Ok(None);
    }
    match r.parsed(option, 0_usize)? {
        number if number >= least => Ok(Some(number)),
        _ => Err(r.error(option, format!("`{option}` must be {least} or more"))),
    }
}

/// A number of days, at most as long as an authority lasts.
fn days(r: &Reader<'_>, option: &str) -> Result<Option<f64>, ConfigError> {
    match rate(r, option)? {
        Some(days) if days > MOST_DAYS => {
            Err(r.error(option, format!("`{option}` must be {MOST_DAYS} or less")))
        }
        days => Ok(days),
    }
}

fn rate(r: &Reader<'_>, option: &str) -> Result<Option<f64>, ConfigError> {
    if r.optional(option).is_none() {
        return Ok(None);
    }
    match r.parsed(option, 0.0)? {
        rate if rate > 0.0 && rate <= 1e9 => Ok(Some(rate)),
        _ => Err(r.error(option, format!("`{option}` must be more than 0"))),
    }
}

#[cfg(test)]
mod tests {
    use slapos_config::Config;

    use super::*;

    fn read(options: &str) -> Result<ProxyAccess, ConfigError> {
        let config = Config::parse(&format!("[slapproxy]\n{options}"), "slapos.cfg")?;
        ProxyAccess::read(&Reader::of(&config, "slapproxy"), "127.0.0.1")
    }

    #[test]
    fn without_options_it_is_plain_and_private() {
        let access = read("").unwrap();
        assert!(access.tls.is_none() && !access.allow_plain_http);
    }

    #[test]
    fn a_port_with_tls_has_names() {
        let text = "tls_port = 5443\ntls_host = ::\ntls_names = a.example, b.example\n  ::1\n";
        let tls = read(text).unwrap().tls.unwrap();
        assert_eq!((tls.host.as_str(), tls.port), ("::", 5443));
        assert_eq!(tls.names, ["a.example", "b.example", "::1"]);
        let names = read("tls_port = 1\ntls_host = 0.0.0.0").unwrap().tls.unwrap().names;
        assert!(names.contains(&"localhost".to_owned()) && !names.contains(&"0.0.0.0".to_owned()));
    }

    #[test]
    fn plain_http_and_https_have_a_port_each() {
        let error = read("port = 5443\ntls_port = 5443\n").unwrap_err();
        insta::assert_snapshot!(error, @"slapos.cfg:3: `tls_port` and `port` are both 5443: plain HTTP and https need a port each; set another `tls_port`");
        assert!(read("tls_port = 5000\ntls_host = 0.0.0.0").is_err(), "the default is one, too");
        assert!(read("port = 0\ntls_port = 0").is_ok(), "any that is free");
        assert!(read("tls_port = 5000\ntls_host = 10.0.0.1").is_ok(), "another address");
    }

    #[test]
    fn options_that_would_be_ignored_are_refused() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("tls_names = a"), @"slapos.cfg:2: `tls_names` has no effect without `tls_port`");
        insta::assert_snapshot!(error("tls_port = 1\nkey_file = /k"), @"slapos.cfg:3: `key_file` needs `certificate_file`");
        insta::assert_snapshot!(error("trusted_proxies = ::1, proxy"), @"slapos.cfg:2: `trusted_proxies`: `proxy` is no IP address");
        insta::assert_snapshot!(error("connections = 0"), @"slapos.cfg:2: `connections` must be 1 or more");
        insta::assert_snapshot!(error("failures_per_minute = 0"), @"slapos.cfg:2: `failures_per_minute` must be more than 0");
        insta::assert_snapshot!(error("certificate_days = 4000"), @"slapos.cfg:2: `certificate_days` must be 3650 or less");
        assert_eq!(read("certificate_days = 30").unwrap().certificate_days, Some(30.0));
    }
}
