//! How `.installed.cfg` spells white space that its reader would drop.

/// White space that has a spelling, and the spelling.
const SPELLINGS: [(char, &str); 5] = [
    (' ', "%(__buildout_space__)s"),
    ('\n', "%(__buildout_space_n__)s"),
    ('\r', "%(__buildout_space_r__)s"),
    ('\u{c}', "%(__buildout_space_f__)s"),
    ('\u{b}', "%(__buildout_space_v__)s"),
];

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}')
}

/// `value` as it stands after `name = `, continued on lines that begin with a tab.
pub(super) fn write(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while !rest.is_empty() {
        let blank = rest.len() - rest.trim_start_matches(is_space).len();
        let (run, after) = rest.split_at(blank);
        let at_edge = rest.len() == value.len() || after.is_empty();
        match run.split_once('\n') {
            Some((before, behind)) => {
                spell(&mut text, before);
                text.push_str("\n\t");
                spell(&mut text, behind);
            }
            None if at_edge => spell(&mut text, run),
            None => text.push_str(&run.replace('\r', SPELLINGS[2].1)),
        }
        let word = after.find(is_space).unwrap_or(after.len());
        text.push_str(&after[..word]);
        rest = &after[word..];
    }
    close(text)
}

/// A line break at the edge of a value would not be seen as one.
fn close(mut text: String) -> String {
    let line_break = SPELLINGS[1].1;
    if let Some(behind) = text.strip_prefix("\n\t") {
        text = format!("{line_break}{behind}");
    }
    if let Some(before) = text.strip_suffix("\n\t") {
        text = format!("{before}{line_break}");
    }
    text
}

fn spell(into: &mut String, blanks: &str) {
    for c in blanks.chars() {
        match SPELLINGS.iter().find(|(space, _)| *space == c) {
            Some((_, spelling)) => into.push_str(spelling),
            None => into.push(c),
        }
    }
}

/// A value as it was before [`write`], as far as the text still tells.
pub(super) fn read(text: &str) -> String {
    if !text.contains("%(") {
        return text.to_owned();
    }
    let back = |text: String, (space, spelling): &(char, &str)| {
        text.replace(spelling, space.encode_utf8(&mut [0; 4]))
    };
    SPELLINGS.iter().fold(text.to_owned(), back)
}

/// True for what can stand between the brackets of a header.
pub(super) fn is_section(name: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || "#[]:;{}".contains(c);
    !name.is_empty() && !name.contains(bad)
}

/// True for what can stand before ` = `.
pub(super) fn is_option(name: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || "{}[]=:".contains(c);
    !name.is_empty()
        && !name.contains(bad)
        && !name.starts_with(['#', ';'])
        && !name.ends_with(['+', '-'])
}
