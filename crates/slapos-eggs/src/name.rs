//! Names of distributions: how they are compared, and how they are written in file names.

/// A name as names are compared (PEP 503): lower case, runs of `-`, `_` and `.` as one `-`.
///
/// ```
/// assert_eq!(slapos_eggs::normalise("Zope.Interface__x"), "zope-interface-x");
/// ```
pub fn normalise(name: &str) -> String {
    let words = name.trim().split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// Text as a part of the name of an egg: `-` separates the parts, so it becomes `_`.
pub(crate) fn in_file_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._+!".contains(c) { c } else { '_' };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_name_has_no_separator() {
        assert_eq!(in_file_name("a-b/c.d"), "a_b_c.d");
        assert_eq!(in_file_name("1.0+local.1"), "1.0+local.1");
    }
}
