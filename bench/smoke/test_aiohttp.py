"""A client asks a server over a socket, with JSON and compression, and talks WebSocket; the parser is compiled."""

import asyncio

import aiohttp
from aiohttp import http_parser, web

assert http_parser.HttpRequestParser.__module__ == "aiohttp._http_parser"


async def double(request):
    answer = web.json_response({"doubled": 2 * (await request.json())["number"], "text": "x" * 5000})
    answer.enable_compression()
    return answer


async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data[::-1])
    return socket


async def main():
    app = web.Application()
    app.add_routes([web.post("/double", double), web.get("/echo", echo)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, "socket").start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector("socket")) as session:
        async with session.post("http://robot/double", json={"number": 21}) as answer:
            assert answer.headers["Content-Encoding"] in ("deflate", "gzip")
            assert (await answer.json())["doubled"] == 42
        async with session.ws_connect("http://robot/echo") as socket:
            await socket.send_str("robot" * 1000)
            assert (await socket.receive_str()) == "tobor" * 1000
    await runner.cleanup()


asyncio.run(main())
