"""Recipes and tools that come as Python distributions."""
import importlib.metadata
import sys

from zc.buildout import UserError


def add_to_path(directories):
    """Make distributions importable; what is there already keeps its place."""
    new = [directory for directory in directories if directory not in sys.path]
    sys.path[0:0] = new
    resources = sys.modules.get("pkg_resources")
    if resources is not None:
        for directory in new:
            resources.working_set.add_entry(directory)
    for package in ("zc", "zc.recipe", "slapos", "slapos.recipe"):
        extend_namespace(package)


def extend_namespace(package):
    """Have a package that is imported already find what was added to the path."""
    module = sys.modules.get(package)
    if module is not None and hasattr(module, "__path__"):
        from pkgutil import extend_path

        module.__path__ = extend_path(module.__path__, package)


def entry_point(directories, distribution, group, name):
    """The object that a distribution has under a name."""
    add_to_path(directories)
    wanted = normal(distribution)
    for found in importlib.metadata.distributions(path=list(directories)):
        if normal(found.metadata["Name"] or "") != wanted:
            continue
        for point in found.entry_points:
            if point.group == group and point.name == name:
                return point.load()
    raise UserError("%s has no recipe called %s" % (distribution, name))


def normal(name):
    return name.lower().replace("-", "_").replace(".", "_")
