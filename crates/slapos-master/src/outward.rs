//! How servers of others are recognised that the Master asks: by the authorities that this machine trusts.

use std::sync::Arc;

use ureq::tls::{RootCerts, TlsConfig};

/// For clients of servers that have nothing to do with ours.
pub(crate) fn tls() -> TlsConfig {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(provider))
        .build()
}
