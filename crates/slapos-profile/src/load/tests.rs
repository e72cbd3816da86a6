//! What `extends` gathers, in which order, and how files change each other.

use crate::testing::{Memory, load, merged};
use crate::{Assignment, ErrorKind, Location, Operator, Profile};

fn buildout(profile: &Profile, option: &str) -> String {
    profile.raw("buildout", option).unwrap_or("(none)").to_owned()
}

fn order(profile: &Profile) -> Vec<&str> {
    profile.merge_order().iter().map(|id| profile.files()[id.0 as usize].name.as_str()).collect()
}

const DIAMOND: &str = "\
[buildout]
extends =
  b.cfg ../p/sub/../c.cfg
  /q/d.cfg
x += main
--- /p/b.cfg
[buildout]
extends = base.cfg
x += b
--- /p/c.cfg
[buildout]
extends = ./base.cfg
x += c
--- /p/base.cfg
[buildout]
x = base
--- /q/d.cfg
[buildout]
x -= b
";

#[test]
fn each_file_counts_once_in_depth_first_order() {
    let profile = load(DIAMOND).unwrap();
    assert_eq!(
        order(&profile),
        ["<defaults>", "/p/base.cfg", "/p/b.cfg", "/p/c.cfg", "/q/d.cfg", "/p/main.cfg"]
    );
    assert_eq!(buildout(&profile, "x"), "base\nc\nmain");
    assert_eq!(buildout(&profile, "extends"), "(none)");
    let base = profile.files().iter().find(|f| f.name == "/p/base.cfg").unwrap();
    assert_eq!(profile.location(base.extended_at.unwrap()), "/p/b.cfg:2");
}

#[test]
fn defaults_come_first() {
    let profile = load("[buildout]\nallow-hosts += x\nlog-level = DEBUG\n").unwrap();
    assert_eq!(buildout(&profile, "allow-hosts"), "*\nx");
    assert_eq!(buildout(&profile, "log-level"), "DEBUG");
    assert_eq!(buildout(&profile, "parts-directory"), "parts");
    assert_eq!(buildout(&profile, "directory"), "/p");
    assert_eq!(buildout(&profile, "check-signature"), "true");
    assert!(load("\n").unwrap().sections().contains_key("buildout"));
}

#[test]
fn later_files_override_and_operators_apply_at_once() {
    let text = "[buildout]\nextends = a.cfg b.cfg\n[s]\nx = 3\ny += 3\n\
        --- /p/a.cfg\n[s]\nx = 1\nz = 1\ny += 1\n--- /p/b.cfg\n[s]\nx = 2\ny -= 1\n";
    assert_eq!(merged(text), "[s] x=3 z=1 y=\\n3");
}

#[test]
fn operators_wait_where_the_first_definition_has_a_macro() {
    let text = "[buildout]\nextends = a.cfg\n[s]\nx += 3\n\
        --- /p/a.cfg\n[m]\nx = 1\n[s]\n<= m\nx += 2\n[t]\ny = 1\n";
    assert_eq!(merged(text), "[m] x=1; [s] <=m x=\\n3 x+=2; [t] y=1");
    // The macro comes with a later file: too late to wait.
    let text = "[buildout]\nextends = a.cfg\n[s]\n<= m\nx += 3\n--- /p/a.cfg\n[s]\nx += 2\n";
    assert_eq!(merged(text), "[s] x=\\n2\\n3 <=m");
}

#[test]
fn base_location_is_that_of_the_file_that_asks() {
    let text = "[buildout]\nextends = sub/a.cfg https://h/x/b.cfg\n[s]\ny = 1\n\
        --- /p/sub/a.cfg\n[s]\nurl = ${:_profile_base_location_}/f\n[t]\nx = 1\n\
        --- https://h/x/b.cfg\n[buildout]\nextends = ../c.cfg /p/d.cfg\n[t]\n\
        url = ${:_profile_base_location_}\n--- https://h/c.cfg\n[c]\nx = 1\n--- /p/d.cfg\n\n";
    assert_eq!(
        merged(text),
        "[s] url=${:_profile_base_location_}/f _profile_base_location_=/p/sub y=1; \
         [t] x=1 url=${:_profile_base_location_} _profile_base_location_=https://h/x; [c] x=1"
    );
}

#[test]
fn home_is_expanded() {
    let text = "[buildout]\nextends = ~/a.cfg\n--- /home/me/a.cfg\n[s]\nx = 1\n";
    assert_eq!(merged(text), "[s] x=1");
}

#[test]
fn assignments_come_last() {
    let at = Location::parse("/p/main.cfg").unwrap();
    let files = Memory::new("[buildout]\nparts = a\n[s]\nx = 1\n--- /p/e.cfg\n[s]\nx = 2\ny = 2\n");
    let parse = |text| Assignment::parse(text, "<command line>").unwrap();
    let assignments = [
        parse("buildout:directory=/d"),
        parse("parts+=b"),
        parse("parts+=c"),
        parse("s:z=a\nb"),
        parse("extends=e.cfg"),
        Assignment::new("new", "o", "v", "<node>"),
    ];
    let profile = Profile::load(&at, &files, &assignments).unwrap();
    assert_eq!(buildout(&profile, "directory"), "/d");
    assert_eq!(buildout(&profile, "parts"), "a\nb\nc");
    assert_eq!(profile.raw("s", "x"), Some("2"));
    assert_eq!(profile.raw("s", "z"), Some("a\nb"));
    assert_eq!(profile.raw("new", "o"), Some("v"));
    assert_eq!(
        order(&profile),
        ["<defaults>", "/p/main.cfg", "/p/e.cfg", "<command line>", "<node>"]
    );
    let (span, column) = profile.sections()["s"].options["z"].origin(2);
    assert_eq!((profile.location(span), column), ("<command line>:5".to_owned(), 0));
    assert_eq!(profile.files()[span.file.0 as usize].text.lines().nth(4).unwrap(), "b");
}

#[test]
fn assignments_are_read() {
    let read = |text| Assignment::parse(text, "o").map(|a| (a.section, a.option, a.op, a.value));
    let expect = |s: &str, o: &str, op, v: &str| (s.to_owned(), o.to_owned(), op, v.to_owned());
    assert_eq!(read("a:b=c=d").unwrap(), expect("a", "b", Operator::Set, "c=d"));
    assert_eq!(read("a:b -= c").unwrap(), expect("a", "b", Operator::Remove, "c"));
    assert_eq!(read("b=").unwrap(), expect("buildout", "b", Operator::Set, ""));
    for bad in ["", "a", "=", ":b=1", "a:=1", "a:b:c=1"] {
        assert_eq!(read(bad).unwrap_err().kind(), ErrorKind::Custom, "{bad}");
    }
}

#[test]
fn a_text_can_be_the_main_profile() {
    let files = Memory::new("--- /base/a.cfg\n[s]\nx = 1\n");
    let base = Location::parse("/base").unwrap();
    let text = "[buildout]\nextends = a.cfg\n[s]\ny = ${:_profile_base_location_}\n";
    let profile = Profile::load_text("instance.cfg", text, &base, &files, &[]).unwrap();
    assert_eq!(profile.raw("s", "x"), Some("1"));
    assert_eq!(profile.raw("s", "_profile_base_location_"), Some("/base"));
    assert_eq!(buildout(&profile, "directory"), "/base");
    assert_eq!(profile.location(profile.sections()["s"].options["y"].span), "instance.cfg:4");
}

#[test]
fn long_chains_are_refused() {
    let mut text = String::new();
    for n in 0..300 {
        text.push_str(&format!("[buildout]\nextends = {}.cfg\n--- /p/{}.cfg\n", n + 1, n + 1));
    }
    assert_eq!(load(&text).unwrap_err().kind(), ErrorKind::TooDeep);
}

#[test]
fn the_defaults_of_a_user_lie_below_the_profile() {
    let files = Memory::new(
        "[buildout]\nextends = a.cfg\nx += main\n--- /p/a.cfg\n[buildout]\nx = a\ny += a\n\
         --- /home/me/default.cfg\n[buildout]\nextends = more.cfg\nx = mine\ny = mine\n\
         --- /home/me/more.cfg\n[buildout]\nz = more\n",
    );
    let at = |path: &str| Location::parse(path).unwrap();
    let defaults = [at("/home/me/default.cfg")];
    let profile = Profile::load_over(&defaults, &at("/p/main.cfg"), &files, &[]).unwrap();
    let value = |option| buildout(&profile, option);
    assert_eq!(
        (value("x"), value("y"), value("z")),
        ("a\nmain".into(), "mine\na".into(), "more".into())
    );
    assert_eq!(value("directory"), "/p");
}
