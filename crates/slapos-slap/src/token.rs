//! Tokens that a Master gives out: how they look, and what of them may be kept and told.
//!
//! A token is 256 random bits after a word that says whose it is, so that people and scanners for
//! leaked secrets recognise one. The Master keeps the digest; the identifier is made of the digest,
//! names the token in lists and commands, and is good for nothing else.

use sha2::{Digest as _, Sha256};
use slapos_sys::Secret;

/// What a token proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// To be a person.
    User,
    /// To be the node of a computer.
    Computer,
    /// To be the instance in a partition.
    Partition,
}

impl TokenKind {
    /// What tokens of that kind begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            TokenKind::User => "slapos_u_",
            TokenKind::Computer => "slapos_c_",
            TokenKind::Partition => "slapos_p_",
        }
    }
}

/// Random bytes of a token.
const BYTES: usize = 32;

/// Makes a token that nobody else has.
///
/// # Errors
/// When the kernel's generator cannot be read.
pub fn new_token(kind: TokenKind) -> std::io::Result<Secret> {
    Ok(Secret::new(format!("{}{}", kind.prefix(), slapos_sys::random::hex(BYTES)?)))
}

/// Whether a text looks like a token that a Master gave out; an operator's own token does not.
pub fn is_issued(token: &str) -> bool {
    [TokenKind::User, TokenKind::Computer, TokenKind::Partition].iter().any(|kind| {
        token.strip_prefix(kind.prefix()).is_some_and(|rest| {
            rest.len() == 2 * BYTES && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    })
}

/// What a Master keeps of a token: its SHA-256 in lower-case hex.
pub fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

/// The name of a token, from its digest: 16 hex digits.
pub fn id_of_digest(digest: &str) -> String {
    hex(&Sha256::digest(format!("slapos-token-id:{digest}").as_bytes())).chars().take(16).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_say_whose_they_are_and_are_never_the_same() {
        for kind in [TokenKind::User, TokenKind::Computer, TokenKind::Partition] {
            let (one, other) = (new_token(kind).unwrap(), new_token(kind).unwrap());
            assert!(one.expose().starts_with(kind.prefix()) && is_issued(one.expose()));
            assert_ne!(one.expose(), other.expose());
        }
        let digits = "0".repeat(63);
        for other in
            ["", "slapos_u_", "0123", &format!("slapos_u_{digits}"), &format!("slapos_x_{digits}0")]
        {
            assert!(!is_issued(other), "{other}");
        }
    }

    #[test]
    fn digests_and_names_stay_what_they_are() {
        let digest = digest("slapos_u_0");
        // As `printf slapos_u_0 | sha256sum` has it.
        assert_eq!(digest.len(), 64);
        assert_eq!(id_of_digest(&digest).len(), 16);
        assert_ne!(id_of_digest(&digest), digest[..16]);
    }
}
