//! Both kinds of templates, and how they fail.

use super::*;

#[test]
fn a_plain_template_is_substituted_and_depends_on_what_it_names() {
    let yard = Yard::software();
    let file = yard.write("in", "word=${values:word} ${:own} $${kept} $x\n");
    let text = format!(
        "[buildout]\nparts = t\n[values]\nword = one\n[t]\nrecipe = slapos.recipe.template\n\
         url = {}\noutput = ${{buildout:directory}}/deep/out\nown = 1\nmode = 0640\n",
        file.display()
    );
    yard.run(&text).unwrap();
    assert_eq!(yard.read("deep/out"), "word=one 1 ${kept} $x\n");
    assert_eq!(yard.mode("deep/out"), 0o640);
    assert!(yard.plan(&text).unwrap().is_noop());
    assert!(!yard.plan(&text.replace("= one", "= two")).unwrap().is_noop());
    yard.write("in", "other\n");
    let plan = yard.plan(&text).unwrap().to_string();
    insta::assert_snapshot!(yard.clean(&plan), @"install t: content of ROOT/build/in changed; content of the rendered text changed");
    yard.write("in", "a\n${nope:x}\n");
    insta::assert_snapshot!(yard.error(&text), @"ROOT/build/in:2: there is no section [nope]");
}

const JINJA: &str = "\
[buildout]
parts = t

[s]
word = one
typed = !py!{'b': [1, None], 'a': 'x'}

[t]
recipe = slapos.recipe.template:jinja2
output = ${buildout:directory}/out
url = ${buildout:directory}/in.jinja
extensions = jinja2.ext.do
context =
  key word s:word
  key typed s:typed
  raw path /a b
  section s s
  json many [1, {\"k\": 2}]
  key out :output
";

#[test]
fn a_jinja_template_sees_its_context() {
    let yard = Yard::software();
    yard.write(
        "in.jinja",
        "{% do range(1) %}{{ word }} {{ typed['b'][0] }} {{ path }} {{ s.word }} {{ many[1].k }}\n\
         {{ typed.a }}{{ out.startswith('/') }}\n\n",
    );
    yard.run(JINJA).unwrap();
    assert_eq!(yard.read("out"), "one 1 /a b one 2\nxTrue\n");
    assert!(yard.plan(JINJA).unwrap().is_noop());
    yard.write("in.jinja", "changed");
    yard.run(JINJA).unwrap();
    assert_eq!(yard.read("out"), "changed");
}

#[test]
fn a_failing_template_names_template_profile_and_line_and_the_old_file_stays() {
    let yard = Yard::software();
    yard.write("in.jinja", "fine");
    yard.run(JINJA).unwrap();
    yard.write("in.jinja", "first\nsecond {{ word }}\nthird {{ typed.missing.x }}\nfourth");
    insta::assert_snapshot!(yard.error(JINJA), @r"
    part `t` failed: the template fails at ROOT/build/in.jinja:3: undefined value: `typed.missing` is undefined
      defined at: ROOT/build/test.cfg:8
      log: ROOT/build/.slapos/log/t.log, which ends with:
        |      1 | first
        |      2 | second {{ word }}
        | >    3 | third {{ typed.missing.x }}
    ");
    assert_eq!(yard.read("out"), "fine");
    yard.write("in.jinja", "{% set l = [] %}{% do l.append(1) %}");
    insta::assert_snapshot!(yard.error(JINJA), @r"
    part `t` failed: the template fails at ROOT/build/in.jinja:1: unknown method: sequence has no method named append
      defined at: ROOT/build/test.cfg:8
      log: ROOT/build/.slapos/log/t.log, which ends with:
        | >    1 | {% set l = [] %}{% do l.append(1) %}
      help: Jinja2 itself may do it, but it is not there (no distribution of jinja2, asked for by the profile: not asked, because the fetcher is offline): add the part `slapos-cookbook` to the Software Release, or a `zc.recipe.egg` part with `eggs = jinja2`
    ");
    yard.write("in.jinja", "again");
    yard.run(JINJA).unwrap();
    assert_eq!(yard.read("out"), "again");
}

#[test]
fn inline_templates_once_and_scripts() {
    let yard = Yard::software();
    let text = "[buildout]\nparts = t\n[t]\nrecipe = slapos.recipe.template:jinja2\n\
                output = ${buildout:directory}/out\nonce = ${buildout:directory}/done\n\
                inline =\n  #!/bin/sh\n  {{ 1 + 1 }}\n";
    yard.run(text).unwrap();
    assert_eq!(yard.read("out"), "#!/bin/sh\n2");
    assert_eq!(yard.mode("out") & 0o111, 0o111 & yard.mode("out"));
    assert!(yard.mode("out") & 0o100 != 0);
    std::fs::write(yard.path("out"), "mine").unwrap();
    yard.run(&text.replace("1 + 1", "2 + 2")).unwrap();
    assert_eq!(yard.read("out"), "mine");
    let old = "[buildout]\nparts = t\n[t]\nrecipe = slapos.recipe.template:jinja2\n\
               rendered = ${buildout:directory}/old\ntemplate = inline:{{ 'old' }}\n";
    yard.run(old).unwrap();
    assert_eq!(yard.read("old"), "old");
}

#[test]
fn what_needs_python_or_makes_no_sense_is_refused_at_its_line() {
    let yard = Yard::software();
    yard.write("in.jinja", "x");
    let with = |from: &str, to: &str| yard.error(&JINJA.replace(from, to));
    insta::assert_snapshot!(with("raw path /a b", "import json json"), @r"
    part `t` failed: the template needs Jinja2: no distribution of jinja2, asked for by the profile: not asked, because the fetcher is offline
      defined at: ROOT/build/test.cfg:8
      help: Jinja2 itself may do it, but it is not there (no distribution of jinja2, asked for by the profile: not asked, because the fetcher is offline): add the part `slapos-cookbook` to the Software Release, or a `zc.recipe.egg` part with `eggs = jinja2`
    ");
    insta::assert_snapshot!(with("raw path /a b", "kay path s:word"), @"ROOT/build/test.cfg:16: `kay` is no type of a line of `context`");
    insta::assert_snapshot!(with("raw path /a b", "raw len 3"), @"ROOT/build/test.cfg:16: `len` in `context` is the name of a built-in function");
    insta::assert_snapshot!(with("raw path /a b", "raw word 3"), @"ROOT/build/test.cfg:16: `context` defines `word` twice");
    insta::assert_snapshot!(with("key word s:word", "key word s:wort"), @"ROOT/build/test.cfg:14: there is no option `wort` in [s]");
    insta::assert_snapshot!(with("[1, {\"k\": 2}]", "[1,"), @"ROOT/build/test.cfg:18: this is no JSON: EOF while parsing a value at line 1 column 3");
    insta::assert_snapshot!(with("jinja2.ext.do", "my.ext"), @r"
    part `t` failed: the template needs Jinja2: no distribution of jinja2, asked for by the profile: not asked, because the fetcher is offline
      defined at: ROOT/build/test.cfg:8
      help: Jinja2 itself may do it, but it is not there (no distribution of jinja2, asked for by the profile: not asked, because the fetcher is offline): add the part `slapos-cookbook` to the Software Release, or a `zc.recipe.egg` part with `eggs = jinja2`
    ");
    insta::assert_snapshot!(with("in.jinja\n", "nope.jinja\n"), @r"
    part `t` failed: cannot read ROOT/build/nope.jinja: No such file or directory (os error 2)
      defined at: ROOT/build/test.cfg:8
    ");
    insta::assert_snapshot!(with("url =", "inline = x\nurl ="), @"ROOT/build/test.cfg:12: part `t` has both `url` and `inline`: give one of them");
    insta::assert_snapshot!(with("url =", "mode = 9\nurl ="), @"ROOT/build/test.cfg:11: `mode` must be a file mode in octal digits, not `9`");
    insta::assert_snapshot!(with("url =", &format!("md5sum = {}\nurl =", "0".repeat(32))), @r"
    part `t` failed: ROOT/build/in.jinja has the wrong checksum: it is md5:9dd4e461268c8034f5c8564e155c67a6, and md5:00000000000000000000000000000000 is wanted
      defined at: ROOT/build/test.cfg:8
    ");
}

#[test]
fn a_template_that_an_earlier_part_makes_is_read_when_it_is_there() {
    let yard = Yard::software();
    yard.run(
        "[buildout]\nparts = command t\n[command]\nrecipe = plone.recipe.command\n\
         command = sleep 0.1; echo '{{ 1 + 1 }}' > made.in\n[t]\n\
         recipe = slapos.recipe.template:jinja2\nurl = ${buildout:directory}/made.in\n\
         output = ${buildout:directory}/out\n",
    )
    .unwrap();
    assert_eq!(yard.read("out"), "2");
}

#[test]
fn what_only_jinja2_can_do_is_done_by_jinja2() {
    let mut yard = Yard::software();
    yard.online = true;
    yard.write("lib/macros.in", "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}");
    yard.write(
        "in.jinja",
        "{% import \"lib/macros.in\" as macros %}{% set l = [] %}{% do l.append('a%s' % typed.n) %}\n\
         {{ l }} {{ json.dumps({'k': typed}) }} {{ macros.twice('x') }} {{ 1e20 }} {{ set([2, 2]) }}\n",
    );
    let profile = "\
[buildout]
parts = t

[s]
typed = !py!{'n': 1}

[t]
recipe = slapos.recipe.template:jinja2
output = ${buildout:directory}/out
url = ${buildout:directory}/in.jinja
extensions = jinja2.ext.do
import-list = rawfolder lib ${buildout:directory}/lib
context =
  key typed s:typed
  import json json
";
    match yard.run(profile) {
        Err(error) if yard.whole(&error).contains("needs Jinja2") => {
            slapos_testkit::skipped(
                "what_only_jinja2_can_do_is_done_by_jinja2",
                "PyPI is unreachable",
            );
            return;
        }
        result => drop(result.unwrap()),
    }
    assert_eq!(yard.read("out"), "\n['a1'] {\"k\": {\"n\": 1}} xx 1e+20 {2}");
    yard.write("in.jinja", "a\n{{ typed.missing }}\n{% do [].append(1) %}");
    insta::assert_snapshot!(yard.error(profile), @r#"
    part `t` failed: jinja2.exceptions.UndefinedError: 'dict object' has no attribute 'missing'
      defined at: ROOT/build/test.cfg:7
          File "ROOT/build/in.jinja", line 2, in top-level template code
            {{ typed.missing }}
    "#);
}
