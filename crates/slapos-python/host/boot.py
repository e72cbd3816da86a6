"""Starts the host: takes its modules from the socket whose number is the argument."""
import importlib.abc
import importlib.util
import json
import linecache
import socket
import sys

HOST = "<slapos host>/"


class Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules in a mapping of texts; a name that ends in `.__init__` is a package."""

    def __init__(self, texts):
        self.texts = texts

    def find_spec(self, name, path=None, target=None):
        package = name + ".__init__"
        if package not in self.texts and name not in self.texts:
            return None
        spec = importlib.util.spec_from_loader(name, self, is_package=package in self.texts)
        spec.origin = HOST + name
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        text = self.texts.get(name)
        if text is None:
            text = self.texts[name + ".__init__"]
        origin = HOST + name
        module.__file__ = origin
        linecache.cache[origin] = (len(text), None, text.splitlines(True), origin)
        exec(compile(text, origin, "exec"), module.__dict__)


def boot():
    connection = socket.socket(fileno=int(sys.argv[1]))
    stream = connection.makefile("rb")
    sys.argv = ["buildout"]
    sys.meta_path.insert(0, Modules(json.loads(stream.readline())["modules"]))
    from slapos_host import main

    main.serve(connection, stream)


boot()
