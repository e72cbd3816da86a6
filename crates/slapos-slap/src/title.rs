//! Which titles people may give to instances: those that are read as what they are. Classic SLAP takes
//! any; what names an instance that is there already is never refused for its looks.

/// Whether a character steers what shows it, instead of being shown: a line break, another control
/// character, or a mark of the direction in which people read.
pub fn steers(character: char) -> bool {
    let marks_direction = matches!(
        character,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    marks_direction || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Requires a title that a new instance may have.
///
/// # Errors
/// What is wrong with it, in words that follow a name of it.
pub fn check_title(title: &str) -> Result<(), &'static str> {
    if title.trim().is_empty() {
        return Err("is blank: give it a name");
    }
    match title.chars().any(steers) {
        true => Err("has a line break, a control character or a mark of direction: leave that out"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_read_as_what_they_are() {
        for good in ["web", "a b", "Büro №1", "אתר", "instance:/odd?&"] {
            assert_eq!(check_title(good), Ok(()), "{good}");
        }
        for bad in ["", " ", "\u{a0}", "a\nb", "a\u{7}", "\u{202e}gnp", "a\u{200f}", "a\u{2028}b"] {
            assert!(check_title(bad).is_err(), "{bad:?}");
        }
    }
}
