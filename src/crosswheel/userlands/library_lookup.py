"""Look up libraries in a userland as the dynamic loader does (ld.so(8)): in its cache, then in its folders.

musl's loader has no cache; a file names its folders, or it has a list of them (ldso/dynlink.c in its sources).
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Iterator, Mapping

from crosswheel.userlands import Userland

_CACHE = "/etc/ld.so.cache"
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_CACHE_HEAD = struct.Struct("<20sII20x")  # magic, entries, bytes of text
_CACHE_ENTRY = struct.Struct("<iIIIQ")  # flags, name, path, oldest kernel, CPU
# musl's loader is its C library, which it takes for every library with one of these names.
_MUSL = re.compile(r"ld-musl-(\w+)\.so\.1$")
_IN_MUSL = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")
_MUSL_FOLDERS = re.compile(rb"(?<=\0)/[\w./+-]+(:/[\w./+-]+)+(?=\0)")
_FOLDER = re.compile(rb"(?<=\0)(/[\w./+-]*lib[\w./+-]*/)(?=\0)")
# ELF class, byte order and machine, which the loader checks before it loads a file.
_IDENTITY = (slice(0, 6), slice(18, 20))


def libraries(userland: Userland, loader: str) -> Mapping[str, str]:
    """Return the libraries that the loader finds without additional folders, by name.

    Args:
        loader: its path on the machine.
    """
    program = userland.path(loader).read_bytes()
    musl = _MUSL.search(loader)
    if musl:
        folders = _folders_of_musl(userland, musl[1], program)
    else:
        folders = list(dict.fromkeys(folder.decode() for folder in _FOLDER.findall(program)))
    found: dict[str, str] = {}
    for name, path in (*_cached(userland), *_below(userland, folders)):
        if name not in found and userland.has(path) and _is_alike(userland, path, program):
            found[name] = path
    return found


def is_in_loader(soname: str, loader: str) -> bool:
    """Return whether a dynamic loader is itself the library of a name, and looks for no file."""
    return bool(_MUSL.search(loader) and _IN_MUSL.match(soname))


def _folders_of_musl(userland: Userland, architecture: str, program: bytes) -> list[str]:
    path = f"/etc/ld-musl-{architecture}.path"
    if userland.has(path):
        return re.split(r"[:\n]+", userland.path(path).read_text(errors="replace").strip())
    built_in = _MUSL_FOLDERS.search(program)
    return built_in[0].decode().split(":") if built_in else []


def _cached(userland: Userland) -> Iterator[tuple[str, str]]:
    """Yield the names and paths in the loader's cache; nothing if there is no readable cache."""
    if not userland.has(_CACHE):
        return
    data = userland.path(_CACHE).read_bytes()
    at = data.find(_CACHE_MAGIC)
    if at < 0 or len(data) < at + _CACHE_HEAD.size:
        return
    data = data[at:]
    _, count, _ = _CACHE_HEAD.unpack_from(data)
    if _CACHE_HEAD.size + count * _CACHE_ENTRY.size > len(data):  # another byte order, or damaged
        return
    for number in range(count):
        _, name, path, _, _ = _CACHE_ENTRY.unpack_from(data, _CACHE_HEAD.size + number * _CACHE_ENTRY.size)
        yield _text(data, name), _text(data, path)


def _below(userland: Userland, folders: list[str]) -> Iterator[tuple[str, str]]:
    names: dict[str, list[str]] = {}
    for path in userland.entries:
        folder, name = posixpath.split(path)
        if ".so" in name:
            names.setdefault(folder, []).append(name)
    for folder in folders:
        real = "/" + str(userland.path(folder).relative_to(userland.root))
        yield from ((name, posixpath.join(real, name)) for name in sorted(names.get(real, ())))


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode(errors="replace") if 0 <= at < len(data) else ""


def _is_alike(userland: Userland, path: str, program: bytes) -> bool:
    with userland.path(path).open("rb") as stream:
        head = stream.read(20)
    return all(head[part] == program[part] for part in _IDENTITY)
