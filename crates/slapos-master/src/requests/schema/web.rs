//! Which addresses of the network schemas are read from (`schema_http`).

use serde::{Deserialize, Serialize};

/// See the module. `Default` is https, from addresses that everybody can reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Web {
    /// Public addresses are read by https.
    pub https: bool,
    /// They are read by http too, where whoever is on the way may change what is read.
    pub http: bool,
    /// Hosts that are read by either, whatever their addresses: `NAME` or `NAME:PORT`, in lower case.
    pub hosts: Vec<String>,
}

impl Default for Web {
    fn default() -> Web {
        Web { https: true, http: false, hosts: Vec::new() }
    }
}

/// How far an address may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is not read.
    Nowhere,
    /// To what everybody can reach.
    Public,
    /// Anywhere: the operator named its host.
    Anywhere,
}

impl Web {
    /// How far an address of that scheme, host and port may lead.
    pub(super) fn reach(&self, scheme: &str, host: &str, port: Option<u16>) -> Reach {
        let usual = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Reach::Nowhere,
        };
        let host = host.to_ascii_lowercase();
        let whole = format!("{host}:{}", port.unwrap_or(usual));
        let named = self.hosts.iter().any(|known| *known == host || *known == whole);
        match (named, scheme) {
            (true, _) => Reach::Anywhere,
            (false, "https") if self.https => Reach::Public,
            (false, "http") if self.http => Reach::Public,
            _ => Reach::Nowhere,
        }
    }

    /// Why an address is not read.
    pub(super) fn refusal(&self, scheme: &str) -> String {
        let what = match (self.https, scheme) {
            (true, "http") => "the Master reads no schemas by http",
            _ => "the Master reads no schemas from the network",
        };
        format!(
            "{what}: `schema_http` in [slapproxy] says what it reads (https, true, names of hosts)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_the_operator_said() {
        let web = Web::default();
        assert_eq!(web.reach("https", "example.org", None), Reach::Public);
        assert_eq!(web.reach("http", "example.org", None), Reach::Nowhere);
        assert_eq!(web.reach("ftp", "example.org", None), Reach::Nowhere);
        let both = Web { http: true, ..Web::default() };
        assert_eq!(both.reach("http", "example.org", None), Reach::Public);
        let hosts = vec!["forge".to_owned(), "local.example:8080".to_owned()];
        let named = Web { https: false, hosts, ..Web::default() };
        for (scheme, host, port) in [
            ("http", "forge", None),
            ("https", "Forge", Some(8443)),
            ("http", "local.example", Some(8080)),
        ] {
            assert_eq!(named.reach(scheme, host, port), Reach::Anywhere, "{host}");
        }
        for (host, port) in [("local.example", None), ("a.forge", None), ("example.org", None)] {
            assert_eq!(named.reach("https", host, port), Reach::Nowhere, "{host}");
        }
    }
}
