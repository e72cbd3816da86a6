//! The dashboard's colours can be told apart by those who see less, in both themes: the contrast that
//! WCAG 2.2 asks for at level AA.

use std::collections::BTreeMap;

const THEME: &str = include_str!("../../../ui/theme.css");

/// What is written in the first colour on the second.
const TEXTS: &[(&str, &[&str])] = &[
    ("ink", &["paper", "card", "sunk", "bad-soft", "warn-soft", "accent-soft"]),
    ("ink-soft", &["paper", "card", "sunk", "bad-soft", "warn-soft"]),
    ("accent", &["paper", "card", "sunk", "accent-soft", "bad-soft", "warn-soft"]),
    ("accent-ink", &["accent"]),
    ("bad", &["paper", "card", "bad-soft"]),
    ("warn", &["paper", "card", "warn-soft"]),
];

/// Shapes, edges of controls and the mark of the focus.
const SHAPES: &[(&str, &[&str])] = &[
    ("good", &["paper", "card", "sunk"]),
    ("bad", &["sunk"]),
    ("busy", &["paper", "card", "sunk"]),
    ("line-strong", &["paper", "card"]),
];

/// A colour's name, and what it is in the light and in the dark theme.
fn colours() -> BTreeMap<&'static str, [&'static str; 2]> {
    let line = |line: &'static str| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": light-dark(#")?;
        let (light, dark) = value.strip_suffix(");")?.split_once(", #")?;
        Some((name, [light, dark]))
    };
    THEME.lines().filter_map(line).collect()
}

/// How bright a colour is, from 0 to 1.
fn luminance(hex: &str) -> f64 {
    let part = |start: usize| {
        let value = f64::from(u8::from_str_radix(&hex[start..start + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn colours_can_be_told_apart() {
    let colours = colours();
    let mut poor = Vec::new();
    for (pairs, least) in [(TEXTS, 4.5), (SHAPES, 3.0)] {
        for (front, grounds) in pairs {
            for ground in *grounds {
                for (theme, name) in ["light", "dark"].iter().enumerate() {
                    let found = contrast(colours[front][theme], colours[ground][theme]);
                    if found < least {
                        poor.push(format!("{name}: {front} on {ground} has {found:.2} of {least}"));
                    }
                }
            }
        }
    }
    assert!(poor.is_empty(), "{poor:#?}");
}

#[test]
fn the_contrast_is_that_of_the_standard() {
    assert!((contrast("000000", "ffffff") - 21.0).abs() < 1e-9);
    assert!((contrast("767676", "ffffff") - 4.54).abs() < 0.01);
}
