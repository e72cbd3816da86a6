//! Unpredictable bytes from the kernel.

use std::fmt::Write;

/// `n` random bytes from the kernel, as lower-case hexadecimal (`2 * n` characters).
///
/// # Errors
/// When the kernel's generator cannot be read.
pub fn hex(n: usize) -> std::io::Result<String> {
    let mut bytes = vec![0; n];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    let mut text = String::with_capacity(2 * n);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}
