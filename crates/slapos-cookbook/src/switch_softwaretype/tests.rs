//! The recipe with real profiles, run by the engine in a temporary directory.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

mod instance;

use instance::{Instance, OTHER, OUTER};

#[test]
fn the_profile_of_the_type_is_made_and_run() {
    let instance = Instance::new("default");
    let done = instance.deploy().unwrap();
    let expected = ["install slap-configuration", "install made", "install switch", "install page"];
    assert_eq!(done, expected);
    assert_eq!(instance.read("page"), "Hello from http://master/${not:a-reference} (default)");
    assert!(instance.exists(".slapos/installed-switch.json"));
    assert!(instance.exists(".installed-switch.cfg"));
}

#[test]
fn another_type_is_another_profile_and_takes_the_first_one_away() {
    let mut instance = Instance::new("default");
    instance.deploy().unwrap();
    instance.partition.software_type = "other".to_owned();
    let done = instance.deploy().unwrap();
    assert_eq!(done[1..4], ["install switch", "install note", "remove page"]);
    assert_eq!(instance.read("note"), "eggs in /opt/eggs");
    assert!(!instance.exists("page"));
}

#[test]
fn the_two_names_of_the_default_type_stand_for_each_other() {
    let instance = Instance::new("RootSoftwareInstance");
    instance.deploy().unwrap();
    assert!(instance.exists("page"));
    let instance = Instance::new("default");
    instance.write("instance.cfg", &OUTER.replace("default = ", "RootSoftwareInstance = "));
    instance.deploy().unwrap();
    assert!(instance.exists("page"));
}

#[test]
fn a_type_may_have_another_profile_around_its_own() {
    let overridden = |mapping: &str| {
        let instance = Instance::new("other");
        let line = format!("override = {mapping}\nother = ");
        instance.write("instance.cfg", &OUTER.replace("other = ", &line));
        instance
    };
    // The option's own profile has the last word about `parts` and `note`.
    let around = "[buildout]\nparts = more\n\n[more]\nrecipe = slapos.recipe.template\n\
                  output = ${buildout:directory}/more\ninline = more\n\n[note]\ninline = lost\n";
    let instance = overridden("!py!{'default': 'nowhere.cfg', 'other': 'around.cfg'}");
    instance.write("around.cfg", around);
    instance.write("other.cfg", &OTHER.replace("parts = note", "parts += note"));
    instance.deploy().unwrap();
    assert_eq!(instance.read("note"), "eggs in /opt/eggs");
    assert_eq!(instance.read("more"), "more");
    assert_eq!(instance.plan(), "nothing to do\n");

    // One that extends it itself has it.
    let extending = around.replace("parts = more", "extends = other.cfg\nparts = more note");
    instance.write("around.cfg", &extending);
    instance.deploy().unwrap();
    assert_eq!(instance.read("note"), "lost");

    for nothing in ["!py!None", "", "!py!{'default': 'nowhere.cfg'}"] {
        let instance = overridden(nothing);
        instance.deploy().unwrap();
        assert!(instance.exists("note"), "{nothing}");
    }
    let instance = overridden("!py!{'other': 'nowhere.cfg'}");
    assert!(instance.error().contains("nowhere.cfg"), "{}", instance.error());
    let mut instance = overridden("!py!{'override': 'around.cfg'}");
    instance.partition.software_type = "override".to_owned();
    assert!(instance.error().contains("there is no software type `override`"));
}

#[test]
fn a_type_that_is_not_there_is_refused_whatever_it_is_called() {
    insta::assert_snapshot!(Instance::new("othr").error(), @r#"
    error: there is no software type `othr`, which the instance is to have
      --> ROOT/instance.cfg:19:10
       |
    19 | recipe = slapos.cookbook:switch-softwaretype
       |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: did you mean `other`?
    "#);
    insta::assert_snapshot!(Instance::new("recipe").error(), @r#"
    error: there is no software type `recipe`, which the instance is to have
      --> ROOT/instance.cfg:19:10
       |
    19 | recipe = slapos.cookbook:switch-softwaretype
       |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: the software types are: default, other
    "#);
}

#[test]
fn what_the_master_says_is_never_substituted() {
    let mut instance = Instance::new("default");
    let hostile = [
        "${slap-connection:server-url}",
        "$${slap-connection:server-url}",
        "$$${slap-connection:server-url}",
        "several\n  lines\n[page]\noutput = /etc/passwd\n${nowhere:x}",
        "!py!'${a:b}'",
        "$",
        "",
    ];
    for value in hostile {
        instance.parameter("greeting", value);
        instance.deploy().unwrap();
        let page = instance.read("page");
        let greeting = page.split(" from http:").next().unwrap();
        assert_eq!(greeting, value);
    }
}

#[test]
fn frozen_values_reach_references_and_macros_unchanged() {
    let mut instance = Instance::with_inner(
        "\
[buildout]
parts = note slap-configuration

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.own = of the inner profile

[copy]
<= slap-configuration

[note]
recipe = slapos.recipe.template
output = ${buildout:directory}/note
inline =
  ${slap-configuration:configuration.greeting} ${slap-configuration:configuration.own}
  ${copy:configuration.greeting}
",
    );
    instance.parameter("greeting", "${a:b}");
    instance.deploy().unwrap();
    assert_eq!(instance.read("note"), "${a:b} of the inner profile\n${a:b}");
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let instance = Instance::new("default");
    instance.deploy().unwrap();
    insta::assert_snapshot!(instance.plan(), @"nothing to do");
    assert_eq!(instance.deploy().unwrap(), Vec::<String>::new());
}

#[test]
fn a_changed_parameter_renders_again() {
    let mut instance = Instance::new("default");
    instance.deploy().unwrap();
    instance.parameter("greeting", "Salut");
    let done = instance.deploy().unwrap();
    assert!(done.contains(&"install page".to_owned()), "{done:?}");
    assert!(instance.read("page").starts_with("Salut from"));
}

#[test]
fn work_inside_alone_is_planned_and_done() {
    let instance = Instance::new("default");
    instance.deploy().unwrap();
    std::fs::remove_file(instance.path("page")).unwrap();
    insta::assert_snapshot!(instance.plan(), @r#"
    update  switch: install page: ROOT/page is missing
    2 parts are kept
    "#);
    assert_eq!(instance.deploy().unwrap(), ["update switch", "install page"]);
    assert!(instance.exists("page"));
    std::fs::remove_file(instance.path("made.cfg")).unwrap();
    let done = instance.deploy().unwrap();
    assert_eq!(done, ["install made", "update switch"]);
}

#[test]
fn what_is_made_before_is_used_although_nothing_refers_to_it() {
    let instance = Instance::new("other");
    let before = "\
[before]
recipe = slapos.recipe.template
output = ${buildout:directory}/text
inline = TEXT
";
    let outer = OUTER.replace("parts = switch", "parts = before switch") + before;
    instance.write("instance.cfg", &outer.replace("TEXT", "one"));
    let note = OTHER.replace("inline = eggs in ${buildout:eggs-directory}", "url = text");
    instance.write("other.cfg", &note);
    instance.deploy().unwrap();
    assert_eq!(instance.read("note"), "one");
    instance.write("instance.cfg", &outer.replace("TEXT", "two"));
    instance.deploy().unwrap();
    assert_eq!(instance.read("note"), "two");
}

#[test]
fn a_mistake_inside_is_shown_where_it_is() {
    let inner = OTHER.replace("${buildout:eggs-directory}", "${nowhere:x}");
    insta::assert_snapshot!(Instance::with_inner(&inner).error(), @r#"
    part `switch` failed: ROOT/other.cfg:7: there is no section [nowhere]
      defined at: ROOT/instance.cfg:18
        error: there is no section [nowhere]
         --> ROOT/other.cfg:7:20
          |
        7 | inline = eggs in ${nowhere:x}
          |                    ^^^^^^^ no such section
    "#);
    let instance = Instance::new("other");
    std::fs::remove_file(instance.path("other.cfg")).unwrap();
    insta::assert_snapshot!(instance.error(), @r#"
    part `switch` failed: there is no file ROOT/other.cfg
      defined at: ROOT/instance.cfg:18
      help: `other` names that profile
    "#);
    let instance = Instance::with_inner("[buildout]\nextends = nothing.cfg\n");
    insta::assert_snapshot!(instance.error(), @r#"
    part `switch` failed: ROOT/other.cfg:2: there is no file ROOT/nothing.cfg
      defined at: ROOT/instance.cfg:18
        error: there is no file ROOT/nothing.cfg
         --> ROOT/other.cfg:2:11
          |
        2 | extends = nothing.cfg
          |           ^^^^^^^^^^^ not found
          |
          = help: did you mean `ROOT/other.cfg`?
    "#);
}

#[test]
fn a_part_that_fails_inside_is_shown_whole() {
    let instance = Instance::with_inner(
        "\
[buildout]
parts = broken

[broken]
recipe = plone.recipe.command
command = echo first; echo second >&2; exit 3
stop-on-error = true
",
    );
    insta::assert_snapshot!(instance.error(), @r#"
    part `switch` failed: part `broken` of ROOT/other.cfg failed
      defined at: ROOT/instance.cfg:18
        part `broken` failed: the command ended with status 3
          defined at: ROOT/other.cfg:4
          command: echo first; echo second >&2; exit 3
          log: ROOT/.slapos/log/broken.log, which ends with:
            | $ echo first; echo second >&2; exit 3
            | first
            | second
    "#);
    assert!(instance.exists(".slapos/log/broken.log"));
    instance.write("other.cfg", OTHER);
    instance.deploy().unwrap();
    assert!(instance.exists("note"));
}

#[test]
fn inner_parts_go_with_the_profile_or_with_the_part() {
    let instance = Instance::new("other");
    instance.deploy().unwrap();
    instance.write("other.cfg", "[buildout]\nparts =\n");
    assert_eq!(instance.deploy().unwrap(), ["update switch", "remove note"]);
    assert!(!instance.exists("note"));

    instance.write("other.cfg", OTHER);
    instance.deploy().unwrap();
    instance.write("instance.cfg", "[buildout]\nparts =\n");
    let done = instance.deploy().unwrap();
    assert_eq!(done, ["remove switch", "remove note", "remove slap-configuration"]);
    assert!(!instance.exists("note") && !instance.exists(".slapos/installed-switch.json"));
    assert!(!instance.exists(".installed-switch.cfg"));
}

#[test]
fn a_part_may_move_between_the_profiles() {
    let instance = Instance::new("other");
    instance.deploy().unwrap();
    let note = &OTHER[OTHER.find("[note]").unwrap()..];
    let outside = OUTER.replace("parts = switch", "parts = note switch") + note;
    instance.write("instance.cfg", &outside);
    instance.write("other.cfg", "[buildout]\nparts =\n");
    instance.deploy().unwrap();
    assert!(instance.exists("note"));
    instance.write("instance.cfg", OUTER);
    instance.write("other.cfg", OTHER);
    instance.deploy().unwrap();
    assert!(instance.exists("note"));
    instance.write(
        "instance.cfg",
        &OUTER.replace("[switch]", "[renamed]").replace("parts = switch", "parts = renamed"),
    );
    instance.deploy().unwrap();
    assert!(instance.exists("note") && instance.exists(".slapos/installed-renamed.json"));
    assert!(!instance.exists(".slapos/installed-switch.json"));
}

#[test]
fn a_profile_that_leads_to_itself_is_refused() {
    let instance =
        Instance::with_inner(&OUTER.replace("other.cfg", "${buildout:directory}/other.cfg"));
    let error = instance.error();
    assert!(error.contains("part `switch` runs too many buildouts inside each other"), "{error}");
    assert!(error.contains("ROOT/other.cfg:"), "{error}");
}

#[test]
fn what_is_missing_is_named() {
    let refused = |from: &str, to: &str| {
        let instance = Instance::new("other");
        instance.write("instance.cfg", &OUTER.replace(from, to));
        let error = instance.error();
        error.lines().next().unwrap_or_default().to_owned()
    };
    let lines = [
        refused("[slap-configuration]", "[slap]"),
        refused("recipe = slapos.cookbook:slapconfiguration", "x = y"),
        refused("other.cfg", "mad:output"),
        refused("other.cfg", "made:outptu"),
        refused("other.cfg", ""),
        refused("other = ", "override = x\nother = "),
        refused("other = ", "override = !py!{'other': None}\nother = "),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    error: part `switch` needs a section [slap-configuration]
    error: section [slap-configuration] has no option `slap-software-type`
    error: there is no section [mad]
    error: section [made] has no option `outptu`
    error: `other` names no profile
    error: `override` must be a typed mapping, not `'x'`
    error: `override` gives `other` no profile, but `None`
    "#);
}
