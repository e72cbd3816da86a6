//! Passwords in URLs, kept out of what is shown: a log is read by more people than a profile.

use std::borrow::Cow;

/// `text` with the password of every `scheme://user:password@host` as stars, one for each
/// character, so that carets below a line still point at what they did. References stay.
pub(super) fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut done = 0;
    for (start, separator) in text.match_indices("://") {
        let authority = &text[start + separator.len()..];
        let end = authority
            .find(|c: char| c.is_whitespace() || c.is_control() || "/?#\"'<>`".contains(c));
        let authority = &authority[..end.unwrap_or(authority.len())];
        let Some((user, _)) = authority.rsplit_once('@') else { continue };
        let Some((name, password)) = user.split_once(':') else { continue };
        if password.starts_with("${") {
            continue;
        }
        let from = start + separator.len() + name.len() + 1;
        shown.push_str(&text[done..from]);
        shown.extend(password.chars().map(|_| '*'));
        done = from + password.len();
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(&text[done..]);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn only_passwords_become_stars() {
        for (text, shown) in [
            ("http://u:päss@h/x://y:z@w", "http://u:****@h/x://y:*@w"),
            ("a https://u:p:q@[::1]:80/ b ftp://u:s@h", "a https://u:***@[::1]:80/ b ftp://u:*@h"),
            ("http://h:80/a@b", "http://h:80/a@b"),
            ("http://u@h, u:p@h", "http://u@h, u:p@h"),
            ("http://u:${a:b}@h", "http://u:${a:b}@h"),
            ("http://u:@h and ://", "http://u:@h and ://"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
