"""The host of promises: one warm process of Python that makes a child of itself for each promise.

`boot.py` gives it `CODE`, that of our modules. It decides nothing. It is told what to run, says which process does it, and what came out; who is
due, how long one may take, and what is written where, is the worker's business. Packets are fields
of text with a zero byte between them.

As little as possible is imported: there is one such process for each partition. Nothing is called
`slapos...` here, because plugins throw all modules of that name away to have their own.
"""
import os
import sys

SOCKET = int(sys.argv[1])
LONGEST = 1 << 18
# More would make whoever waits for it wait; the original keeps as many.
MESSAGE = 5000


def send(*fields):
    os.write(SOCKET, "\0".join(fields).encode("utf-8", "replace"))


def receive():
    packet = os.read(SOCKET, LONGEST)
    return os.fsdecode(packet).split("\0") if packet else None


class Own:
    """Our modules of the promises' interface, found where a Software Release brings none; and the
    machine's own packages, for what is found nowhere else."""

    def __init__(self, code):
        self.code = code
        self.looked = "site" in sys.modules

    def find_spec(self, name, path=None, target=None):
        # What `importlib.machinery` has, without importing it.
        ModuleSpec = type(sys.__spec__)
        package = name + ".__init__"
        if package in self.code or name in self.code:
            return ModuleSpec(name, self, is_package=package in self.code)
        if self.looked:
            return None
        # This Python was started without them, which is faster and mostly enough.
        self.looked = True
        import site

        site.main()
        for known in [known for known in self.code if known.endswith(".__init__")]:
            own = sys.modules.get(known[:-9])
            if own is not None and own.__spec__.loader is self:
                # Others may have more of a package that we have only a part of.
                below = known[:-9].replace(".", os.sep)
                places = [os.path.join(place, below) for place in sys.path]
                own.__path__.extend(place for place in places if os.path.isdir(place))
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, path)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        code = self.code.get(name) or self.code[name + ".__init__"]
        exec(code, module.__dict__)


class Result:
    """Takes the place of the queue that a promise puts its result into."""

    def __init__(self, number, anomaly):
        self.number = number
        self.anomaly = anomaly
        self.promise = None

    def put_nowait(self, result):
        item = result.item
        kind = item.type()
        if kind == "Empty Result":
            send("empty", self.number)
            return
        failed = bool(item.hasFailed())
        bang = failed and self.anomaly and kind == "Anomaly Result"
        # The node is who speaks to the Master; so promises are told not to.
        bang = bang and getattr(self.promise, "_GenericPromise__allow_bang", True)
        if bang:
            title = self.promise.getTitle()
            self.promise.logger.info("Bang with message %r.", "Promise %s is failing" % title)
        stamp = getattr(item, "stamp", None)
        date = stamp() if stamp else item.date.strftime("%Y-%m-%dT%H:%M:%S+0000")
        message = item.message
        message = "" if message is None else str(message)
        send("result", self.number, kind, flag(failed), flag(bang), date, message)

    put = put_nowait


def flag(value):
    return "1" if value else "0"


def named_in(path):
    """What the first assignment of a plugin puts on the path, if it is of the usual form."""
    with open(path, "rb") as plugin:
        source = plugin.read()
    if b"sys.path[0:0]" not in source:
        return None
    # The module `ast` would be most of what is imported here.
    import _ast

    for node in compile(source, path, "exec", _ast.PyCF_ONLY_AST).body:
        if isinstance(node, _ast.Assign):
            usual = len(node.targets) == 1 and is_start_of_path(node.targets[0])
            places = [constant(place) for place in node.value.elts] if usual else [None]
            return places if all(isinstance(place, str) for place in places) else None
    return None


def is_start_of_path(node):
    """Whether it reads `sys.path[0:0]`."""
    where = getattr(node, "slice", None)
    ends = [constant(getattr(where, end, None)) for end in ("lower", "upper")]
    name = getattr(node, "value", None)
    module = getattr(getattr(name, "value", None), "id", None)
    return ends == [0, 0] and module == "sys" and getattr(name, "attr", None) == "path"


def constant(node):
    """The value of a literal; before Python 3.8 each kind had a name of its own for it."""
    for field in ("value", "s", "n"):
        if hasattr(node, field):
            return getattr(node, field)
    return None


def warm(paths):
    """Import once what each promise would import for itself."""
    for path in paths:
        try:
            found = named_in(path)
        except Exception:
            # Its own run will tell.
            continue
        if found is not None:
            sys.path[0:0] = list(found)
            break
    from slapos.grid.promise import generic

    return getattr(generic, "__file__", None) or "own"


def forget_namespaces():
    """Plugins throw modules called `slapos...` away, and not always `pkg_resources`, which would
    leave the package that is imported next with the place of one distribution only."""
    known = getattr(sys.modules.get("pkg_resources"), "_namespace_packages", None)
    if not isinstance(known, dict):
        return
    ours = lambda name: name is not None and name.split(".")[0] == "slapos"
    for name in [name for name in known if ours(name)]:
        del known[name]
    for below in known.values():
        below[:] = [name for name in below if not ours(name)]


def load(name, path, config):
    """The class of the promise; its module's `extra_config_dict` goes into `config`."""
    if not (name[0].isalpha() and name[0] < "\x7f" or name[0] == "_"):
        raise ValueError("Promise plugin name %r is not valid" % name)
    sys.path.insert(0, os.path.dirname(path))
    title = os.path.splitext(name)[0]
    module = type(sys)(title)
    module.__file__ = path
    sys.modules.setdefault(title, module)
    with open(path, "rb") as plugin:
        source = plugin.read()
    forget_namespaces()
    exec(compile(source, path, "exec"), module.__dict__)
    promise = getattr(module, "RunPromise", None)
    if promise is None:
        raise AttributeError("there is no class RunPromise in promise %s" % name)
    # Not before: the plugin decides where these come from.
    from slapos.grid.promise import interface
    from slapos.grid.promise.generic import GenericPromise

    if not interface.IPromise.implementedBy(promise):
        text = "RunPromise in %s must implement IPromise: is @implementer(interface.IPromise) missing?"
        raise RuntimeError(text % name)
    if not issubclass(promise, GenericPromise):
        raise RuntimeError("RunPromise in %s is not a subclass of GenericPromise" % name)
    extra = getattr(module, "extra_config_dict", {})
    if not isinstance(extra, dict):
        raise ValueError("extra_config_dict is not a dict")
    for key, value in extra.items():
        if key in config:
            raise ValueError("extra_config_dict cannot have the name %r" % key)
        config[key] = value
    return promise


def run(config, number, name, path, anomaly):
    result = Result(number, anomaly)
    config = dict(config, name=name, path=path, queue=result)
    promise = load(name, path, config)(config)
    result.promise = promise
    code = sys.modules.get(type(promise).__module__)
    code = getattr(code, "__file__", None) or path
    try:
        changed = os.stat(code).st_mtime
    except OSError:
        code, changed = path, os.stat(path).st_mtime
    ask = lambda what: flag(not hasattr(promise, what) or getattr(promise, what)())
    known = ask("isTested"), ask("isAnomalyDetected"), repr(promise.getPeriodicity())
    send("loaded", number, *(known + (code, repr(changed))))
    promise.run(anomaly, False)


def child(*job):
    """The rest of a new process's life."""
    code = 0
    try:
        os.setsid()
        run(*job)
    except BaseException:
        code = 1
        import traceback

        send("raised", job[1], traceback.format_exc()[-MESSAGE:])
    finally:
        try:
            threads = sys.modules.get("threading")
            if threads is not None:
                threads._shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def settings(fields):
    config = dict(zip(fields[::2], fields[1::2]))
    for name in ("master-url", "partition-cert", "partition-key", "partition-id", "computer-id"):
        config.setdefault(name, None)
    timeout = float(config["promise-timeout"])
    config["promise-timeout"] = int(timeout) if timeout == int(timeout) else timeout
    config["debug"] = False
    return config


def serve():
    import gc

    config, children = {}, set()
    sys.meta_path.append(Own(CODE))
    sys.argv = ["promise"]
    sys.path[:] = [path for path in sys.path if path]
    while True:
        fields = receive()
        if fields is None:
            # The worker is gone: nothing that was begun for it goes on.
            for pid in children:
                try:
                    os.killpg(pid, 9)
                except OSError:
                    pass
            os._exit(0)
        what, fields = fields[0], fields[1:]
        if what == "config":
            config = settings(fields)
        elif what == "warm":
            try:
                whose = warm(fields)
            except BaseException as error:
                # What is wrong with it will be wrong for each promise, and said there.
                whose = "%s: %s" % (type(error).__name__, error)
            # What is there now stays as it is, so that children share it.
            gc.disable()
            if hasattr(gc, "freeze"):
                gc.freeze()
            send("ready", "%d.%d.%d" % sys.version_info[:3], whose)
        elif what == "run":
            number, name, path, anomaly = fields
            try:
                pid = os.fork()
            except OSError as error:
                send("unborn", number, str(error))
                continue
            if pid == 0:
                gc.enable()
                child(config, number, name, path, anomaly == "1")
            children.add(pid)
            send("started", number, str(pid))
        elif what == "reap":
            number, pid = fields[0], int(fields[1])
            _, status = os.waitpid(pid, 0)
            children.discard(pid)
            send("ended", number, str(status))


serve()
