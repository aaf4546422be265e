"""Installs from a bundle, which people run by hand: it contains everything that it installs and needs no network.

A bundle is a zip archive that Python runs, or the same files in a folder. A bundle is a program, so whoever made it
decides what it does. The installer in a robot's store is the same program without a release: it reads bundles as data,
and runs nothing from one before it has verified the signature.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import sys
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.agent.disk import sha256_of
from crosswheel.agent.environments import Environments
from crosswheel.agent.machine import require_target
from crosswheel.agent.manifest import Refused
from crosswheel.agent.trust import Trust, accepted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    # Opens a file of a bundle, given its path in the bundle.
    Open = Callable[[str], IO[bytes]]


# The exceptions of reading a damaged bundle, or something else.
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)


def install(store: Environments, open_: Open, keep: int = 1) -> str:
    """Install a bundle's release; return a message for the user.

    Args:
        keep: the number of earlier versions to keep.

    Raises:
        Refused: the release is not for this machine, or its test fails; the active release stays active.
    """
    with store.exclusive():
        offer = json.loads(_bytes(open_, "release.json"))
        release, signed = accepted(
            store.root, offer.get("release"), offer.get("envelope"), offer.get("rotations") or ()
        )
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
    """Yield a function that opens a bundle's files.

    Raises:
        Refused: the bundle was changed after it was made.
    """
    if bundle.is_dir():
        # The other files are named by their hashes, which are compared at installation.
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
    """Run the command line's command; return the exit code."""
    parser = argparse.ArgumentParser(description="Install, undo, check or remove the program in this bundle.")
    parser.add_argument("do", choices=("install", "list", "verify", "rollback", "remove", "check"))
    parser.add_argument("what", nargs="?", help="another bundle than this; of check, a folder of wheels")
    parser.add_argument("--keep", type=int, default=1, help="how many versions before it stay (1)")
    arguments = parser.parse_args()
    os.umask(0o022)
    try:
        with contextlib.ExitStack() as stack:
            program = stack.enter_context(opened(Path(sys.argv[0])))
            if arguments.do == "check":
                print(_checked(program, Path(arguments.what or ".")))
                return 0
            other = stack.enter_context(opened(Path(arguments.what))) if arguments.what else program
            print(_perform(arguments.do, program, other, max(arguments.keep, 0)))
    except _BROKEN as error:
        print(f"error: {arguments.what or sys.argv[0]} is damaged, or no bundle: {error!r}", file=sys.stderr)
        return 2
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 1 if refusal.kind == "test" else 2  # the exit codes of crosswheel itself
    except PermissionError as error:
        print(
            f"error: {error.filename} may not be written: {error.strerror}; run it as root", file=sys.stderr
        )
        return 2
    return 0


def _checked(program: Open, folder: Path) -> str:
    """Compare the wheels in a folder with a channel's manifest there, ``signed.json``; return a message."""
    robot = json.loads(_bytes(program, "place.json"))
    files = Trust(Path(robot["store"])).channel_files(json.loads((folder / "signed.json").read_bytes()))
    signed = {(path.rpartition("/")[2], sha256) for path, sha256 in files.items()}
    wheels = sorted(folder.glob("*.whl"))
    for wheel in wheels:
        if (wheel.name, sha256_of(str(wheel))) not in signed:
            raise Refused("signature", f"{wheel.name} is not what was signed of the channel")
    return f"{len(wheels)} wheels are what was signed"


def _perform(do: str, program: Open, open_: Open, keep: int) -> str:
    robot = json.loads(_bytes(program, "place.json"))  # not of what was brought
    store = Environments(Path(robot["store"]), Path(robot["programs"]))
    name = str(json.loads(_bytes(open_, "place.json")).get("name") or "")
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
