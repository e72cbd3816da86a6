//! `check_url_available`: a URL answers with a status.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::options::Options;
use super::{Found, Surroundings, alone, path_in};

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
    // A little less than the promise has, so that it can say what happened.
    let usual = given.limit.as_secs().saturating_sub(1).clamp(1, 5);
    let limit = Duration::from_secs(options.number("timeout", usual)?).min(given.limit);
    let redirects = if options.flag("allow-redirects", true)? { MOST_REDIRECTS } else { 0 };
    let trusted = match options.text("ca-cert-file") {
        Some(file) => Some(certificates(&path_in(&given.directory, &file))?),
        None => None,
    };
    let client = client(options, &given.directory)?;
    let usual = match &trusted {
        Some(trusted) => Trust::In(trusted),
        None if options.flag("verify", false)? => Trust::AsTheMachine,
        // As in the original: certificates of instances are mostly their own.
        None => Trust::Everybody,
    };
    let mut answer = ask(url, options, &agent(limit, redirects, &usual, client.as_ref()));
    if let (Some(trusted), Err(error)) = (&trusted, &answer)
        && alone::is_refusal(error)
    {
        let trusted: Vec<_> = trusted.iter().map(|one| one.der().to_vec()).collect();
        alone::check(url, &trusted, limit)?;
        // Only this server was looked at.
        answer = ask(url, options, &agent(limit, 0, &Trust::Everybody, client.as_ref()));
    }
    let status = answer.map_err(|error| format!("{url} does not answer: {error}"))?;
    if any || status == wanted {
        return Ok(format!("{url} is available"));
    }
    Err(format!("{url} answers {status}, expected {wanted}"))
}

/// The status of the answer.
fn ask(url: &str, options: &Options<'_>, agent: &ureq::Agent) -> Result<u16, ureq::Error> {
    let mut request = agent.get(url);
    if let (Some(user), Some(password)) = (options.text("username"), options.text("password")) {
        let secret = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        request = request.header("Authorization", format!("Basic {secret}"));
    }
    Ok(request.call()?.status().as_u16())
}

/// Whose certificates count.
enum Trust<'c> {
    Everybody,
    AsTheMachine,
    In(&'c [Certificate<'static>]),
}

/// Asks the instance itself: no proxy.
fn agent(
    limit: Duration,
    redirects: u32,
    trust: &Trust<'_>,
    client: Option<&ClientCert>,
) -> ureq::Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .client_cert(client.cloned())
        .disable_verification(matches!(trust, Trust::Everybody))
        .root_certs(match trust {
            Trust::In(trusted) => RootCerts::new_with_certs(trusted),
            Trust::Everybody | Trust::AsTheMachine => RootCerts::PlatformVerifier,
        });
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .proxy(None)
        .max_redirects(redirects)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .tls_config(tls.build());
    config.build().new_agent()
}

/// What the instance is shown.
fn client(options: &Options<'_>, directory: &Path) -> Result<Option<ClientCert>, String> {
    let (Some(cert), Some(key)) = (options.text("cert-file"), options.text("key-file")) else {
        return Ok(None);
    };
    let chain = certificates(&path_in(directory, &cert))?;
    let path = path_in(directory, &key);
    let key = PrivateKey::from_pem(&read(&path)?)
        .map_err(|error| format!("there is no key in {}: {error}", path.display()))?;
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
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
    #![allow(clippy::disallowed_methods, reason = "tests run programs directly")]

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

    /// A server with a certificate of its own, ended when dropped.
    struct Secure(std::process::Child);

    impl Drop for Secure {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    const SERVER: &str = "import http.server, ssl, sys
server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('cert.pem', 'key.pem')
if len(sys.argv) > 1:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations('cert.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
";

    fn secure(directory: &std::path::Path, ask_client: bool) -> (Secure, String) {
        use std::process::{Command, Stdio};
        let mut python = Command::new("python3");
        python.args(["-c", SERVER]).args(ask_client.then_some("x")).current_dir(directory);
        let mut child = python.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        (Secure(child), format!("https://127.0.0.1:{}/", port.trim()))
    }

    #[test]
    fn certificates_count_only_if_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=127.0.0.1"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .current_dir(dir.path())
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            return slapos_testkit::skipped("certificates_count_only_if_asked_for", "no openssl");
        }
        let is_fine = |url: &str, config: &[(&str, &str)]| {
            let config = [&[("url", url), ("timeout", "15")], config].concat();
            super::super::testing::found_in(dir.path(), "check_url_available", &config).is_ok()
        };
        let own = [("cert-file", "cert.pem"), ("key-file", "key.pem")];
        let (_server, url) = secure(dir.path(), false);
        assert!(is_fine(&url, &[]));
        assert!(!is_fine(&url, &[("verify", "1")]));
        assert!(is_fine(&url, &[("verify", "1"), ("ca-cert-file", "cert.pem")]));
        // But not for another name.
        let name = url.replace("127.0.0.1", "localhost");
        assert!(is_fine(&name, &[]) && !is_fine(&name, &[("ca-cert-file", "cert.pem")]));
        let (_server, url) = secure(dir.path(), true);
        assert!(is_fine(&url, &[&own[..], &[("ca-cert-file", "cert.pem")]].concat()));
        assert!(!is_fine(&url, &[]));
        assert!(is_fine(&url, &own));
    }
}
