"""Addresses are read as the standard library reads them, and kept, by the part that is C."""

import ipaddress

from cached_ipaddress import cached_ip_addresses
from cached_ipaddress import ipaddress as compiled

address = cached_ip_addresses("192.168.7.20")
assert address == ipaddress.ip_address("192.168.7.20")
assert address.is_private
assert address is cached_ip_addresses("192.168.7.20")
assert cached_ip_addresses("no address") is None
assert compiled.__file__.endswith(".so")
