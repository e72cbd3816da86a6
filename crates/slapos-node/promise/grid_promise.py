"""slapos.grid.promise, as far as promises need it."""
from . import interface


class PromiseError(Exception):
    """A promise is broken."""
