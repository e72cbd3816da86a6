//! A Master reached by https that asks for a client certificate: a TLS server of this test.

#![allow(clippy::unwrap_used, reason = "tests fail by panics")]

use std::time::Duration;

use slapos_slap::{SlapClient, SlapError, TlsIdentity};
use slapos_testkit::{Certificates, skipped};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_master_that_asks_who_we_are_is_shown_the_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let Some(certificates) = Certificates::make(dir.path()) else {
        skipped("a_master_that_asks_who_we_are_is_shown_the_certificate", "needs openssl");
        return;
    };
    let url = format!("https://127.0.0.1:{}", certificates.serve(|_| "id".to_owned()));
    let file = |name: &str| std::fs::read(certificates.path(name)).unwrap();
    let client =
        |identity: &TlsIdentity| SlapClient::with_identity(&url, None, LIMIT, identity).unwrap();
    let trusting = TlsIdentity::default().with_authorities(&file("ca.crt")).unwrap();
    let known = trusting.clone().with_certificate(&file("node.crt"), &file("node.key")).unwrap();
    client(&known).ping().unwrap();
    // Without a certificate of ours the Master says no.
    assert!(matches!(client(&trusting).ping(), Err(SlapError::Unreachable { .. })));
    // And a Master that nobody vouches for is none.
    let anybody = TlsIdentity::default();
    let stranger = anybody.with_certificate(&file("node.crt"), &file("node.key")).unwrap();
    assert!(client(&stranger).ping().is_err());
}
