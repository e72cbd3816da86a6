"""slapos.grid.promise, as far as promises need it."""
from . import interface
from .generic import *  # noqa: F401,F403 - as there, it can be had from here, too


class PromiseError(Exception):
    """A promise is broken."""
