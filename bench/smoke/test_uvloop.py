"""A server and a client talk over a socket in uvloop's own event loop, with timers and a thread."""

import asyncio

import uvloop


async def shout(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()


async def main():
    loop = asyncio.get_running_loop()
    assert isinstance(loop, uvloop.Loop)
    server = await asyncio.start_unix_server(shout, "socket")
    reader, writer = await asyncio.open_unix_connection("socket")
    writer.write(b"robot\n")
    assert await reader.readline() == b"ROBOT\n"
    writer.close()
    server.close()
    began = loop.time()
    await asyncio.sleep(0.05)
    assert loop.time() - began >= 0.04
    assert await loop.run_in_executor(None, sum, range(10)) == 45


uvloop.install()
asyncio.run(main())
