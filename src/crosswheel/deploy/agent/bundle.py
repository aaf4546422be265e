"""A bundle is called by hand: everything that it installs is inside, and no network is needed."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from crosswheel.deploy.agent.machine import require_target
from crosswheel.deploy.agent.manifest import Refused
from crosswheel.deploy.agent.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crosswheel.deploy.agent.manifest import Manifest


def install(store: Store, bundle: zipfile.ZipFile) -> str:
    """Install what a bundle holds; return what to tell.

    Raises:
        Refused: it does not fit this machine, or does not work on it; what was active stays active.
    """
    release: Manifest = json.loads(bundle.read("release.json"))
    require_target(release["target"])
    with store.exclusive():
        store.require_programs(release)
        arrival = store.expect(release, json.loads(bundle.read("files.json")))
        store.require_space(arrival)
        try:
            arrival.receive(lambda sha256, _: _blocks(bundle, f"files/{sha256}"))
            store.build(release)
        except OSError as error:
            store.sweep()
            raise Refused("no-space", f"{error.strerror}; what was unpacked was removed again") from error
        store.test(release)
        store.activate(release)
    places = ", ".join(str(store.programs / program) for program in release["programs"])
    return f"{release['name']} {release['version']} is installed: {places}"


def require_whole(bundle: Path) -> None:
    """Raise :class:`Refused` if a byte of a bundle is not what it was: its end is the hash of what is before."""
    data = bundle.read_bytes()
    if hashlib.sha256(data[:-64]).hexdigest().encode() != data[-64:]:
        raise Refused("damaged", f"{bundle} is damaged: its bytes do not have the hash that it ends with")


def _blocks(bundle: zipfile.ZipFile, member: str) -> Iterator[bytes]:
    with bundle.open(member) as stream:
        yield from iter(lambda: stream.read(1 << 20), b"")


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description="Install, undo, check or remove the program in this bundle.")
    parser.add_argument("do", choices=("install", "list", "verify", "rollback", "remove"))
    do, bundle = parser.parse_args().do, Path(sys.argv[0])
    os.umask(0o022)
    try:
        require_whole(bundle)
        with zipfile.ZipFile(bundle) as archive:
            print(_done(do, archive))
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    return 0


def _done(do: str, archive: zipfile.ZipFile) -> str:
    place = json.loads(archive.read("place.json"))
    store, name = Store(Path(place["store"]), Path(place["programs"])), place["name"]
    if do == "install":
        return install(store, archive)
    if do == "list":
        rows = (
            f"{row['name']} {row['version']}{' (active)' if row['active'] else ''}" for row in store.listing()
        )
        return "\n".join(rows)
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
