//! Downloads, commands and what only Python can do.

use super::*;

#[test]
fn a_download_is_verified_copied_and_kept() {
    let yard = Yard::software();
    let file = yard.write("upstream.txt", "content\n");
    let digest = slapos_sources::Digest::sha256_of(b"content\n").hex();
    let profile = format!(
        "[buildout]\nparts = d e\n[d]\nrecipe = slapos.recipe.build:download\nurl = {0}\n\
         sha256sum = {digest}\nfilename = here.txt\n\
         [e]\nrecipe = slapos.recipe.build:download\nurl = file://{0}\n\
         destination = ${{buildout:directory}}/deep/e\nuse = ${{d:target}}\n",
        file.display()
    );
    yard.run(&profile).unwrap();
    assert_eq!(yard.read("parts/d/here.txt"), "content\n");
    assert_eq!(yard.read("deep/e"), "content\n");
    assert_eq!(yard.mode("deep/e"), 0o644);
    assert!(yard.plan(&profile).unwrap().is_noop());
    std::fs::remove_file(yard.path("deep/e")).unwrap();
    assert_eq!(yard.run(&profile).unwrap().installed, ["e"]);
    let wrong = profile.replace(&digest, &"0".repeat(64));
    assert!(yard.error(&wrong).contains(&"0".repeat(64)));
    insta::assert_snapshot!(yard.error(&profile.replace("filename =", "mode = 0644\nfilename =")), @"ROOT/build/test.cfg:7: `mode` is not an option of this recipe");
}

#[test]
fn an_archive_is_unpacked_without_its_top_directory() {
    let yard = Yard::software();
    let tree = yard.write("tree-1/sub/file", "x\n");
    let top = tree.parent().unwrap().parent().unwrap().to_owned();
    let archive = yard.path("tree.tar.gz");
    let mut tar = std::process::Command::new("tar");
    tar.arg("-C").arg(yard.path("")).arg("-czf").arg(&archive).arg(top.file_name().unwrap());
    assert!(tar.status().unwrap().success());
    let profile = format!(
        "[buildout]\nparts = a b\nshared-part-list = ${{:directory}}/shared\n\
         [a]\nrecipe = slapos.recipe.build:download-unpacked\nurl = {0}\n\
         md5sum = {1}\n\
         [b]\n<= a\nstrip-top-level-dir = false\ndestination = there\n\
         [c]\n<= a\nshared = true\n",
        archive.display(),
        md5(&archive),
    );
    yard.run(&profile).unwrap();
    assert_eq!(yard.read("parts/a/sub/file"), "x\n");
    assert_eq!(yard.read("there/tree-1/sub/file"), "x\n");
    yard.run(&profile.replace("parts = a b", "parts = c")).unwrap();
    assert!(!yard.path("parts/a").exists() && !yard.path("there").exists());
    let shared: Vec<_> = std::fs::read_dir(yard.path("shared/c")).unwrap().collect();
    assert_eq!(shared.len(), 2, "the part and its lock");
}

fn md5(file: &std::path::Path) -> String {
    use md5::Digest as _;
    let digest = md5::Md5::digest(std::fs::read(file).unwrap());
    slapos_sources::Digest::Md5(digest.into()).hex()
}

#[test]
fn commands_run_in_order_and_may_fail_quietly() {
    let yard = Yard::software();
    let profile = "\
[buildout]
parts = one two

[one]
recipe = plone.recipe.command
command = echo 1 > made; false
location = ${buildout:directory}/made

[two]
recipe = plone.recipe.command
command = cat made > two
update-command = echo again >> two
stop-on-error = true
";
    assert_eq!(
        yard.warnings(profile),
        ["the command ended with status 1, which `stop-on-error` does not mind"]
    );
    assert_eq!(yard.read("two"), "1\n");
    assert_eq!(yard.run(profile).unwrap().updated, ["two"]);
    assert_eq!(yard.read("two"), "1\nagain\n");
    let fails = profile.replace("= cat made > two", "= echo no; exit 3");
    insta::assert_snapshot!(yard.error(&fails), @r"
    part `two` failed: the command ended with status 3
      defined at: ROOT/build/test.cfg:9
      command: echo no; exit 3
      log: ROOT/build/.slapos/log/two.log, which ends with:
        | $ echo no; exit 3
        | no
    ");
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(!yard.path("made").exists());
}

#[test]
fn recipes_that_nobody_has_are_refused_and_mistakes_are_guessed() {
    let yard = Yard::software();
    let profile = |recipe: &str| format!("[buildout]\nparts = p\n[p]\nrecipe = {recipe}\n");
    let error = yard.run(&profile("some.egg:entry")).unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r"
    error: there is no recipe `some.egg:entry`, which part `p` needs
     --> ROOT/build/test.cfg:4:10
      |
    4 | recipe = some.egg:entry
      |          ^^^^^^^^^^^^^^
      |
      = note: it is not native, and no distribution of some.egg, asked for by the profile: not asked, because the fetcher is offline
    ");
    let error = yard.run(&profile("slapos.recipe.cmi")).unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r"
    error: there is no recipe `slapos.recipe.cmi`, which part `p` needs
     --> ROOT/build/test.cfg:4:10
      |
    4 | recipe = slapos.recipe.cmi
      |          ^^^^^^^^^^^^^^^^^
      |
      = help: did you mean `slapos.recipe.cmmi`?
    ");
    let error = yard.run(&profile("slapos.cookbook:wraper")).unwrap_err();
    insta::assert_snapshot!(yard.whole(&error), @r"
    error: there is no recipe `slapos.cookbook:wraper`, which part `p` needs
     --> ROOT/build/test.cfg:4:10
      |
    4 | recipe = slapos.cookbook:wraper
      |          ^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: it is not native, and no distribution of slapos.cookbook, asked for by the profile: not asked, because the fetcher is offline
      = help: did you mean `slapos.cookbook:wrapper`?
    ");
}

#[test]
fn directories_are_made_with_their_mode_and_again_when_they_vanish() {
    let yard = Yard::software();
    let profile = "[buildout]\nparts = d\n[d]\nrecipe = slapos.recipe.build:mkdirectory\n\
                   mode = 0750\na = one/two\nb = ${:a}/three\n";
    yard.run(profile).unwrap();
    assert_eq!(yard.mode("one/two/three"), 0o750);
    assert!(yard.plan(profile).unwrap().is_noop());
    std::fs::remove_dir(yard.path("one/two/three")).unwrap();
    let plan = yard.plan(profile).unwrap().to_string();
    insta::assert_snapshot!(yard.clean(&plan), @"update  d: ROOT/build/one/two/three is missing");
    yard.run(profile).unwrap();
    assert!(yard.path("one/two/three").is_dir());
}

#[test]
fn a_command_never_loses_what_was_there_before_it() {
    let yard = Yard::software();
    yard.write("mine/file", "precious");
    let profile = "[buildout]\nparts = c\n[c]\nrecipe = plone.recipe.command\n\
                   command = test -e mine/file; exit 1\nstop-on-error = true\n\
                   location = ${buildout:directory}/mine\n";
    assert!(yard.run(profile).is_err());
    assert!(yard.run(profile).is_err());
    assert_eq!(yard.read("mine/file"), "precious");
    yard.run(&profile.replace("exit 1", "exit 0")).unwrap();
    assert_eq!(yard.read("mine/file"), "precious");
}

#[test]
fn the_python_of_buildout_is_the_machines_or_the_one_that_the_profile_builds() {
    let yard = Yard::software();
    let profile = |buildout: &str| {
        format!(
            "[buildout]\nparts = t\n{buildout}\n[t]\nrecipe = slapos.recipe.template\n\
             inline = ${{buildout:executable}}\noutput = ${{buildout:directory}}/t\n\
             [python]\nrecipe = slapos.recipe.build\ninit =\n  options['executable'] = '/own'\n"
        )
    };
    yard.run(&profile("")).unwrap();
    assert!(yard.read("t").ends_with("/bin/python3"));
    yard.run(&profile("python = python")).unwrap();
    assert!(yard.read("t").ends_with("/bin/python3"));
    yard.run(&profile("python = python\nextensions = slapos.rebootstrap")).unwrap();
    assert_eq!(yard.read("t"), "/own");
    yard.run(&profile("executable = /said")).unwrap();
    assert_eq!(yard.read("t"), "/said");
}
