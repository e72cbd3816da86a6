"""Inline scripts of `slapos.recipe.build`: what `self` is to them, and how they are run."""
import contextlib
import functools
import linecache
import logging
import os
import shlex
import shutil
import subprocess
import tempfile

from zc.buildout import UserError
from zc.buildout.rmtree import rmtree

from .wire import ask


def is_true(value, default=False):
    """`true` or `false` as a boolean."""
    return default if value is None else ("false", "true").index(value)


def guessworkdir(path):
    """The only entry of a directory, or the directory if there are more."""
    entries = os.listdir(path)
    return os.path.join(path, entries[0]) if len(entries) == 1 else path


def call(*args, **kw):
    """Run a command that reads nothing; a failure is an exception."""
    kw.setdefault("stdin", subprocess.DEVNULL)
    subprocess.run(*args, check=True, **kw)


# File of a profile, or name of a script -> the lines of it that are known.
_shown = {}


def show(name, first, lines):
    """Have tracebacks show these lines, the first of which has the number `first`."""
    known = _shown.setdefault(name, [])
    known.extend(["\n"] * (first - 1 + len(lines) - len(known)))
    known[first - 1 : first - 1 + len(lines)] = lines
    linecache.cache[name] = (sum(map(len, known)), None, known, name)


def compiled(script, name, place):
    """The code of a script that stands at a line of a profile, if it is known where."""
    name, first = place or (name, 1)
    show(name, first, script.splitlines(True))
    return compile("\n" * (first - 1) + script, name, "exec")


def place_of(frames):
    """The innermost line of a profile."""
    places = ["%s:%d" % (f.filename, f.lineno) for f in frames if f.filename in _shown]
    return places[-1] if places else None


@contextlib.contextmanager
def extra_path(directories):
    """Have every Python that is started find distributions, as those of SlapOS do."""
    name = "PYTHONEXTRAPATH"
    before = os.environ.get(name)
    if directories:
        os.environ[name] = os.pathsep.join(list(directories) + ([before] if before else []))
    try:
        yield
    finally:
        if directories:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before


class Script:
    """What inline scripts know as `self`."""

    keep_on_error = False

    def __init__(self, buildout, call):
        self.buildout = buildout
        self.name = name = call["part"]
        self.options = buildout[name]
        self.location = call["location"]
        self.shared = call["shared"]
        self.cleanup_list = []
        self._environment = call["environment"]
        self._places = call["places"]
        self._extra_path = call["path"]
        self.keep_on_error = bool(is_true(self.options.get("keep-on-error")))
        self.logger = logging.getLogger(name)

    cleanup_dir_list = cleanup_file_list = property(lambda self: self.cleanup_list)

    def prepare(self):
        """Run `init`, with the place set that it may change."""
        options = self.options
        if options.get("install") and not options.get("location"):
            options["location"] = self.location
        self._run("init")
        if options.get("install"):
            self.location = options["location"]

    def install(self):
        if not self.options.get("install"):
            return self.update()
        self.cleanup_list = []
        keep = self.keep_on_error
        try:
            self._run("install")
            self._check_promises()
            keep = False
        finally:
            if not keep:
                for path in self.cleanup_list:
                    remove(path)

    def update(self):
        self._run("update")

    def _run(self, option):
        script = self.options.get(option)
        if not script:
            return
        name = "%s of part %s" % (option, self.name)
        names = dict(
            self=self, options=self.options, call=call, guessworkdir=guessworkdir, is_true=is_true
        )
        location = self.options.get("location")
        if location is not None:
            names["location"] = location
        with extra_path(self._extra_path):
            exec(compiled(script, name, self._places.get(option)), names)

    @functools.cached_property
    def environ(self):
        """The environment with the variables of the option `environment`; read when first needed."""
        variables = self._environment.get("given")
        if variables is None:
            section = self.buildout[self._environment["section"]]
            hidden = ("_", "<")
            variables = {
                name: value
                for name, value in section.items()
                if name != "recipe" and not name.startswith(hidden)
            }
        environ = dict(os.environ)
        for name in sorted(variables):
            environ[name] = variables[name] % os.environ
            self.logger.info("[ENV] %s = %s", name, environ[name])
        return environ

    def download(self, url=None, md5sum=None, **kw):
        """Bring a file; by default the one that the options name."""
        if url is None:
            url, md5sum = self.options["url"], self.options.get("md5sum") or None
        offline = bool(kw.pop("offline", None))
        path = kw.pop("path", None)
        alternate = kw.pop("alternate_url", None)
        if kw:
            raise TypeError("unknown arguments of download: %s" % ", ".join(sorted(kw)))
        found = ask("download", url=url, md5sum=md5sum, alternate=alternate, offline=offline)
        if path is None:
            return found
        shutil.copyfile(found, path)
        return path

    def extract(self, path):
        """Unpack an archive into a new directory, which goes when the part is made."""
        directory = tempfile.mkdtemp(self.name)
        self.cleanup_list.append(directory)
        ask("unpack", archive=path, directory=directory, strip=False)
        return directory

    def copyTree(self, origin, destination, ignore_dir_list=()):
        """Copy a directory to a place where nothing is."""
        if os.path.exists(destination):
            raise shutil.Error("Destination already exists: %s" % destination)
        self.logger.info("Copying %r to %r", origin, destination)
        try:
            shutil.copytree(
                origin, destination, symlinks=True, ignore=lambda source, names: ignore_dir_list
            )
        except BaseException:
            self.cleanup_list.append(destination)
            raise

    def pipeCommand(self, commands, *args, **kw):
        """Run commands, the output of each being the input of the next."""
        running = []
        shown = [" ".join(command) for command in commands]
        self.logger.info("Running: %s", " | ".join(shown))
        for command in commands:
            if running:
                kw["stdin"] = running[-1].stdout
            process = subprocess.Popen(command, *args, **dict(kw, stdout=subprocess.PIPE))
            if running:
                running[-1].stdout.close()
            running.append(process)
        failed = [text for process, text in reversed(list(zip(running, shown))) if process.wait()]
        if failed:
            raise UserError("Failed while running:\n  " + "\n  ".join(failed))

    def applyPatchList(self, patches, patch_options=None, patch_binary=None, cwd=None):
        """Apply patches: lines of a URL, its MD5 and options of `patch`."""
        binary = (patch_binary or "patch").strip()
        default = shlex.split(patch_options or "")
        for line in filter(None, map(str.strip, (patches or "").splitlines())):
            url, md5sum, *own = (line + " unknown").split()[: max(2, len(line.split()))]
            md5sum = None if md5sum.lower() == "unknown" else md5sum
            self.logger.info("Applying patch %r", url)
            with open(self.download(url, md5sum), "rb") as patch:
                subprocess.check_call([binary] + (own or default), stdin=patch, cwd=cwd)

    def _check_promises(self):
        """Compare what was made with the lines of `slapos_promise`."""
        problems = []
        for line in filter(None, map(str.strip, self.options.get("slapos_promise", "").splitlines())):
            problems.extend(unkept(line, self.options["location"]))
        if problems:
            raise UserError("Promise not met, found issues:\n  " + "\n  ".join(problems))


def unkept(promise, location):
    """What is wrong with a promise, if it is not kept."""
    words = dict(word.partition(":")[::2] for word in promise.split())
    kind = promise.partition(":")[0]
    path = os.path.join(location, words.get(kind, ""))
    if kind in ("file", "statlib"):
        return [] if os.path.exists(path) else ["there is no file %s" % path]
    if kind == "directory":
        return [] if os.path.isdir(path) else ["there is no directory %s" % path]
    if kind != "dynlib":
        raise UserError("Unknown promise %r" % promise)
    if "linked" not in words or "rpath" not in words:
        raise UserError("a promise about a dynamic library needs `linked:` and `rpath:`: %r" % promise)
    if not os.path.exists(path):
        return ["there is no file %s" % path]
    wanted = {
        "NEEDED": sorted(filter(None, words["linked"].split(","))),
        "RUNPATH": sorted(
            word.replace("!", location, 1) if word.startswith("!") else word
            for word in filter(None, words["rpath"].split(","))
        ),
    }
    found = dynamic_section(path)
    return [
        "%s of %s is %s, not %s" % (tag, path, found[tag], wanted[tag])
        for tag in wanted
        if found[tag] != wanted[tag]
    ]


def dynamic_section(path):
    """The libraries a file needs, and where it looks for them."""
    text = subprocess.check_output(("readelf", "-d", path), universal_newlines=True)
    found = {"NEEDED": [], "RPATH": [], "RUNPATH": []}
    for line in text.splitlines():
        for tag, values in found.items():
            if "(%s)" % tag in line:
                value = line.partition("[")[2].rpartition("]")[0]
                values.extend([value] if tag == "NEEDED" else value.split(":"))
    found["RUNPATH"] = [path.rstrip("/") for path in found["RUNPATH"] or found["RPATH"]]
    return {tag: sorted(values) for tag, values in found.items()}


def remove(path):
    if os.path.islink(path) or os.path.isfile(path):
        os.remove(path)
    elif os.path.lexists(path):
        rmtree(path)
