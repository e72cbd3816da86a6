//! The entries of a directory of binary Software Releases: which are trusted, which one fits.
//!
//! A list of pairs: a text, which is an object of JSON, and a signature of exactly that text: RSA
//! (PKCS #1, version 1.5) over its SHA-1, in base64. Certificates only carry keys here: who signed
//! them, and until when they are valid, is not asked, as in the original.

use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY as RSA_SHA1, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use slapos_sources::Digest;
use x509_parser::pem::Pem;

use super::Entry;
use super::machine::Machine;

/// The public keys of `certificates`, each PEM, perhaps after text for people. What is no certificate
/// with an RSA key has none.
pub(super) fn keys(certificates: &[String]) -> Vec<Vec<u8>> {
    let pems = certificates.iter().flat_map(|text| {
        Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok).collect::<Vec<_>>()
    });
    let key = |pem: Pem| {
        let certificate = pem.parse_x509().ok()?;
        Some(certificate.public_key().subject_public_key.data.to_vec())
    };
    pems.filter_map(key).collect()
}

/// The archive of the first entry in `list` that one of `keys` signed and that is for `machine`.
///
/// # Errors
/// Words for why there is none.
pub(super) fn find(list: &str, keys: &[Vec<u8>], machine: &Machine) -> Result<Digest, String> {
    let entries: Vec<(String, String)> =
        serde_json::from_str(list).map_err(|error| format!("the entries are no list: {error}"))?;
    let all = entries.len();
    let trusted: Vec<_> =
        entries.iter().filter(|(text, signature)| is_signed(text, signature, keys)).collect();
    let (count, read) = (trusted.len(), trusted.into_iter().filter_map(|(text, _)| parse(text)));
    let mut fitting = read.filter(|entry| entry.machine == *machine);
    fitting.next().map(|entry| entry.digest).ok_or_else(|| {
        format!("of {all} entries, {count} are trusted, and none of these is for {machine}")
    })
}

fn is_signed(text: &str, signature: &str, keys: &[Vec<u8>]) -> bool {
    let Ok(signature) = BASE64.decode(signature.trim()) else { return false };
    keys.iter().any(|key| {
        UnparsedPublicKey::new(&RSA_SHA1, key).verify(text.as_bytes(), &signature).is_ok()
    })
}

/// Old entries name the processor only, and the system as Python writes a tuple.
fn parse(text: &str) -> Option<Entry> {
    let object: Value = serde_json::from_str(text).ok()?;
    let digest: Digest = object["sha512"].as_str()?.parse().ok()?;
    if digest.algorithm() != "sha512" {
        return None;
    }
    let machine = match object["multiarch"].as_str() {
        Some(architecture) => {
            let words = object["os"].as_array()?.iter().map(Value::as_str);
            Machine::new(architecture, &words.collect::<Option<Vec<_>>>()?)?
        }
        None => {
            let known = object["machine"].as_str() == Some("x86_64");
            let words = known.then(|| object["os"].as_str()).flatten()?;
            let words = words.strip_prefix('(')?.strip_suffix(')')?.split(',');
            let words: Vec<_> = words.map(|word| word.trim().trim_matches(['\'', '"'])).collect();
            Machine::new("x86_64-linux-gnu", &words)?
        }
    };
    Some(Entry { digest, machine })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFORMATION: &str = include_str!("testdata/information.json");
    const SIGNATURE: &str = include_str!("testdata/signature");
    const SIGNER: &str = include_str!("testdata/signer.pem");

    fn signer() -> Vec<Vec<u8>> {
        keys(&[format!("Certificate:\n    for people\n{SIGNER}"), "nonsense".to_owned()])
    }

    fn found(entries: &[(&str, &str)], keys: &[Vec<u8>], system: [&str; 3]) -> String {
        let list = serde_json::to_string(entries).unwrap();
        let machine = Machine::new("x86_64-linux-gnu", &system).unwrap();
        match find(&list, keys, &machine) {
            Ok(digest) => digest.to_string()[..15].to_owned(),
            Err(why) => why,
        }
    }

    #[test]
    fn an_entry_counts_if_a_known_key_signed_exactly_its_text() {
        let debian = ["debian", "12", "bookworm"];
        assert_eq!(signer().len(), 1);
        assert_eq!(found(&[(INFORMATION, SIGNATURE)], &signer(), debian), "sha512:a4abd444");
        let changed = INFORMATION.replace("/opt/slapgrid", "/opt/slapgrad");
        let none =
            "of 1 entries, 0 are trusted, and none of these is for x86_64-linux-gnu, debian 12";
        assert_eq!(found(&[(&changed, SIGNATURE)], &signer(), debian), none);
        assert_eq!(found(&[(INFORMATION, "")], &signer(), debian), none);
        assert_eq!(found(&[(INFORMATION, SIGNATURE)], &[], debian), none);
        let both = [(changed.as_str(), SIGNATURE), (INFORMATION, SIGNATURE)];
        assert_eq!(found(&both, &signer(), debian), "sha512:a4abd444");
    }

    #[test]
    fn an_entry_for_another_machine_does_not_count() {
        let other = found(&[(INFORMATION, SIGNATURE)], &signer(), ["debian", "11", "bullseye"]);
        insta::assert_snapshot!(other, @"of 1 entries, 1 are trusted, and none of these is for x86_64-linux-gnu, debian 11");
        assert!(find("{}", &signer(), &Machine::new("a", &["b", "c", "d"]).unwrap()).is_err());
    }

    #[test]
    fn old_entries_are_read() {
        let sha512 = "0".repeat(128);
        let old = format!(
            r#"{{"machine": "x86_64", "os": "('debian', '7.8', '')", "sha512": "{sha512}"}}"#
        );
        let machine = parse(&old).unwrap().machine;
        assert_eq!(machine, Machine::new("x86_64-linux-gnu", &["Debian", "7", "x"]).unwrap());
        assert_eq!(parse(&old.replace("x86_64", "i686")), None);
        assert_eq!(parse(&old.replace(&sha512, "00")), None);
    }
}
