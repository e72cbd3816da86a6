"""Jinja2 templates, as `slapos.recipe.template:jinja2` renders them."""
import importlib
import os

from . import literal

# What every template may use besides its context.
BUILTINS = """abs all any bin bool bytes callable chr complex dict divmod enumerate filter float
format frozenset hex int isinstance iter len list map max min next oct ord pow range repr reversed
round set sorted str sum tuple zip""".split()


def assert_(condition, *args):
    """`assert` as an expression."""
    if not condition:
        raise AssertionError(*args)
    return ""


def known_names():
    """The names that are defined for all templates."""
    import builtins

    names = {name: getattr(builtins, name) for name in BUILTINS}
    names.update({"assert": assert_, "dumps": literal.dumps})
    try:
        names["six"] = importlib.import_module("six")
    except ImportError:
        pass
    return names


def value(kind, text):
    if kind == "import":
        return importlib.import_module(text)
    return literal.loads(text)


def loader(call):
    from jinja2 import BaseLoader, TemplateNotFound

    class Imports(BaseLoader):
        def get_source(self, environment, name):
            if name in call["imports"]:
                return call["imports"][name], None, None
            folder, delimiter, inside = name.partition(call["delimiter"])
            if not delimiter or folder not in call["folders"]:
                raise TemplateNotFound(name)
            words = inside.split(call["delimiter"])
            if any(word in ("", ".", "..") for word in words):
                raise TemplateNotFound(name)
            try:
                with open(os.path.join(call["folders"][folder], *words), encoding="utf-8") as file:
                    return file.read(), None, None
            except OSError:
                raise TemplateNotFound(name)

    return Imports()


def render(call):
    """The text of a template; errors name it and the line."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        extensions=call["extensions"], undefined=StrictUndefined, loader=loader(call)
    )
    names = known_names()
    names.update((name, value(*given)) for name, given in call["context"].items())
    code = environment.compile(call["text"], filename=call["name"], name=call["name"])
    template = environment.template_class.from_code(environment, code, environment.make_globals(None))
    return template.render(**names)
