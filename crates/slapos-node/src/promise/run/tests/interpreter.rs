//! Whose Python and whose slapos.core runs plugins, and what happens when it fails.

use super::*;

/// A Software Release that brings slapos.core, as far as a promise can tell.
#[test]
fn what_a_software_release_brings_is_what_runs() {
    let mut partition = Partition::new();
    partition.write("eggs/core/slapos/__init__.py", "");
    partition.write("eggs/core/slapos/grid/__init__.py", "");
    partition.write("eggs/core/slapos/grid/promise/__init__.py", "");
    partition.write(
        "eggs/core/slapos/grid/promise/interface.py",
        "class IPromise:\n    @staticmethod\n    def implementedBy(cls):\n        return True\n",
    );
    partition.write(
        "eggs/core/slapos/grid/promise/generic.py",
        "import datetime, logging
class Result:
    message, date = 'theirs', datetime.datetime(2026, 1, 2, 3, 4, 5)
    def type(self):
        return 'Test Result'
    def hasFailed(self):
        return False
class Item:
    item = Result()
class GenericPromise:
    def __init__(self, config):
        self.queue = config['queue']
    def getPeriodicity(self):
        return 3
    def run(self, check_anomaly=False, can_bang=True):
        assert not can_bang
        self.queue.put_nowait(Item())
",
    );
    let eggs = partition.path("eggs/core");
    let theirs = format!(
        "import sys\nsys.path[0:0] = ({:?},)\n\nfor module in list(sys.modules):\n  if 'slapos' in module:\n    del sys.modules[module]\nfrom slapos.grid.promise.generic import GenericPromise\nclass RunPromise(GenericPromise): pass\n",
        eggs.display().to_string()
    );
    partition.write("etc/plugin/theirs.py", &theirs);
    // Its own Python, as what starts `bin/buildout` says.
    let python = machine_python();
    partition.write("soft/bin/buildout", &format!("#!/bin/sh\nexec {python} \"$0\" \"$@\"\n"));
    partition.software = Some(partition.path("soft"));
    let result = partition.test().remove(0);
    assert_eq!((result.failed, result.message.as_str()), (false, "theirs"));
    assert_eq!(result.date.to_string(), "2026-01-02T03:04:05Z");
    assert_eq!(result.periodicity, 180.0);
}

fn machine_python() -> String {
    slapos_cookbook::machine_python().unwrap().display().to_string()
}

#[test]
fn plugins_that_throw_our_modules_away_get_them_again() {
    let purge = "import sys\nfor module in list(sys.modules):\n  if 'slapos' in module or 'pkg_resources' in module:\n    del sys.modules[module]\n";
    let body = plugin("    def sense(self):\n        self.logger.info('fine')\n");
    let partition = Partition::with(&[("etc/plugin/a.py", &format!("{purge}{body}"))]);
    assert_eq!(partition.tested()["a.py"], (false, "fine".into()));
}

/// `pkg_resources` makes a namespace once; a plugin that throws its modules away, and not that, has it
/// made again from all eggs.
#[test]
fn a_namespace_of_several_eggs_is_whole_for_each_plugin() {
    let partition = Partition::new();
    partition.write(
        "eggs/setuptools/pkg_resources.py",
        "import os, sys
_namespace_packages = {None: []}
def declare_namespace(name):
    if name in _namespace_packages:
        return
    _namespace_packages[None].append(name)
    _namespace_packages[name] = []
    places = [os.path.join(place, name) for place in sys.path]
    sys.modules[name].__path__ = [place for place in places if os.path.isdir(place)]
",
    );
    let namespace = "__import__('pkg_resources').declare_namespace(__name__)\n";
    for (egg, below) in [("toolbox", "tool"), ("core", "collect")] {
        partition.write(&format!("eggs/{egg}/slapos/__init__.py"), namespace);
        partition.write(&format!("eggs/{egg}/slapos/{below}.py"), "");
    }
    let eggs = ["toolbox", "core", "setuptools"].map(|egg| partition.path(&format!("eggs/{egg}")));
    let start = format!(
        "import sys\nsys.path[0:0] = {eggs:?}\n\nfor name in [name for name in sys.modules if 'slapos' in name]:\n    del sys.modules[name]\n"
    );
    let grid = partition.path("eggs/core/slapos/grid/promise");
    for below in ["", "promise/"] {
        partition.write(&format!("eggs/core/slapos/grid/{below}__init__.py"), "");
    }
    let modules = [
        ("generic", include_str!("../../../../promise/generic.py")),
        ("interface", include_str!("../../../../promise/interface.py")),
    ];
    for (name, text) in modules {
        std::fs::write(grid.join(format!("{name}.py")), text).unwrap();
    }
    let body = plugin("    def sense(self):\n        self.logger.info('fine')\n");
    partition
        .write("etc/plugin/a.py", &format!("{start}import slapos.tool, slapos.collect\n{body}"));
    assert_eq!(partition.tested()["a.py"], (false, "fine".into()));
}

#[test]
fn a_python_that_cannot_run_promises_is_told_of() {
    let mut partition =
        Partition::with(&[("etc/plugin/a.py", &plugin("    def sense(self): pass\n"))]);
    partition.write("soft/bin/buildout", "#!/bin/false\n");
    partition.software = Some(partition.path("soft"));
    let (failed, message) = &partition.tested()["a.py"];
    assert!(*failed && message.starts_with("Error: /bin/false cannot run promises: "), "{message}");
    partition.write("python", "#!/bin/sh\necho no memory >&2; exit 1\n");
    let named = format!("#!{}\n", partition.path("python").display());
    partition.write("soft/bin/buildout", &named);
    let (_, message) = &partition.tested()["a.py"];
    assert!(message.ends_with("no memory"), "{message}");
}

#[test]
fn one_that_kills_its_python_takes_no_other_ways_with_it() {
    let kill =
        plugin("    def sense(self):\n        os.kill(os.getppid(), 9)\n        time.sleep(600)\n");
    let wait = "    def sense(self):
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.01)
";
    let mut partition = Partition::with(&[
        ("etc/plugin/kill.py", &kill),
        ("etc/plugin/wait.py", &plugin(wait)),
        ("etc/promise/good", "#!/bin/sh\necho fine\n"),
    ]);
    partition.timeout = Duration::from_secs(5);
    let tested = partition.tested();
    assert_eq!(tested["good"], (false, "fine".into()));
    assert!(tested["kill.py"].0, "{tested:?}");
    assert_eq!(tested.len(), 3);
    // The next check has a Python of its own.
    std::fs::remove_file(partition.path("etc/plugin/kill.py")).unwrap();
    partition.write(
        "etc/plugin/wait.py",
        &plugin("    def sense(self):\n        self.logger.info('back')\n"),
    );
    assert_eq!(partition.tested()["wait.py"], (false, "back".into()));
}

#[test]
fn what_was_compiled_is_kept_and_what_is_damaged_is_compiled_again() {
    let fine = plugin("    def sense(self):\n        self.logger.info('fine')\n");
    let partition = Partition::with(&[("etc/plugin/fine.py", &fine)]);
    let check = || assert_eq!(partition.tested()["fine.py"], (false, "fine".into()));
    let kept = partition.path(".slapgrid/promise/host");
    check();
    let whole = std::fs::read(&kept).unwrap();
    let written = || kept.metadata().unwrap().modified().unwrap();
    let before = written();
    check();
    assert_eq!(written(), before, "it was compiled again");
    let mut other = whole.clone();
    other[0] = b'x';
    for damaged in [&[][..], &whole[..20], &whole[..whole.len() - 1], &other] {
        std::fs::write(&kept, damaged).unwrap();
        check();
        let again = std::fs::read(&kept).unwrap();
        assert!(again.len() > 20 && again[..20] == whole[..20], "{}", damaged.len());
    }
}
