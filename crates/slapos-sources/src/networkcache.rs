//! What a network cache tells of a key: entries, each with a signature that is checked here.
//!
//! A signature is RSA (PKCS#1 v1.5) with SHA-1 over the entry's text, because that is what the
//! original makes; it is believed from the holders of the given certificates and nobody else. The
//! certificates only carry keys: who signed them, and until when they are valid, is not asked.

mod machine;

use aws_lc_rs::signature::{RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use std::io::Read as _;
use url::Url;
use x509_parser::pem::Pem;

use crate::http::Http;
use crate::{Failure, Patience};

pub use machine::Machine;

/// The largest answer that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// One entry of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheEntry {
    /// What it says, such as `sha512`.
    pub information: Json,
    /// Whether one of the known certificates signed it.
    pub verified: bool,
}

/// The entries of a key in the directory at `url`; `None` when it does not have the key.
/// `certificates` are PEM, one after the other; what else is between them is left alone.
///
/// # Errors
/// When the directory does not answer, or with something else.
pub fn lookup(
    url: &str,
    key: &str,
    certificates: &str,
) -> Result<Option<Vec<CacheEntry>>, Failure> {
    let unusable = |reason: String| Failure::Transport(format!("{url}: {reason}"));
    let address = format!("{}/{key}", url.trim_end_matches('/'));
    let address = Url::parse(&address).map_err(|error| unusable(error.to_string()))?;
    let response = Http::new(&Patience::default()).get(&address, &[])?;
    match response.status().as_u16() {
        404 => return Ok(None),
        200..300 => {}
        status => return Err(unusable(format!("it answers {status}"))),
    }
    let mut text = String::new();
    let mut body = response.into_body().into_reader().take(LARGEST);
    body.read_to_string(&mut text).map_err(|error| unusable(error.to_string()))?;
    Signers::of(certificates)
        .entries(&text)
        .map(Some)
        .ok_or_else(|| unusable("it gives no entries".to_owned()))
}

/// Whose signatures are believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Signers(Vec<Vec<u8>>);

impl Signers {
    /// The holders of `certificates`, as for [`lookup`]; what cannot be read, or has no RSA key, is
    /// left out, as in the original.
    pub fn of(certificates: &str) -> Self {
        let blocks = Pem::iter_from_buffer(certificates.as_bytes()).filter_map(Result::ok);
        let key = |block: Pem| {
            let certificate = block.parse_x509().ok()?;
            Some(certificate.public_key().subject_public_key.data.to_vec())
        };
        Self(blocks.filter_map(key).collect())
    }

    /// Whether nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in `text`, a list of pairs: what is said, and the signature of exactly that.
    /// What says nothing in JSON is left out; `None` if there is no list.
    pub fn entries(&self, text: &str) -> Option<Vec<CacheEntry>> {
        let entries: Vec<(String, String)> = serde_json::from_str(text).ok()?;
        let entry = |(information, signature): (String, String)| {
            Some(CacheEntry {
                verified: self.signed(&information, &signature),
                information: serde_json::from_str(&information).ok()?,
            })
        };
        Some(entries.into_iter().filter_map(entry).collect())
    }

    fn signed(&self, text: &str, signature: &str) -> bool {
        let signature: String = signature.split_ascii_whitespace().collect();
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        self.0.iter().any(|key| {
            let key = UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, key);
            key.verify(text.as_bytes(), &signature).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A key made for this test, its certificate, and `{"sha512": "a"}` signed by it with
    /// `openssl dgst -sha1 -sign`.
    const CERTIFICATE: &str = include_str!("networkcache/certificate.pem");
    const SIGNATURE: &str = include_str!("networkcache/signature.base64");

    #[test]
    fn a_signature_is_believed_from_the_holder_of_a_certificate_only() {
        let text = json!([
            ["{\"sha512\": \"a\"}", SIGNATURE],
            ["{\"sha512\": \"b\"}", SIGNATURE],
            ["{\"sha512\": \"a\"}", ""],
            ["no JSON", ""],
        ])
        .to_string();
        let verified = |certificates: &str| -> Vec<bool> {
            let entries = Signers::of(certificates).entries(&text).unwrap();
            entries.iter().map(|entry| entry.verified).collect()
        };
        assert_eq!(verified(CERTIFICATE), [true, false, false]);
        assert_eq!(verified(&format!("nonsense\n{CERTIFICATE}")), [true, false, false]);
        assert_eq!(verified(""), [false, false, false]);
        assert_eq!(Signers::of("").entries("{}"), None);
    }
}
