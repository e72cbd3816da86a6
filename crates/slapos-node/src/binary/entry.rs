//! The entries of a directory of binary Software Releases: which of them is this one, for here.

use slapos_sources::{CacheEntry, Digest, Machine, Signers};

/// What is looked for. An archive has absolute paths in it, and so a place of its own.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The Software Release.
    pub(super) url: &'a str,
    /// The `software_root` that it is to be below.
    pub(super) root: &'a str,
    /// What it is to run on.
    pub(super) machine: Machine,
}

/// The archive of the first entry in `list` that one of `signers` signed and that is what is wanted.
///
/// # Errors
/// Words for why there is none.
pub(super) fn find(list: &str, signers: &Signers, wanted: &Wanted<'_>) -> Result<Digest, String> {
    let entries = signers.entries(list).ok_or("the entries are no list")?;
    let (all, Wanted { url, root, machine }) = (entries.len(), wanted);
    let trusted: Vec<_> = entries.iter().filter(|entry| entry.verified).collect();
    let found = trusted.iter().filter(|entry| wanted.is(entry)).find_map(|entry| digest(entry));
    found.ok_or_else(|| {
        let count = trusted.len();
        format!(
            "of {all} entries, {count} are trusted, and none of these is {url}, built in {root} \
             for {machine}"
        )
    })
}

impl Wanted<'_> {
    fn is(&self, entry: &CacheEntry) -> bool {
        let says = |key: &str| entry.information[key].as_str();
        says("software_url") == Some(self.url)
            && says("software_root").map(|root| root.trim_end_matches('/')) == Some(self.root)
            && Machine::of(&entry.information).as_ref() == Some(&self.machine)
    }
}

fn digest(entry: &CacheEntry) -> Option<Digest> {
    let digest: Digest = entry.information["sha512"].as_str()?.parse().ok()?;
    (digest.algorithm() == "sha512").then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFORMATION: &str = include_str!("testdata/information.json");
    const SIGNATURE: &str = include_str!("testdata/signature");
    const SIGNER: &str = include_str!("testdata/signer.pem");
    const URL: &str = "http://a/software.cfg";
    const ROOT: &str = "/opt/slapgrid";

    fn signers() -> Signers {
        Signers::of(&format!("Certificate:\n    for people\n{SIGNER}\nnonsense"))
    }

    fn wanted(version: &str) -> Wanted<'static> {
        let machine = Machine::new("x86_64-linux-gnu", &["debian", version, ""]).unwrap();
        Wanted { url: URL, root: ROOT, machine }
    }

    fn found(entries: &[(&str, &str)], signers: &Signers, wanted: &Wanted<'_>) -> String {
        let list = serde_json::to_string(entries).unwrap();
        match find(&list, signers, wanted) {
            Ok(digest) => digest.to_string()[..15].to_owned(),
            Err(why) => why,
        }
    }

    #[test]
    fn an_entry_counts_if_a_known_key_signed_exactly_its_text() {
        let (here, known, nobody) = (wanted("12"), signers(), Signers::of(""));
        assert_eq!(found(&[(INFORMATION, SIGNATURE)], &signers(), &here), "sha512:a4abd444");
        let changed = INFORMATION.replace("a4abd444", "00000000");
        let untrusted = |entry, signers| {
            let said = found(&[entry], signers, &here);
            assert!(said.starts_with("of 1 entries, 0 are trusted"), "{said}");
        };
        untrusted((&changed, SIGNATURE), &known);
        untrusted((INFORMATION, ""), &known);
        untrusted((INFORMATION, SIGNATURE), &nobody);
        let both = [(changed.as_str(), SIGNATURE), (INFORMATION, SIGNATURE)];
        assert_eq!(found(&both, &signers(), &here), "sha512:a4abd444");
        assert!(find("{}", &signers(), &here).is_err());
    }

    #[test]
    fn an_entry_of_something_else_does_not_count_whoever_signed_it() {
        let said = |wanted: &Wanted<'_>| found(&[(INFORMATION, SIGNATURE)], &signers(), wanted);
        insta::assert_snapshot!(said(&wanted("11")), @"of 1 entries, 1 are trusted, and none of these is http://a/software.cfg, built in /opt/slapgrid for x86_64-linux-gnu, debian 11");
        for other in [
            Wanted { url: "http://b/software.cfg", ..wanted("12") },
            Wanted { root: "/srv/other", ..wanted("12") },
        ] {
            assert!(said(&other).starts_with("of 1 entries, 1 are trusted, and none"), "{other:?}");
        }
    }
}
