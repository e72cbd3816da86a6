//! `slapos.recipe.cmmi` with a real shell, make and compiler on tiny sources.

use std::path::Path;
use std::process::Command;

use super::*;

const CONFIGURE: &str = r#"#!/bin/sh
set -e
for option; do case "$option" in --prefix=*) prefix=${option#--prefix=};; esac; done
test -n "$prefix"
case "$CFLAGS" in *-DANSWER=*) ;; *) CFLAGS="$CFLAGS -DANSWER=1";; esac
sed -e "s|@prefix@|$prefix|" -e "s|@CFLAGS@|$CFLAGS|" Makefile.in > Makefile
"#;

const MAKEFILE: &str = "\
prefix = @prefix@
all: answer
answer: answer.c
\tgcc @CFLAGS@ -o answer answer.c
install: all
\tmkdir -p $(prefix)/bin
\tcp answer $(prefix)/bin/answer
";

pub(super) const SOURCE: &str =
    "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", ANSWER); return 0; }\n";

/// Packs a source tree as upstream would; returns the archive's path.
pub(super) fn archive(yard: &Yard, source: &str) -> PathBuf {
    let tree = yard.root.path().join("answer-1.0");
    std::fs::create_dir_all(&tree).unwrap();
    for (name, content) in
        [("configure", CONFIGURE), ("Makefile.in", MAKEFILE), ("answer.c", source)]
    {
        std::fs::write(tree.join(name), content).unwrap();
    }
    Command::new("chmod").arg("+x").arg(tree.join("configure")).status().unwrap();
    let file = yard.root.path().join("answer-1.0.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(yard.root.path()).arg("-czf").arg(&file).arg("answer-1.0");
    assert!(tar.status().unwrap().success());
    file
}

fn sha256(file: &Path) -> String {
    slapos_sources::Digest::sha256_of(&std::fs::read(file).unwrap()).hex()
}

fn profile(file: &Path, more: &str) -> String {
    format!(
        "[buildout]\nparts = answer\n\n[answer]\nrecipe = slapos.recipe.cmmi\nurl = {}\n\
         sha256sum = {}\n{more}",
        file.display(),
        sha256(file)
    )
}

pub(super) fn answer(program: &Path) -> String {
    String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap()
}

#[test]
fn a_source_is_configured_made_and_installed() {
    let yard = Yard::software();
    let text = profile(
        &archive(&yard, SOURCE),
        "environment =\n  CFLAGS = -O1 -DANSWER=42\n  PATH = /nowhere:%(PATH)s\n\
         pre-configure = echo \"$PATH\" > path; test \"$HOME\" = %(compile-directory)s\n\
         post-install =\n  mkdir %(prefix)s/share\n  cp path %(location)s/share\n\
         promises = parts/answer/bin/answer\n  parts/answer/lib\n",
    );
    let warnings = yard.warnings(&text);
    assert_eq!(answer(&yard.path("parts/answer/bin/answer")), "42\n");
    assert_eq!(yard.read("parts/answer/share/path"), "/nowhere:/usr/local/bin:/usr/bin:/bin\n");
    assert!(!yard.path("parts/answer/.build").exists());
    assert!(!yard.path("parts/answer/.tmp").exists());
    insta::assert_snapshot!(warnings.join("\n"), @"it promised to make parts/answer/lib, which does not exist");
    assert!(yard.plan(&text).unwrap().is_noop());
}

#[test]
fn a_compiler_error_is_shown_as_it_is() {
    let yard = Yard::software();
    let text = profile(&archive(&yard, "int main(void) { return missing; }\n"), "");
    let error = yard.error(&text);
    let lines: Vec<&str> = error.lines().collect();
    insta::assert_snapshot!(lines[..4].join("\n"), @r"
    part `answer` failed: the command ended with status 2
      defined at: ROOT/build/test.cfg:4
      command: make
      log: ROOT/build/.slapos/log/answer.log, which ends with:
    ");
    assert!(error.contains("answer.c:1:25: error: 'missing' undeclared"), "{error}");
    assert!(error.contains("make: *** [Makefile:4: answer] Error 1"), "{error}");
    // For people who look into it.
    let script = "parts/answer/.build/answer-1.0/slapos.recipe.build.env.sh";
    assert!(yard.read(script).contains("export LC_ALL=C\n"));
    let fixed = profile(&archive(&yard, SOURCE), "");
    yard.run(&fixed).unwrap();
    assert_eq!(answer(&yard.path("parts/answer/bin/answer")), "1\n");
}

#[test]
fn a_build_that_was_killed_is_made_again_from_its_beginning() {
    let yard = Yard::software();
    let text = profile(&archive(&yard, SOURCE), "");
    yard.run(&text).unwrap();
    let ledger = yard.path(".slapos/installed.json");
    let cut = yard.read(".slapos/installed.json").replace("\"installed\"", "\"installing\"");
    std::fs::write(&ledger, cut).unwrap();
    std::fs::write(yard.path("parts/answer/bin/answer"), "half").unwrap();
    insta::assert_snapshot!(yard.plan(&text).unwrap(), @"install answer: interrupted last time");
    yard.run(&text).unwrap();
    assert_eq!(answer(&yard.path("parts/answer/bin/answer")), "1\n");
}

#[test]
fn patches_are_applied_before_anything_is_configured() {
    let yard = Yard::software();
    let patch = "--- answer.c\n+++ answer.c\n@@ -1,2 +1,2 @@\n #include <stdio.h>\n\
                 -int main(void) { printf(\"%d\\n\", ANSWER); return 0; }\n\
                 +int main(void) { printf(\"patched %d\\n\", ANSWER); return 0; }\n";
    let file = yard.write("fix.patch", patch);
    let digest = sha256(&file);
    let more = format!("patches = {}#sha256={digest}\n", file.display());
    yard.run(&profile(&archive(&yard, SOURCE), &more)).unwrap();
    assert_eq!(answer(&yard.path("parts/answer/bin/answer")), "patched 1\n");
}

#[test]
fn a_shared_part_is_built_once_for_all_and_knows_its_place() {
    let shared = tempfile::tempdir().unwrap();
    let place = shared.path().display();
    let first = Yard::software();
    let file = archive(&first, SOURCE);
    let text =
        profile(&file, "shared = true\npost-install = echo @@LOCATION@@ > %(location)s/place\n")
            .replace(
                "parts = answer\n",
                &format!("parts = answer user\nshared-part-list = {place}\n"),
            );
    let text = format!(
        "{text}\n[user]\nrecipe = slapos.recipe.template\noutput = ${{buildout:directory}}/out\n\
         inline = ${{answer:location}}\n"
    );
    first.run(&text).unwrap();
    let location = PathBuf::from(first.read("out"));
    assert!(location.starts_with(shared.path().join("answer")), "{}", location.display());
    assert_eq!(
        std::fs::read_to_string(location.join("place")).unwrap(),
        format!("{}\n", location.display())
    );
    assert_eq!(answer(&location.join("bin/answer")), "1\n");
    let second = Yard::software();
    second.run(&text).unwrap();
    assert_eq!(second.read("out"), first.read("out"));
    assert!(second.read(".slapos/log/answer.log").contains("already built at"));
}

#[test]
fn a_source_directory_can_be_built_in_place() {
    let yard = Yard::software();
    archive(&yard, SOURCE);
    let tree = yard.root.path().join("answer-1.0");
    let text = format!(
        "[buildout]\nparts = answer\n[answer]\nrecipe = slapos.recipe.cmmi\npath = {}\n\
         configure-command = ./configure --prefix=/not/here\n",
        tree.display()
    );
    // With a configure command of one's own, the place is told to make instead.
    yard.run(&text).unwrap();
    assert_eq!(answer(&yard.path("parts/answer/bin/answer")), "1\n");
    assert!(tree.join("Makefile").exists());
}

#[test]
fn a_wrong_checksum_builds_nothing() {
    let yard = Yard::software();
    let text = profile(&archive(&yard, SOURCE), "");
    let wrong = text
        .replace("sha256sum = ", "sha256sum = 0000000000000000")
        .lines()
        .map(|line| if line.starts_with("sha256sum") { &line[..12 + 64] } else { line })
        .collect::<Vec<_>>()
        .join("\n");
    let error = yard.error(&wrong);
    assert!(error.starts_with("part `answer` failed: "), "{error}");
    assert!(error.contains("sha256:0000000000000000"), "{error}");
    assert!(!yard.path("parts/answer/bin").exists());
}

#[test]
fn options_that_make_no_sense_are_refused_at_their_line() {
    let yard = Yard::software();
    let file = archive(&yard, SOURCE);
    insta::assert_snapshot!(yard.error(&profile(&file, "path = /x\n")), @"ROOT/build/test.cfg:8: `path` and `url` exclude each other: give one of them");
    insta::assert_snapshot!(yard.error(&profile(&file, "post-make-hook = /x.py:hook\n")), @r#"
    part `answer` failed: file:///x.py could not be fetched
      file:///x.py: cannot read "/x.py": No such file or directory (os error 2)
      help: run once with access to the network, or put the file into the download cache as sha256/HEX
      defined at: ROOT/build/test.cfg:4
      log: ROOT/build/.slapos/log/answer.log, which ends with:
        | unpacking
        | configure
        | $ ./configure --prefix="ROOT/build/parts/answer"
        | make
        | $ make
        | gcc  -DANSWER=1 -o answer answer.c
        | make install
        | $ make  install
        | mkdir -p ROOT/build/parts/answer/bin
        | cp answer ROOT/build/parts/answer/bin/answer
        | post-make-hook
    "#);
    insta::assert_snapshot!(yard.error(&profile(&file, "location = /opt\n")), @"ROOT/build/test.cfg:8: `location` is decided by the recipe: it is ROOT/build/parts/answer");
    insta::assert_snapshot!(yard.error(&profile(&file, "shared = yes\n")), @"ROOT/build/test.cfg:8: `shared` must be `true` or `false`, not `yes`");
    insta::assert_snapshot!(yard.error(&profile(&file, "pre-build = date +%F\n")), @r#"
    part `answer` failed: pre-build: `%F` is neither `%(name)s` nor `%%` (a percent sign is written `%%`)
      defined at: ROOT/build/test.cfg:4
      command: date +%F
      log: ROOT/build/.slapos/log/answer.log, which ends with:
        | unpacking
        | configure
        | $ ./configure --prefix="ROOT/build/parts/answer"
    "#);
}

#[test]
fn the_location_may_be_named_everywhere_and_empty_targets_are_none() {
    let yard = Yard::software();
    let text = profile(
        &archive(&yard, SOURCE),
        "shared = true\nlocation = @@LOCATION@@\nenvironment =\n  CFLAGS=-DANSWER=7\n  \
         WHERE=@@LOCATION@@\nconfigure-command = ./configure --prefix=${:location}\n\
         make-targets =\n  all\n  install\npost-install = echo $WHERE > %(location)s/where\n",
    );
    let shared = yard.path("shared").display().to_string();
    let text = text.replacen("[buildout]", &format!("[buildout]\nshared-part-list = {shared}"), 1);
    yard.run(&text).unwrap();
    let made = std::fs::read_dir(yard.path("shared/answer")).unwrap();
    let made = made.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    assert_eq!(answer(&made.join("bin/answer")), "7\n");
    let place = std::fs::read_to_string(made.join("where")).unwrap();
    assert_eq!(place.trim(), made.display().to_string());

    let yard = Yard::software();
    let text = profile(&archive(&yard, SOURCE), "make-targets =\nmake-binary = :\n");
    yard.run(&text).unwrap();
    assert!(!yard.path("parts/answer/bin").exists());
}
