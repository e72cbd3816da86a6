"""What recipes import as `zc.recipe.egg`: the distributions that the options of a part name."""
import sys

from zc.buildout import easy_install


class Eggs:
    """The distributions in the option `eggs`."""

    def __init__(self, buildout, name, options):
        self.buildout = buildout
        self.name = self.default_eggs = name
        self.options = options
        section = buildout["buildout"]
        options.setdefault("eggs-directory", section["eggs-directory"])
        options.setdefault("develop-eggs-directory", section["develop-eggs-directory"])
        options["_d"] = options["develop-eggs-directory"]
        options["_e"] = options["eggs-directory"]
        options.setdefault("executable", sys.executable)

    def working_set(self, extra=()):
        """The requirements, and the distributions that they and `extra` need."""
        lines = self.options.get("eggs", self.default_eggs).splitlines()
        requirements = [line.strip() for line in lines if line.strip()]
        return requirements, easy_install.install(requirements + list(extra))

    def install(self):
        self.working_set()
        return ()

    update = install


class Scripts(Eggs):
    """The same, for recipes that write scripts themselves."""

    def __init__(self, buildout, name, options):
        super().__init__(buildout, name, options)
        options.setdefault("bin-directory", buildout["buildout"]["bin-directory"])
        options["_b"] = options["bin-directory"]
        self.extra_paths = options.get("extra-paths", "").split()
        self._relative_paths = ""


Egg = Scripts
