"""As much of zope.interface as promises use, for where it is not installed."""


class InterfaceClass(type):
    def implementedBy(cls, other):
        return any(issubclass(one, cls) for one in getattr(other, "__implements_of_promise__", ()))

    def providedBy(cls, thing):
        return cls.implementedBy(type(thing))


class Interface(metaclass=InterfaceClass):
    pass


class Attribute:
    def __init__(self, name="", doc=""):
        self.__name__, self.__doc__ = name, doc


def implementer(*interfaces):
    def mark(cls):
        cls.__implements_of_promise__ = interfaces + getattr(cls, "__implements_of_promise__", ())
        return cls

    return mark


classImplements = lambda cls, *interfaces: implementer(*interfaces)(cls) and None
