//! `check_url_available`: a URL answers with a status.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::options::Options;
use super::{Found, Surroundings, path_in};

pub(super) const OPTIONS: [&str; 11] = [
    "url",
    "http-code",
    "ignore-code",
    "timeout",
    "verify",
    "ca-cert-file",
    "cert-file",
    "key-file",
    "allow-redirects",
    "username",
    "password",
];

/// As many as the original follows.
const MOST_REDIRECTS: u32 = 30;

pub(super) fn check(options: &Options<'_>, given: &Surroundings) -> Found {
    let url = &options.required("url")?;
    let wanted: u16 = options.number("http-code", 200)?;
    let any = options.flag("ignore-code", false)? || wanted == 0;
    let mut request = agent(options, given)?.get(url);
    if let (Some(user), Some(password)) = (options.text("username"), options.text("password")) {
        let secret = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        request = request.header("Authorization", format!("Basic {secret}"));
    }
    let response = request.call().map_err(|error| format!("{url} does not answer: {error}"))?;
    let status = response.status().as_u16();
    if any || status == wanted {
        return Ok(format!("{url} is available"));
    }
    Err(format!("{url} answers {status}, expected {wanted}"))
}

/// Asks the instance itself: no proxy.
fn agent(options: &Options<'_>, given: &Surroundings) -> Result<ureq::Agent, String> {
    // A little less than the promise has, so that it can say what happened.
    let usual = given.limit.as_secs().saturating_sub(1).clamp(1, 5);
    let limit = Duration::from_secs(options.number("timeout", usual)?).min(given.limit);
    let redirects = if options.flag("allow-redirects", true)? { MOST_REDIRECTS } else { 0 };
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .proxy(None)
        .max_redirects(redirects)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .tls_config(tls(options, &given.directory)?);
    Ok(config.build().new_agent())
}

/// As in the original, certificates are only verified if that is asked for: those of instances are
/// mostly their own.
fn tls(options: &Options<'_>, directory: &Path) -> Result<TlsConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    tls = match options.text("ca-cert-file") {
        Some(file) => {
            tls.root_certs(RootCerts::new_with_certs(&certificates(&path_in(directory, &file))?))
        }
        None => tls
            .root_certs(RootCerts::PlatformVerifier)
            .disable_verification(!options.flag("verify", false)?),
    };
    if let (Some(cert), Some(key)) = (options.text("cert-file"), options.text("key-file")) {
        let chain = certificates(&path_in(directory, &cert))?;
        let path = path_in(directory, &key);
        let key = PrivateKey::from_pem(&read(&path)?)
            .map_err(|error| format!("there is no key in {}: {error}", path.display()))?;
        tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Ok(tls.build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = read(path)?;
    let items = parse_pem(&pem).filter_map(Result::ok);
    let found: Vec<_> = items
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(format!("there is no certificate in {}", path.display()));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    slapos_sys::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::super::testing::found;

    /// Answers each request with `status`, and 200 where a password is shown; `/moved` leads away.
    fn serve(status: u16) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<_> =
                    lines.map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
                let known = head.iter().any(|line| line.ends_with("Basic dTpw"));
                let (status, more) = match head[0].contains("/moved") {
                    true => (302, "Location: /\r\n"),
                    false if known => (200, ""),
                    false => (status, ""),
                };
                let answer = format!(
                    "HTTP/1.1 {status} x\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    #[test]
    fn a_url_answers_with_the_wanted_code_or_not() {
        let url = &serve(404);
        let ask = |config: &[(&str, &str)]| {
            found("check_url_available", &[&[("url", url.as_str())], config].concat())
        };
        assert_eq!(ask(&[]).unwrap_err(), format!("{url} answers 404, expected 200"));
        for config in [("http-code", "404"), ("http-code", "0"), ("ignore-code", "1")] {
            assert_eq!(ask(&[config]).unwrap(), format!("{url} is available"));
        }
        assert!(ask(&[("username", "u"), ("password", "p")]).is_ok());
    }

    #[test]
    fn redirects_are_followed_unless_told_otherwise() {
        let url = format!("{}moved", serve(200));
        assert!(found("check_url_available", &[("url", &url)]).is_ok());
        let stay = [("url", url.as_str()), ("allow-redirects", "0")];
        assert_eq!(
            found("check_url_available", &stay).unwrap_err(),
            format!("{url} answers 302, expected 200")
        );
    }

    #[test]
    fn what_is_wrong_with_the_configuration_is_said() {
        let message = |config: &[_]| found("check_url_available", config).unwrap_err();
        insta::assert_snapshot!(message(&[]), @"`slapos.promise.plugin.check_url_available` needs the option `config-url`");
        insta::assert_snapshot!(message(&[("url", "u"), ("http-code", "fine")]), @"`config-http-code` must be a number, not `fine`");
        insta::assert_snapshot!(message(&[("url", "https://[::1]:1/"), ("ca-cert-file", "/dev/null/x")]), @"cannot read /dev/null/x: Not a directory (os error 20)");
    }
}
