//! What a plan says, and why.

use super::*;

const TWO: &str = "\
[buildout]
parts = b

[values]
word = one

[a]
recipe = toys:shell
command = echo ${values:word} > f

[b]
recipe = toys:write
output = out
content = ${a:location}
";

#[test]
fn a_plan_is_empty_once_it_was_executed() {
    let yard = Yard::new();
    insta::assert_snapshot!(yard.plan_text(TWO), @r"
    install a: never installed
    install b: never installed
    ");
    let outcome = yard.run(TWO).unwrap();
    assert_eq!(outcome.installed, ["a", "b"]);
    let plan = yard.plan(TWO).unwrap();
    assert!(plan.is_noop());
    insta::assert_snapshot!(plan, @"nothing to do");
    assert_eq!(yard.run(TWO).unwrap().kept, ["a", "b"]);
    assert_eq!(read(yard.path("parts/a/f")), "one\n");
    assert!(yard.path("bin").is_dir());
}

#[test]
fn every_change_has_its_reason() {
    let yard = Yard::new();
    yard.run(TWO).unwrap();
    insta::assert_snapshot!(yard.plan_text(&TWO.replace("= one", "= two")), @r"
    install a: refers to values, which changed; option `command` changed: `echo one > f` → `echo two > f` at software.cfg:9
    install b: refers to a, which changed
    ");
    let renamed = TWO.replace("parts = b", "parts = c").replace("[b]", "[c]");
    insta::assert_snapshot!(yard.plan_text(&renamed), @r"
    install c: new part
    remove  b: no longer wanted
    1 part is kept
    ");
    let more = TWO.replace("output = out", "output = out\nextra = 1");
    insta::assert_snapshot!(yard.plan_text(&more), @r"
    install b: option `extra` is new: `1` at software.cfg:14
    1 part is kept
    ");
    let other = TWO
        .replace("output = out\n", "output = out\ncommand = true\n")
        .replace("[b]\nrecipe = toys:write", "[b]\nrecipe = toys:shell");
    insta::assert_snapshot!(yard.plan_text(&other), @r"
    install b: recipe changed: `toys:write` → `toys:shell`; option `command` is new: `true` at software.cfg:14
    1 part is kept
    ");
    std::fs::remove_file(yard.path("out")).unwrap();
    insta::assert_snapshot!(yard.plan_text(TWO), @r"
    install b: ROOT/out is missing
    1 part is kept
    ");
}

#[test]
fn only_the_parts_that_are_asked_for_are_planned_and_nothing_is_removed() {
    let mut yard = Yard::new();
    yard.run(TWO).unwrap();
    yard.install = Some(vec!["c".into()]);
    let more = format!("{TWO}\n[c]\nrecipe = toys:write\noutput = c\n");
    insta::assert_snapshot!(yard.plan_text(&more), @"install c: new part");
    yard.run(&more).unwrap();
    assert!(yard.path("out").exists());
}

#[test]
fn an_unknown_recipe_is_an_error_at_its_line() {
    let yard = Yard::new();
    let error = yard.plan(&TWO.replace("toys:write", "toys:wrte")).unwrap_err();
    let BuildError::Profile(error) = error else { panic!("{error}") };
    insta::assert_snapshot!(error.render(false), @r"
    error: there is no recipe `toys:wrte`, which part `b` needs
      --> software.cfg:12:10
       |
    12 | recipe = toys:wrte
       |          ^^^^^^^^^
       |
       = help: did you mean `toys:write`?
    ");
    let error = yard.plan(&TWO.replace("toys:write", "zc.recipe.egg")).unwrap_err();
    insta::assert_snapshot!(error, @"software.cfg:12: there is no recipe `zc.recipe.egg`, which part `b` needs");
}

#[test]
fn a_part_without_a_recipe_is_an_error_at_the_list() {
    let yard = Yard::new();
    let error = yard.plan(&TWO.replace("parts = b", "parts = b values")).unwrap_err();
    insta::assert_snapshot!(error, @"software.cfg:2: `values` is listed as a part, but [values] has no option `recipe`");
    let error = yard.plan(&TWO.replace("parts = b", "parts = valuse")).unwrap_err();
    let BuildError::Profile(error) = error else { panic!("{error}") };
    insta::assert_snapshot!(error.render(false), @r"
    error: there is no section [valuse]
     --> software.cfg:2:9
      |
    2 | parts = valuse
      |         ^^^^^^ no such section
      |
      = help: did you mean `values`?
    ");
    let error = yard.plan("[buildout]\nparts = x\n[x]\nrecipe = toys:write\n").unwrap_err();
    insta::assert_snapshot!(error, @"software.cfg:3: part `x` lacks the option `output`");
}

#[test]
fn sections_that_name_each_other_in_a_circle_have_stable_identities() {
    let yard = Yard::new();
    let circle = "\
[buildout]
parts = a b

[a]
recipe = toys:write
output = a
content = ${b:other}

[b]
recipe = toys:write
output = b
other = 1
content = ${a:output}
";
    yard.run(circle).unwrap();
    assert!(yard.plan(circle).unwrap().is_noop());
}

#[test]
fn a_plan_of_an_instance_shows_no_values() {
    let mut yard = Yard::new();
    yard.run(TWO).unwrap();
    yard.hide_values = true;
    let changed = TWO.replace("= one", "= hunter2").replace("output = out", "output = out\nx = y");
    let plan = yard.plan(&changed).unwrap();
    insta::assert_snapshot!(plan, @r"
    install a: refers to values, which changed; option `command` changed at software.cfg:9
    install b: refers to a, which changed; option `x` changed at software.cfg:14
    ");
    assert!(!format!("{plan:?}").contains("hunter2"));
}

#[test]
fn extensions_of_slapos_are_built_in_and_others_are_refused() {
    let yard = Yard::new();
    let profile = |names: &str| format!("[buildout]\nparts =\nextensions = {names}\n");
    let names = "slapos.rebootstrap slapos.extension.shared slapos.extension.strip";
    let text = yard.plan_text(&profile(&format!("{names}\nstrip-binary = no-such-strip")));
    insta::assert_snapshot!(text, @r"
    warning: there is no program `no-such-strip`: programs keep their symbols
    nothing to do
    ");
    let Err(BuildError::Profile(error)) = yard.run(&profile("slapos.rebootstrap mr.developer"))
    else {
        panic!("accepted")
    };
    insta::assert_snapshot!(error.message(), @"the extension `mr.developer` of Buildout cannot be loaded");
}
