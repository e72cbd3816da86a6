"""`buildout` and `options` as recipes know them; what they hold is asked of the engine."""
import logging
import textwrap
from collections.abc import MutableMapping

from . import literal
from .wire import ask


class Depends(set):
    """The sections that a part depends on; changes are told to the engine."""

    def _told(name):
        method = getattr(set, name)

        def change(self, *args):
            result = method(self, *args)
            ask("set-references", sections=sorted(self))
            return result

        change.__name__ = name
        return change

    add = _told("add")
    discard = _told("discard")
    remove = _told("remove")
    update = _told("update")
    clear = _told("clear")
    del _told


class Options(MutableMapping):
    """The options of a section."""

    def __init__(self, buildout, section, data=None):
        self.buildout = buildout
        self.name = section
        for option, value in (data or {}).items():
            self[option] = value

    def _texts(self):
        return ask("section", section=self.name)

    def __getitem__(self, option):
        texts = self._texts()
        if option not in texts:
            from zc.buildout.buildout import MissingOption

            raise MissingOption("Missing option: %s:%s" % (self.name, option))
        return literal.loads(texts[option])

    def get(self, option, default=None, seen=None):
        texts = self._texts()
        return literal.loads(texts[option]) if option in texts else default

    def __setitem__(self, option, value):
        if not isinstance(option, str):
            raise TypeError("the name of an option must be a string, not %r" % (option,))
        if not isinstance(value, str):
            value = literal.dumps(value)
        ask("set", section=self.name, option=option, value=value)

    def __delitem__(self, option):
        if option not in self._texts():
            raise KeyError(option)
        ask("set", section=self.name, option=option, value=None)

    def __iter__(self):
        return iter(self._texts())

    def __len__(self):
        return len(self._texts())

    def __contains__(self, option):
        return option in self._texts()

    def items(self):
        return [(option, literal.loads(text)) for option, text in self._texts().items()]

    def copy(self):
        return dict(self.items())

    def created(self, *paths):
        """Say which paths the part makes, before it makes them."""
        ask("created", paths=list(paths))
        return list(paths)

    def barrier(self):
        """Have all parts that come later depend on this one."""
        ask("barrier")

    @property
    def depends(self):
        return Depends(ask("references"))

    @depends.setter
    def depends(self, sections):
        ask("set-references", sections=sorted(sections))

    def _sub(self, template, seen=None):
        return ask("substitute", text=template)

    def __repr__(self):
        return repr(self.copy())


class Buildout(MutableMapping):
    """The sections of a profile."""

    Options = Options
    dry_run = False
    _logger = logging.getLogger("zc.buildout")
    _log_level = logging.INFO

    def __init__(self):
        self._sections = {}

    def __getitem__(self, section):
        # Asked even when it is known: whoever reads a section depends on it.
        ask("section", section=section)
        if section not in self._sections:
            self._sections[section] = self.Options(self, section)
        return self._sections[section]

    def __setitem__(self, section, data):
        for option, value in data.items():
            text = value if isinstance(value, str) else literal.dumps(value)
            ask("set", section=section, option=option, value=text)
        self[section]

    def __delitem__(self, section):
        raise NotImplementedError("a section cannot be removed")

    def __iter__(self):
        return iter(ask("names"))

    def __len__(self):
        return len(ask("names"))

    def __contains__(self, section):
        return section in ask("names")

    def parse(self, text):
        """Add the sections of a text, and initialise them."""
        ask("parse", text=textwrap.dedent(text))

    def _flag(self, option):
        return self["buildout"].get(option, "false") == "true"

    @property
    def offline(self):
        return self._flag("offline")

    @property
    def newest(self):
        return self._flag("newest")

    @property
    def _links(self):
        return tuple(self["buildout"].get("find-links", "").split())

    @property
    def _allow_hosts(self):
        return tuple(self["buildout"].get("allow-hosts", "*").split())


_runs = {}


def of_run(run):
    """The one buildout object of a run."""
    if run not in _runs:
        _runs[run] = Buildout()
    return _runs[run]
