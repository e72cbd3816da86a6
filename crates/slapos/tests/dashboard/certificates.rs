//! A certificate that is issued in the browser is one: its files let a machine in, until it is revoked
//! there.

use std::path::Path;
use std::process::Command;

use slapos_testkit::wait_for;

use super::browser::Browser;
use super::master::{Master, TOKEN};

/// Asks by https, as a machine with these files.
const ASK: &str = "
import json, ssl, sys, urllib.error, urllib.request
url, authority, certificate, key = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.load_cert_chain(certificate, key)
try:
  with urllib.request.urlopen(url, context=context, timeout=60) as answer:
    print(answer.status, json.load(answer))
except urllib.error.HTTPError as error:
  print(error.code)
";

fn ask(master: &Master, certificate: &Path, key: &Path) -> String {
    let authority = master.write("ca.pem", &master.ok(&["proxy", "ca", "show"]));
    let url = format!("{}/api/v1/me", master.url());
    let mut command = Command::new("python3");
    command.args(["-c", ASK, &url, &authority]).args([certificate, key]);
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_certificate_of_the_browser_lets_a_machine_in() {
    let Some(mut browser) = Browser::start("a_certificate_of_the_browser_lets_a_machine_in") else {
        return;
    };
    let master = Master::start("");
    let saved = tempfile::tempdir().unwrap();
    browser.saves_to(saved.path());
    let home = format!("http://127.0.0.1:{}/ui/#token={TOKEN}", master.port);
    browser.visit(&home);
    browser.heads("Overview");
    browser.js("location.hash = '#/computers/local'");
    browser.heads("local");
    browser.push("Issue a certificate…");
    browser.push("Issue");
    browser.sees("Keep both files on the machine; the key is shown once.");
    browser.shoot("certificate-issued");
    let [certificate, key] = ["local.crt", "local.key"].map(|name| {
        browser.push(&format!("Save {name}"));
        let path = saved.path().join(name);
        let whole = || std::fs::read_to_string(&path).ok().filter(|text| text.ends_with("-----\n"));
        wait_for(name, 60, whole);
        path
    });
    browser.push("I have kept it");
    let told = ask(&master, &certificate, &key);
    assert!(told.starts_with("200 ") && told.contains("'local'"), "{told}");
    browser.push("Revoke certificates…");
    browser.push("Revoke");
    browser.sees("Every certificate of local is revoked.");
    assert_eq!(ask(&master, &certificate, &key).trim(), "401");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
