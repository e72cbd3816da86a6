//! How a Master proves that it knows the token without showing it: the client sends a nonce, the
//! Master answers the HMAC-SHA256 of it under the token.
//!
//! Two things this cannot do. Whoever gets a proof can try guesses at the token against it, so that
//! a token must be long and random. And who can ask the real Master can pass its answers on: the
//! proof says that the token is known at the other end, not that nobody is in between.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use slapos_sys::Secret;

use crate::token::{digest, is_issued};

/// The route, below the Master's URL. It wants no token. Its parameters are `nonce` and, for a token
/// that a Master gave out, `token`: the name of that token (see [`crate::token`]).
pub const PROOF_ROUTE: &str = "api/v1/proof";

/// What is put before the nonce, so that a proof is good for nothing else.
const PURPOSE: &str = "slapos-master-proof:";

/// The block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// What makes and verifies proofs. It holds no token, but what is as good for proofs.
#[derive(Clone)]
pub struct ProofKey(Hmac<Sha256>);

impl ProofKey {
    /// The key that a token makes. Of one that a Master gave out, the Master knows the digest only.
    pub fn new(token: &Secret) -> ProofKey {
        match is_issued(token.expose()) {
            true => ProofKey::of_digest(&digest(token.expose())),
            false => ProofKey(keyed(token.expose().as_bytes())),
        }
    }

    /// The key that a token makes which a Master gave out, from the digest that it keeps.
    pub fn of_digest(digest: &str) -> ProofKey {
        ProofKey(keyed(digest.as_bytes()))
    }

    /// The proof for a nonce: 64 lower-case hex digits.
    pub fn prove(&self, nonce: &str) -> String {
        hex(self.0.clone(), &[PURPOSE.as_bytes(), nonce.as_bytes()])
    }

    /// Whether that is the proof for the nonce. Takes the same time for every wrong one.
    pub fn verifies(&self, nonce: &str, proof: &str) -> bool {
        let right = self.prove(nonce);
        // No early exit: every byte counts. The length of a proof is no secret.
        right.len() == proof.len()
            && right.bytes().zip(proof.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(***)")
    }
}

/// Whether a Master answers that nonce: 32 to 128 hex digits.
pub fn is_nonce(text: &str) -> bool {
    (32..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// HMAC with a key of any length: a long one is hashed, a short one filled with zeros (RFC 2104).
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let hashed = Sha256::digest(key);
    let key = if key.len() > BLOCK { hashed.as_slice() } else { key };
    let mut block = [0; BLOCK];
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    Hmac::new(&block.into())
}

fn hex(mut mac: Hmac<Sha256>, message: &[&[u8]]) -> String {
    message.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4231() {
        for (key, message, mac) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(keyed(key), &[message]), mac);
        }
    }

    #[test]
    fn only_the_proof_of_the_same_token_and_nonce_is_one() {
        let key = ProofKey::new(&Secret::new("token"));
        let nonce = "0123456789abcdef0123456789abcdef";
        let proof = key.prove(nonce);
        assert!(key.verifies(nonce, &proof));
        assert!(!key.verifies("another", &proof));
        assert!(!ProofKey::new(&Secret::new("other")).verifies(nonce, &proof));
        for wrong in ["", &proof[1..], &format!("{proof}0"), &proof.to_uppercase()] {
            assert!(!key.verifies(nonce, wrong), "{wrong}");
        }
        assert_eq!(format!("{key:?}"), "ProofKey(***)");
    }

    #[test]
    fn of_a_token_that_was_given_out_the_digest_is_enough() {
        let token = crate::token::new_token(crate::token::TokenKind::User).unwrap();
        let proof = ProofKey::new(&token).prove("nonce");
        assert!(ProofKey::of_digest(&digest(token.expose())).verifies("nonce", &proof));
    }

    #[test]
    fn nonces_are_hex_of_some_length() {
        for (text, good) in [
            ("a".repeat(31), false),
            ("aF09".repeat(8), true),
            ("a".repeat(128), true),
            ("a".repeat(129), false),
            ("g".repeat(32), false),
            ("é".repeat(16), false),
        ] {
            assert_eq!(is_nonce(&text), good, "{text}");
        }
    }
}
