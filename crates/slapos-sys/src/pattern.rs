//! Patterns of names, as shells and Python's `fnmatch` read their simplest kind.

/// Whether `name` fits `pattern`, in which `*` stands for anything and `?` for one character. Takes
/// time in proportion to both lengths multiplied, whatever they are.
pub fn fits(name: &str, pattern: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    // Which beginnings of the pattern fit what was read of the name.
    let mut fit = vec![false; pattern.len() + 1];
    fit[0] = true;
    skip_stars(&pattern, &mut fit);
    for letter in name.chars() {
        let mut next = vec![false; fit.len()];
        for (at, sign) in pattern.iter().enumerate().filter(|(at, _)| fit[*at]) {
            match sign {
                '*' => next[at] = true,
                '?' => next[at + 1] = true,
                sign if *sign == letter => next[at + 1] = true,
                _ => {}
            }
        }
        fit = next;
        skip_stars(&pattern, &mut fit);
    }
    fit.last().is_some_and(|whole| *whole)
}

/// A star may stand for nothing.
fn skip_stars(pattern: &[char], fit: &mut [bool]) {
    for (at, sign) in pattern.iter().enumerate() {
        if *sign == '*' && fit[at] {
            fit[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (name, pattern, expected) in [
            ("src", "*", true),
            ("src", "s?c", true),
            ("src", "s?", false),
            ("my.egg", "*.egg", true),
            ("aaab", "*a*b", true),
            ("aaab", "a*a*a*a*b", false),
            ("", "*", true),
            ("", "", true),
            ("a", "", false),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
    }
}
