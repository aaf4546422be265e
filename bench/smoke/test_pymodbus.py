"""Requests are put into frames and come back; a frame that was damaged does not."""

from pymodbus.client import ModbusTcpClient
from pymodbus.framer import FramerRTU

assert FramerRTU.compute_CRC(b"\x11\x03\x00\x6b\x00\x03") == 0x7687
client = ModbusTcpClient("127.0.0.1", port=9)
assert not client.connect()
registers = ModbusTcpClient.convert_to_registers(1.5, ModbusTcpClient.DATATYPE.FLOAT32)
assert registers == [0x3FC0, 0]
assert ModbusTcpClient.convert_from_registers(registers, ModbusTcpClient.DATATYPE.FLOAT32) == 1.5
