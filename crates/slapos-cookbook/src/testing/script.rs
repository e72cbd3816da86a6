//! Inline scripts and hooks, run by the Python host.

use super::Yard;

#[test]
fn a_script_sets_options_that_others_see_and_changes_the_environment_of_later_parts() {
    let yard = Yard::software();
    let profile = "\
[buildout]
parts = user tool command

[tool]
recipe = slapos.recipe.build
version = 1.2
init =
  options['answer'] = str(int(self.buildout['numbers']['six']) * 7)
  options['typed'] = [1, {'a': None}]
install =
  import os
  os.mkdir(location)
  with open(os.path.join(location, 'file'), 'w') as f:
    f.write('%s %r' % (options['answer'], options['typed']))
update =
  import os
  os.environ['PATH'] = location + os.pathsep + os.environ['PATH']

[numbers]
six = 6

[user]
recipe = slapos.recipe.template
inline = ${tool:answer} in ${tool:location} ${tool:typed}
output = ${buildout:directory}/user

[command]
recipe = plone.recipe.command
command = echo $PATH > ${buildout:directory}/path
update-command = ${:command}
";
    yard.run(profile).unwrap();
    let location = yard.path("parts/tool").display().to_string();
    let typed = r"!py![1, {'a': None}]";
    assert_eq!(yard.read("user"), format!("42 in {location} {typed}"));
    assert_eq!(yard.read("parts/tool/file"), "42 [1, {'a': None}]");
    assert!(!yard.read("path").starts_with(&location), "update has not run yet");
    let outcome = yard.run(profile).unwrap();
    assert_eq!(outcome.updated, ["tool", "command"]);
    assert!(yard.read("path").starts_with(&location));
}

#[test]
fn a_script_reaches_sections_whose_recipes_are_python_too() {
    let yard = Yard::software();
    yard.run(
        "[buildout]\nparts = a\n\
         [a]\nrecipe = slapos.recipe.build\n\
         init =\n  options['x'] = self.buildout['b']['x'] + '!'\n  \
           options['all'] = ' '.join(sorted(self.buildout['b'].copy()))\n\
         install =\n  open(location, 'w').write(options['x'] + self.buildout['b']['x'])\n\
         [b]\nrecipe = slapos.recipe.build\n\
         init =\n  options['x'] = self.buildout['c']['x'] * 2\n\
         [c]\nx = ho\n",
    )
    .unwrap();
    assert_eq!(yard.read("parts/a"), "hoho!hoho");
}

#[test]
fn a_section_without_a_recipe_can_be_read_at_any_time() {
    let yard = Yard::software();
    yard.run(
        "[buildout]\nparts = a\n[plain]\nk = v\n[a]\nrecipe = slapos.recipe.build\n\
         install =\n  open(location, 'w').write(self.buildout['plain']['k'])\n",
    )
    .unwrap();
    assert_eq!(yard.read("parts/a"), "v");
}

#[test]
fn sections_can_be_added_and_everything_later_depends_on_a_barrier() {
    let yard = Yard::software();
    let profile = |version: &str| {
        format!(
            "[buildout]\nparts = first later made\n\
             [first]\nrecipe = slapos.recipe.build\nversion = {version}\n\
             init =\n  self.buildout.parse('''\n    [made]\n    recipe = slapos.recipe.template\n    \
             inline = made ${{first:version}}\n    output = ${{buildout:directory}}/made\n    ''')\n  \
             options.barrier()\n\
             [later]\nrecipe = slapos.recipe.template\ninline = x\n\
             output = ${{buildout:directory}}/later\n"
        )
    };
    yard.run(&profile("1")).unwrap();
    assert_eq!(yard.read("made"), "made 1");
    let plan = yard.plan(&profile("2")).unwrap().to_string();
    assert!(plan.contains("install later: refers to first, which changed"), "{plan}");
}

#[test]
fn an_exception_shows_the_line_of_the_script_and_a_user_error_its_words_alone() {
    let yard = Yard::software();
    let error = yard
        .plan(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.build\ninit =\n  x = 1\n  \
             print(undefined_name)\n",
        )
        .unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r#"
    error: part `a`: NameError: name 'undefined_name' is not defined
     --> ROOT/build/test.cfg:7:3
      |
    7 |   print(undefined_name)
      |   ^^^^^^^^^^^^^^^^^^^^^
      |
      = note:   File "ROOT/build/test.cfg", line 7, in <module>
                  print(undefined_name)
    "#);
    let error = yard
        .plan(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.build\ninit =\n  \
             from zc.buildout import UserError\n  raise UserError('no such luck')\n",
        )
        .unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r"
    error: part `a`: no such luck
     --> ROOT/build/test.cfg:7:3
      |
    7 |   raise UserError('no such luck')
      |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    let error = yard
        .plan(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.build\ninit =\n  \
             self.buildout['b']\n[b]\nrecipe = slapos.recipe.template\ninline = x\noutput = ${c:x}\n",
        )
        .unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r"
    error: there is no section [c]
      --> ROOT/build/test.cfg:10:12
       |
    10 | output = ${c:x}
       |            ^ no such section
       |
       = note: [b] is needed by [a]
    ");
    let error = yard
        .run(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.build\ninstall =\n  \
             def deep(): return {}['x']\n  deep()\n",
        )
        .unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r#"
    part `a` failed: KeyError: 'x'
      defined at: ROOT/build/test.cfg:3
          File "ROOT/build/test.cfg", line 7, in <module>
            deep()
          File "ROOT/build/test.cfg", line 6, in deep
            def deep(): return {}['x']
    "#);
}

#[test]
fn a_host_that_dies_is_named() {
    let yard = Yard::software();
    let error = yard
        .run(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.build\ninstall =\n  \
             import os, sys\n  sys.stderr.write('last words\\n')\n  os.kill(os.getpid(), 9)\n",
        )
        .unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r"
    part `a` failed: the Python host was killed by signal 9 while it was working on part `a`
      defined at: ROOT/build/test.cfg:3
      log: ROOT/build/.slapos/log/a.log, which ends with:
        | last words
    ");
}

#[test]
fn hooks_of_a_compilation_change_its_environment_and_see_its_options() {
    let yard = Yard::software();
    yard.write("src/configure", "#!/bin/sh\n");
    yard.write("src/Makefile", "all:\n\ninstall:\n\techo \"$$HOOKED\" > $(prefix)/made\n");
    yard.write(
        "hooks.py",
        "import os\n\ndef before(options, buildout, environ):\n    \
         environ['HOOKED'] = buildout['other']['value']\n\n\ndef after(options, buildout):\n    \
         with open(os.path.join(options['location'], 'after'), 'w') as f:\n        \
         f.write(os.path.basename(os.getcwd()))\n",
    );
    let digest = slapos_sources::Digest::sha256_of(yard.read("hooks.py").as_bytes());
    let profile = format!(
        "[buildout]\nparts = a\n[other]\nvalue = from hook\n[a]\nrecipe = slapos.recipe.cmmi\n\
         path = {0}\nconfigure-command = true ${{other:value}}\n\
         pre-configure-hook = {1}:before\npost-make-hook = {1}#{2}:after\n",
        yard.path("src").display(),
        yard.path("hooks.py").display(),
        digest,
    );
    yard.run(&profile).unwrap();
    assert_eq!(yard.read("parts/a/made"), "from hook\n");
    assert_eq!(yard.read("parts/a/after"), "src");
}

/// A distribution with a recipe, in a directory that serves as an index.
fn distribution(yard: &Yard) {
    yard.write(
        "wheel/demo_recipe.py",
        "import os\n\n\nclass Recipe:\n    def __init__(self, buildout, name, options):\n        \
         self.options = options\n        options['made'] = os.path.join(buildout['buildout']['directory'], name)\n\n    \
         def install(self):\n        \
         with open(self.options.created(self.options['made'])[0], 'w') as file:\n            \
         file.write(self.options['text'])\n        return [self.options['made']]\n\n    \
         def update(self):\n        open(self.options['made'], 'a').write('+')\n\n\n\
         def uninstall(name, options):\n    with open('told', 'a') as file:\n        \
         file.write('%s %s\\n' % (name, options['text']))\n    \
         if options['text'] == 'keep':\n        options['__buildout_installed__'] = ''\n",
    );
    let info = "wheel/demo.recipe-1.0.dist-info";
    yard.write(
        &format!("{info}/METADATA"),
        "Metadata-Version: 2.1\nName: demo.recipe\nVersion: 1.0\n",
    );
    let wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    yard.write(&format!("{info}/WHEEL"), wheel);
    yard.write(
        &format!("{info}/entry_points.txt"),
        "[zc.buildout]\ndefault = demo_recipe:Recipe\n\
         [zc.buildout.uninstall]\ndefault = demo_recipe:uninstall\n",
    );
    yard.write(&format!("{info}/RECORD"), "");
    std::fs::create_dir_all(yard.path("index")).unwrap();
    let status = std::process::Command::new("python3")
        .args(["-m", "zipfile", "-c", "../index/demo.recipe-1.0-py3-none-any.whl"])
        .args(["demo_recipe.py", "demo.recipe-1.0.dist-info"])
        .current_dir(yard.path("wheel"))
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_recipe_of_a_python_distribution_is_run_by_the_host() {
    let yard = Yard::software();
    distribution(&yard);
    let profile = "\
[buildout]
parts = made seen
index = ${:directory}/index
[made]
recipe = demo.recipe
text = one
[seen]
recipe = slapos.recipe.template
inline = ${made:made}
output = ${buildout:directory}/seen
";
    yard.run(profile).unwrap();
    assert_eq!(yard.read("made"), "one");
    assert_eq!(yard.read("seen"), yard.path("made").display().to_string());
    assert_eq!(yard.run(profile).unwrap().updated, ["made"]);
    assert_eq!(yard.read("made"), "one+");
    yard.run(&profile.replace("= one", "= two")).unwrap();
    assert_eq!(yard.read("made"), "two");
    let error = yard.run(&profile.replace("demo.recipe", "demo.recipe:other")).unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r"
    error: part `made`: demo.recipe has no recipe called other
     --> ROOT/build/test.cfg:5:10
      |
    5 | recipe = demo.recipe:other
      |          ^^^^^^^^^^^^^^^^^
    ");
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(!yard.path("made").exists());
}

#[test]
fn what_init_prints_and_logs_is_told_with_the_plan() {
    let yard = Yard::software();
    let profile = "\
[buildout]
parts = a
[a]
recipe = slapos.recipe.build
init =
  import os, sys
  print('one')
  self.buildout['b']
  self.logger.info('two of %s', 'a')
  os.system('echo three; echo four >&2')
  sys.stderr.write('no end of line')
install =
  print('in the log')
  open(location, 'w').close()
[b]
recipe = slapos.recipe.build
init = print('of b')
";
    let plan = yard.plan(profile).unwrap();
    insta::assert_snapshot!(plan, @r"
    a: one
    b: of b
    a: a: two of a
    a: three
    a: four
    a: no end of line
    install b: never installed
    install a: never installed
    ");
    yard.run(profile).unwrap();
    assert_eq!(yard.read(".slapos/log/a.log"), "in the log\n");
    let error =
        yard.plan(&profile.replace("sys.stderr.write('no end of line')", "1/0")).unwrap_err();
    let text = yard.whole(&error);
    assert!(text.contains("before, it printed:") && text.contains("three"), "{text}");
}

#[test]
fn a_script_put_together_of_several_places_is_named_after_its_part() {
    let yard = Yard::software();
    let error = yard
        .run(
            "[buildout]\nparts = a\n[x]\nlines =\n  pass\n  pass\n\
             [a]\nrecipe = slapos.recipe.build\ninstall =\n  ${x:lines}\n  {}['x']\n",
        )
        .unwrap_err();
    assert!(yard.whole(&error).contains("File \"install of part a\", line"), "{error}");
    let error = yard
        .run(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.build\ninstall =\n  \
             from zc.buildout import UserError\n  raise UserError('no luck')\n",
        )
        .unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r"
    part `a` failed: no luck
      defined at: ROOT/build/test.cfg:3
        raised at ROOT/build/test.cfg:7
    ");
}

#[test]
fn a_hook_that_fails_is_named_as_the_profile_names_it() {
    let yard = Yard::software();
    yard.write("src/configure", "#!/bin/sh\n");
    yard.write("hooks.py", "# first\ndef before(options, buildout):\n    return {}['x']\n");
    let hook = yard.path("hooks.py").display().to_string();
    let profile = format!(
        "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.cmmi\npath = {}\n\
         pre-configure-hook = {hook}:before\n",
        yard.path("src").display(),
    );
    let error = yard.run(&profile).unwrap_err();
    let text = yard.whole(&error);
    assert!(text.contains("File \"ROOT/build/hooks.py\", line 3, in before"), "{text}");
    assert!(text.contains("return {}['x']"), "{text}");
}

#[test]
fn scripts_import_their_eggs_and_those_they_start_find_them() {
    let yard = Yard::software();
    distribution(&yard);
    let profile = "\
[buildout]
parts = a
index = ${:directory}/index
[a]
recipe = slapos.recipe.build
setup-eggs = demo.recipe
install =
  import demo_recipe, os
  assert demo_recipe.Recipe
  open(location, 'w').write(os.environ['PYTHONEXTRAPATH'])
";
    yard.run(profile).unwrap();
    assert!(yard.read("parts/a").contains("/demo.recipe-1.0-py3"), "{}", yard.read("parts/a"));
    let error = yard.error(&profile.replace("= demo.recipe", "= no-such.egg"));
    assert!(error.starts_with("ROOT/build/test.cfg:6: part `a`: "), "{error}");
}

#[test]
fn a_recipe_in_python_is_told_when_its_part_goes() {
    let yard = Yard::software();
    distribution(&yard);
    let profile = "\
[buildout]
parts = made
index = ${:directory}/index
[made]
recipe = demo.recipe
text = one
";
    let told = || std::fs::read_to_string(yard.path("told")).unwrap_or_default();
    yard.run(profile).unwrap();
    assert_eq!(told(), "");
    yard.run(&profile.replace("= one", "= two")).unwrap();
    assert_eq!(told(), "made one\n");
    assert_eq!(yard.read("made"), "two");
    // It may keep what it made.
    yard.run(&profile.replace("= one", "= keep")).unwrap();
    assert_eq!(told(), "made one\nmade two\n");
    yard.run("[buildout]\nparts =\n").unwrap();
    assert_eq!(told(), "made one\nmade two\nmade keep\n");
    assert_eq!(yard.read("made"), "keep");
    assert_eq!(std::fs::read_dir(yard.path(".slapos/recipes")).unwrap().count(), 0);
}
