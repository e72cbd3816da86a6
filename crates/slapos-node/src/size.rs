//! Sizes as people write them in `slapos.cfg`.

/// Bytes meant by `text`: a number and a unit of powers of 1024 (`K`, `M`, `G`, `T`, also as
/// `KB`, `Ki`, `KiB`, `kilo`, `kibi` ...); none means bytes. `None` if it is not of that form.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let unit = text[end..].trim().to_ascii_lowercase();
    let power = match unit.trim_end_matches('b') {
        "" => 0,
        "k" | "ki" | "kilo" | "kibi" => 1,
        "m" | "mi" | "mega" | "mebi" => 2,
        "g" | "gi" | "giga" | "gibi" => 3,
        "t" | "ti" | "tera" | "tebi" => 4,
        _ => return None,
    };
    number.checked_mul(1_u64 << (10 * power))
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn units_are_powers_of_1024() {
        assert_eq!(parse_size("12"), Some(12));
        assert_eq!(parse_size("1000M"), Some(1000 << 20));
        assert_eq!(parse_size("2 GiB"), Some(2 << 30));
        assert_eq!(parse_size("1 kibi"), Some(1024));
        assert_eq!(parse_size("many"), None);
        assert_eq!(parse_size("99999999999T"), None);
    }
}
