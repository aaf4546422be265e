"""A file is written and read by the threads of the part that is C."""

import asyncio
import os
import tempfile

from caio import thread_aio_asyncio


async def main() -> None:
    with tempfile.TemporaryFile() as file:
        async with thread_aio_asyncio.AsyncioContext() as context:
            assert await context.write(b"aspirate", file.fileno(), 0) == 8
            await context.fdsync(file.fileno())
            assert await context.read(4, file.fileno(), 4) == b"rate"
            assert os.fstat(file.fileno()).st_size == 8


asyncio.run(main())
