//! What a person sees for each kind of mistake.

mod references;

use insta::assert_snapshot;

use crate::testing::{Memory, Recipes, load};
use crate::{Assignment, Location, Profile, ProfileError, Resolver, Span};

fn loading(text: &str) -> String {
    load(text).unwrap_err().render(false)
}

fn resolving(text: &str, section: &str) -> String {
    let profile = load(text).unwrap();
    let mut resolver = Resolver::new(&profile);
    resolver.section(&mut Recipes::default(), section).unwrap_err().render(false)
}

#[test]
fn wrong_lines() {
    assert_snapshot!(loading("[s]\na = 1\nfoo: bar\n\nx y = 1\n[a b]\n"), @r"
    error: this is neither an option nor a section header
     --> /p/main.cfg:3:1
      |
    3 | foo: bar
      | ^^^^^^^^
    4 |
    5 | x y = 1
      | -------
    6 | [a b]
      | -----
      |
      = note: 2 more lines of this file are wrong too
      = help: an option is written `name = value`, with an equals sign
    ");
    assert_snapshot!(loading("a = 1\n"), @r"
    error: this line is above the first section header
     --> /p/main.cfg:1:1
      |
    1 | a = 1
      | ^^^^^
      |
      = help: a file begins with a [section]
    ");
    assert_snapshot!(loading("[s]\n  a = 1\n"), @r"
    error: this line continues an option, but none is open
     --> /p/main.cfg:2:3
      |
    2 |   a = 1
      |   ^^^^^
      |
      = help: an option begins in the first column
    ");
    assert_snapshot!(loading("[s]\nlost words\n"), @r"
    error: this is neither an option nor a section header
     --> /p/main.cfg:2:1
      |
    2 | lost words
      | ^^^^^^^^^^
      |
      = help: an option is `name = value`; a line that continues a value is indented
    ");
}

#[test]
fn wrong_conditions() {
    assert_snapshot!(loading("[buildout]\nextends = a.cfg\n--- /p/a.cfg\n[s:linux and platform.machin() == \"x86_64\"]\n"), @r#"
    error: [s]: `platform.machin()` is not known in the condition of a section
     --> /p/a.cfg:1:14
      |
    1 | [s:linux and platform.machin() == "x86_64"]
      |              ^^^^^^^^^^^^^^^ cannot be evaluated
      |
      = note: /p/a.cfg is extended at /p/main.cfg:2
      = help: did you mean `platform.machine()`?
    "#);
    assert_snapshot!(loading("[s : os.path.getsize('/usr/lib')] # comment\n"), @r"
    error: [s]: `os.path.getsize()` is not known in the condition of a section
     --> /p/main.cfg:1:6
      |
    1 | [s : os.path.getsize('/usr/lib')] # comment
      |      ^^^^^^^^^^^^^^^ cannot be evaluated
      |
      = help: conditions know names such as linux, bits64, python3, platform.machine(), sys.version_info and sys.platform
    ");
    assert_snapshot!(loading("[s:(linux]\n"), @r"
    error: [s]: `)` is missing at the end
     --> /p/main.cfg:1:4
      |
    1 | [s:(linux]
      |    ^^^^^^ cannot be evaluated
    ");
}

#[test]
fn missing_files() {
    let main = "[buildout]\nparts = a\nextends =\n   ../stack/slapos.cfg\n   ";
    let files = "\n--- /stack/slapos.cfg\n[buildout]\nextends = ../component/zlib/buildout.cfg\n\
        --- /component/zlib/buildout.cfg\n[zlib]\n--- /p/other.cfg\n[x]\n";
    let with = |name: &str| loading(&format!("{main}{name}{files}"));
    assert_snapshot!(with("../component/zlib"), @r"
    error: there is no file /component/zlib
     --> /p/main.cfg:5:4
      |
    5 |    ../component/zlib
      |    ^^^^^^^^^^^^^^^^^ not found
      |
      = help: did you mean `../component/zlib/buildout.cfg`?
    ");
    assert_snapshot!(with("component/zlib/buildout.cfg"), @r"
    error: there is no file /p/component/zlib/buildout.cfg
     --> /p/main.cfg:5:4
      |
    5 |    component/zlib/buildout.cfg
      |    ^^^^^^^^^^^^^^^^^^^^^^^^^^^ not found
      |
      = help: did you mean `../component/zlib/buildout.cfg`?
    ");
    assert_snapshot!(with("../component/zlip/buildout.cfg"), @r"
    error: there is no file /component/zlip/buildout.cfg
     --> /p/main.cfg:5:4
      |
    5 |    ../component/zlip/buildout.cfg
      |    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ not found
      |
      = help: did you mean `/component/zlib/buildout.cfg`?
    ");
    assert_snapshot!(with("${x:y}/a.cfg"), @r"
    error: there is no file /p/${x:y}/a.cfg
     --> /p/main.cfg:5:4
      |
    5 |    ${x:y}/a.cfg
      |    ^^^^^^^^^^^^ not found
      |
      = help: references are not substituted in `extends`
    ");
    assert_snapshot!(with("https://example.com/nothing.cfg"), @r"
    error: there is no file https://example.com/nothing.cfg
     --> /p/main.cfg:5:4
      |
    5 |    https://example.com/nothing.cfg
      |    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ not found
    ");
    assert_snapshot!(loading("--- /p/x.cfg\n"), @"error: there is no file /p/main.cfg");
    assert_snapshot!(
        loading("[buildout]\nextends = a.cfg\n--- /p/a.cfg\n[buildout]\nextends = b.cfg\n\
            --- /p/b.cfg\n[buildout]\nextends = none-at-all.cfg\n"),
        @r"
        error: there is no file /p/none-at-all.cfg
         --> /p/b.cfg:2:11
          |
        2 | extends = none-at-all.cfg
          |           ^^^^^^^^^^^^^^^ not found
          |
          = note: /p/b.cfg is extended at /p/a.cfg:2
          = note: /p/a.cfg is extended at /p/main.cfg:2
        "
    );
}

#[test]
fn wrong_extends() {
    assert_snapshot!(
        loading("[buildout]\nextends = a.cfg\n--- /p/a.cfg\n[buildout]\nextends = b.cfg\n\
            --- /p/b.cfg\n[buildout]\nparts = x\nextends = x.cfg a.cfg\n--- /p/x.cfg\n[x]\n"),
        @r"
        error: /p/a.cfg extends itself
         --> /p/b.cfg:3:17
          |
        3 | extends = x.cfg a.cfg
          |                 ^^^^^ leads back to where it began
          |
          = note: /p/a.cfg extends /p/b.cfg at /p/a.cfg:2
          = note: /p/b.cfg extends /p/a.cfg at /p/b.cfg:3
          = help: remove one of these `extends`
        "
    );
    assert_snapshot!(loading("[buildout]\nextends = main.cfg\n"), @r"
    error: /p/main.cfg extends itself
     --> /p/main.cfg:2:11
      |
    2 | extends = main.cfg
      |           ^^^^^^^^ leads back to where it began
      |
      = note: /p/main.cfg extends /p/main.cfg at /p/main.cfg:2
      = help: remove one of these `extends`
    ");
    assert_snapshot!(loading("[buildout]\nextends += main.cfg\n"), @r"
    error: `extends` can only be set: each file names what it extends itself
     --> /p/main.cfg:2:1
      |
    2 | extends += main.cfg
      | ^^^^^^^
      |
      = help: use `extends =`
    ");
    assert_snapshot!(loading("[buildout]\nextended-by = main.cfg\n"), @r"
    error: `extended-by` is no longer supported
     --> /p/main.cfg:2:1
      |
    2 | extended-by = main.cfg
      | ^^^^^^^^^^^
      |
      = help: use `extends =`
    ");
    assert_snapshot!(loading("[buildout]\nextends = http://[bad/x.cfg\n"), @r"
    error: cannot extend `http://[bad/x.cfg`: `http://[bad/x.cfg` is not a valid URL: invalid IPv6 address
     --> /p/main.cfg:2:11
      |
    2 | extends = http://[bad/x.cfg
      |           ^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn wrong_macros() {
    let expanding =
        |text: &str, name: &str| load(text).unwrap().expand(name).unwrap_err().render(false);
    assert_snapshot!(expanding("[base]\n[s]\n<= t\n   bsae\n[t]\n", "s"), @r"
    error: there is no section [bsae] to build on
     --> /p/main.cfg:4:4
      |
    4 |    bsae
      |    ^^^^ no such section
      |
      = help: did you mean `base`?
    ");
    assert_snapshot!(expanding("[a]\n<= b\n[b]\n<= c\n[c]\nx = 1\n<= a\n", "a"), @r"
    error: sections are built on each other: a <= b <= c <= a
     --> /p/main.cfg:7:4
      |
    7 | <= a
      |    ^ leads back to itself
      |
      = help: remove one of these `<=`
    ");
    assert_snapshot!(expanding("[alpha]\n", "alhpa"), @r"
    error: there is no section [alhpa]
     |
     = help: did you mean `alpha`?
    ");
}

#[test]
fn recipes_complain() {
    assert_snapshot!(
        resolving("[s]\nx = ${t:location}\n[t]\nrecipe = broken\nurl = 1\n", "s"),
        @r"
        error: there is no recipe `broken`
         --> /p/main.cfg:4:10
          |
        4 | recipe = broken
          |          ^^^^^^
          |
          = note: [t] is needed by [s] at /p/main.cfg:2
        "
    );
    assert_snapshot!(resolving("[s]\nrecipe = r\nneeds = t:x\n[t]\ny = 1\n", "s"), @r"
    error: section [t] has no option `x`
     --> /p/main.cfg:1:1
      |
    1 | [s]
      | ^^^ asks for it
    ");
    assert_snapshot!(resolving("[s]\nrecipe = r\nneeds = tt:x\n", "s"), @r"
    error: there is no section [tt]
     --> /p/main.cfg:1:1
      |
    1 | [s]
      | ^^^ asks for it
    ");
    assert_snapshot!(resolving("[s]\nrecipe = r\n=> t\n   other\n[t]\n", "s"), @r"
    error: there is no section [other]
     --> /p/main.cfg:4:4
      |
    4 |    other
      |    ^^^^^ no such section
    ");
}

#[test]
fn helpers_point_at_values() {
    let profile = load("[buildout]\nparts =\n  zlib\n  curl\n[zlib]\nmode =\n  one\n").unwrap();
    let mut resolver = Resolver::new(&profile);
    let host = &mut Recipes::default();
    let error = resolver.section_named_in(host, "curl", "buildout", "parts").unwrap_err();
    assert_snapshot!(error.render(false), @r"
    error: there is no section [curl]
     --> /p/main.cfg:4:3
      |
    4 |   curl
      |   ^^^^ no such section
    ");
    let error = resolver.error_at("zlib", "mode", "`one` is not a mode", Some("use 0644".into()));
    assert_snapshot!(error.render(false), @r"
    error: `one` is not a mode
     --> /p/main.cfg:7:3
      |
    7 |   one
      |   ^^^
      |
      = help: use 0644
    ");
    let error = resolver.error_at("zlib", "url", "`url` is missing", None);
    assert_snapshot!(error.render(false), @r"
    error: `url` is missing
     --> /p/main.cfg:5:1
      |
    5 | [zlib]
      | ^^^^^^
    ");
    let error = resolver.error_at("curl", "url", "`url` is missing", None);
    assert_snapshot!(error.render(false), @"error: `url` is missing");
    let text = "hello\n${zlib:mode} ${zlib:mod}\n";
    let error = resolver.substitute_file(host, "zlib", text, "/p/t.in").unwrap_err();
    assert_snapshot!(error.render(false), @r"
    error: section [zlib] has no option `mod`
     --> /p/t.in:2:21
      |
    2 | ${zlib:mode} ${zlib:mod}
      |                     ^^^ no such option
      |
      = help: did you mean `mode`?
    ");
    let span = profile.sections()["zlib"].header;
    let error = resolver.substitute(host, "zlib", "${a:b}", Some(span)).unwrap_err();
    assert_snapshot!(error.render(false), @r"
    error: there is no section [a]
     --> /p/main.cfg:5:1
      |
    5 | [zlib]
      | ^^^^^^ no such section
    ");
    let custom = ProfileError::custom(Some(span), "no", Some("do".to_owned()));
    assert_snapshot!(custom, @"no");
    assert_snapshot!(custom.with_note("because").located(&profile).render(false), @r"
    error: no
     --> /p/main.cfg:5:1
      |
    5 | [zlib]
      | ^^^^^^
      |
      = note: because
      = help: do
    ");
}

#[test]
fn assignments_are_shown() {
    let at = Location::parse("/p/main.cfg").unwrap();
    let assignments = [
        Assignment::new("s", "b", "1", "<command line>"),
        Assignment::new("s", "a", "x\ny ${t:z}", "<command line>"),
    ];
    let profile = Profile::load(&at, &Memory::new("[s]\n"), &assignments).unwrap();
    let mut resolver = Resolver::new(&profile);
    let error = resolver.section(&mut Recipes::default(), "s").unwrap_err();
    assert_snapshot!(error.render(false), @r"
    error: there is no section [t]
     --> <command line>:3:5
      |
    3 | y ${t:z}
      |     ^ no such section
    ");
}

#[test]
fn one_line_and_colour() {
    let error = load("[s]\nlost words\n").unwrap_err();
    assert_snapshot!(error, @"/p/main.cfg:2: this is neither an option nor a section header");
    assert!(error.render(true).contains("\u{1b}["));
    assert!(!error.render(false).contains('\u{1b}'));
    let far = Span { file: crate::FileId(99), line: 7 };
    let profile = load("[s]\n").unwrap();
    assert_snapshot!(ProfileError::custom(Some(far), "x", None).located(&profile), @"x");
}
