//! The certificate authority of a partition, with the real `openssl`.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use slapos_testkit::{skipped, wait_for};

use super::*;

const PROFILE: &str = "\
[buildout]
parts = ca service
[dir]
recipe = slapos.cookbook:mkdirectory
ca = ${buildout:directory}/ca
private = ${:ca}/private
certs = ${:ca}/certs
newcerts = ${:ca}/newcerts
requests = ${buildout:directory}/requests
[ca]
recipe = slapos.cookbook:certificate_authority
ca-dir = ${dir:ca}
ca-private = ${dir:private}
ca-certs = ${dir:certs}
ca-newcerts = ${dir:newcerts}
requests-directory = ${dir:requests}
openssl-binary = openssl
wrapper = ${buildout:directory}/bin/ca
company = Sons & Co # $1
[service]
recipe = slapos.cookbook:certificate_authority.request
requests-directory = ${dir:requests}
ca-private = ${dir:private}
ca-certs = ${dir:certs}
name = it's example.com
key-file = ${buildout:directory}/etc/service.key
cert-file = ${buildout:directory}/etc/service.crt
executable = /bin/echo
wrapper = ${buildout:directory}/bin/service
";

fn has_openssl(test: &str) -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    if !found {
        skipped(test, "there is no openssl");
    }
    found
}

/// What `openssl` says, in the buildout directory.
fn openssl(yard: &Yard, arguments: &[&str]) -> String {
    let output =
        Command::new("openssl").args(arguments).current_dir(yard.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A service that ends, with all it started, with the test.
pub(super) struct Service(Child);

impl Service {
    pub(super) fn start(yard: &Yard, wrapper: &str) -> Self {
        let mut command = Command::new(yard.path(wrapper));
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[test]
fn an_authority_signs_what_is_asked_for_and_programs_wait_for_it() {
    if !has_openssl("an_authority_signs_what_is_asked_for_and_programs_wait_for_it") {
        return;
    }
    let yard = Yard::software();
    yard.run(PROFILE).unwrap();
    assert!(yard.plan(PROFILE).unwrap().is_noop());
    assert_eq!((yard.mode("bin/ca"), yard.mode("ca/openssl.cnf")), (0o700, 0o600));
    let mut waiting = Command::new(yard.path("bin/service"))
        .args(["a b"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let _daemon = Service::start(&yard, "bin/ca");
    wait_for("the certificate", 60, || yard.path("etc/service.crt").exists().then_some(()));
    assert!(waiting.wait().unwrap().success());
    let subject = |file: &str| {
        openssl(&yard, &["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", file])
    };
    insta::assert_snapshot!(subject("etc/service.crt"), @r"subject=emailAddress=xx@example.com,CN=it's example.com,O=Sons & Co # $1,ST=(State\,),C=XX");
    assert!(subject("ca/cacert.pem").contains("CN=Certificate Authority "));
    assert!(
        openssl(&yard, &["verify", "-CAfile", "ca/cacert.pem", "etc/service.crt"]).ends_with("OK")
    );
    assert_eq!(yard.mode("etc/service.key"), 0o600);
    let certified = openssl(&yard, &["x509", "-noout", "-pubkey", "-in", "etc/service.crt"]);
    assert_eq!(certified, openssl(&yard, &["pkey", "-pubout", "-in", "etc/service.key"]));

    // Links go with the part; what they led to stays, and so do the authority's records.
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(yard.path("etc/service.crt").symlink_metadata().is_err());
    assert!(!yard.path("bin/service").exists());
    assert_eq!(yard.read("ca/serial"), "02\n");
    let asked = std::fs::read_dir(yard.path("requests")).unwrap().next().unwrap().unwrap();
    assert_eq!(asked.file_name().len(), 128);
}

#[test]
fn one_bad_request_does_not_keep_others_waiting() {
    if !has_openssl("one_bad_request_does_not_keep_others_waiting") {
        return;
    }
    let yard = Yard::software();
    let (_, request) = PROFILE.split_once("[service]").unwrap();
    let too_long = request
        .replace("it's example.com", &"a".repeat(65))
        .replace("etc/service", "etc/bad")
        .replace("bin/service", "bin/bad");
    let both = format!("{PROFILE}[bad]{too_long}").replace("parts = ca", "parts = ca bad");
    yard.run(&both).unwrap();
    yard.write("requests/0", "nothing\n");
    let _daemon = Service::start(&yard, "bin/ca");
    wait_for("the certificate", 60, || yard.path("etc/service.crt").exists().then_some(()));
    assert!(!yard.path("etc/bad.crt").exists());
    wait_for("unfinished files to go", 60, || {
        let mut left = std::fs::read_dir(yard.path("ca/private")).unwrap();
        let is_new = |path: &std::path::Path| path.extension().is_some_and(|end| end == "new");
        (!left.any(|entry| is_new(&entry.unwrap().path()))).then_some(())
    });
}

#[test]
fn a_given_certificate_must_belong_to_its_key() {
    if !has_openssl("a_given_certificate_must_belong_to_its_key") {
        return;
    }
    let yard = Yard::software();
    yard.write("x", "");
    let make = |name: &str| {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let new = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"];
        let files = ["-keyout", &key, "-out", &certificate];
        openssl(&yard, &[&["req", "-x509"][..], &new, &files].concat());
        [key, certificate].map(|file| yard.read(&file).replace('\n', "\n  "))
    };
    let ([key, certificate], [_, other]) = (make("a"), make("b"));
    let profile = |certificate: &str| {
        format!(
            "[buildout]\nparts = r\n[r]\nrecipe = slapos.cookbook:certificate_authority.request\n\
             requests-directory = requests\nca-private = ca\nca-certs = ca\nkey-file = k\n\
             cert-file = c\nkey-content =\n  {key}\ncert-content =\n  {certificate}\n"
        )
    };
    let error = yard.error(&profile(&other));
    assert!(error.contains("give a key and the certificate for it"), "{error}");
    assert_eq!(std::fs::read_dir(yard.path("ca")).unwrap().count(), 0);
    yard.run(&profile(&certificate)).unwrap();
    assert!(yard.plan(&profile(&certificate)).unwrap().is_noop());
    assert_eq!(yard.read("k").trim(), yard.read("a.key").trim());
    assert_eq!(yard.read("c").trim(), yard.read("a.crt").trim());
    assert!(!yard.path("requests").exists());
    let ledger = yard.read(".slapos/installed.json");
    assert!(!ledger.contains(key.lines().nth(2).unwrap().trim()));
    yard.write("taken", "precious");
    let taken = profile(&certificate).replace("key-file = k", "key-file = taken");
    assert!(yard.error(&taken).contains("is already there and is not a link"));
    assert_eq!(yard.read("taken"), "precious");
}
