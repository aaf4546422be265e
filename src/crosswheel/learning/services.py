"""Find the services in a machine's root file system, and copy their code for its Python to read.

A running machine does the same itself, in ``ask.sh``, and reads the code where it lies.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosswheel.errors import IntegrityError
from crosswheel.learning.selection import belongs, copied, links_of
from crosswheel.learning.source import Listed, Source
from crosswheel.userlands import UserlandStore, links_on_the_way, resolved

_UNIT = re.compile(r"/(etc|lib|usr/lib)/systemd/system/[^/]+\.service$")
_COMMAND = re.compile(rb"^ExecStart=.*", re.MULTILINE)
_PATH = re.compile(r"(?:^ExecStart=[-@:+!|]*|[ \t])(/\S+)", re.MULTILINE)
# As ask.sh cuts them: together, they are an argument of a program, which is limited.
_MOST_COMMANDS, _LONGEST_COMMAND = 100, 500
_LARGEST_CODE = 1 << 20  # what is larger was not written by people


@dataclass(frozen=True)
class Services:
    """The services of a machine.

    Attributes:
        commands: their command lines, one a line, as units of systemd have them.
        root: a folder that holds their code like the machine's root.
        fault: why they could not be read; empty if they were.
    """

    commands: str
    root: Path
    fault: str = ""


@contextlib.contextmanager
def services_of(source: Source, tell: Callable[[str], None]) -> Iterator[Services]:
    """Yield the services of a machine; their code is removed at the end.

    Args:
        tell: receives progress messages.

    Raises:
        StorageError: the code cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="crosswheel.") as name:
        empty = Path(name) / "none"
        empty.mkdir()
        try:
            listing = source.listing()
            commands = _commands(source, listing)
            paths = _code(commands, listing)
            store = UserlandStore(Path(name))
            root = copied(source, listing, paths, store, tell).root if commands else empty
            services = Services(commands, root)
        except IntegrityError as error:  # another user's file, perhaps, of which the rest does not depend
            services = Services("", empty, error.message)
        yield services


def _commands(source: Source, listing: Mapping[str, Listed]) -> str:
    """Return the command lines in the units of systemd."""
    ways = (_way(path, listing) for path in sorted(listing) if _UNIT.match(path))
    units = [way[-1] for way in ways if way and _is_code(way[-1], listing)]
    texts = {path: stream.read() for path, stream in source.files(set(units))}
    lines = [line[:_LONGEST_COMMAND] for unit in units for line in _COMMAND.findall(texts[unit])]
    text = b"\n".join(lines[:_MOST_COMMANDS]).decode(errors="ignore")
    return text.replace("\0", "")


def _code(commands: str, listing: Mapping[str, Listed]) -> list[str]:
    """Return the programs that command lines name, and what these may import from beside them.

    Environments are told by their ``pyvenv.cfg``. What the machine's Python loads is kept already.
    """
    chosen, folders = {path for path in listing if path.endswith("/pyvenv.cfg")}, set[str]()
    for path in set(_PATH.findall(commands)):
        way = _way(path, listing)
        chosen.update(way)
        folders.update(posixpath.dirname(goal).rstrip("/") + "/" for goal in way[-1:])
    beside = tuple(folders)
    chosen.update(
        path for path in listing if path.endswith(".py") and path.startswith(beside) and not belongs(path)
    )
    return sorted(path for path in chosen if listing[path].kind == "link" or _is_code(path, listing))


def _way(path: str, listing: Mapping[str, Listed]) -> list[str]:
    """Return the links on the way to a file, and the file at its end; nothing if it does not exist."""
    link_of = links_of(listing)
    try:
        goal = resolved(path, link_of)
        return [*links_on_the_way(path, link_of), goal] if goal in listing else []
    except IntegrityError:  # a circle
        return []


def _is_code(path: str, listing: Mapping[str, Listed]) -> bool:
    return listing[path].kind == "file" and listing[path].size <= _LARGEST_CODE
