"""Namespace; distributions may add to it."""
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
