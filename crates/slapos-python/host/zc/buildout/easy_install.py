"""What recipes import from `zc.buildout.easy_install`: distributions, found by the engine."""
import os
import sys

from slapos_host.wire import ask

from . import UserError

is_win32 = is_jython = is_cygwin = False
is_distribute = False
script_header = "#!%(python)s"
_versions = {}
_picks = [True]


class Distribution:
    """A distribution, where there is no `pkg_resources` to describe it."""

    def __init__(self, name, version, location):
        self.project_name = name
        self.key = name.lower()
        self.version = version
        self.location = location

    def as_requirement(self):
        return "%s==%s" % (self.project_name, self.version)

    def __repr__(self):
        return "%s %s (%s)" % (self.project_name, self.version, self.location)


class WorkingSet:
    """Distributions that work together, in the order of `sys.path`."""

    def __init__(self, entries=()):
        self.entries = list(entries)
        self.by_key = {}

    def add(self, distribution):
        self.by_key.setdefault(distribution.key, distribution)
        if distribution.location not in self.entries:
            self.entries.append(distribution.location)

    def add_entry(self, entry):
        if entry not in self.entries:
            self.entries.append(entry)

    def __iter__(self):
        return iter(list(self.by_key.values()))

    def __contains__(self, distribution):
        return self.by_key.get(distribution.key) is distribution


def _working_set(specs, working_set=None):
    found = ask("distributions", request={"requirements": [str(spec) for spec in specs]})
    try:
        import pkg_resources
    except ImportError:
        working_set = WorkingSet() if working_set is None else working_set
        for dist in found:
            working_set.add(Distribution(dist["name"], dist["version"], dist["location"]))
        return working_set
    if working_set is None:
        working_set = pkg_resources.WorkingSet([])
    for dist in found:
        working_set.add_entry(dist["location"])
    return working_set


def install(specs, dest=None, working_set=None, **_):
    """The distributions that `specs` need; the engine decides where they are put."""
    return _working_set(specs, working_set)


def working_set(specs, path=None, **_):
    """The distributions that `specs` need."""
    return _working_set(specs)


class Installer:
    """Finds distributions; the engine's settings hold, whatever is given here."""

    def __init__(self, dest=None, *args, **kw):
        pass

    def install(self, specs, working_set=None):
        return _working_set(specs, working_set)


def sort_working_set(ws, eggs_dir=None, develop_eggs_dir=None):
    """The engine orders working sets already."""
    return ws


def default_versions(versions=None):
    """The pins of the profile; setting them has no effect but on what this returns."""
    global _versions
    old = _versions
    if versions is not None:
        _versions = versions
    return old


def allow_picked_versions(setting=None):
    """Whether unpinned distributions may be picked; the profile decides."""
    old = _picks[0]
    if setting is not None:
        _picks[0] = bool(setting)
    return old


def _safe_arg(argument):
    return argument


def get_version(executable=sys.executable):
    """Major and minor version of this Python."""
    return "%d.%d" % sys.version_info[:2]


def _missing(name):
    def function(*args, **kw):
        raise UserError(
            "a recipe calls zc.buildout.easy_install.%s, which cannot be used here: "
            "have a zc.recipe.egg part do it" % name
        )

    function.__name__ = name
    return function


def scripts(reqs, working_set, executable=None, dest=None, scripts=None, extra_paths=(),
            arguments="", interpreter=None, initialization="", relative_paths=False):
    """Write scripts that call entry points with the distributions of a working set; their paths."""
    if relative_paths:
        raise UserError("scripts with relative paths cannot be written for a recipe here")
    paths = [path for path in working_set.entries if path not in extra_paths] + list(extra_paths)
    head = "#!%s\n\nimport sys\nsys.path[0:0] = [\n%s  ]\n" % (
        executable or sys.executable,
        "".join("  %r,\n" % path for path in paths),
    )
    if initialization:
        head += "\n%s\n" % initialization
    made = []
    for name, module, attrs in _entry_points(reqs, paths):
        if scripts is None or name in scripts:
            target = os.path.join(dest, scripts[name] if scripts else name)
            call = "if __name__ == '__main__':\n    sys.exit(%s.%s(%s))\n" % (module, attrs, arguments)
            made.append(_write_script(target, "%s\nimport %s\n\n%s" % (head, module, call)))
    if interpreter:
        run = "import code, runpy\nif len(sys.argv) > 1:\n    sys.argv[:] = sys.argv[1:]\n" \
              "    runpy.run_path(sys.argv[0], run_name='__main__')\nelse:\n    code.interact()\n"
        made.append(_write_script(os.path.join(dest, interpreter), "%s\n%s" % (head, run)))
    return made


def _entry_points(reqs, paths):
    """Name, module and attribute of each script that the requirements bring."""
    import importlib.metadata
    import re

    wanted = set()
    for req in reqs:
        if isinstance(req, str):
            wanted.add(_normal(re.split(r"[\s\[<>=!~;]", req.strip(), maxsplit=1)[0]))
        else:
            yield req
    for found in importlib.metadata.distributions(path=paths):
        if _normal(found.metadata["Name"] or "") in wanted:
            for point in found.entry_points:
                if point.group == "console_scripts":
                    module, _, attrs = point.value.split("[")[0].strip().partition(":")
                    yield point.name, module, attrs


def _normal(name):
    return name.lower().replace("-", "_").replace(".", "_")


def _write_script(path, text):
    temporary = path + ".tmp"
    with open(temporary, "w") as file:
        file.write(text)
    os.chmod(temporary, 0o755)
    os.replace(temporary, path)
    return path


build = _missing("build")
develop = _missing("develop")
