//! `slapos.cookbook:certificate_authority`: a service that signs certificates for other parts of
//! the partition, each of which asks with `slapos.cookbook:certificate_authority.request`.
//!
//! Options:
//! - `ca-dir`: where the authority keeps `cacert.pem`, `serial`, `crlnumber`, `index.txt` and
//!   `openssl.cnf`; what is there is kept, also when the part goes;
//! - `ca-private`: directory of private keys, among them its own, `cakey.pem`;
//! - `ca-certs`: directory of certificates; `ca-newcerts`: of copies, by serial number;
//! - `requests-directory`: where requests are found;
//! - `openssl-binary`: the program `openssl`;
//! - `wrapper`: the executable to write, mode 0700; in `etc/service` or `etc/run` it is a service;
//! - `country-code` (default `XX`), `email` (`xx@example.com`), `state` (`('State',)`, which old
//!   authorities have), `city` (`City`), `company` (`Company`): the subject of all certificates.
//!
//! The wrapper is a `/bin/sh` script where the original has one in Python. It looks for requests
//! every five seconds, the original every 60; a request that fails is told on standard error and
//! tried again, where the original ends.

mod request;

use std::path::{Path, PathBuf};

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

pub(crate) use request::Request;

use crate::common::{self, required_path, shell_quote};

/// What the wrapper does, after the lines that set its variables.
const DAEMON: &str = include_str!("certificate_authority/daemon.sh");
/// The parts of the subject, with their defaults.
const SUBJECT: [(&str, &str); 5] = [
    ("country-code", "XX"),
    ("state", "('State',)"),
    ("city", "City"),
    ("company", "Company"),
    ("email", "xx@example.com"),
];

/// The recipe.
pub(crate) struct CertificateAuthority;

impl Recipe for CertificateAuthority {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let directory = required_path(init, "ca-dir")?;
        let private = required_path(init, "ca-private")?;
        let places = [
            ("dir", directory.clone()),
            ("certs", required_path(init, "ca-certs")?),
            ("new_certs_dir", required_path(init, "ca-newcerts")?),
            ("database", directory.join("index.txt")),
            ("serial", directory.join("serial")),
            ("crlnumber", directory.join("crlnumber")),
            ("certificate", directory.join("cacert.pem")),
            ("private_key", private.join("cakey.pem")),
        ];
        let config = configuration(init, &places)?;
        let variables = [
            ("key", private.join("cakey.pem")),
            ("certificate", directory.join("cacert.pem")),
            ("openssl", PathBuf::from(init.require("openssl-binary")?.trim())),
            ("config", directory.join("openssl.cnf")),
            ("requests", required_path(init, "requests-directory")?),
        ];
        let mut script = "#!/bin/sh\n".to_owned();
        for (name, value) in variables {
            script.push_str(&format!("{name}={}\n", shell_quote(&value.to_string_lossy())));
        }
        script.push_str(DAEMON);
        Ok(Box::new(Authority {
            directory,
            config,
            wrapper: required_path(init, "wrapper")?,
            script,
        }))
    }
}

/// The text of `openssl.cnf`.
fn configuration(init: &PartInit<'_>, places: &[(&str, PathBuf)]) -> Result<String, ProfileError> {
    let mut values = Vec::new();
    for (option, default) in SUBJECT {
        let value = init.get(option).unwrap_or(default);
        if value.contains('\n') {
            let message = format!("`{option}` must be one line");
            return Err(init.error(option, &message, None));
        }
        values.push(escaped(value));
    }
    let [country, state, city, company, email] = values.as_slice() else {
        return Err(init.error("recipe", "the subject of certificates is incomplete", None));
    };
    let place =
        |(name, path): &(&str, PathBuf)| format!("{name} = {}\n", escaped(&path.to_string_lossy()));
    let places: String = places.iter().map(place).collect();
    Ok(format!(
        "[ca]\ndefault_ca = authority\n\n\
         [authority]\n{places}unique_subject = no\nx509_extensions = usr_cert\n\
         name_opt = ca_default\ncert_opt = ca_default\ndefault_days = 3650\n\
         default_crl_days = 30\ndefault_md = default\npreserve = no\npolicy = same_owner\n\n\
         [same_owner]\ncountryName = match\nstateOrProvinceName = match\n\
         organizationName = match\norganizationalUnitName = optional\ncommonName = supplied\n\
         emailAddress = optional\n\n\
         [req]\ndefault_bits = 2048\ndistinguished_name = subject\nx509_extensions = v3_ca\n\
         string_mask = utf8only\n\n\
         [subject]\n\
         countryName = Country\ncountryName_value = {country}\n\
         countryName_min = 2\ncountryName_max = 2\n\
         stateOrProvinceName = State\nstateOrProvinceName_value = {state}\n\
         localityName = City\nlocalityName_value = {city}\n\
         0.organizationName = Company\n0.organizationName_value = {company}\n\
         commonName = Name\ncommonName_max = 64\n\
         emailAddress = Email\nemailAddress_value = {email}\nemailAddress_max = 64\n\n\
         [usr_cert]\nbasicConstraints = CA:FALSE\nnsComment = \"OpenSSL Generated Certificate\"\n\
         subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid,issuer\n\n\
         [v3_req]\nbasicConstraints = CA:FALSE\n\
         keyUsage = nonRepudiation,digitalSignature,keyEncipherment\n\n\
         [v3_ca]\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid:always,issuer\n\
         basicConstraints = CA:true\n\n\
         [crl_ext]\nauthorityKeyIdentifier = keyid:always\n"
    ))
}

/// A value as a configuration of OpenSSL has to spell it. Quotes stay: they have always been lost
/// there, and the certificates of an authority must agree with those it made before.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for c in value.chars() {
        if matches!(c, '\\' | '$' | '#') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

struct Authority {
    directory: PathBuf,
    config: String,
    wrapper: PathBuf,
    script: String,
}

impl Authority {
    /// Writes a file of the authority's records unless it is there.
    fn begin(&self, name: &str, content: &str) -> Result<(), PartError> {
        let path = self.directory.join(name);
        common::create_parent(&path)?;
        slapos_sys::fs::write_once(&path, content.as_bytes(), 0o600)
            .map(drop)
            .map_err(|error| PartError::io("write", &path, &error))
    }
}

impl Part for Authority {
    fn claims(&self) -> Vec<PathBuf> {
        vec![self.wrapper.clone()]
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.begin("serial", "01")?;
        self.begin("crlnumber", "01")?;
        self.begin("index.txt", "")?;
        let config: &Path = &self.directory.join("openssl.cnf");
        common::write_file(config, self.config.as_bytes(), 0o600)?;
        common::write_file(&self.wrapper, self.script.as_bytes(), 0o700)?;
        Ok(self.claims())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
