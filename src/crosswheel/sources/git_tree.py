"""Computes the git tree id of a folder, which names its content however it was packed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

_FILE, _EXECUTABLE, _LINK, _FOLDER, _SUBMODULE = b"100644", b"100755", b"120000", b"40000", b"160000"
_NO_SUBMODULES: Mapping[str, str] = {}


def git_tree_id(folder: Path, *, submodules: Mapping[str, str] = _NO_SUBMODULES) -> str:
    """Return the SHA-1 id of the git tree object that holds what ``folder`` holds.

    It equals ``git rev-parse <tag>^{tree}`` if the folder has all committed files, unchanged. An archive does not have
    them where the repository's ``.gitattributes`` use ``export-ignore`` or ``export-subst``. As in git, ``.git`` and
    empty folders do not count.

    Args:
        submodules: the commit of each submodule, by its path below ``folder``, with ``/``; an archive has an empty
            folder there.
    """
    return (_tree(folder, "", submodules) or _object_id(b"tree", b"")).hex()


def _tree(folder: Path, prefix: str, submodules: Mapping[str, str]) -> bytes | None:
    """Return the binary id of a folder's tree; ``None`` if git would not store the folder."""
    entries = sorted(_entries(folder, prefix, submodules), key=_git_order)
    content = b"".join(mode + b" " + name + b"\0" + identity for mode, name, identity in entries)
    return _object_id(b"tree", content) if entries else None


def _entries(
    folder: Path, prefix: str, submodules: Mapping[str, str]
) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield mode, name and binary id of everything in a folder."""
    for path in folder.iterdir():
        name = os.fsencode(path.name)
        commit = submodules.get(prefix + path.name)
        if commit is not None:
            yield _SUBMODULE, name, bytes.fromhex(commit)
        elif path.is_symlink():
            yield _LINK, name, _object_id(b"blob", os.fsencode(path.readlink()))
        elif path.is_dir():
            identity = None if path.name == ".git" else _tree(path, f"{prefix}{path.name}/", submodules)
            if identity is not None:
                yield _FOLDER, name, identity
        elif path.name != ".git":  # checked-out submodules have a file of that name
            mode = _EXECUTABLE if path.stat().st_mode & stat.S_IXUSR else _FILE
            yield mode, name, _object_id(b"blob", path.read_bytes())


def _git_order(entry: tuple[bytes, bytes, bytes]) -> bytes:
    mode, name, _ = entry
    return name + b"/" if mode == _FOLDER else name


def _object_id(kind: bytes, content: bytes) -> bytes:
    digest = hashlib.sha1(kind + b" " + str(len(content)).encode() + b"\0", usedforsecurity=False)
    digest.update(content)
    return digest.digest()
