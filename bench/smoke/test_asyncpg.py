"""Its own codec speaks the protocol to a server made here, up to the refusal of a password."""

import asyncio
import struct

import asyncpg
from asyncpg.protocol import protocol


async def refuse(reader, writer):
    (size,) = struct.unpack("!i", await reader.readexactly(4))
    await reader.readexactly(size - 4)
    body = b"SFATAL\0C28P01\0Mno such user\0\0"
    writer.write(b"E" + struct.pack("!i", len(body) + 4) + body)
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await asyncpg.connect(
            host="127.0.0.1", port=port, user="robot", database="runs", ssl=False, timeout=60
        )
    except asyncpg.InvalidPasswordError as error:
        assert "no such user" in str(error)
    else:
        raise AssertionError("a refusal was not noticed")
    server.close()


assert protocol.BUILTIN_TYPE_NAME_MAP["bigint"] == 20
asyncio.run(main())
