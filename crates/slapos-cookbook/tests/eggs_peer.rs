//! `zc.recipe.egg` run by zc.buildout and ours, on the same small distributions: the same scripts,
//! the same order of `sys.path`, the same options; and a module in C built by `:custom` from the
//! source of MarkupSafe.
//!
//! Skipped, with a line that says so, where the originals cannot be installed.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly, and fail by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use slapos_cookbook::{Ports, ProfileFiles, registry};
use slapos_engine::{Action, Buildout, NoObserver, Plan, Profile, Settings};
use slapos_profile::Location;
use slapos_sources::{Fetcher, FetcherConfig};
use slapos_testkit::{Entry, Run, skipped, tar_gz};

mod support;
use support::original;

const PROFILE: &str = include_str!("peer/eggs.cfg");

/// The tools that build sources, as wheels, and MarkupSafe as a source, in `dist`.
fn fetch(buildout: &Path, dist: &Path) -> Result<(), String> {
    let python = buildout.with_file_name("python");
    for arguments in [
        &["setuptools==67.8.0", "wheel==0.45.1"][..],
        &["--no-binary=:all:", "--no-build-isolation", "markupsafe==2.1.5"],
    ] {
        let output = Command::new("timeout")
            .arg("100")
            .arg(&python)
            .args(["-m", "pip", "download", "-q", "--no-deps", "--retries=1", "-d"])
            .arg(dist)
            .args(arguments)
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("cannot download: {}", told.lines().last().unwrap_or_default()));
        }
    }
    Ok(())
}

/// Puts a source distribution of setuptools into `dist`; `setup` are arguments of `setup()`.
fn source(dist: &Path, name: &str, version: &str, setup: &str, files: &[(&str, &str)]) {
    let top = format!("{name}-{version}");
    let text = format!(
        "from setuptools import setup\nsetup(name={name:?}, version={version:?}, {setup})\n"
    );
    let info = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    let file = |path: &str, text: &str| Entry::file(&format!("{top}/{path}"), 0o644, text);
    let mut entries = vec![file("setup.py", &text), file("PKG-INFO", &info)];
    entries.extend(files.iter().map(|(path, text)| file(path, text)));
    std::fs::write(dist.join(format!("{top}.tar.gz")), tar_gz(&entries)).unwrap();
}

fn distributions(dist: &Path) {
    let show = "import sys\ndef main(*words):\n    print(__name__, words, sys.argv[1:])\n";
    source(
        dist,
        "alpha",
        "1.0",
        "py_modules=['alpha'], install_requires=['beta>=1', 'gamma[x]', \
         'never; python_version < \"3\"'], entry_points={'console_scripts': \
         ['alpha-run = alpha:main', 'alpha-other = alpha:main']}",
        &[("alpha.py", show)],
    );
    source(
        dist,
        "ns.beta",
        "1.1",
        "packages=['ns', 'ns.beta'], namespace_packages=['ns'], install_requires=['delta'], \
         entry_points={'console_scripts': ['beta-run = ns.beta:main']}",
        &[
            ("ns/__init__.py", "__import__('pkg_resources').declare_namespace(__name__)\n"),
            ("ns/beta/__init__.py", show),
        ],
    );
    let gamma = "py_modules=['gamma'], install_requires=['ns.beta'], \
                 extras_require={'x': ['epsilon', 'delta']}";
    source(dist, "gamma", "2.0", gamma, &[("gamma.py", "")]);
    for (name, version) in [("beta", "1.5"), ("beta", "0.5"), ("delta", "3"), ("epsilon", "0.1")] {
        source(
            dist,
            name,
            version,
            &format!("py_modules=[{name:?}]"),
            &[(&format!("{name}.py"), "")],
        );
    }
}

fn tree(directory: &Path) {
    let tree = directory.join("tree/src/dev");
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::write(tree.join("__init__.py"), "def main():\n    print('dev')\n").unwrap();
    let setup = "from setuptools import setup\nsetup(name='dev-pkg', version='0.3', \
                 package_dir={'': 'src'}, packages=['dev'], install_requires=['delta'], \
                 entry_points={'console_scripts': ['dev-run = dev:main']})\n";
    std::fs::write(directory.join("tree/setup.py"), setup).unwrap();
}

/// Twice, because what was just installed comes first at the first time.
fn deploy_original(buildout: &Path, directory: &Path, profile: &str) {
    std::fs::write(directory.join("eggs.cfg"), profile).unwrap();
    for _ in 0..2 {
        let mut original = Command::new(buildout);
        original.args(["-c", "eggs.cfg"]).env("PIP_NO_BUILD_ISOLATION", "0");
        Run::well(original.current_dir(directory));
    }
}

struct Ours {
    directory: PathBuf,
    shared: PathBuf,
}

impl Ours {
    fn buildout(&self, profile: &str) -> Buildout {
        let config = FetcherConfig {
            offline: false,
            by_hash: false,
            ..FetcherConfig::new(self.directory.with_extension("cache"))
        };
        let fetcher = Arc::new(Fetcher::new(config));
        let name = self.directory.join("eggs.cfg").display().to_string();
        let base = Location::from_path(&self.directory).unwrap();
        let files = ProfileFiles::new(&fetcher);
        let profile = Profile::load_text(&name, profile, &base, &files, &[]).unwrap();
        let recipes =
            Arc::new(registry(Ports { fetcher: fetcher.clone(), slap: None, python: None }));
        let settings = Settings {
            jobs: 2,
            shared_part_list: vec![self.shared.clone()],
            ..Settings::new(&self.directory)
        };
        Buildout::new(profile, recipes, settings)
    }

    fn deploy(&self, profile: &str) -> Plan {
        let mut buildout = self.buildout(profile);
        let plan = buildout.plan().unwrap();
        buildout.execute(&plan, &NoObserver).unwrap_or_else(|error| panic!("{error:#?}\n{error}"));
        assert!(buildout.plan().unwrap().is_noop());
        plan
    }

    /// What is done with each part that is not kept.
    fn actions(plan: &Plan) -> Vec<String> {
        let steps = plan.steps.iter().filter(|step| step.action != Action::Keep);
        steps.map(|step| format!("{} {}: {}", step.action, step.part, step.why())).collect()
    }
}

/// Scripts by name, without what is different on purpose: where the buildout and its Python are,
/// how directories of eggs are named, and that the original has setuptools in its environment.
fn scripts(directory: &Path, python: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory.join("bin")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            let line = line.replace(&*directory.to_string_lossy(), "ROOT");
            let line = line.replace(&*python.to_string_lossy(), "PYTHON");
            if line.contains("site-packages") || line.contains("/setuptools-") {
                continue;
            }
            // The original does not find there what `:custom` put there, and installs it again.
            let line = line.replace("/develop-eggs/MarkupSafe", "/eggs/MarkupSafe");
            let line = match line.find("-py3.") {
                Some(at) if line.contains(".egg'") => format!("{}.egg',", &line[..at]),
                _ => line,
            };
            lines.push(line);
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // What the interpreter does is compared by running it.
        let text = if name.ends_with("py") {
            lines
                .into_iter()
                .take_while(|line| !line.contains(']'))
                .filter(|l| !l.is_empty())
                .collect::<Vec<_>>()
        } else {
            lines
        };
        found.insert(name, text.join("\n"));
    }
    found
}

fn run(directory: &Path, script: &str, arguments: &[&str]) -> String {
    let path = directory.join("bin").join(script);
    let output = Command::new(path).args(arguments).current_dir(directory).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}: {told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Source trees that `[buildout] develop` names are linked to, recorded and used as by the original.
fn trees_in_use(buildout: &Path, python: &Path, root: &Path) {
    let versions = PROFILE.split("[plain]").next().unwrap().split_once("[versions]").unwrap().1;
    let profile = format!(
        "[buildout]\nparts = script\ndevelop = tr?e\nexecutable = {}\n\
         find-links = ${{buildout:directory}}/../dist\nindex = ${{buildout:directory}}/../empty\n\
         [script]\nrecipe = zc.recipe.egg\neggs = dev-pkg\n[versions]{versions}",
        python.display()
    );
    let theirs = root.join("their-trees");
    let ours = Ours { directory: root.join("our-trees"), shared: root.join("shared") };
    for directory in [&theirs, &ours.directory] {
        std::fs::create_dir(directory).unwrap();
        tree(directory);
    }
    deploy_original(buildout, &theirs, &profile);
    ours.deploy(&profile);
    let told = |directory: &Path| {
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
        let installed = read(".installed.cfg");
        let links = installed.lines().find(|line| line.starts_with("installed_develop_eggs"));
        let link = links.unwrap().rsplit(['/', ' ']).next().unwrap();
        let text = format!("{} {}", links.unwrap(), read(&format!("develop-eggs/{link}")));
        // Newer ones of setuptools name the link as ours do.
        text.replace(&*directory.to_string_lossy(), "ROOT").replace("dev_pkg", "dev-pkg")
    };
    assert_eq!(told(&theirs), told(&ours.directory));
    assert_eq!(scripts(&theirs, python), scripts(&ours.directory, python));
    assert_eq!(run(&ours.directory, "dev-run", &[]), "dev\n");
}

#[test]
fn scripts_and_paths_are_those_of_the_original() {
    let name = "scripts_and_paths_are_those_of_the_original";
    let buildout = match original() {
        Ok(buildout) => buildout,
        Err(why) => return skipped(name, &why),
    };
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let dist = root.join("dist");
    std::fs::create_dir(&dist).unwrap();
    std::fs::create_dir(root.join("empty")).unwrap();
    if let Err(why) = fetch(&buildout, &dist) {
        return skipped(name, &why);
    }
    distributions(&dist);
    // The Python that the original names in scripts.
    let script = std::fs::read_to_string(&buildout).unwrap();
    let python = PathBuf::from(script.lines().next().unwrap().trim_start_matches("#!"));
    let theirs = root.join("peer");
    let ours = Ours { directory: root.join("ours"), shared: root.join("shared") };
    for directory in [&theirs, &ours.directory] {
        std::fs::create_dir(directory).unwrap();
        tree(directory);
    }
    deploy_original(&buildout, &theirs, PROFILE);
    let profile =
        PROFILE.replace("[buildout]", &format!("[buildout]\nexecutable = {}", python.display()));
    ours.deploy(&profile);

    let mut their_scripts = scripts(&theirs, &python);
    // With `dependent-scripts` the original also offers those of its own environment.
    let modules = ["alpha", "ns.beta", "gamma", "dev", "markupsafe._speedups"];
    let of_these = |text: &str| modules.iter().any(|m| text.contains(&format!("import {m}\n")));
    their_scripts.retain(|name, text| name.ends_with("py") || of_these(text));
    let our_scripts = scripts(&ours.directory, &python);
    assert!(our_scripts.len() >= 9, "{our_scripts:?}");
    for (name, text) in &their_scripts {
        assert_eq!(our_scripts.get(name), Some(text), "{name}");
    }
    their_scripts.retain(|name, _| !our_scripts.contains_key(name));
    assert_eq!(their_scripts, BTreeMap::new());
    for (script, arguments) in [
        ("alpha-run", &["a", "b"][..]),
        ("renamed", &[]),
        ("dev-run", &[]),
        ("beta-run", &["x"]),
        ("py", &["-c", "import alpha, ns.beta; print(alpha.__name__)"]),
        ("py", &["-m", "calendar", "2000", "1"]),
        ("speed-py", &["-c", "from markupsafe._speedups import escape; print(escape('<'))"]),
    ] {
        assert_eq!(
            run(&theirs, script, arguments),
            run(&ours.directory, script, arguments),
            "{script} {arguments:?}"
        );
    }
    let options = |directory: &Path| {
        let text = std::fs::read_to_string(directory.join("options")).unwrap();
        text.replace(&*directory.to_string_lossy(), "ROOT")
    };
    assert_eq!(options(&theirs), options(&ours.directory));

    // A pin changes what uses it, directly or not, and nothing else.
    let plan = ours.deploy(&profile.replace("epsilon = 0.1", "epsilon = 0.1\nunrelated = 1"));
    assert_eq!(Ours::actions(&plan), Vec::<String>::new());
    source(&dist, "epsilon", "0.2", "py_modules=['epsilon']", &[("epsilon.py", "")]);
    let plan = ours.deploy(&profile.replace("epsilon = 0.1", "epsilon = 0.2"));
    // `dependent` has gamma without the extra that needs it.
    let users = ["plain", "renamed", "interpreter", "relative", "eggs"].into_iter();
    let why = "the version of `epsilon` changed from 0.1 to 0.2";
    let wanted: Vec<String> = users.map(|part| format!("update {part}: {why}")).collect();
    assert_eq!(Ours::actions(&plan), wanted);
    let text = std::fs::read_to_string(ours.directory.join("bin/alpha-run")).unwrap();
    assert!(text.contains("epsilon-0.2-py"), "{text}");

    trees_in_use(&buildout, &python, &root);

    // An instance uses the eggs of its software, and builds none.
    let instance = Ours { directory: root.join("inst"), shared: root.join("nothing") };
    std::fs::create_dir(&instance.directory).unwrap();
    let text = format!(
        "[buildout]\nparts = plain\noffline = true\nexecutable = {}\neggs-directory = {1}/eggs\n\
         develop-eggs-directory = {1}/develop-eggs\n[plain]\nrecipe = zc.recipe.egg\neggs = alpha\n\
         [versions]\nepsilon = 0.2\n",
        python.display(),
        ours.directory.display()
    );
    instance.deploy(&text);
    assert_eq!(run(&instance.directory, "alpha-run", &[]), run(&ours.directory, "alpha-run", &[]));
}
