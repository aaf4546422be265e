"""A bundle is called by hand: everything that it installs is inside, and no network is needed.

It is a zip archive that Python runs, or the same as a folder.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.agent.environments import Environments
from crosswheel.agent.machine import require_target
from crosswheel.agent.manifest import Refused
from crosswheel.agent.trust import accepted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    # Opens a file of a bundle, by its path in there.
    Open = Callable[[str], IO[bytes]]


def install(store: Environments, open_: Open, keep: int = 1) -> str:
    """Install what a bundle holds; return what to tell.

    Args:
        keep: how many versions before it are kept.

    Raises:
        Refused: it does not fit this machine, or does not work on it; what was active stays active.
    """
    with store.exclusive():
        release, signed = accepted(store.root, **json.loads(_bytes(open_, "release.json")))
        require_target(release["target"])
        store.require_programs(release)
        arrival = store.expect(release, json.loads(_bytes(open_, "files.json")))
        store.require_space(arrival)
        try:
            arrival.receive(lambda sha256, _: _blocks(open_, f"files/{sha256}"))
            folder = store.build(release)
        except OSError as error:
            store.sweep()
            raise Refused("no-space", f"{error.strerror}; what was unpacked was removed again") from error
        store.test(folder)
        pinned = signed.remember(folder) if signed else None
        store.activate(folder, keep)
    commands = ", ".join(str(store.programs / program) for program in release["programs"])
    told = f"{release['name']} {release['version']} is installed: {commands}"
    if pinned:
        return f"{told}\nfrom now on, only what the key {pinned[:16]} signed is installed here"
    return told if signed else f"{told}\nwarning: it is not signed, so nothing tells who made it"


@contextlib.contextmanager
def opened(bundle: Path) -> Iterator[Open]:
    """Give what opens the files of a bundle.

    Raises:
        Refused: a byte of it is not what it was.
    """
    if bundle.is_dir():
        # Its other files are named by their hash, which is compared when they are installed.
        open_ = partial(_open_below, bundle)
        data = b"".join(_bytes(open_, f"{name}.json") for name in ("place", "release", "files"))
        _require_hash(data, _bytes(open_, "SHA256"), bundle)
        yield open_
    else:
        data = bundle.read_bytes()
        _require_hash(data[:-64], data[-64:], bundle)
        del data  # a robot has little memory
        with zipfile.ZipFile(bundle) as archive:
            yield archive.open


def _open_below(folder: Path, path: str) -> IO[bytes]:
    try:
        return (folder / path).open("rb")
    except FileNotFoundError:
        raise Refused("damaged", f"{folder} is damaged: {path} is missing") from None


def _require_hash(data: bytes, promised: bytes, bundle: Path) -> None:
    if hashlib.sha256(data).hexdigest().encode() != promised:
        raise Refused("damaged", f"{bundle} is damaged: its bytes do not have the hash that it tells")


def _bytes(open_: Open, path: str) -> bytes:
    with open_(path) as stream:
        return stream.read()


def _blocks(open_: Open, path: str) -> Iterator[bytes]:
    with open_(path) as stream:
        yield from iter(lambda: stream.read(1 << 20), b"")


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description="Install, undo, check or remove the program in this bundle.")
    parser.add_argument("do", choices=("install", "list", "verify", "rollback", "remove"))
    parser.add_argument("--keep", type=int, default=1, help="how many versions before it stay (1)")
    arguments = parser.parse_args()
    os.umask(0o022)
    try:
        with opened(Path(sys.argv[0])) as open_:
            print(_perform(arguments.do, open_, max(arguments.keep, 0)))
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 1 if refusal.kind == "test" else 2  # as crosswheel itself
    except PermissionError as error:
        print(
            f"error: {error.filename} may not be written: {error.strerror}; run it as root", file=sys.stderr
        )
        return 2
    return 0


def _perform(do: str, open_: Open, keep: int) -> str:
    robot = json.loads(_bytes(open_, "place.json"))
    store, name = Environments(Path(robot["store"]), Path(robot["programs"])), robot["name"]
    if do == "install":
        return install(store, open_, keep)
    if do == "list":
        rows = (
            f"{row['name']} {row['version']}{' (active)' * row['active']}{' (damaged)' * row['damaged']}"
            for row in store.listing()
        )
        return "\n".join(rows) or "there is no environment yet"
    if do == "verify":
        faults = store.verify(name)
        if faults:
            raise Refused("damaged", "\n".join(faults))
        return f"{name}: every file is as it was installed"
    with store.exclusive():
        if do == "rollback":
            return f"{name} {store.rollback(name)['version']} is active"
        store.remove(name)
        return f"{name} is removed"
