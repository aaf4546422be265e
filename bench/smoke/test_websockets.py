"""Two ends talk, by the part that is C."""

import asyncio

from websockets import speedups
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

assert speedups.apply_mask(b"\x01\x02\x03\x04\x05", b"\x01\x01\x01\x01") == b"\x00\x03\x02\x05\x04"


async def main():
    async def echo(socket):
        async for message in socket:
            await socket.send(message * 2)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as socket:
            for message in ("plate", b"\x00\xff" * 40_000):
                await socket.send(message)
                assert await socket.recv() == message * 2


asyncio.run(main())
