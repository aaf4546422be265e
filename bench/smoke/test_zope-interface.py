"""What a class promises is known and looked up, by the part that is C."""

from zope.interface import Interface, _zope_interface_coptimizations, implementer, providedBy
from zope.interface.adapter import AdapterRegistry

assert _zope_interface_coptimizations.__file__.endswith(".so")


class Heats(Interface):
    """Something that heats."""


@implementer(Heats)
class Module:
    pass


assert Heats.providedBy(Module())
registry = AdapterRegistry()
registry.register([Heats], Interface, "", 42)
assert registry.lookup1(providedBy(Module()), Interface) == 42
