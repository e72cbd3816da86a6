# Values of options that are no text.
# The published zc.buildout takes text only; recipes of the original set lists and dictionaries,
# which the buildout they are made for writes down as "!py!" and the literal.
import ast as _ast
import pprint as _pprint

_MARK = '!py!'


def _written(value):
  return value if isinstance(value, str) else _MARK + _pprint.pformat(value)


def _read(value):
  if isinstance(value, str) and value.startswith(_MARK):
    return _ast.literal_eval(value[len(_MARK):])
  return value


def _teach():
  get, item, set_item = Options.get, Options.__getitem__, Options.__setitem__
  set_section = Buildout.__setitem__

  def get_read(self, option, default=None, seen=None):
    value = get(self, option, default, seen)
    # While references are resolved the text is wanted.
    return _read(value) if seen is None else value

  Options.get = get_read
  Options.__getitem__ = lambda self, option: _read(item(self, option))
  Options.__setitem__ = lambda self, option, value: set_item(self, option, _written(value))
  Buildout.__setitem__ = lambda self, name, data: set_section(
    self, name, {option: _written(value) for option, value in data.items()})


_teach()
