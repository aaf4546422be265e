"""Installs a bundle again and again, each time ended one change to the file system later; says what is left each time.

A program of its own, with one thread, because it forks. Arguments: the bundle, and a folder as it was before. Prints a
JSON list: for each end, the version that is whole afterwards, and the one after a further installation.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

from crosswheel.agent import bundle as agent
from crosswheel.agent.environments import Environments

_CHANGES = {
    *("os.link", "os.rename", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree")
}
_ENDED = 99


def main() -> None:
    """Run until an installation comes to its end."""
    bundle, before = Path(sys.argv[1]), Path(sys.argv[2])
    place = json.loads(zipfile.ZipFile(bundle).read("place.json"))
    robot = Path(place["store"]).parent
    found, number, ended = [], 0, True
    while ended:
        number += 1
        shutil.rmtree(robot)
        shutil.copytree(before, robot, symlinks=True)
        ended = _dies_before(number, bundle, place)
        after = _whole_version(place)
        _install(bundle, place)
        found.append([after, _whole_version(place)])
    print(json.dumps(found))


def _install(bundle: Path, place: dict[str, str]) -> None:
    with agent.opened(bundle) as open_:
        agent.install(Environments(Path(place["store"]), Path(place["programs"])), open_)


def _dies_before(number: int, bundle: Path, place: dict[str, str]) -> bool:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == _ENDED
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if event in _CHANGES or writes:
            seen += 1
            if seen == number:
                os._exit(_ENDED)

    sys.addaudithook(hook)
    _install(bundle, place)
    os._exit(0)


def _whole_version(place: dict[str, str]) -> str | None:
    """Return the version that is active and whole; ``None`` where there is none."""
    store, name = Environments(Path(place["store"]), Path(place["programs"])), place["name"]
    active = store.active(name)
    if active is None:
        return None
    assert store.verify(name) == []
    assert (store.programs / name).resolve().is_file()
    return next(str(row["version"]) for row in store.listing() if row["generation"] == active)


if __name__ == "__main__":
    main()
