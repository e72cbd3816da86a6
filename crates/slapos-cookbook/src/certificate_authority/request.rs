//! `slapos.cookbook:certificate_authority.request`: asks the partition's certificate authority for
//! a certificate, and starts a program when it is there.
//!
//! Options:
//! - `requests-directory`, `ca-private`, `ca-certs`: those of the `certificate_authority` part;
//! - `name`: what the certificate certifies, default the part's name;
//! - `key-file`, `cert-file`: links to make to the key and the certificate, which are in
//!   `ca-private` and `ca-certs`, named after the SHA-512 of `name`;
//! - `executable`: the program; `wrapper`: the script to write that waits for both files, then
//!   becomes the program, with its own arguments;
//! - `key-content`, `cert-content`: a key and its certificate to use instead of asking. They must
//!   belong together, which `openssl-binary` (default `openssl` in the `PATH`) finds out. Then
//!   there is no wrapper. The key is a secret.
//!
//! Sets `name`. Links and wrapper go with the part; key, certificate and request stay, so that the
//! certificate is the same when it is wanted again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha512};
use slapos_engine::{CommandSpec, Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sys::Secret;

use crate::common::{self, environment, nonempty, required_path};
use crate::symbolic_link::make_link;
use crate::wrapper;

/// The recipe.
pub(crate) struct Request;

impl Recipe for Request {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let part = init.name().to_owned();
        let name = init.set_default("name", &part);
        if name.contains('\n') {
            return Err(init.error("name", "`name` must be one line", None));
        }
        let hash: String = Sha512::digest(&name).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = required_path(init, "ca-private")?.join(format!("{hash}.key"));
        let certificate = required_path(init, "ca-certs")?.join(format!("{hash}.crt"));
        let links = [
            (required_path(init, "key-file")?, key.clone()),
            (required_path(init, "cert-file")?, certificate.clone()),
        ];
        let origin = match given(init) {
            Some(given) => given,
            None => asked(init, &name, [&key, &certificate], &hash)?,
        };
        Ok(Box::new(Requested { links, key, certificate, origin }))
    }
}

/// The key and the certificate that the profile has, if it has both.
fn given(init: &mut PartInit<'_>) -> Option<Origin> {
    let key = nonempty(init, "key-content")?;
    let certificate = nonempty(init, "cert-content")?;
    let openssl = nonempty(init, "openssl-binary").unwrap_or_else(|| "openssl".to_owned());
    // Another key has another certificate, so it is enough to compare that.
    init.set_secret("key-content", Secret::new(key.clone()));
    let [key, certificate] = [key, certificate].map(|text| text + "\n");
    Some(Origin::Profile { openssl, key: Secret::new(key), certificate })
}

/// What has to be written to ask for them.
fn asked(
    init: &PartInit<'_>,
    name: &str,
    [key, certificate]: [&Path; 2],
    hash: &str,
) -> Result<Origin, ProfileError> {
    Ok(Origin::Authority {
        request: required_path(init, "requests-directory")?.join(hash),
        text: format!(
            "[certificate]\nname = {name}\nkey_file = {}\ncertificate_file = {}\n\n",
            key.display(),
            certificate.display()
        ),
        wrapper: required_path(init, "wrapper")?,
        script: waiting(certificate, key, init.require("executable")?.trim()),
    })
}

/// A script that waits for two files, then becomes `executable`.
fn waiting(certificate: &Path, key: &Path, executable: &str) -> String {
    let files = [certificate, key].map(Path::to_owned);
    let before: Vec<String> = wrapper::wait_for(&files).into_iter().collect();
    wrapper::script_after(&before, &[executable.to_owned()], &BTreeMap::new(), "")
}

/// Where key and certificate come from.
enum Origin {
    Authority { request: PathBuf, text: String, wrapper: PathBuf, script: String },
    Profile { openssl: String, key: Secret, certificate: String },
}

struct Requested {
    links: [(PathBuf, PathBuf); 2],
    key: PathBuf,
    certificate: PathBuf,
    origin: Origin,
}

impl Requested {
    fn made(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.links.iter().map(|(link, _)| link.clone()).collect();
        if let Origin::Authority { wrapper, .. } = &self.origin {
            paths.push(wrapper.clone());
        }
        paths
    }

    /// Checks that a key and a certificate belong together, then gives them their names.
    fn take(
        &self,
        cx: &PartContext<'_>,
        openssl: &str,
        key: &Secret,
        certificate: &str,
    ) -> Result<(), PartError> {
        let new = |path: &Path| PathBuf::from(format!("{}.new", path.display()));
        let (new_key, new_certificate) = (new(&self.key), new(&self.certificate));
        let check = "test \"$(\"$1\" x509 -noout -pubkey -in \"$2\")\" = \
                     \"$(\"$1\" pkey -pubout -in \"$3\")\"";
        common::write_file(&new_key, key.expose().as_bytes(), 0o600)?;
        common::write_file(&new_certificate, certificate.as_bytes(), 0o600)?;
        let spec = CommandSpec::new("/bin/sh")
            .arg("-ec")
            .arg(check)
            .arg("sh")
            .arg(openssl)
            .arg(&new_certificate)
            .arg(&new_key)
            .envs(environment::base(cx.directory(), &std::env::temp_dir()))
            .shown_as("compare the certificate with the key");
        let help = "give a key and the certificate for it, both as PEM";
        cx.run(&spec).map_err(|error| error.with_help(help)).inspect_err(|_| {
            // They must not stay; a rest that stays nevertheless is overwritten the next time.
            let _ = slapos_sys::fs::remove_tree(&new_key);
            let _ = slapos_sys::fs::remove_tree(&new_certificate);
        })?;
        for (from, to) in [(&new_key, &self.key), (&new_certificate, &self.certificate)] {
            slapos_sys::fs::rename(from, to).map_err(|error| PartError::io("write", to, &error))?;
        }
        Ok(())
    }
}

impl Part for Requested {
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        match &self.origin {
            Origin::Authority { request, text, wrapper, script } => {
                common::write_file(request, text.as_bytes(), 0o600)?;
                cx.record_path(wrapper)?;
                common::write_file(wrapper, script.as_bytes(), 0o700)?;
            }
            Origin::Profile { openssl, key, certificate } => {
                self.take(cx, openssl, key, certificate)?;
            }
        }
        for (link, target) in &self.links {
            make_link(link, target)?;
            cx.record_path(link)?;
        }
        Ok(self.made())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_waits_for_both_files() {
        let script = waiting(Path::new("/a b.crt"), Path::new("/k.key"), "/opt/server");
        insta::assert_snapshot!(script, @r#"
        #!/bin/sh -e
        until [ -e '/a b.crt' ] && [ -e /k.key ]; do
        	sleep 1
        done
        exec /opt/server "$@"
        "#);
    }
}
