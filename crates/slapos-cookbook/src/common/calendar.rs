//! Calendar specifications of systemd as the five fields of a crontab, as far as cron can.

/// Names for whole specifications.
const SYMBOLS: [(&str, &str); 6] = [
    ("minutely", "* * * * *"),
    ("hourly", "0 * * * *"),
    ("daily", "0 0 * * *"),
    ("weekly", "0 0 * * 0"),
    ("monthly", "0 0 1 * *"),
    ("yearly", "0 0 1 1 *"),
];

const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// `minute hour day month weekday` of a specification `[WEEKDAYS] [[*-]MONTH-DAY] [HOUR:MINUTE]`;
/// `None` when it is none, or says what cron cannot: years, seconds, a day of the month together
/// with one of the week.
pub(crate) fn crontab(specification: &str) -> Option<String> {
    if let Some((_, fields)) = SYMBOLS.iter().find(|(name, _)| *name == specification) {
        return Some((*fields).to_owned());
    }
    let mut words: Vec<&str> = specification.split(' ').collect();
    let weekdays = weekdays(words.first()?);
    if weekdays.is_some() {
        words.remove(0);
    }
    let (date, time) = match words[..] {
        [] => ("*-*", "0:0"),
        [time] if time.contains(':') => ("*-*", time),
        [date] => (date, "0:0"),
        [date, time] => (date, time),
        _ => return None,
    };
    let (month, day) = match date.split('-').collect::<Vec<_>>()[..] {
        ["*", month, day] | [month, day] => (month, day),
        _ => return None,
    };
    if weekdays.is_some() && day != "*" {
        return None;
    }
    let (hour, minute) = match time.split(':').collect::<Vec<_>>()[..] {
        [hour, minute, second] if second.parse() == Ok(0) => (hour, minute),
        [hour, minute] => (hour, minute),
        _ => return None,
    };
    let fields = [
        field(minute, 0, 60)?,
        field(hour, 0, 24)?,
        field(day, 1, 31)?,
        field(month, 1, 12)?,
        weekdays.unwrap_or_else(|| "*".to_owned()),
    ];
    Some(fields.join(" "))
}

/// Days of the week and ranges of them by number; `None` when the word names none.
fn weekdays(word: &str) -> Option<String> {
    if word.is_empty() {
        return None;
    }
    let number = |name: &str| {
        let name = name.to_ascii_lowercase();
        let day = DAYS.iter().position(|day| *day == name || day[..3] == name)?;
        Some(day.to_string())
    };
    let ranges = word.split(',').filter(|range| !range.is_empty()).map(|range| {
        let ends: Option<Vec<String>> = range.splitn(2, '-').map(number).collect();
        ends.map(|ends| ends.join("-"))
    });
    let mut ranges = ranges.collect::<Option<Vec<String>>>()?;
    ranges.sort();
    Some(ranges.join(","))
}

/// A field whose `count` values begin with `first`. A list of values stays as it is; one value
/// with `/step` becomes the range up to the last value the step reaches.
fn field(text: &str, first: u32, count: u32) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    let mut found = text.to_owned();
    for item in text.split(',') {
        let (start, step) = match item.split_once('/') {
            Some((start, step)) => (start, Some(step)),
            None => (item, None),
        };
        let start: u32 = start.trim().parse().ok()?;
        let offset = start.checked_sub(first).filter(|offset| *offset < count)?;
        let Some(step) = step else {
            continue;
        };
        let step: u32 = step.trim().parse().ok().filter(|step| *step > 0)?;
        let reach = (count - offset - 1) / step * step;
        if reach == 0 || text.contains(',') {
            return None;
        }
        found = format!("{start}-{}/{step}", start + reach);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications_become_fields() {
        for (specification, fields) in [
            ("daily", "0 0 * * *"),
            ("4:30", "30 4 * * *"),
            ("*:0/10", "0-50/10 * * * *"),
            ("Mon,fri 4:05:00", "05 4 * * 1,5"),
            ("Mon-Fri", "0 0 * * 1-5"),
            ("*-*-1 2:3", "3 2 1 * *"),
            ("2-29", "0 0 29 2 *"),
            ("1,15-1", "0 0 1 1,15 *"),
        ] {
            let expected = if specification == "1,15-1" { None } else { Some(fields) };
            assert_eq!(crontab(specification).as_deref(), expected, "{specification}");
        }
    }

    #[test]
    fn what_cron_cannot_say_is_refused() {
        for specification in [
            "",
            " ",
            "never",
            "2026-1-1",
            "1-1 1:1:30",
            "Mon *-1",
            "25:0",
            "0:60",
            "*-0",
            "1:1 2:2 3",
            "*:0/0",
            "*:5/60",
            "4",
            "*-*-*-*",
        ] {
            assert_eq!(crontab(specification), None, "{specification}");
        }
    }
}
