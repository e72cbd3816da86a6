//! The checks that need no Python: what the plugins of the same module names do.
//!
//! | module | configuration |
//! | --- | --- |
//! | `slapos.promise.plugin.check_url_available` | `url`; `http-code` (200); `timeout` (seconds) |
//! | `slapos.promise.plugin.check_socket_listening` | `host`, `port` |
//! | `check_port_listening` (as the recipe of that name writes it) | `hostname`, `port` |
//!
//! All know `frequency`: minutes between two checks. A key that is not known is an error, so that
//! nothing is checked less strictly than was asked.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::tls::{RootCerts, TlsConfig};

use super::discover::Header;

/// The configuration key that every check knows.
const FREQUENCY: &str = "frequency";

/// Does the check that `header` names within `limit`. Both outcomes come with a message.
pub(super) fn check(header: &Header, limit: Duration) -> Result<String, String> {
    match header.module.rsplit('.').next() {
        Some("check_url_available") => url_available(header, limit),
        Some("check_socket_listening" | "check_port_listening") => port_listening(header, limit),
        _ => Err(format!("there is no built-in check `{}`", header.module)),
    }
}

/// Seconds between two checks, as the configuration says.
pub(super) fn periodicity(header: &Header) -> Option<f64> {
    let minutes: f64 = header.text(FREQUENCY)?.parse().ok()?;
    (minutes > 0.0 && minutes.is_finite()).then_some(minutes * 60.0)
}

fn url_available(header: &Header, limit: Duration) -> Result<String, String> {
    known_keys(header, &["url", "http-code", "timeout"])?;
    let url = &required(header, "url")?;
    let wanted: u16 = number(header, "http-code", 200)?;
    let limit = limit.min(Duration::from_secs(number(header, "timeout", limit.as_secs().max(1))?));
    let response =
        agent(limit).get(url).call().map_err(|error| format!("{url} does not answer: {error}"))?;
    let status = response.status().as_u16();
    if status == wanted {
        return Ok(format!("{url} is available"));
    }
    Err(format!("{url} answers {status}, expected {wanted}"))
}

/// Asks the instance itself: no proxy, and certificates as the machine trusts them.
fn agent(limit: Duration) -> ureq::Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = ureq::Agent::config_builder().timeout_global(Some(limit)).proxy(None);
    config.http_status_as_error(false).tls_config(tls).build().new_agent()
}

fn port_listening(header: &Header, limit: Duration) -> Result<String, String> {
    known_keys(header, &["hostname", "host", "port"])?;
    let host = required(header, "hostname").or_else(|_| required(header, "host"))?;
    let port: u16 = number(header, "port", 0)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    let deadline = Instant::now() + limit;
    let mut problem = format!("{host} has no address");
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match std::net::TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Ok(format!("port {port} of {host} is open")),
            Err(error) => problem = format!("nothing listens on {address}: {error}"),
        }
    }
    Err(problem)
}

fn known_keys(header: &Header, known: &[&str]) -> Result<(), String> {
    let unknown =
        header.config.keys().find(|key| *key != FREQUENCY && !known.contains(&key.as_str()));
    unknown
        .map_or(Ok(()), |key| Err(format!("`{}` has no option `config-{key}` here", header.module)))
}

fn required(header: &Header, key: &str) -> Result<String, String> {
    header.text(key).ok_or_else(|| format!("`{}` needs the option `config-{key}`", header.module))
}

fn number<T: std::str::FromStr>(header: &Header, key: &str, default: T) -> Result<T, String> {
    let Some(text) = header.text(key) else {
        return Ok(default);
    };
    text.parse().map_err(|_| format!("`config-{key}` must be a number, not `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn header(module: &str, config: &[(&str, &str)]) -> Header {
        let pairs = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).into()));
        Header { module: format!("slapos.promise.plugin.{module}"), config: pairs.collect() }
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn a_port_is_open_or_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let open = header("check_port_listening", &[("hostname", "127.0.0.1"), ("port", &port)]);
        assert_eq!(check(&open, LIMIT).unwrap(), format!("port {port} of 127.0.0.1 is open"));
        drop(listener);
        assert!(check(&open, LIMIT).unwrap_err().starts_with("nothing listens on 127.0.0.1:"));
    }

    #[test]
    fn a_url_answers_with_the_wanted_code_or_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(b"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        });
        let promise = header("check_url_available", &[("url", &url)]);
        assert_eq!(check(&promise, LIMIT).unwrap_err(), format!("{url} answers 404, expected 200"));
        let promise = header("check_url_available", &[("url", &url), ("http-code", "404")]);
        assert_eq!(check(&promise, LIMIT).unwrap(), format!("{url} is available"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let message = |module, config: &[_]| check(&header(module, config), LIMIT).unwrap_err();
        insta::assert_snapshot!(message("check_moon", &[]), @"there is no built-in check `slapos.promise.plugin.check_moon`");
        insta::assert_snapshot!(message("check_url_available", &[]), @"`slapos.promise.plugin.check_url_available` needs the option `config-url`");
        insta::assert_snapshot!(message("check_url_available", &[("url", "u"), ("phase", "full")]), @"`slapos.promise.plugin.check_url_available` has no option `config-phase` here");
    }
}
