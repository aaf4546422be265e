"""Check sums of instruments have known values, by the part that is C."""

import crcmod
import crcmod.predefined
from crcmod import _crcfunext

assert _crcfunext.__file__.endswith(".so")
assert crcmod.predefined.mkCrcFun("modbus")(b"123456789") == 0x4B37
assert crcmod.predefined.mkCrcFun("xmodem")(b"123456789") == 0x31C3
assert crcmod.predefined.mkCrcFun("crc-32")(b"123456789") == 0xCBF43926
assert crcmod.predefined.mkCrcFun("crc-64")(b"123456789") == 0x46A5A9388A5BEFFE
assert crcmod.mkCrcFun(0x107, rev=False, initCrc=0)(b"123456789") == 0xF4
