//! The Master's own certificate authority: it signs the Master's certificate and those of computers
//! and partitions.
//!
//! It is made at first need and kept in the database, so that all Masters over one database are one
//! authority. Its key is kept sealed by the operator's token, so that a copy of the database (a
//! backup) alone lets nobody sign. Keys of computers and partitions are kept nowhere: each follows
//! from the authority's key and the serial number of its certificate, so that it can be given again.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use slapos_sys::Secret;
use std::time::Duration;

use crate::store::KeptAuthority;

/// A second, in the store's time.
const SECOND: i64 = 1_000_000;

/// How long the authority lasts, in seconds: 20 years.
const AUTHORITY_LIFE: u64 = 20 * 365 * 86_400;

/// How long the Master's own certificate lasts, in seconds: 90 days. It is made anew when the Master
/// starts, and long before it ends.
const SERVER_LIFE: u64 = 90 * 86_400;

/// How long certificates of computers and partitions last unless it is said, in seconds: a year.
pub(crate) const CLIENT_LIFE: u64 = 365 * 86_400;

/// How far a clock elsewhere may be behind ours, in seconds.
const SLACK: u64 = 3600;

/// What the sealed key is good for, so that it is taken for nothing else.
const SEALED: &str = "slapos-authority-key";

/// What comes before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Another token sealed it.
    #[error(
        "the key of the Master's certificate authority was sealed by another token than the present \
         one: put the former token back, or have the present one open it by `slapos proxy ca rekey \
         --former-token-file FILE`"
    )]
    OtherToken,
    /// It cannot be made, or cannot sign.
    #[error("the Master's certificate authority: {0}")]
    Failed(String),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> AuthorityError {
        AuthorityError::Failed(error.to_string())
    }
}

fn failed(what: &str) -> AuthorityError {
    AuthorityError::Failed(what.to_owned())
}

/// What signs.
pub(crate) struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    /// From which keys of others follow.
    seed: hmac::Key,
}

/// The certificate of a server with its key.
pub(crate) type ServerPair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    /// Makes a new one; `now` in microseconds since 1970.
    pub(crate) fn make(token: &Secret, now: i64) -> Result<KeptAuthority, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = params("SlapOS Master", now, AUTHORITY_LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(serial_number(&new_serial()?)?);
        let certificate = params.self_signed(&key)?.pem();
        Ok(KeptAuthority { certificate, sealed_key: seal(token, key.serialized_der())? })
    }

    /// The one that is kept.
    pub(crate) fn open(kept: &KeptAuthority, token: &Secret) -> Result<Authority, AuthorityError> {
        let der = unseal(token, &kept.sealed_key)?;
        let key = KeyPair::try_from(der.as_slice())?;
        Ok(Authority {
            certificate: kept.certificate.clone(),
            issuer: Issuer::from_ca_cert_pem(&kept.certificate, key)?,
            seed: hmac::Key::new(hmac::HMAC_SHA256, &der),
        })
    }

    /// Its own certificate as PEM, which is no secret.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate by which somebody of that name proves who he is, as PEM, from now on for `life`
    /// seconds.
    pub(crate) fn client(
        &self,
        name: &str,
        serial: &str,
        now: i64,
        life: u64,
    ) -> Result<String, AuthorityError> {
        let mut params = params(name, now, life);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(serial_number(serial)?);
        Ok(params.signed_by(&self.pair_of(serial)?, &self.issuer)?.pem())
    }

    /// The key of a certificate that this authority signed, as PEM.
    pub(crate) fn key_of(&self, serial: &str) -> Result<Secret, AuthorityError> {
        Ok(Secret::new(self.pair_of(serial)?.serialize_pem()))
    }

    fn pair_of(&self, serial: &str) -> Result<KeyPair, AuthorityError> {
        let derived = hmac::sign(&self.seed, format!("slapos-key-of:{serial}").as_bytes());
        let mut der = ED25519_PKCS8.to_vec();
        der.extend_from_slice(derived.as_ref());
        let der = PrivatePkcs8KeyDer::from(der);
        Ok(KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)?)
    }

    /// The Master's own certificate for these host names and addresses. Browsers take no Ed25519.
    pub(crate) fn server(&self, names: &[String], now: i64) -> Result<ServerPair, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        let base =
            self::params(names.first().map_or("localhost", String::as_str), now, SERVER_LIFE);
        params.not_before = base.not_before;
        params.not_after = base.not_after;
        params.distinguished_name = base.distinguished_name;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.serial_number = Some(serial_number(&new_serial()?)?);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok((vec![certificate.der().clone()], key.into()))
    }
}

/// What all certificates have in common.
fn params(name: &str, now: i64, life: u64) -> CertificateParams {
    let now = u64::try_from(now / SECOND).unwrap_or_default();
    let start = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = start + Duration::from_secs(now.saturating_sub(SLACK));
    params.not_after = start + Duration::from_secs(now.saturating_add(life));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

/// A serial number that nothing else has: 32 hex digits, the first of which keeps it positive and of
/// full length.
pub(crate) fn new_serial() -> Result<String, AuthorityError> {
    let random = slapos_sys::random::hex(16).map_err(|error| failed(&error.to_string()))?;
    Ok(format!("5{}", random.get(1..).unwrap_or_default()))
}

fn serial_number(serial: &str) -> Result<SerialNumber, AuthorityError> {
    let bytes: Option<Vec<u8>> = (0..serial.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(serial.get(at..at + 2)?, 16).ok())
        .collect();
    bytes.map(SerialNumber::from).ok_or_else(|| failed("a serial number is not hex"))
}

fn sealing_key(token: &Secret) -> Result<RandomizedNonceKey, AuthorityError> {
    let token = hmac::Key::new(hmac::HMAC_SHA256, token.expose().as_bytes());
    let key = hmac::sign(&token, SEALED.as_bytes());
    RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| failed("no cipher"))
}

/// Nonce, then the sealed bytes, in base 64.
fn seal(token: &Secret, plain: &[u8]) -> Result<String, AuthorityError> {
    let mut sealed = plain.to_vec();
    let nonce = sealing_key(token)?
        .seal_in_place_append_tag(Aad::from(SEALED), &mut sealed)
        .map_err(|_| failed("its key cannot be sealed"))?;
    Ok(STANDARD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
}

fn unseal(token: &Secret, sealed: &str) -> Result<Vec<u8>, AuthorityError> {
    let bytes =
        STANDARD.decode(sealed).map_err(|_| failed("its key in the database is damaged"))?;
    let Some((nonce, rest)) = bytes.split_at_checked(NONCE_LEN) else {
        return Err(failed("its key in the database is damaged"));
    };
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed("no nonce"))?;
    let mut rest = rest.to_vec();
    let plain = sealing_key(token)?
        .open_in_place(nonce, Aad::from(SEALED), &mut rest)
        .map_err(|_| AuthorityError::OtherToken)?;
    Ok(plain.to_vec())
}

/// The key of the authority, sealed by the present token instead of the former one; nothing when the
/// present one sealed it already.
///
/// # Errors
/// [`AuthorityError::OtherToken`] when neither did.
pub(crate) fn reseal(
    kept: &KeptAuthority,
    former: &Secret,
    present: &Secret,
) -> Result<Option<String>, AuthorityError> {
    match unseal(present, &kept.sealed_key) {
        Ok(_) => Ok(None),
        Err(AuthorityError::OtherToken) => {
            seal(present, &unseal(former, &kept.sealed_key)?).map(Some)
        }
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000 * SECOND;

    fn authority() -> (KeptAuthority, Authority) {
        let token = Secret::new("token");
        let kept = Authority::make(&token, NOW).unwrap();
        let authority = Authority::open(&kept, &token).unwrap();
        (kept, authority)
    }

    #[test]
    fn only_the_token_that_sealed_it_opens_it() {
        let (kept, _) = authority();
        let other = Authority::open(&kept, &Secret::new("other")).err().unwrap();
        assert!(matches!(other, AuthorityError::OtherToken), "{other}");
        assert!(!kept.sealed_key.contains("PRIVATE"));
        let damaged = KeptAuthority { sealed_key: "AAAA".to_owned(), ..kept };
        assert!(Authority::open(&damaged, &Secret::new("token")).is_err());
    }

    #[test]
    fn keys_can_be_given_again_and_differ_by_serial_number() {
        let (kept, authority) = authority();
        let again = Authority::open(&kept, &Secret::new("token")).unwrap();
        let (one, other) = (new_serial().unwrap(), new_serial().unwrap());
        let key = authority.key_of(&one).unwrap();
        assert!(key == again.key_of(&one).unwrap());
        assert!(key != again.key_of(&other).unwrap());
        assert!(key.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
        let (_, stranger) = self::authority();
        assert!(stranger.key_of(&one).unwrap() != key);
    }

    #[test]
    fn what_is_signed_says_who_and_how_long() {
        let (_, authority) = authority();
        let serial = new_serial().unwrap();
        let pem = authority.client("COMP-1/slappart0", &serial, NOW, CLIENT_LIFE).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        let found = pem.parse_x509().unwrap();
        assert_eq!(found.subject().to_string(), "CN=COMP-1/slappart0");
        assert_eq!(found.issuer().to_string(), "CN=SlapOS Master");
        assert_eq!(crate::tls::hex(found.raw_serial()), serial);
        let end = 1_800_000_000 + 365 * 86_400;
        assert_eq!(found.validity().not_after.timestamp(), end);
        assert_eq!(found.validity().not_before.timestamp(), 1_800_000_000 - 3600);
        assert!(!found.is_ca());
    }
}
