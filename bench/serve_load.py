"""What `crosswheel serve` does under load: many robots at once install everything, again and again.

Serves an index of wheels of 1 MB, lets 200 robots at once fetch pages, metadata and wheels, checks every byte, and
watches the server's memory. Prints figures; exits with 1 when anything went wrong, or memory grew.

Usage: .venv/bin/python bench/serve_load.py [--robots 200] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from crosswheel.index.site import write_site
from support.site_server import serving
from support.sites import add_wheel

PROJECTS = 5
SIZE = 1_000_000  # bytes of each wheel
LARGEST_GROWTH = 20_000_000  # bytes, between the first round and the last
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html; q=0.01"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--robots", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(PROJECTS):
            add_wheel(Path(folder) / "dist", f"project-{number}", "1", body=os.urandom(SIZE))
        write_site(Path(folder) / "dist", site := Path(folder) / "index")
        with serving(site) as served:
            memory = []
            for number in range(given.rounds):
                start = time.perf_counter()
                times = asyncio.run(round_of(given.robots, served.url))
                seconds = time.perf_counter() - start
                memory.append(resident(served.process.pid))
                times.sort()
                print(
                    f"round {number + 1}: {len(times)} requests without an error, {len(times) / seconds:.0f}/s, "
                    f"{given.robots * PROJECTS * SIZE / seconds / 1e6:.0f} MB/s, "
                    f"median {times[len(times) // 2]:.2f} s, slowest {times[-1]:.2f} s, "
                    f"server's memory {memory[-1] / 1e6:.0f} MB"
                )
    return int(memory[-1] - memory[0] > LARGEST_GROWTH)


async def round_of(robots: int, url: str) -> list[float]:
    """Let all robots install everything at once; return how long each request took, in seconds."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as client:
        return [
            time for times in await asyncio.gather(*(robot(client) for _ in range(robots))) for time in times
        ]


async def robot(client: httpx.AsyncClient) -> list[float]:
    """Do what pip does for each project: its page, its metadata, its wheel."""
    times: list[float] = []
    for number in range(PROJECTS):
        page = await timed(client, f"/simple/project-{number}/", times)
        file = page.json()["files"][0]
        base = f"/simple/project-{number}/{file['url']}"
        metadata = await timed(client, f"{base}.metadata", times)
        assert hashlib.sha256(metadata.content).hexdigest() == file["core-metadata"]["sha256"]
        wheel = await timed(client, base, times)
        assert hashlib.sha256(wheel.content).hexdigest() == file["hashes"]["sha256"]
    return times


async def timed(client: httpx.AsyncClient, path: str, times: list[float]) -> httpx.Response:
    start = time.perf_counter()
    answer = await client.get(path, headers={"Accept": ACCEPT})
    assert answer.status_code == 200, path
    times.append(time.perf_counter() - start)
    return answer


def resident(pid: int) -> int:
    """Return how much memory a process has, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
