"""A serial line, here a pseudo-terminal, is read and written by an event loop."""

import asyncio
import os
import pty
import tty

import serial_asyncio

controller, device = pty.openpty()
tty.setraw(device)


async def main():
    reader, writer = await serial_asyncio.open_serial_connection(url=os.ttyname(device), baudrate=115200)
    os.write(controller, b"ok M105\n")
    assert await asyncio.wait_for(reader.readline(), 30) == b"ok M105\n"
    writer.write(b"G28\n")
    await writer.drain()
    said = await asyncio.get_running_loop().run_in_executor(None, os.read, controller, 100)
    assert said == b"G28\n"
    writer.close()


asyncio.run(main())
