"""Serves the engine's calls: one at a time, and those that come up while one waits."""
import importlib.util
import logging
import os
import sys
import traceback
import types

from zc.buildout import UserError

from . import buildout, script, wire
from .wire import EngineError

HOST = "<slapos host>/"
_objects = {}
_known_environ = dict(os.environ)
# Marks processes of one part; nothing that later parts inherit.
_tags = set()


def serve(connection, stream):
    sys.setrecursionlimit(20000)
    # What is printed where there is no log is heard by the engine.
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    engine = wire.start(connection, stream, handle)
    engine.send(ready={"version": sys.version_info[:3]})
    while True:
        handle(engine.receive()["call"])


def handle(call):
    """Do one call, and say how it ended."""
    directory, environ = os.getcwd(), dict(os.environ)
    output = redirect(call)
    try:
        if os.path.isdir(call["home"]):
            os.chdir(call["home"])
        tag(call)
        value = CALLS[call["do"]](call)
        answer = {"done": {"value": value}}
    except BaseException as error:
        answer = {"raised": described(error)}
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        restore(output)
        if output is None:
            mark("ends")
        untag(call)
        if call["do"] in APART:
            restore_environ(environ)
        try:
            os.chdir(directory)
        except OSError:
            pass
    (ending,) = answer.values()
    ending["environ"] = environ_changes()
    wire.wire.send(**answer)


def redirect(call):
    """Have what the call and its children print go to the part's log."""
    log = call.get("log")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if not log:
        mark("begins %s" % call.get("part", ""))
        return None
    saved = os.dup(1), os.dup(2)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    return saved


def mark(what):
    """Tell the engine, in the stream that it hears, whose words these are."""
    os.write(2, ("\x01slapos %s\n" % what).encode("utf-8", "replace"))


def restore(saved):
    if saved is not None:
        for number, descriptor in zip((1, 2), saved):
            os.dup2(descriptor, number)
            os.close(descriptor)


def tag(call):
    """Mark what the call starts; the mark of a call around it comes back afterwards."""
    name, value = call["tag"]
    _tags.add(name)
    call["outer"] = os.environ.get(name)
    os.environ[name] = value


def untag(call):
    name = call["tag"][0]
    os.environ.pop(name, None)
    if call.get("outer") is not None:
        os.environ[name] = call["outer"]


def restore_environ(environ):
    """Undo what a call did that is done beside other parts."""
    for name in set(os.environ) - set(environ):
        del os.environ[name]
    os.environ.update(environ)


def environ_changes():
    """Variables that changed since the last time."""
    global _known_environ
    now = {name: value for name, value in os.environ.items() if name not in _tags}
    changes = {name: None for name in _known_environ if name not in now}
    changes.update(
        (name, value) for name, value in now.items() if _known_environ.get(name) != value
    )
    _known_environ = now
    return changes


def described(error):
    """An exception, for people: what, and where in the recipe's own code."""
    token = getattr(error, "token", None)
    frames = traceback.extract_tb(error.__traceback__)
    shown = [frame for frame in frames if not is_host(frame.filename)]
    lines = [line for frame in traceback.format_list(shown) for line in frame.splitlines()]
    # Some versions mark the place in the line, others do not.
    lines = [line for line in lines if line.strip("~^ ")]
    line = shown[-1].line if shown else None
    place = script.place_of(frames)
    if isinstance(error, EngineError):
        text = str(error)
        return dict(
            kind="engine", text=text, token=token, traceback=lines, line=line, place=place
        )
    if isinstance(error, UserError):
        text = " ".join(map(str, error.args)) or type(error).__name__
        return dict(kind="user", text=text, token=None, traceback=[], line=line, place=place)
    if isinstance(error, SyntaxError):
        line = error.text and error.text.strip()
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    kind = "import" if isinstance(error, ImportError) else "other"
    return dict(kind=kind, text=text, token=None, traceback=lines, line=line, place=place)


def is_host(name):
    # The template engine rewrites its own frames, so what is left of them says nothing.
    hosts = (HOST, "<string>", "<frozen ")
    return name.startswith(hosts) or name == "<stdin>" or "/jinja2/" in name


def keep(thing):
    number = len(_objects) + 1
    _objects[number] = thing
    return number


def prepare_script(call):
    from . import eggs

    eggs.add_to_path(call["path"])
    made = script.Script(buildout.of_run(call["run"]), call)
    made.prepare()
    return keep(made)


def make_recipe(call):
    from . import eggs

    run = buildout.of_run(call["run"])
    factory = eggs.entry_point(call["path"], call["distribution"], "zc.buildout", call["entry"])
    return keep(factory(run, call["part"], run[call["part"]]))


def run_recipe(call):
    thing = _objects[call["handle"]]
    method = getattr(thing, call["method"], None)
    if method is None:
        method = thing.install
    paths = method()
    if paths is None:
        return None
    return [paths] if isinstance(paths, str) else [str(path) for path in paths]


def uninstall(call):
    """Call what a distribution has for parts that go; the paths that it lets go with them."""
    from . import eggs, literal

    group = "zc.buildout.uninstall"
    function = eggs.entry_point(call["path"], call["distribution"], group, call["entry"])
    options = {name: literal.loads(text) for name, text in call["options"].items()}
    function(call["part"], options)
    return options.get("__buildout_installed__")


def run_hook(call):
    """Call a function of a file, with as many arguments as it takes."""
    # The file may be in a cache: errors name where it is from.
    module = types.ModuleType("slapos_hook")
    module.__file__ = call["file"]
    with open(call["file"], "rb") as file:
        source = file.read()
    script.show(call["name"], 1, importlib.util.decode_source(source).splitlines(True))
    exec(compile(source, call["name"], "exec"), module.__dict__)
    function = getattr(module, call["function"])
    run = buildout.of_run(call["run"])
    arguments = [run[call["part"]], run, call["environ"]]
    os.chdir(call["directory"])
    count = function.__code__.co_argcount if hasattr(function, "__code__") else 3
    function(*arguments[:count])
    return arguments[2]


def render(call):
    from . import eggs, jinja

    eggs.add_to_path(call["path"])
    return jinja.render(call)


# Calls whose parts run beside others, which must not see what they change.
APART = ("hook", "render")
CALLS = {
    "script": prepare_script,
    "recipe": make_recipe,
    "run": run_recipe,
    "uninstall": uninstall,
    "hook": run_hook,
    "render": render,
}
