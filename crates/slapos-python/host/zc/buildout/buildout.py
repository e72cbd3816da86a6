"""What recipes import from `zc.buildout.buildout`."""
from slapos_host.buildout import Buildout, Options
from slapos_host.literal import dumps, loads

from . import UserError

LIBNETWORKCACHE_ENABLED = False


class MissingOption(UserError, KeyError):
    """A required option is not there."""


class MissingSection(UserError, KeyError):
    """A required section is not there."""


def bool_option(options, name, default=None):
    """An option that is `true` or `false`."""
    value = options.get(name, default)
    if value is None:
        raise KeyError(name)
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise UserError("Invalid value for %r option: %r" % (name, value))
    return value == "true"
