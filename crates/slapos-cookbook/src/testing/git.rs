//! Working copies, cloned from a repository on the spot.

use super::*;

/// A bare repository and a place to commit from.
struct Origin<'y>(&'y Yard);

impl Origin<'_> {
    fn new(yard: &Yard) -> Origin<'_> {
        let origin = Origin(yard);
        let work = yard.root.path().join("work");
        std::fs::create_dir_all(&work).unwrap();
        origin.git(&["init", "-q", "-b", "main", "."]);
        origin.git(&["init", "-q", "-b", "main", "--bare", "../origin.git"]);
        origin.git(&["remote", "add", "origin", "../origin.git"]);
        origin
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.0.root.path().join("work"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits `file` and returns the revision.
    fn commit(&self, file: &str, content: &str) -> String {
        let path = self.0.root.path().join("work").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "-m", content]);
        self.git(&["push", "-q", "origin", "HEAD"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn profile(&self, options: &str) -> String {
        let repository = self.0.root.path().join("origin.git");
        format!(
            "[buildout]\nparts = clone\n[clone]\nrecipe = slapos.recipe.build:gitclone\n\
             repository = {}\n{options}",
            repository.display()
        )
    }
}

/// As [`Yard::run`], but with the network: repositories are asked.
fn run(yard: &Yard, profile: &str) -> Result<Outcome, BuildError> {
    let mut buildout = yard.buildout(profile, None);
    let plan = buildout.plan()?;
    buildout.execute(&plan, &slapos_engine::NoObserver)
}

#[test]
fn a_clone_follows_the_repository_and_stays_when_it_cannot_be_asked() {
    let yard = Yard::software();
    let origin = Origin::new(&yard);
    let first = origin.commit("a", "one");
    let profile = origin.profile("");
    run(&yard, &profile).unwrap();
    assert_eq!(yard.read("parts/clone/a"), "one");
    assert!(yard.read(".slapos/installed.json").contains(&first));
    assert!(yard.plan(&profile).unwrap().is_noop());
    let second = origin.commit("a", "two");
    let plan = yard.plan(&profile).unwrap().to_string();
    assert!(plan.contains(&first) && plan.contains(&second), "{plan}");
    run(&yard, &profile).unwrap();
    assert_eq!(yard.read("parts/clone/a"), "two");
    let (there, away) = (yard.root.path().join("origin.git"), yard.root.path().join("away"));
    std::fs::rename(there, away).unwrap();
    assert!(yard.plan(&profile).unwrap().is_noop());
}

#[test]
fn revisions_branches_depths_and_sparse_patterns_are_honoured() {
    let yard = Yard::software();
    let origin = Origin::new(&yard);
    let first = origin.commit("a", "one");
    origin.commit("dir/b", "two");
    origin.git(&["checkout", "-q", "-b", "side"]);
    let side = origin.commit("c", "three");
    run(&yard, &origin.profile(&format!("revision = {first}\nbranch = side\n"))).unwrap();
    assert!(yard.path("parts/clone/a").exists() && !yard.path("parts/clone/dir").exists());
    run(&yard, &origin.profile("branch = side\nlocation = elsewhere\n")).unwrap();
    assert_eq!(yard.read("elsewhere/c"), "three");
    assert!(!yard.path("parts/clone").exists());
    run(&yard, &origin.profile("sparse-checkout = /dir\nshared = true\n")).unwrap();
    assert_eq!(yard.read("parts/clone/dir/b"), "two");
    assert!(!yard.path("parts/clone/a").exists());
    assert!(yard.path("parts/clone/.git/objects/info/alternates").exists());
    let shallow = origin.profile("depth = 1\nbranch = side\nignore-cloning-submodules = true\n");
    run(&yard, &shallow.replace("repository = ", "repository = file://")).unwrap();
    assert_eq!(yard.read("parts/clone/.git/shallow").trim(), side);
    insta::assert_snapshot!(yard.error(&origin.profile("branch = none\n")), @"ROOT/build/test.cfg:6: ROOT/origin.git has no `none`");
    insta::assert_snapshot!(yard.error(&origin.profile("branch = --upload-pack=x\n")), @"ROOT/build/test.cfg:6: `branch` must not begin with `-`: `--upload-pack=x`");
}

#[test]
fn local_work_stays_when_the_part_goes() {
    let yard = Yard::software();
    let origin = Origin::new(&yard);
    origin.commit("a", "one");
    let nothing = "[buildout]\nparts =\n";
    run(&yard, &origin.profile("")).unwrap();
    run(&yard, nothing).unwrap();
    assert!(!yard.path("parts/clone").exists());
    run(&yard, &origin.profile("")).unwrap();
    yard.write("parts/clone/new", "mine");
    let warnings = yard.warnings(nothing).join("\n");
    insta::assert_snapshot!(warnings, @"what it made stays: ROOT/build/parts/clone has changes that are not committed");
    assert_eq!(yard.read("parts/clone/new"), "mine");
    std::fs::remove_dir_all(yard.path("parts/clone")).unwrap();
    run(&yard, &origin.profile("develop = false\n")).unwrap();
    yard.write("parts/clone/new", "mine");
    run(&yard, nothing).unwrap();
    assert!(!yard.path("parts/clone").exists());
}

#[test]
fn a_copy_that_is_developed_is_cloned_once_and_never_touched() {
    let yard = Yard::software();
    let origin = Origin::new(&yard);
    origin.commit("a", "one");
    let profile = origin.profile("develop = true\n");
    run(&yard, &profile).unwrap();
    yard.write("parts/clone/a", "mine");
    origin.commit("a", "two");
    run(&yard, &format!("{profile}other = 1\n")).unwrap();
    assert_eq!(yard.read("parts/clone/a"), "mine");
    std::fs::remove_dir_all(yard.path("parts/clone")).unwrap();
    run(&yard, &format!("{profile}other = 1\n")).unwrap();
    assert_eq!(yard.read("parts/clone/a"), "two");
    run(&yard, "[buildout]\nparts =\n").unwrap();
    assert_eq!(yard.read("parts/clone/a"), "two");
}
