//! Chance: numbers, bytes and passwords from the kernel's generator.

use slapos_engine::{PartInit, ProfileError};

/// The characters of passwords.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `count` random bytes.
pub(crate) fn bytes(init: &PartInit<'_>, count: usize) -> Result<Vec<u8>, ProfileError> {
    let digits = slapos_sys::random::hex(count).map_err(|error| {
        init.error("recipe", &format!("cannot read random bytes: {error}"), None)
    })?;
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).unwrap_or_default();
        u8::from_str_radix(text, 16)
    });
    pairs
        .collect::<Result<_, _>>()
        .map_err(|error| init.error("recipe", &format!("cannot read random bytes: {error}"), None))
}

/// A random number from 0 to `maximum`, both included, each as likely as any other.
pub(crate) fn up_to(init: &PartInit<'_>, maximum: u64) -> Result<u64, ProfileError> {
    let mask = u64::MAX.checked_shr(maximum.leading_zeros()).unwrap_or(0);
    loop {
        let drawn = bytes(init, 8)?;
        let number = drawn.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)) & mask;
        if number <= maximum {
            return Ok(number);
        }
    }
}

/// A password of `length` letters and digits.
pub(crate) fn password(init: &PartInit<'_>, length: usize) -> Result<String, ProfileError> {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // Six bits each; those that name no character are drawn again.
        let drawn = bytes(init, 2 * (length - text.len()))?;
        let named = drawn.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 0x3f)));
        text.extend(named.map(|byte| char::from(*byte)).take(length - text.len()));
    }
    Ok(text)
}
