"""Typed values of options: `!py!` and the `repr` of a value."""
import ast
import pprint
import re

_TYPED = re.compile(r"!py([^!]*)!(.*)", re.DOTALL)
_CALLS = {"set": set, "frozenset": frozenset, "bytearray": bytearray, "list": list, "dict": dict, "tuple": tuple, "str": str, "complex": complex}


def dumps(value):
    """The text of an option that holds `value`, strings included."""
    text = pprint.pformat(value, width=1 << 20)
    if not pprint.isreadable(value):
        raise ValueError("%r cannot be the value of an option" % (value,))
    return "!py!" + text.replace("$", r"\x24").replace(";", r"\x3b")


def loads(text):
    """The value in the text of an option: typed if it says so, else the text."""
    typed = _TYPED.fullmatch(text)
    if typed is None:
        return text
    try:
        if typed.group(1):
            return text
        return _value(ast.parse(typed.group(2).strip(), mode="eval").body)
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError):
        # Text that only looks typed is text, as for native recipes.
        return text


def _value(node):
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise ValueError("a typed value may not compute anything")
        return _CALLS[node.func.id](*map(_value, node.args))
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(map(_value, node.elts))
    if isinstance(node, ast.Dict):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values)}
    return ast.literal_eval(node)
