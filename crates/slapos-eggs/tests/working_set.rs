//! Working sets made from a directory of small distributions written on the spot, without an
//! index; and, where the index can be reached, a module in C built from its source.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly, and fail by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use slapos_eggs::{
    BuildExt, Call, Custom, Direct, EggError, Eggs, Patches, Pins, PythonPlaces, Settings, Shelves,
    Work, WorkingSet,
};
use slapos_sources::{Fetcher, FetcherConfig, Progress};
use slapos_testkit::{Entry, skipped, tar_gz};

/// A build system that is part of every source here: it copies `*.py` and writes the metadata.
const BACKEND: &str = r#"
import os, zipfile
def _meta(): return open('META').read()
def build_wheel(out, settings=None, metadata=None):
    meta = _meta()
    field = dict(l.split(': ', 1) for l in meta.splitlines() if ': ' in l)
    stem = '%s-%s' % (field['Name'].replace('-', '_'), field['Version'])
    name = stem + '-py3-none-any.whl'
    with zipfile.ZipFile(os.path.join(out, name), 'w') as z:
        for f in sorted(os.listdir('.')):
            if f.endswith('.py') and f != 'backend.py':
                z.write(f, f)
        z.writestr(stem + '.dist-info/METADATA', meta)
        z.writestr(stem + '.dist-info/WHEEL', 'Wheel-Version: 1.0\n')
        if os.path.exists('ENTRY'):
            z.write('ENTRY', stem + '.dist-info/entry_points.txt')
        z.writestr(stem + '.dist-info/RECORD', stem + '.dist-info/METADATA,,\n')
        z.writestr(stem + '.data/scripts/old-%s' % field['Name'], '#!python\nimport sys\n')
    return name
"#;

struct Yard {
    root: tempfile::TempDir,
    warnings: Mutex<Vec<String>>,
}

impl Progress for Yard {}

impl Work for Yard {
    fn run(&self, call: &Call) -> Result<(), EggError> {
        Direct.run(call)
    }

    fn warn(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }
}

impl Yard {
    fn new() -> Self {
        let yard = Self { root: tempfile::tempdir().unwrap(), warnings: Mutex::default() };
        std::fs::create_dir(yard.path("dist")).unwrap();
        yard
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    /// Puts a source distribution into the directory; `headers` are lines of metadata.
    fn source(&self, name: &str, version: &str, headers: &str) {
        let meta = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{headers}");
        let module = format!("version = {version:?}\n");
        let project =
            "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n";
        let top = format!("{name}-{version}");
        let file = |file: &str, text: &str| Entry::file(&format!("{top}/{file}"), 0o600, text);
        let entries = [
            file("META", &meta),
            file("backend.py", BACKEND),
            file("pyproject.toml", project),
            file(&format!("{}.py", name.replace('-', "_")), &module),
        ];
        std::fs::write(self.path("dist").join(format!("{top}.tar.gz")), tar_gz(&entries)).unwrap();
    }

    fn eggs(&self) -> Eggs {
        let mut config = FetcherConfig::new(self.path("cache"));
        config.by_hash = false;
        Eggs::new(Arc::new(Fetcher::new(config)))
    }

    fn settings(&self, eggs: &Eggs, pins: &[(&str, &str)]) -> Settings {
        let python = eggs.interpreter(Path::new("python3")).unwrap();
        let shelves = Shelves {
            eggs: self.path("eggs"),
            develop: Some(self.path("develop-eggs")),
            store: Some(self.path("store")),
        };
        let dist = self.path("dist").display().to_string();
        Settings {
            pins: Pins::new(pins.iter().map(|(name, pin)| (*name, *pin))),
            places: PythonPlaces { index: Some(dist), links: Vec::new() },
            jobs: 2,
            environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            ..Settings::new(python, shelves)
        }
    }

    fn set(&self, pins: &[(&str, &str)], wanted: &[&str]) -> Result<WorkingSet, EggError> {
        let eggs = self.eggs();
        let wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
        eggs.working_set(&self.settings(&eggs, pins), &wanted, self)
    }

    fn error(&self, pins: &[(&str, &str)], wanted: &[&str]) -> String {
        let error = self.set(pins, wanted).unwrap_err();
        let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{error}{help}").replace(&*self.path("").to_string_lossy(), "ROOT/")
    }
}

fn names(set: &WorkingSet) -> String {
    let shown = set.distributions().iter().map(ToString::to_string);
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn distributions_are_made_once_and_come_in_order() {
    let yard = Yard::new();
    yard.source("a", "1.0", "Requires-Dist: c\nRequires-Dist: d[x]>=1; python_version >= '3'\n");
    yard.source("b", "1.0", "Requires-Dist: e\nRequires-Dist: f; os_name == 'nt'\n");
    yard.source("c", "1.0", "");
    yard.source("d", "1.0", "Provides-Extra: x\nRequires-Dist: g; extra == 'x'\n");
    yard.source("e", "1.0", "");
    yard.source("e", "2.0rc1", "");
    yard.source("g", "1.0", "");
    yard.source("g", "1.1", "");
    let set = yard.set(&[("g", "1.0")], &["a", "b"]).unwrap();
    assert_eq!(names(&set), "a 1.0, b 1.0, e 1.0, d 1.0, c 1.0, g 1.0");
    assert_eq!(set.required_by("g"), "d 1.0");
    let first = &set.distributions()[0].location;
    assert_eq!(first.parent(), Some(&*yard.path("eggs")));
    assert!(std::fs::read_link(first).unwrap().starts_with(yard.path("store")));
    assert_eq!(set.distributions()[0].old_scripts().unwrap()[0].0, "old-a");
    assert!(first.join("EGG-INFO/scripts/old-a").is_file());
    // Python finds each once by its name, and its entry points.
    let ask = "import sys, importlib.metadata as m; sys.path[:0] = sys.argv[1:]; m.entry_points(); \
               print(m.version('a'), m.version('g'))";
    let output = Command::new("python3").args(["-c", ask]).args(set.paths()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1.0 1.0\n", "{output:?}");
    let all = Command::new("find").arg(first).args(["-L", "!", "-perm", "-444"]).output();
    assert_eq!(String::from_utf8_lossy(&all.unwrap().stdout), "");

    // Nothing is made again, and nothing need be reachable.
    std::fs::remove_dir_all(yard.path("dist")).unwrap();
    std::fs::remove_dir_all(yard.path("cache")).unwrap();
    assert_eq!(yard.set(&[("g", "1.0")], &["a", "b"]).unwrap(), set);
    // Another buildout takes from the store what is pinned.
    std::fs::remove_dir_all(yard.path("eggs")).unwrap();
    let pins = [("c", "1.0")];
    assert_eq!(names(&yard.set(&pins, &["c"]).unwrap()), "c 1.0");
}

/// A source whose build makes a module that only looks like one compiled from C.
fn compiled(yard: &Yard, name: &str) {
    yard.source(name, "1.0", "");
    let backend = BACKEND.replace(
        "z.writestr(stem + '.dist-info/METADATA', meta)",
        "z.writestr(stem + '.dist-info/METADATA', meta); z.writestr('x.so', 'for ' + os.environ['PATH'])",
    );
    let meta = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
    let project =
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n";
    let entries = [("META", meta.as_str()), ("backend.py", &backend), ("pyproject.toml", project)]
        .map(|(file, text)| Entry::file(&format!("{name}-1.0/{file}"), 0o600, text));
    std::fs::write(yard.path("dist").join(format!("{name}-1.0.tar.gz")), tar_gz(&entries)).unwrap();
}

#[test]
fn what_is_compiled_here_is_shared_by_those_who_compile_alike() {
    let yard = Yard::new();
    compiled(&yard, "c");
    yard.source("pure", "1.0", "");
    let eggs = yard.eggs();
    let wanted = ["c".to_owned(), "pure".to_owned()];
    let places = |path: &str| -> Vec<PathBuf> {
        let mut settings = yard.settings(&eggs, &[("c", "1.0"), ("pure", "1.0")]);
        settings.environment.insert("PATH".to_owned(), path.to_owned());
        let set = eggs.working_set(&settings, &wanted, &yard).unwrap();
        set.distributions().iter().map(|d| std::fs::read_link(&d.location).unwrap()).collect()
    };
    let (first, other) = (places("/usr/bin:/bin"), places("/bin:/usr/bin"));
    assert_ne!(first[0], other[0], "another compiler may be found");
    assert_eq!(first[1], other[1], "Python is the same for all");
    assert_eq!(first[0].parent().unwrap().parent(), first[1].parent());
    let read = |egg: &Path| std::fs::read_to_string(egg.join("x.so")).unwrap();
    assert_eq!(read(&other[0]), "for /bin:/usr/bin");
    // Nothing is made again for the first, though the shelf led to the other.
    std::fs::remove_dir_all(yard.path("dist")).unwrap();
    assert_eq!(places("/usr/bin:/bin"), first);
    // Where nothing can be made, what is there will do.
    let settings = yard.settings(&eggs, &[]);
    let mut settings = Settings { offline: true, ..settings };
    settings.environment.insert("PATH".to_owned(), "/none".to_owned());
    assert!(eggs.working_set(&settings, &wanted, &yard).is_ok());
}

#[test]
fn what_cannot_be_is_said_with_who_wants_it() {
    let yard = Yard::new();
    yard.source("a", "1.0", "Requires-Dist: b>=2\nRequires-Dist: c\n");
    yard.source("b", "1.0", "");
    yard.source("b", "3.0", "");
    yard.source("c", "1.0", "Requires-Dist: b<2\n");
    insta::assert_snapshot!(yard.error(&[], &["a"]), @"b<2, required by c 1.0, contradicts b 3.0, required by a 1.0; pin a version in [versions] that suits both");
    insta::assert_snapshot!(yard.error(&[("b", "1.0")], &["a"]), @"b>=2, required by a 1.0, is not what [versions] says: `b = 1.0`; change `b` in [versions], or the requirement");
    insta::assert_snapshot!(yard.error(&[], &["zz"]), @"no distribution of zz, asked for by the profile: nothing is known of a project `zz`");
    insta::assert_snapshot!(yard.error(&[], &["b>3"]), @"no distribution of b>3, asked for by the profile: of the 2 versions that this Python takes, the newest is 3.0");
    insta::assert_snapshot!(yard.error(&[], &["b[x]"]), @"b 3.0 has no extra `x`, asked for by the profile; `allow-unknown-extras = true` in [buildout] takes it without");
    let eggs = yard.eggs();
    let mut settings = yard.settings(&eggs, &[("a", "1.0"), ("b", "3.0")]);
    settings.allow_picked_versions = false;
    let error = eggs.working_set(&settings, &["a".to_owned()], &yard).unwrap_err();
    insta::assert_snapshot!(error, @"`c`, required by a 1.0, has no version in [versions], and `allow-picked-versions = false`");
    insta::assert_snapshot!(error.help().unwrap(), @"add `c = 1.0` to [versions]");
    settings.offline = true;
    let error = eggs.working_set(&settings, &["b ==1.0".to_owned()], &yard).unwrap_err();
    insta::assert_snapshot!(error, @"b==1.0, asked for by the profile, is not what [versions] says: `b = 3.0`");
    let error = eggs.working_set(&settings, &["d".to_owned()], &yard).unwrap_err();
    assert!(error.to_string().contains("nothing may be fetched"), "{error}");
}

#[test]
fn a_patched_version_is_built_from_its_source_with_the_patches() {
    let yard = Yard::new();
    yard.source("a", "1.0", "");
    let patch = yard.path("change.patch");
    let text = "--- a.py\n+++ a.py\n@@ -1 +1 @@\n-version = \"1.0\"\n+version = \"better\"\n";
    std::fs::write(&patch, text).unwrap();
    let eggs = yard.eggs();
    let mut settings = yard.settings(&eggs, &[("a", "1.0+SlapOSPatched001")]);
    let wanted = ["a".to_owned()];
    let error = eggs.working_set(&settings, &wanted, &yard).unwrap_err().to_string();
    assert!(error.contains("`a-patches`"), "{error}");
    let patches =
        Patches { files: vec![patch], binary: String::new(), options: vec!["-p0".into()] };
    settings.patches.insert("a".to_owned(), patches);
    let set = eggs.working_set(&settings, &wanted, &yard).unwrap();
    let found = &set.distributions()[0];
    assert_eq!(found.to_string(), "a 1.0+slapospatched001");
    let text = std::fs::read_to_string(found.location.join("a.py")).unwrap();
    assert_eq!(text, "version = \"better\"\n");
    // Others find it where it is.
    settings.patches.clear();
    assert_eq!(eggs.working_set(&settings, &wanted, &yard).unwrap(), set);
}

#[test]
fn the_forked_buildout_is_replaced_by_its_release() {
    let yard = Yard::new();
    yard.source("zc.buildout", "3.0.1", "");
    yard.source("zc.buildout", "3.1", "");
    let pins = [("zc.buildout", "3.0.1+slapos010")];
    let eggs = yard.eggs();
    let mut settings = yard.settings(&eggs, &pins);
    settings.allow_picked_versions = false;
    let set = eggs.working_set(&settings, &["zc.buildout".to_owned()], &yard).unwrap();
    assert_eq!(names(&set), "zc.buildout 3.0.1");
    assert!(yard.warnings.lock().unwrap()[0].contains("3.0.1+slapos010 is not published"));
}

#[test]
fn several_that_want_the_same_egg_make_it_once() {
    let yard = Yard::new();
    yard.source("a", "1.0", "");
    let eggs = yard.eggs();
    let settings = yard.settings(&eggs, &[("a", "1.0")]);
    let builds = std::sync::atomic::AtomicUsize::new(0);
    struct Counting<'a>(&'a std::sync::atomic::AtomicUsize);
    impl Progress for Counting<'_> {
        fn text(&self, text: &str) {
            let one = usize::from(text.starts_with("build "));
            self.0.fetch_add(one, std::sync::atomic::Ordering::SeqCst);
        }
    }
    impl Work for Counting<'_> {
        fn run(&self, call: &Call) -> Result<(), EggError> {
            Direct.run(call)
        }
        fn warn(&self, _text: &str) {}
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                eggs.working_set(&settings, &["a".to_owned()], &Counting(&builds)).unwrap();
            });
        }
    });
    assert_eq!(builds.into_inner(), 1);
}

/// Settings that use the index of this machine; `None` when it cannot be reached.
fn online(name: &str, yard: &Yard) -> Option<(Eggs, Settings)> {
    let eggs = yard.eggs();
    let mut settings =
        yard.settings(&eggs, &[("setuptools", "67.8.0:whl"), ("wheel", "0.45.1:whl")]);
    settings.places = PythonPlaces::default();
    match eggs.working_set(&settings, &["setuptools".to_owned()], yard) {
        Ok(_) => Some((eggs, settings)),
        Err(error) => {
            skipped(name, &error.to_string());
            None
        }
    }
}

#[test]
fn a_module_in_c_is_built_with_the_options_asked_for() {
    let yard = Yard::new();
    let Some((eggs, mut settings)) =
        online("a_module_in_c_is_built_with_the_options_asked_for", &yard)
    else {
        return;
    };
    settings.pins =
        Pins::new([("MarkupSafe", "2.1.5"), ("setuptools", "67.8.0:whl"), ("wheel", "0.45.1:whl")]);
    settings.environment.insert("CFLAGS".to_owned(), "-g0".to_owned());
    let build_ext = [("rpath".to_owned(), "/some/where/lib".to_owned())].into();
    let custom = Custom {
        requirement: "MarkupSafe".to_owned(),
        build_ext: BuildExt(build_ext),
        ..Custom::default()
    };
    let made = eggs.custom(&settings, &custom, &yard).unwrap();
    assert!(made.starts_with(yard.path("store")), "{made:?}");
    assert_eq!(eggs.custom(&settings, &custom, &yard).unwrap(), made);
    let path = settings.shelves.special_place(&made, &settings.python).unwrap();
    Shelves::link(&made, &path).unwrap();
    assert_eq!(path.parent(), Some(&*yard.path("develop-eggs")));
    let set = eggs.working_set(&settings, &["markupsafe".to_owned()], &yard).unwrap();
    assert_eq!(set.paths(), std::slice::from_ref(&path));
    let module = std::fs::read_dir(path.join("markupsafe")).unwrap();
    let module =
        module.map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "so"));
    let bytes = std::fs::read(module.unwrap()).unwrap();
    assert!(bytes.windows(15).any(|window| window == b"/some/where/lib"));
    let check = "import markupsafe._speedups as s; print(s.escape('<'))";
    let output = Command::new(&settings.python.executable)
        .args(["-S", "-c", check])
        .env("PYTHONPATH", &path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "&lt;\n", "{output:?}");
}

#[test]
fn a_source_tree_is_used_where_it_is() {
    let yard = Yard::new();
    let Some((eggs, settings)) = online("a_source_tree_is_used_where_it_is", &yard) else {
        return;
    };
    let tree = yard.path("tree");
    std::fs::create_dir_all(tree.join("src/pkg")).unwrap();
    let setup = "from setuptools import setup\nsetup(name='my-pkg', version='1.5', \
                 package_dir={'': 'src'}, packages=['pkg'], install_requires=['setuptools'], \
                 entry_points={'console_scripts': ['go = pkg:go']})\n";
    std::fs::write(tree.join("setup.py"), setup).unwrap();
    std::fs::write(tree.join("src/pkg/__init__.py"), "def go(): print('gone')\n").unwrap();
    let link = eggs.develop(&settings, &tree, &BuildExt::default(), &[], &yard).unwrap();
    link.write().unwrap();
    assert_eq!(link.path, yard.path("develop-eggs/my_pkg.egg-link"));
    let text = std::fs::read_to_string(&link.path).unwrap();
    assert_eq!(text, format!("{}\n../", tree.join("src").display()));
    let set = eggs.working_set(&settings, &["setuptools".into(), "my.pkg".into()], &yard).unwrap();
    assert_eq!(names(&set), "my-pkg 1.5, setuptools 67.8.0");
    assert_eq!(set.distributions()[0].console_scripts().unwrap()[0].name, "go");
    assert!(!tree.join("setup.cfg").exists());
}
