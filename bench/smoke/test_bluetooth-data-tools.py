"""An advertisement is taken apart, by the part that is C."""

from bluetooth_data_tools import gap, int_to_bluetooth_address, parse_advertisement_data

assert int_to_bluetooth_address(0xA1B2C3D4E5F6) == "A1:B2:C3:D4:E5:F6"
told = parse_advertisement_data((b"\x02\x01\x06\x08\x09Opentro", b"\x05\xff\x34\x12\x01\x02"))
assert told.local_name == "Opentro"
assert told.manufacturer_data == {0x1234: b"\x01\x02"}
assert gap.__file__.endswith(".so")
