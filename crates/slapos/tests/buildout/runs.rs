//! What a run says and leaves.

use super::*;

pub(crate) const PROFILE: &str = "\
[buildout]
parts = dirs text shell tool

[values]
word = one

[dirs]
recipe = slapos.recipe.build:mkdirectory
etc = ${buildout:directory}/etc

[text]
recipe = slapos.recipe.template
inline = word ${values:word}
output = ${dirs:etc}/text

[shell]
recipe = plone.recipe.command
command = mkdir -p shell && echo ${values:word} > shell/f
location = ${buildout:directory}/shell
stop-on-error = true

[tool]
recipe = slapos.recipe.cmmi
url = ${buildout:directory}/tool-1.tar.gz
";

pub(crate) fn yard() -> Yard {
    let yard = Yard::with(PROFILE);
    std::fs::write(yard.path("tool-1.tar.gz"), archive("built")).unwrap();
    yard
}

#[test]
fn parts_are_installed_kept_and_uninstalled() {
    let yard = yard();
    insta::assert_snapshot!(yard.said(&["--dry-run"]), @r"
    install dirs: never installed
    install text: never installed
    install shell: never installed
    install tool: never installed
    ");
    assert!(!yard.path("etc").exists() && !yard.path(".installed.cfg").exists());
    let said = yard.said(&[]);
    let doing: Vec<&str> = said.lines().filter(|line| line.contains("nstalling ")).collect();
    assert_eq!(
        doing,
        ["Installing dirs.", "Installing text.", "Installing shell.", "Installing tool."]
    );
    assert_eq!(yard.read("parts/tool/bin/out"), "built\n");
    assert_eq!(yard.read("etc/text"), "word one");
    let installed = yard.read(".installed.cfg");
    let installed = installed.replace(&*yard.root().to_string_lossy(), "");
    let (start, _) = installed.split_once("recipe").unwrap();
    insta::assert_snapshot!(start, @r"
    [buildout]
    installed_develop_eggs = 
    parts = dirs text shell tool

    [dirs]
    __buildout_installed__ = 
    __buildout_signature__ = slapos.
    ");
    // Nothing is done twice.
    assert_eq!(yard.said(&[]), "");
    assert_eq!(yard.said(&["--dry-run"]), "nothing to do\n");
    // An assignment changes what refers to it, and no more.
    insta::assert_snapshot!(yard.said(&["values:word=two", "--dry-run"]), @r"
    install text: refers to values, which changed; content of the rendered text changed; option `inline` changed: `word one` → `word two` at /b/buildout.cfg:13
    install shell: refers to values, which changed; option `command` changed: `mkdir -p shell && echo one > shell/f` → `mkdir -p shell && echo two > shell/f` at /b/buildout.cfg:18
    2 parts are kept
    ");
    assert_eq!(yard.said(&["-q", "values:word=two"]), "");
    assert_eq!((yard.read("etc/text"), yard.read("shell/f")), ("word two".into(), "two\n".into()));
    insta::assert_snapshot!(yard.said(&["values:word=two", "buildout:parts=dirs shell"]), @r"
    Uninstalling tool.
    Uninstalling text.
    ");
    assert!(!yard.path("parts/tool").exists() && !yard.path("etc/text").exists());
    assert_eq!(yard.said(&["buildout:parts="]), "Uninstalling shell.\nUninstalling dirs.\n");
    assert!(!yard.path(".installed.cfg").exists());
}

#[test]
fn named_parts_are_installed_and_nothing_is_removed() {
    let yard = yard();
    yard.run(&["install", "shell"]);
    assert!(yard.path("shell/f").exists() && !yard.path("etc/text").exists());
    insta::assert_snapshot!(yard.said(&["install", "text"]), @r"
    Installing dirs.
    Installing text.
    ");
    assert!(yard.path("shell/f").exists());
    insta::assert_snapshot!(yard.said(&["install", "tetx"]), @r"
    error: there is no section [tetx]
    help: did you mean `text`?
    exit 1
    ");
}

#[test]
fn a_failing_change_keeps_what_works() {
    let yard = yard();
    yard.run(&[]);
    let before = yard.read(".installed.cfg");
    let broken = ["shell:command=echo new > shell-f; false", "-N"];
    insta::assert_snapshot!(yard.said(&broken), @r"
    Installing shell.
    shell: what was there before is in its place again
    error: part `shell` failed: the command ended with status 1
        defined at: /b/buildout.cfg:16
        command: echo new > shell-f; false
        log: /b/.slapos/log/shell.log, which ends with:
          | $ echo new > shell-f; false
    exit 1
    ");
    assert_eq!(yard.read("shell/f"), "one\n");
    assert_eq!(yard.read(".installed.cfg"), before);
    insta::assert_snapshot!(yard.said(&[&broken[..], &["--dry-run"]].concat()), @r"
    install shell: failed last time; option `command` changed: `mkdir -p shell && echo one > shell/f` → `echo new > shell-f; false` at <command line>:1
    3 parts are kept
    ");
    assert_eq!(yard.said(&[]), "");
}

#[test]
fn a_run_that_is_killed_is_mended_by_the_next() {
    let yard = yard();
    yard.run(&[]);
    let slow = "shell:command=mkdir shell; touch shell/half; exec sleep 1000";
    let mut child = yard.command(BINARY).args(["buildout", "-q", slow]).spawn().unwrap();
    slapos_testkit::wait_for("the command", 60, || yard.path("shell/half").exists().then_some(()));
    slapos_testkit::kill(child.id().into());
    child.wait().unwrap();
    insta::assert_snapshot!(yard.said(&["--dry-run"]), @r"
    warning: the last run ended while it made `shell` again: what was there is put back first
    nothing to do
    ");
    insta::assert_snapshot!(yard.said(&["install", "text"]), @r"
    shell: what was there before the run that did not end is put back
    the last run ended while it made `shell` again: what was there is put back first
    ");
    assert_eq!(yard.read("shell/f"), "one\n");
    assert!(!yard.path("shell/half").exists() && !yard.path(".slapos/aside").exists());
}

#[test]
fn defaults_of_the_user_lie_below_the_profile() {
    let yard = Yard::with("[buildout]\nparts =\n[values]\nword += mine\n");
    let home = yard.root().join("home/.buildout");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("default.cfg"), "[values]\nword = default\n").unwrap();
    assert_eq!(yard.said(&["query", "values:word"]), "default\nmine\n");
    assert_eq!(yard.said(&["-U", "query", "values:word"]), "\nmine\n");
    let other = yard.root().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("default.cfg"), "[values]\nword = other\n").unwrap();
    let mut command = yard.command(BINARY);
    let output = command.env("BUILDOUT_HOME", &other).args(["buildout", "query", "values:word"]);
    assert_eq!(yard.shown(&output.output().unwrap()), "other\nmine\n");
    insta::assert_snapshot!(yard.said(&["values:word+=more", "annotate", "values"]), @r"
    [values]
    word =
        default
        mine
        more
    #   =  /home/.buildout/default.cfg:2
    #   += /b/buildout.cfg:4
    #   += <command line>:1
    ");
    let json = yard.said(&["--json", "values:word-=default", "query", "values:word"]);
    assert_eq!(json, "\"mine\"\n");
}

#[test]
fn the_directory_is_that_of_the_profile_or_the_one_named() {
    let yard = Yard::with("");
    let profile = "[buildout]\nparts = a\n[a]\nrecipe = slapos.recipe.template\ninline = x\noutput = ${buildout:directory}/out\n";
    yard.write("sub/a.cfg", profile);
    assert_eq!(yard.said(&["-q", "-c", "sub/a.cfg"]), "");
    assert!(yard.path("sub/out").exists() && yard.path("sub/.installed.cfg").exists());
    std::fs::create_dir(yard.path("there")).unwrap();
    assert_eq!(yard.said(&["-qcsub/a.cfg", "directory=there", "installed=i.cfg"]), "");
    assert!(yard.path("there/out").exists() && yard.path("there/i.cfg").exists());
}

#[test]
fn a_directory_is_set_up_and_its_own_program_works() {
    let yard = Yard::new();
    insta::assert_snapshot!(yard.said(&["init"]).replace(&*yard.root().to_string_lossy(), ""), @r"
    Creating '/b/buildout.cfg'.
    Creating directory '/b/bin'.
    Creating directory '/b/parts'.
    Generated script '/b/bin/buildout'.
    ");
    insta::assert_snapshot!(yard.said(&["init"]), @r"
    error: /b/buildout.cfg exists already
    help: use `bootstrap`, or another name with -c
    exit 1
    ");
    yard.write("buildout.cfg", PROFILE);
    let output = yard.command(yard.path("bin/buildout")).args(["-v", "install", "text"]).output();
    let said = yard.shown(&output.unwrap());
    // How long it took is different every time.
    let told: Vec<&str> = said.lines().map(|line| line.split(" in ").next().unwrap()).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    Parts: 2 to install, 0 to update, 0 to keep, 0 to remove.
    Installing dirs.
    dirs: never installed
    dirs: done
    Installing text.
    text: never installed
    text: done
    ");
    let version = yard.command(yard.path("bin/buildout")).arg("--version").output().unwrap();
    assert!(yard.shown(&version).starts_with("buildout version "));
}
