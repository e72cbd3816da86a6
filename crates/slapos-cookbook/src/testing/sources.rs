//! Where bytes come from: what must be verified, what is declared, and what offline means.

use super::compile::{SOURCE, answer, archive};
use super::*;

fn section(text: &str) -> String {
    format!("[buildout]\nparts = p\n\n[p]\n{text}")
}

/// One section of each kind that names something on the network without a digest.
fn unverified() -> [(&'static str, String); 6] {
    let with_url = |recipe: &str, more: &str| {
        section(&format!("recipe = {recipe}\nurl = http://127.0.0.1:9/x\n{more}"))
    };
    [
        ("download", with_url("slapos.recipe.build:download", "")),
        ("unpacked", with_url("slapos.recipe.build:download-unpacked", "")),
        ("cmmi", with_url("slapos.recipe.cmmi", "")),
        ("template", with_url("slapos.recipe.template", "output = out\n")),
        ("jinja2", with_url("slapos.recipe.template:jinja2", "output = out\n")),
        (
            "patch",
            section(
                "recipe = slapos.recipe.cmmi\nurl = /nowhere.tar\npatches =\n  /local.patch\n  \
                 http://127.0.0.1:9/x.patch\n",
            ),
        ),
    ]
}

#[test]
fn what_comes_over_the_network_needs_a_digest() {
    let yard = Yard::software();
    let errors = unverified().map(|(name, text)| format!("{name}: {}", yard.error(&text)));
    insta::assert_snapshot!(errors.join("\n"), @r"
    download: ROOT/build/test.cfg:6: what comes over the network needs a digest, so that it can be verified
    unpacked: ROOT/build/test.cfg:6: what comes over the network needs a digest, so that it can be verified
    cmmi: ROOT/build/test.cfg:6: what comes over the network needs a digest, so that it can be verified
    template: ROOT/build/test.cfg:6: what comes over the network needs a digest, so that it can be verified
    jinja2: ROOT/build/test.cfg:6: what comes over the network needs a digest, so that it can be verified
    patch: ROOT/build/test.cfg:9: what comes over the network needs a digest, so that it can be verified
    ");
    let Err(BuildError::Profile(error)) = yard.run(&unverified()[0].1) else { panic!("accepted") };
    insta::assert_snapshot!(yard.clean(&error.render(false)), @r"
    error: what comes over the network needs a digest, so that it can be verified
     --> ROOT/build/test.cfg:6:7
      |
    6 | url = http://127.0.0.1:9/x
      |       ^^^^^^^^^^^^^^^^^^^^
      |
      = help: add `sha256sum = HEX` or `md5sum = HEX`, or `allow-unverified = true` to take whatever the server sends
    ");
}

#[test]
fn a_section_may_take_what_nothing_verifies_but_not_for_a_shared_part() {
    let yard = Yard::software();
    for (name, text) in unverified() {
        let error = yard.error(&format!("{text}allow-unverified = true\n"));
        let goes_on = if name == "patch" { "/nowhere.tar" } else { "the fetcher is offline" };
        assert!(error.contains(goes_on), "{name}: {error}");
    }
    let shared = format!("{}allow-unverified = true\nshared = true\n", unverified()[2].1);
    insta::assert_snapshot!(yard.error(&shared), @"ROOT/build/test.cfg:6: what comes over the network needs a digest, so that it can be verified");
    let registry =
        section("recipe = slapos.recipe.cmmi\nurl = crate:x=1\nallow-unverified = true\n");
    insta::assert_snapshot!(yard.error(&registry), @"ROOT/build/test.cfg:6: what comes over the network needs a digest, so that it can be verified");
    let alternate = section(
        "recipe = slapos.recipe.build:download\nurl = /nowhere\n\
         alternate-url = http://127.0.0.1:9/x\n",
    );
    insta::assert_snapshot!(yard.error(&alternate), @"ROOT/build/test.cfg:7: what comes over the network needs a digest, so that it can be verified");
}

#[test]
fn an_offline_profile_asks_nobody() {
    let yard = Yard { online: true, ..Yard::software() };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let digest = "0".repeat(64);
    for (recipe, more) in [
        ("slapos.recipe.build:download", format!("sha256sum = {digest}\n")),
        ("slapos.recipe.cmmi", format!("sha256sum = {digest}\n")),
        ("slapos.recipe.template", format!("sha256sum = {digest}\noutput = out\n")),
        ("slapos.recipe.template:jinja2", "allow-unverified = true\noutput = out\n".to_owned()),
    ] {
        let text = section(&format!("recipe = {recipe}\nurl = http://{address}/x\n{more}"));
        let error = yard.error(&text.replace("parts = p\n", "parts = p\noffline = true\n"));
        assert!(error.contains("the fetcher is offline"), "{recipe}: {error}");
    }
    assert!(listener.accept().is_err(), "somebody asked");
}

/// The compiled part at its place, shared or not.
fn compiled(more: &str, file: &std::path::Path) -> String {
    let file = file.display();
    format!(
        "[buildout]\nparts = out\nshared-part-list = ${{:directory}}/shared\n\n\
         [answer]\nrecipe = slapos.recipe.cmmi\nurl = {file}\n{more}\n\
         [out]\nrecipe = slapos.recipe.template\noutput = ${{buildout:directory}}/out\n\
         inline = ${{answer:location}}\n"
    )
}

fn patch(word: &str) -> String {
    format!(
        "--- answer.c\n+++ answer.c\n@@ -1,2 +1,2 @@\n #include <stdio.h>\n\
         -int main(void) {{ printf(\"%d\\n\", ANSWER); return 0; }}\n\
         +int main(void) {{ printf(\"{word}\\n\"); return 0; }}\n"
    )
}

#[test]
fn an_edited_archive_or_patch_compiles_again_and_elsewhere_if_shared() {
    for shared in ["", "shared = true\n"] {
        let yard = Yard::software();
        let built = || answer(&PathBuf::from(yard.read("out")).join("bin/answer"));
        let file = archive(&yard, SOURCE);
        yard.write("fix.patch", &patch("one"));
        let text = compiled(&format!("{shared}patches = fix.patch\n"), &file);
        yard.run(&text).unwrap();
        assert_eq!(built(), "one\n");
        assert!(yard.plan(&text).unwrap().is_noop());
        let place = yard.read("out");
        yard.write("fix.patch", &patch("two"));
        yard.run(&text).unwrap();
        assert_eq!(built(), "two\n");
        assert_eq!(yard.read("out") == place, shared.is_empty());

        let plain = compiled(shared, &file);
        yard.run(&plain).unwrap();
        assert_eq!(built(), "1\n");
        archive(&yard, "#include <stdio.h>\nint main(void) { puts(\"new\"); return 0; }\n");
        yard.run(&plain).unwrap();
        assert_eq!(built(), "new\n");
    }
}

#[test]
fn the_hash_of_a_shared_part_does_not_depend_on_where_the_profile_is() {
    let shared = tempfile::tempdir().unwrap();
    let places = [(); 2].map(|()| {
        let yard = Yard::software();
        yard.write("fix.patch", &patch("one"));
        let more = "shared = true\npatches = ${:_profile_base_location_}/fix.patch\n";
        let list = format!("shared-part-list = {}", shared.path().display());
        let text = compiled(more, "${:_profile_base_location_}/answer.tar.gz".as_ref())
            .replace("shared-part-list = ${:directory}/shared", &list);
        // Two archives made now would differ by their times, which is not what this is about.
        let same = shared.path().join("answer.tar.gz");
        if !same.exists() {
            std::fs::copy(archive(&yard, SOURCE), &same).unwrap();
        }
        std::fs::copy(&same, yard.path("answer.tar.gz")).unwrap();
        yard.run(&text).unwrap();
        yard.read("out")
    });
    assert_eq!(places[0], places[1]);
}

#[test]
fn an_edited_archive_is_unpacked_again() {
    let yard = Yard::software();
    let file = archive(&yard, SOURCE);
    let text = section(&format!(
        "recipe = slapos.recipe.build:download-unpacked\nurl = {}\n",
        file.display()
    ));
    yard.run(&text).unwrap();
    assert!(yard.plan(&text).unwrap().is_noop());
    archive(&yard, "int main;\n");
    yard.run(&text).unwrap();
    assert_eq!(yard.read("parts/p/answer.c"), "int main;\n");
}
