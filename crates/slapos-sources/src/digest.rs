//! Digests: how bytes are named, and how they are measured.
//!
//! Invariant: a [`Digest`] always has the length of its algorithm, so comparing two is all that
//! verification is.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512};

/// The name of a content: what its bytes hash to.
///
/// Written `sha256:HEX`, `sha512:HEX` or `md5:HEX`. Reading also accepts `=` for `:`, and the bare
/// hexadecimal digits, whose count tells the algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// SHA-256, the one to use.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512([u8; 64]),
    /// MD5, which existing profiles carry. It tells damaged files, not malicious ones.
    Md5([u8; 16]),
}

/// A text that names no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a digest: {reason}; write sha256:HEX (64 digits), sha512:HEX or md5:HEX")]
pub struct DigestError {
    text: String,
    reason: String,
}

impl Digest {
    /// The algorithm's name: `sha256`, `sha512` or `md5`.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
            Self::Md5(_) => "md5",
        }
    }

    /// The lower-case hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        let bytes = self.as_bytes();
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The raw bytes of the digest.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
            Self::Md5(bytes) => bytes,
        }
    }

    /// The SHA-256 of `bytes`.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(bytes).into())
    }

    /// The SHA-512 of all that `reader` has.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn sha512_of(mut reader: impl Read) -> io::Result<Self> {
        let mut sha512 = Sha512::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(Self::Sha512(sha512.finalize().into())),
                Ok(read) => sha512.update(piece.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn from_hex(hex: &str) -> Result<Self, String> {
        let bytes = decode_hex(hex)?;
        let length = bytes.len();
        let wrong = || format!("{} digits fit no known algorithm", length * 2);
        match length {
            16 => bytes.try_into().map(Self::Md5).map_err(|_| wrong()),
            32 => bytes.try_into().map(Self::Sha256).map_err(|_| wrong()),
            64 => bytes.try_into().map(Self::Sha512).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let trimmed = text.trim();
        let (algorithm, hex) = match trimmed.split_once([':', '=']) {
            Some((algorithm, hex)) => (Some(algorithm), hex),
            None => (None, trimmed),
        };
        let error = |reason: String| DigestError { text: text.to_owned(), reason };
        if let Some(name) = algorithm
            && !matches!(name, "sha256" | "sha512" | "md5")
        {
            return Err(error(format!("the algorithm {name:?} is not known")));
        }
        let digest = Self::from_hex(hex).map_err(error)?;
        match algorithm {
            Some(name) if name != digest.algorithm() => Err(error(format!(
                "{} digits are no {name}, they are as many as {} has",
                hex.len(),
                digest.algorithm()
            ))),
            _ => Ok(digest),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn decode_hex(hex: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(format!("{:?} is no hexadecimal digit", char::from(byte))),
    };
    if !hex.len().is_multiple_of(2) {
        return Err(format!("{} digits are an odd number", hex.len()));
    }
    hex.as_bytes().chunks_exact(2).map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// What a content was measured to be: always its SHA-256, and the digest that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) sha256: Digest,
    pub(crate) asked: Digest,
}

/// Reads all of `reader` and measures it, in SHA-256 and in the algorithm of `want`.
pub(crate) fn measure(mut reader: impl Read, want: Option<&Digest>) -> io::Result<Measured> {
    let mut sha256 = Sha256::new();
    let mut sha512 = matches!(want, Some(Digest::Sha512(_))).then(Sha512::new);
    let mut md5 = matches!(want, Some(Digest::Md5(_))).then(Md5::new);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sha256.update(&buffer[..read]);
        if let Some(sha512) = &mut sha512 {
            sha512.update(&buffer[..read]);
        }
        if let Some(md5) = &mut md5 {
            md5.update(&buffer[..read]);
        }
    }
    let sha256 = Digest::Sha256(sha256.finalize().into());
    let asked = match (sha512, md5) {
        (Some(sha512), _) => Digest::Sha512(sha512.finalize().into()),
        (None, Some(md5)) => Digest::Md5(md5.finalize().into()),
        (None, None) => sha256,
    };
    Ok(Measured { sha256, asked })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ABC_MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn measures_the_asked_algorithm_beside_sha256() {
        let want: Digest = ABC_MD5.parse().unwrap();
        let measured = measure(&b"abc"[..], Some(&want)).unwrap();
        assert_eq!(measured.asked, want);
        assert_eq!(measured.sha256, Digest::sha256_of(b"abc"));
        insta::assert_snapshot!(measured.sha256, @"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn accepts_the_spellings_of_profiles() {
        let plain: Digest = ABC_MD5.parse().unwrap();
        for text in [
            format!("md5:{ABC_MD5}"),
            format!("md5={ABC_MD5}"),
            format!(" {} ", ABC_MD5.to_uppercase()),
        ] {
            assert_eq!(text.parse::<Digest>().unwrap(), plain);
        }
    }

    #[test]
    fn refusals_say_why() {
        let error = |text: &str| text.parse::<Digest>().unwrap_err().to_string();
        insta::assert_snapshot!(error("sha1:00"), @r#""sha1:00" is not a digest: the algorithm "sha1" is not known; write sha256:HEX (64 digits), sha512:HEX or md5:HEX"#);
        insta::assert_snapshot!(error("0z"), @r#""0z" is not a digest: 'z' is no hexadecimal digit; write sha256:HEX (64 digits), sha512:HEX or md5:HEX"#);
        insta::assert_snapshot!(error(&format!("sha256:{ABC_MD5}")), @r#""sha256:900150983cd24fb0d6963f7d28e17f72" is not a digest: 32 digits are no sha256, they are as many as md5 has; write sha256:HEX (64 digits), sha512:HEX or md5:HEX"#);
        assert!(error("").contains("0 digits"));
    }

    proptest! {
        #[test]
        fn display_round_trips(a: [u8; 32], b: [u8; 16], c in proptest::array::uniform32(any::<u8>())) {
            let mut long = [0; 64];
            long[..32].copy_from_slice(&a);
            long[32..].copy_from_slice(&c);
            for digest in [Digest::Sha256(a), Digest::Md5(b), Digest::Sha512(long)] {
                prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
                prop_assert_eq!(digest.hex().parse::<Digest>().unwrap(), digest);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Digest>();
        }
    }
}
