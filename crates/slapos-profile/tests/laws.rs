//! Laws of the language, checked on random profiles.

use std::collections::BTreeMap;

use proptest::prelude::*;
use slapos_profile::{
    Files, Host, Location, Profile, ProfileError, ReadError, Resolver, escape, unescape,
};

struct Memory(BTreeMap<String, String>);

impl Files for Memory {
    fn read(&self, at: &Location) -> Result<String, ReadError> {
        self.0.get(&at.to_string()).cloned().ok_or(ReadError::NotFound)
    }
}

/// Sets an option and reads another section, as recipes do.
struct Recipe;

impl Host for Recipe {
    fn initialise(
        &mut self,
        resolver: &mut Resolver<'_>,
        section: &str,
    ) -> Result<(), ProfileError> {
        resolver.set(section, "location", "/x");
        resolver.try_option(self, "b", "a")?;
        Ok(())
    }
}

/// The first text is the main profile, the others are `1.cfg`, `2.cfg` and so on beside it.
fn load(texts: &[&str]) -> Result<Profile, ProfileError> {
    let name = |n: usize| format!("/p/{n}.cfg");
    let files = texts.iter().enumerate().map(|(n, text)| (name(n), (*text).to_owned()));
    Profile::load(
        &Location::parse("/p/0.cfg").expect("an absolute path"),
        &Memory(files.collect()),
        &[],
    )
}

/// Everything a profile says, merged and expanded.
fn said(profile: &Profile) -> BTreeMap<String, BTreeMap<String, String>> {
    let section = |name: &String| {
        let section = profile.expand(name).expect("its macros exist");
        let options = section.options.iter().map(|(o, v)| (o.clone(), v.value.clone()));
        (name.clone(), options.collect())
    };
    profile.sections().keys().map(section).collect()
}

/// Loads and resolves everything; whatever goes wrong must be shown without a panic.
fn exercise(texts: &[&str]) {
    let show = |error: ProfileError| {
        assert!(error.render(false).starts_with("error: "));
        assert!(!error.to_string().is_empty());
        assert!(!error.render(true).is_empty());
    };
    let profile = match load(texts) {
        Ok(profile) => profile,
        Err(error) => return show(error),
    };
    let mut resolver = Resolver::new(&profile);
    for name in profile.sections().keys() {
        for (_, value) in &profile.sections()[name].options {
            let _ = value.origin(value.value.len() / 2);
            let _ = value.origin(usize::MAX);
        }
        if let Err(error) = resolver.section(&mut Recipe, name) {
            show(error);
        }
    }
}

/// Texts made of the pieces that mean something, in any order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("\n"),
        Just("\n  "),
        Just("\r\n"),
        Just("\r"),
        Just(" "),
        Just("\t"),
        Just("[a]\n"),
        Just("[b]\n"),
        Just("[buildout]\n"),
        Just("["),
        Just("]"),
        Just(":"),
        Just("a = "),
        Just("\nb += "),
        Just("\nb -= "),
        Just("\nextends = 1.cfg "),
        Just("2.cfg"),
        Just("\n<= "),
        Just("\n=> "),
        Just("recipe = r\n"),
        Just("${a:b}"),
        Just("${:a}"),
        Just("${b:location}"),
        Just("${"),
        Just("}"),
        Just("$$"),
        Just("$"),
        Just("#"),
        Just(";"),
        Just("="),
        Just("+"),
        Just("a"),
        Just("b"),
        Just("é"),
        Just("\u{a0}"),
        Just("\u{feff}"),
        Just("😀"),
        Just("[a:linux and "),
        Just("python3]\n"),
        Just("platform.machine() == 'x'"),
        Just("(1, 2)"),
        Just("${:_profile_base_location_}"),
        Just("${:_buildout_section_name_}"),
    ];
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = String> {
    "[a-z0-9$={}#;:é.-]([a-z0-9$={}#;:é. -]{0,10}[a-z0-9$={}#;:é.-])?"
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(value(), 1..5)
}

proptest! {
    #[test]
    fn nothing_panics_on_soup(a in soup(), b in soup(), c in soup()) {
        exercise(&[&a, &b, &c]);
        exercise(&[&format!("[a]\n{a}"), &format!("[b]\n{b}"), &c]);
    }

    #[test]
    fn nothing_panics_on_any_text(text in any::<String>(), condition in any::<String>()) {
        exercise(&[&text]);
        exercise(&[&format!("[a:{condition}]\nb = {text}\n")]);
    }

    #[test]
    fn substitution_never_panics(values in prop::collection::vec(soup(), 1..6)) {
        let mut text = String::new();
        for (name, value) in ["a", "b", "location", "c", "recipe"].iter().zip(&values) {
            let value = value.replace(['\n', '\r'], " ");
            text.push_str(&format!("[a]\n{name} = {value}\n[b]\n{name} = {value}\n"));
        }
        exercise(&[&text]);
    }

    #[test]
    fn values_come_back(values in prop::collection::vec(lines(), 1..5)) {
        let mut inline = "[s]\n".to_owned();
        let mut block = "[s]\n".to_owned();
        for (n, lines) in values.iter().enumerate() {
            inline.push_str(&format!("o{n} = {}\n", lines.join("\n   ")));
            block.push_str(&format!("o{n} =\n  {}\n", lines.join("\n  ")));
        }
        for text in [inline, block] {
            let profile = load(&[&text]).unwrap();
            for (n, lines) in values.iter().enumerate() {
                prop_assert_eq!(profile.raw("s", &format!("o{n}")), Some(&*lines.join("\n")));
            }
        }
    }

    #[test]
    fn every_line_of_a_value_is_where_it_says(values in lines(), block in any::<bool>()) {
        let start = if block { "\n    " } else { "" };
        let text = format!("[s]\n# comment\no ={start}{}\no += more\n", values.join("\n#\n    "));
        let profile = load(&[&text]).unwrap();
        let option = &profile.sections()["s"].options["o"];
        let mut offset = 0;
        for line in option.value.split('\n') {
            let (span, column) = option.origin(offset);
            let source = &profile.files()[span.file.0 as usize].text;
            let written = source.lines().nth(span.line as usize - 1).unwrap();
            prop_assert!(written[column..].starts_with(line), "{written:?} at {column}: {line:?}");
            offset += line.len() + 1;
        }
    }

    #[test]
    fn escaped_texts_are_read_back(text in value()) {
        prop_assert_eq!(unescape(&escape(&text)), text.clone());
        let profile = load(&[&format!("[s]\no = {}\nchain = ${{:o}}\n", escape(&text))]).unwrap();
        let mut resolver = Resolver::new(&profile);
        prop_assert_eq!(resolver.option(&mut Recipe, "s", "chain").unwrap(), text.clone());
        resolver.set("s", "set", text.clone());
        prop_assert_eq!(resolver.option(&mut Recipe, "s", "set").unwrap(), text);
    }

    #[test]
    fn an_empty_file_changes_nothing(text in lines()) {
        let text = format!("[s]\no = {}\n", text.join("\n  "));
        let with = format!("[buildout]\nextends = 1.cfg\n{text}");
        prop_assert_eq!(said(&load(&[&with, "\n"]).unwrap()), said(&load(&[&text]).unwrap()));
    }

    #[test]
    fn extending_twice_is_extending_once(text in lines()) {
        let base = format!("[s]\no += {}\n", text.join("\n  "));
        let once = load(&["[buildout]\nextends = 1.cfg\n", &base]).unwrap();
        let twice = load(&["[buildout]\nextends = 1.cfg 2.cfg ../p/1.cfg\n", &base,
            "[buildout]\nextends = 1.cfg\n"]).unwrap();
        prop_assert_eq!(said(&once), said(&twice));
    }

    #[test]
    fn adding_is_appending(first in lines(), second in lines()) {
        let main = format!("[buildout]\nextends = 1.cfg\n[s]\no += {}\n", second.join("\n  "));
        let base = format!("[s]\no = {}\n", first.join("\n  "));
        let profile = load(&[&main, &base]).unwrap();
        let expected = [first, second].concat().join("\n");
        prop_assert_eq!(profile.raw("s", "o"), Some(&*expected));
    }

    #[test]
    fn what_is_added_can_be_removed(first in lines(), second in lines()) {
        let second: Vec<String> = second.iter().map(|line| format!("new{line}")).collect();
        let kept: Vec<String> = first.into_iter().filter(|l| !second.contains(l)).collect();
        prop_assume!(!kept.is_empty());
        let more = second.join("\n  ");
        let profile = load(&[
            &format!("[buildout]\nextends = 1.cfg\n[s]\no -= {more}\n"),
            &format!("[buildout]\nextends = 2.cfg\n[s]\no += {more}\n"),
            &format!("[s]\no = {}\n", kept.join("\n  ")),
        ]).unwrap();
        prop_assert_eq!(profile.raw("s", "o"), Some(&*kept.join("\n")));
    }

    #[test]
    fn setting_forgets_the_rest(first in lines(), second in lines()) {
        let base = format!("[s]\no = {0}\no += {0}\n", first.join("\n  "));
        let main = format!("[buildout]\nextends = 1.cfg\n[s]\no = {}\n", second.join("\n  "));
        let profile = load(&[&main, &base]).unwrap();
        prop_assert_eq!(profile.raw("s", "o"), Some(&*second.join("\n")));
        prop_assert_eq!(profile.sections()["s"].options["o"].history().len(), 3);
    }

    /// A macro says what the same options written before the section's own would say.
    #[test]
    fn a_macro_is_text_written_before(base in lines(), own in lines()) {
        let (base, own) = (base.join("\n  "), own.join("\n  "));
        let with = load(&[&format!("[m]\na = {base}\nb = 1\n[s]\n<= m\na += {own}\nc = {own}\n")]);
        let without = load(&[&format!("[s]\na = {base}\nb = 1\na += {own}\nc = {own}\n")]);
        prop_assert_eq!(&said(&with.unwrap())["s"], &said(&without.unwrap())["s"]);
    }
}

/// Sizes at which anything quadratic would not end.
#[test]
fn large_texts_are_read_in_one_pass() {
    const N: usize = 100_000;
    let texts = [
        format!("[s]\na =\n{}", "    x\n\n".repeat(N)),
        format!("[s]\na = 1\n{}", "  x\n".repeat(N)),
        "[s]\n".repeat(N),
        "[\n".repeat(N),
        format!("[s]\n{}", "a = 1\n".repeat(N)),
        format!("[s]\na = {}", "${:b}".repeat(N) + "\nb = 1\n"),
        format!("[s]\na = {}", "${".repeat(N)),
        format!("[s]\na = {}$$}}", "${".repeat(N)),
        format!("[s]\na = {}", "$".repeat(N)),
        format!("[buildout]\nextends = {}", "1.cfg ".repeat(N)),
        format!("[s]\na =\n{0}a -=\n{0}", "  x\n  y\n".repeat(N)),
    ];
    for text in texts {
        exercise(&[&text, "\n"]);
    }
}
