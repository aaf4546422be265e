"""Read what a machine provides to the objects it loads from its own userland, as ``ldd -r`` would resolve it there.

Libraries are read on demand: an image may have hundreds.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.version import Version

from crosswheel.check.elf_objects import UNVERSIONED, ElfObject, Exports, UnreadableObject, read_object
from crosswheel.check.system import PYTHON_NAME, System, SystemLibrary, closure
from crosswheel.errors import IntegrityError
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.glibc import first_versions, glibc_symbols
from crosswheel.toolchain.compilers.zig import zig_folder
from crosswheel.toolchain.python.tree import PythonTree
from crosswheel.userlands import Userland
from crosswheel.userlands.library_lookup import is_in_loader, libraries


class OwnLibraries(Mapping[str, SystemLibrary]):
    """The libraries of a userland, by the names under which the loader finds them."""

    def __init__(self, userland: Userland, loader: str) -> None:
        self._userland = userland
        self._loader = loader
        self._paths = {posixpath.basename(loader): loader, **libraries(userland, loader)}
        self._read: dict[str, SystemLibrary] = {}

    def __getitem__(self, soname: str) -> SystemLibrary:
        if soname not in self._read:
            path = self._loader if is_in_loader(soname, self._loader) else self._paths[soname]
            found = _read(self._userland.path(path))
            self._read[soname] = SystemLibrary(found.exports, found.needed, is_complete=True)
        return self._read[soname]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def own_system(target: Target, userland: Userland, sent: PythonTree | None = None) -> System:
    """Return the system of a target, read from its own files.

    Args:
        sent: the Python that is sent there; ``None`` if its own runs.

    Raises:
        IntegrityError: a file cannot be read.
        ToolchainError: zig's lists, which hold the symbols of newer glibcs, cannot be read.
    """
    assert target.userland is not None
    assert target.loader is not None
    found = OwnLibraries(userland, target.loader)
    if sent:
        exporters = [_read(path) for path in sent.exporters]
    else:
        program = _read(userland.path(target.userland.python))
        exporters = [program, *(_shared_python(userland, target, program, found))]
    names = {
        name: frozenset({UNVERSIONED})
        for item in exporters
        for name in item.exports.symbols
        if PYTHON_NAME.fullmatch(name)
    }
    first = first_versions(glibc_symbols(zig_folder(), target.toolchain.zig))
    return System(
        python=Exports(names),
        loaded=closure((name for item in exporters for name in item.needed), found) & frozenset(found),
        loader=posixpath.basename(target.loader),
        libraries=found,
        later={name: v for name, v in first.items() if Version(v) > target.abi.glibc_version},
    )


def _shared_python(
    userland: Userland, target: Target, program: ElfObject, found: Mapping[str, SystemLibrary]
) -> Iterator[ElfObject]:
    """Yield the shared library that holds the interpreter, if there is one; it may lie next to the program only."""
    assert target.userland is not None
    for name in program.needed:
        if name.startswith("libpython"):
            prefix = posixpath.dirname(posixpath.dirname(target.userland.python))
            places = [path for path in userland.entries if posixpath.basename(path) == name]
            near = [path for path in places if path.startswith(prefix)]
            for path in (near or places)[:1]:
                yield _read(userland.path(path))


def _read(path: Path) -> ElfObject:
    try:
        return read_object(path.read_bytes())
    except (OSError, UnreadableObject) as error:
        raise IntegrityError(
            f"{path} cannot be read as ELF: {error}",
            hint="`crosswheel target check` tells what of the machine's userland was changed; learn it again.",
        ) from error
