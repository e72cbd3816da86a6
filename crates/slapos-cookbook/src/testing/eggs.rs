//! `zc.recipe.egg`: what is refused, and where. What it makes is compared with the original in
//! `tests/eggs_peer.rs`.

use super::Yard;

fn error(part: &str) -> String {
    Yard::software().error(&format!("[buildout]\nparts = p\n[p]\n{part}"))
}

#[test]
fn nonsense_is_refused_at_its_line() {
    insta::assert_snapshot!(error("recipe = zc.recipe.egg\neggs =\n  fine\n  not fine"), @"ROOT/build/test.cfg:7: `not fine` is not a requirement: `fine` is not a version");
    insta::assert_snapshot!(error("recipe = zc.recipe.egg\nentry-points = a=b:c d=e"), @"ROOT/build/test.cfg:5: `d=e` is not of the form name=module:attributes");
    insta::assert_snapshot!(error("recipe = zc.recipe.egg:script\ndependent-scripts = yes"), @"ROOT/build/test.cfg:5: `dependent-scripts` must be `true` or `false`, not `yes`");
    insta::assert_snapshot!(error("recipe = zc.recipe.egg:develop"), @"ROOT/build/test.cfg:3: part `p` lacks the option `setup`");
    insta::assert_snapshot!(error("recipe = zc.recipe.egg:custom\negg = a\n  b"), @"ROOT/build/test.cfg:5: `egg` must be exactly one requirement");
    let pinned = "recipe = zc.recipe.egg:eggs\neggs = a\n[versions]\na = newest";
    insta::assert_snapshot!(error(pinned), @"ROOT/build/test.cfg:5: [versions] `a = newest` is neither a version nor a comparison");
    let revision = "recipe = zc.recipe.egg:custom\negg = a\npatch-revision = 2\n\
                    [versions]\na = 1+SlapOSPatched001";
    insta::assert_snapshot!(error(revision), @"ROOT/build/test.cfg:6: `patch-revision = 2` is not what the version of a says");
}

#[test]
fn nothing_is_fetched_offline_and_the_error_says_so() {
    let yard = Yard::software();
    let profile = "[buildout]\nparts = p\noffline = true\n[p]\nrecipe = zc.recipe.egg:eggs\n\
                   eggs = no-such-thing\n";
    let error = yard.error(profile);
    assert!(error.contains("nothing may be fetched, and it is not in"), "{error}");
    assert!(error.contains("no-such-thing, asked for by the profile"), "{error}");
}

#[test]
fn an_unpinned_egg_is_refused_where_versions_may_not_be_picked() {
    let yard = Yard::software();
    let index = yard.path("index");
    std::fs::create_dir_all(&index).unwrap();
    std::fs::write(index.join("a-1.5.tar.gz"), "").unwrap();
    let profile = "[buildout]\nparts = p\nallow-picked-versions = false\nindex = index\n[p]\n\
                   recipe = zc.recipe.egg\neggs = a\n";
    let error = yard.error(profile);
    assert!(error.contains("has no version in [versions]"), "{error}");
    assert!(error.contains("add `a = 1.5` to [versions]"), "{error}");
}
