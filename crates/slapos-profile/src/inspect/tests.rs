//! What is said of small profiles.

use insta::assert_snapshot;

use super::*;
use crate::testing::load;

const PROFILE: &str = "\
[buildout]
extends = base.cfg
parts = app gone

[app]
<= base
recipe = builder
path += extra
url = https://host/${:name}-${:version}.tar
md5sum = 0123
home = ${lib:location}/home of ${:_buildout_section_name_}
kept = $${shell}
deep = ${:home}/deep
bad = ${nowhere:x} ${settings:typo}

[lib]
recipe = builder
where = @@LOCATION@@/where
needs = ${lib:where} ${settings:used}
--- /p/base.cfg
[base]
name = thing
version = 1
version = 2
path =
  one
  two

[settings]
used = yes
unused = no

[app]
url = unseen
";

fn of(text: &str, stage: Stage) -> String {
    let profile = load(text).unwrap();
    let dump = dump(&profile, stage);
    let mut out = format!("files {:?}\n", dump.files);
    for (section, options) in dump.sections.iter().filter(|(name, _)| *name != "buildout") {
        for (option, value) in options {
            let at = dump.source.get(section, option).unwrap();
            out.push_str(&format!("{section}:{option} = {value:?} {at}\n"));
        }
    }
    for (section, options) in dump.unresolved.iter() {
        let options: Vec<_> = options.collect();
        out.push_str(&format!("unresolved {section} {options:?}\n"));
    }
    for (section, options) in dump.errors.iter() {
        let options: Vec<_> = options.collect();
        out.push_str(&format!("error {section} {options:?}\n"));
    }
    out
}

#[test]
fn stages() {
    assert_snapshot!(of(PROFILE, Stage::Merged), @r#"
    files ["/p/base.cfg", "/p/main.cfg"]
    base:name = "thing" /p/base.cfg:2
    base:version = "2" /p/base.cfg:4
    base:path = "one\ntwo" /p/base.cfg:5
    settings:used = "yes" /p/base.cfg:10
    settings:unused = "no" /p/base.cfg:11
    app:url = "https://host/${:name}-${:version}.tar" /p/main.cfg:9
    app:< = "base" /p/main.cfg:6
    app:recipe = "builder" /p/main.cfg:7
    app:md5sum = "0123" /p/main.cfg:10
    app:home = "${lib:location}/home of ${:_buildout_section_name_}" /p/main.cfg:11
    app:kept = "$${shell}" /p/main.cfg:12
    app:deep = "${:home}/deep" /p/main.cfg:13
    app:bad = "${nowhere:x} ${settings:typo}" /p/main.cfg:14
    app:path = "\nextra" /p/main.cfg:8
    lib:recipe = "builder" /p/main.cfg:17
    lib:where = "@@LOCATION@@/where" /p/main.cfg:18
    lib:needs = "${lib:where} ${settings:used}" /p/main.cfg:19
    "#);
    assert_snapshot!(of(PROFILE, Stage::Expanded), @r#"
    files ["/p/base.cfg", "/p/main.cfg"]
    base:name = "thing" /p/base.cfg:2
    base:version = "2" /p/base.cfg:4
    base:path = "one\ntwo" /p/base.cfg:5
    settings:used = "yes" /p/base.cfg:10
    settings:unused = "no" /p/base.cfg:11
    app:name = "thing" /p/base.cfg:2
    app:version = "2" /p/base.cfg:4
    app:path = "\nextra" /p/main.cfg:8
    app:url = "https://host/${:name}-${:version}.tar" /p/main.cfg:9
    app:recipe = "builder" /p/main.cfg:7
    app:md5sum = "0123" /p/main.cfg:10
    app:home = "${lib:location}/home of ${:_buildout_section_name_}" /p/main.cfg:11
    app:kept = "$${shell}" /p/main.cfg:12
    app:deep = "${:home}/deep" /p/main.cfg:13
    app:bad = "${nowhere:x} ${settings:typo}" /p/main.cfg:14
    lib:recipe = "builder" /p/main.cfg:17
    lib:where = "@@LOCATION@@/where" /p/main.cfg:18
    lib:needs = "${lib:where} ${settings:used}" /p/main.cfg:19
    "#);
    assert_snapshot!(of(PROFILE, Stage::Resolved), @r#"
    files ["/p/base.cfg", "/p/main.cfg"]
    base:name = "thing" /p/base.cfg:2
    base:version = "2" /p/base.cfg:4
    base:path = "one\ntwo" /p/base.cfg:5
    settings:used = "yes" /p/base.cfg:10
    settings:unused = "no" /p/base.cfg:11
    app:name = "thing" /p/base.cfg:2
    app:version = "2" /p/base.cfg:4
    app:path = "\nextra" /p/main.cfg:8
    app:url = "https://host/thing-2.tar" /p/main.cfg:9
    app:recipe = "builder" /p/main.cfg:7
    app:md5sum = "0123" /p/main.cfg:10
    app:home = "${lib:location}/home of app" /p/main.cfg:11
    app:kept = "${shell}" /p/main.cfg:12
    app:deep = "${lib:location}/home of app/deep" /p/main.cfg:13
    app:bad = "${nowhere:x} ${settings:typo}" /p/main.cfg:14
    lib:recipe = "builder" /p/main.cfg:17
    lib:where = "@@LOCATION@@/where" /p/main.cfg:18
    lib:needs = "${lib:where} yes" /p/main.cfg:19
    unresolved app [("home", ["lib:location"]), ("deep", ["lib:location"]), ("bad", ["nowhere:x", "settings:typo"])]
    unresolved lib [("needs", ["lib:where"])]
    "#);
}

#[test]
fn what_waits_for_a_macro_keeps_its_operator() {
    let text = "[a]\n<= b\nx += 1\ny+=2\nz  -= 3\n[b]\nx = 0\n";
    assert_snapshot!(of(text, Stage::Merged), @r#"
    files ["/p/main.cfg"]
    a:< = "b" /p/main.cfg:2
    a:x + = "1" /p/main.cfg:3
    a:y+ = "2" /p/main.cfg:4
    a:z  - = "3" /p/main.cfg:5
    b:x = "0" /p/main.cfg:7
    "#);
    assert_snapshot!(of(text, Stage::Expanded), @r#"
    files ["/p/main.cfg"]
    a:x = "0\n1" /p/main.cfg:3
    a:y = "\n2" /p/main.cfg:4
    a:z = "" /p/main.cfg:5
    b:x = "0" /p/main.cfg:7
    "#);
}

#[test]
fn broken_sections_hide_no_others() {
    let text =
        "[a]\n<= nothing\n[b]\nx = ${:y}\ny = ${:x}\nz = ${b}\n[c]\nx = ${b:x}\n[d]\nx = 1\n";
    assert_snapshot!(of(text, Stage::Expanded), @r#"
    files ["/p/main.cfg"]
    b:x = "${:y}" /p/main.cfg:4
    b:y = "${:x}" /p/main.cfg:5
    b:z = "${b}" /p/main.cfg:6
    c:x = "${b:x}" /p/main.cfg:8
    d:x = "1" /p/main.cfg:10
    error a [("<", "/p/main.cfg:2: there is no section [nothing] to build on")]
    "#);
    assert_snapshot!(of(text, Stage::Resolved), @r#"
    files ["/p/main.cfg"]
    b:x = "${:y}" /p/main.cfg:4
    b:y = "${:x}" /p/main.cfg:5
    b:z = "${b}" /p/main.cfg:6
    c:x = "${b:x}" /p/main.cfg:8
    d:x = "1" /p/main.cfg:10
    error a [("<", "/p/main.cfg:2: there is no section [nothing] to build on")]
    error b [("x", "/p/main.cfg:5: these options refer to each other: b:x -> b:y -> b:x"), ("y", "/p/main.cfg:4: these options refer to each other: b:y -> b:x -> b:y"), ("z", "/p/main.cfg:6: the reference ${b} has no colon")]
    error c [("x", "/p/main.cfg:5: these options refer to each other: b:x -> b:y -> b:x")]
    "#);
}

#[test]
fn findings() {
    let profile = load(PROFILE).unwrap();
    let shown = |f: &Finding| {
        let (level, rule) = (f.level.as_str(), f.rule.as_str());
        format!("{} {level} {rule} {}:{} {}", f.at, f.section, f.option, f.message)
    };
    let found = lint(&Values::new(&profile));
    assert_snapshot!(found.iter().map(shown).collect::<Vec<_>>().join("\n"), @r"
    /p/base.cfg:3 warning shadowed-value base:version `version` of [base] is set again at /p/base.cfg:4, in the same file
    /p/base.cfg:11 warning unused-option settings:unused nothing reads `unused` of [settings]
    /p/base.cfg:14 note shadowed-value app:url `url` of [app] is set again at /p/main.cfg:9, by a file that extends this one
    /p/main.cfg:3 error dead-reference buildout:parts the part `gone` has no section
    /p/main.cfg:10 warning md5-only app:md5sum https://host/thing-2.tar is checked by MD5 only
    /p/main.cfg:14 error dead-reference app:bad there is no section [nowhere]
    /p/main.cfg:14 error dead-reference app:bad section [settings] has no option `typo` and no recipe that could set it
    ");
}

#[test]
fn unrelated_files_that_set_the_same() {
    let text = "[buildout]\nextends = a.cfg b.cfg\n[s]\ny = 3\n\
                --- /p/a.cfg\n[s]\nx = 1\ny = 1\n--- /p/b.cfg\n[s]\nx = 2\ny = 2\n";
    let profile = load(text).unwrap();
    let found = lint(&Values::new(&profile));
    let shadowed = found.iter().filter(|f| f.rule == Rule::ShadowedValue);
    let shown: Vec<_> = shadowed.map(|f| (f.at.as_str(), f.option.as_str(), f.level)).collect();
    let expected = [
        ("/p/a.cfg:2", "x", Level::Warning),
        ("/p/a.cfg:3", "y", Level::Note),
        ("/p/b.cfg:3", "y", Level::Note),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn chains() {
    let profile = load(PROFILE).unwrap();
    let values = Values::new(&profile);
    assert_snapshot!(format!("{:#?}", why(&values, "app", "path").unwrap()), @r#"
    Why {
        section: "app",
        option: "path",
        value: "\nextra",
        resolved: Some(
            "\nextra",
        ),
        unresolved: [],
        changes: [
            Change {
                at: "/p/base.cfg:5",
                section: "base",
                op: "=",
                value: "one\ntwo",
                effect: Replaced,
                extended_at: [
                    "/p/main.cfg:2",
                ],
            },
            Change {
                at: "/p/main.cfg:8",
                section: "app",
                op: "+=",
                value: "extra",
                effect: Used,
                extended_at: [],
            },
        ],
    }
    "#);
    let missing = |section, option| why(&values, section, option).unwrap_err();
    assert_eq!(missing("app", "pth").help(), Some("did you mean `path`?"));
    assert_eq!(missing("apq", "x").help(), Some("did you mean `app`?"));
}

#[test]
fn graphs() {
    let profile = load(PROFILE).unwrap();
    assert_snapshot!(graph(&Values::new(&profile)).dot(), @r#"
    digraph profile {
      rankdir = LR;
      "app" [shape=box, style=bold, tooltip="builder"];
      "gone" [shape=ellipse, style=bold, color=red];
      "lib" [shape=box, tooltip="builder"];
      "nowhere" [shape=ellipse, color=red];
      "settings" [shape=ellipse];
      "app" -> "lib" [tooltip="home"];
      "app" -> "nowhere" [tooltip="bad"];
      "app" -> "settings" [tooltip="bad"];
      "lib" -> "settings" [tooltip="needs"];
    }
    "#);
}

#[test]
fn cycles_are_found_each_once() {
    let profile = load(
        "[buildout]\nparts = app\n[app]\nrecipe = r\nx = ${b:x} ${b}\n[b]\nx = ${b:y}\ny = ${b:x}\n\
         z = ${b:z}\n[m]\n<= n\n[n]\n<= m\n[heir]\n<= m\n[own]\n<= own\n",
    )
    .unwrap();
    let shown = |f: &Finding| {
        let help = f.help.as_deref().unwrap_or_default();
        format!("{} {} {} {} ({help})", f.at, f.level.as_str(), f.rule.as_str(), f.message)
    };
    let found = lint(&Values::new(&profile));
    assert_snapshot!(found.iter().map(shown).collect::<Vec<_>>().join("\n"), @r"
    /p/main.cfg:5 error bad-reference the reference ${b} has no colon (write ${section:option} or ${:option})
    /p/main.cfg:8 error cycle these options refer to each other: b:x -> b:y -> b:x (replace one of these references by a plain value)
    /p/main.cfg:9 error cycle these options refer to each other: b:z -> b:z (replace one of these references by a plain value)
    /p/main.cfg:11 warning cycle sections are built on each other: m <= n <= m (remove one of these `<=`)
    /p/main.cfg:17 warning cycle sections are built on each other: own <= own (remove one of these `<=`)
    ");
}
