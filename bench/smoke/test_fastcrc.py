"""Checksums are those of the catalogue."""

from fastcrc import crc8, crc16, crc32, crc64

assert crc16.modbus(b"123456789") == 0x4B37
assert crc32.iso_hdlc(b"123456789") == 0xCBF43926
assert crc64.ecma_182(b"123456789") == 0x6C40DF5F0B497347
assert crc8.smbus(b"123456789") == 0xF4
