"""Bits are counted, found and packed; numbers come back from them."""

from bitarray import bitarray
from bitarray.util import ba2int, count_and, int2ba, zeros

bits = bitarray("0110") * 1000
assert bits.count() == 2000
assert bits.find(bitarray("11"), 5) == 5
assert ba2int(int2ba(2**70 + 3)) == 2**70 + 3
empty = zeros(4000)
assert count_and(bits, empty) == 0
assert bitarray(bits.to01()) == bits
packed = bitarray(endian="little")
packed.frombytes(b"\x01")
assert packed.to01() == "10000000"
