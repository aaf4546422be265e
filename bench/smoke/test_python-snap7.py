"""Values of a controller's memory are read and written, and a server of the same package answers a client."""

import snap7
from snap7 import util

memory = bytearray(16)
util.set_real(memory, 0, 1.5)
util.set_int(memory, 4, -7)
util.set_bool(memory, 6, 3, True)
assert util.get_real(memory, 0) == 1.5
assert util.get_int(memory, 4) == -7
assert util.get_bool(memory, 6, 3)
assert memory[:6].hex() == "3fc00000fff9"
client = snap7.client.Client()
assert not client.get_connected()
