"""The machine's interfaces are listed; an emulator may not tell their addresses."""

import netifaces

names = netifaces.interfaces()
assert isinstance(names, list)
assert netifaces.address_families[netifaces.AF_INET] == "AF_INET"
