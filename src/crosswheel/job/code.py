"""Computes a digest of crosswheel's own code, so that cached wheels and proofs are renewed when the code changes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from importlib import metadata, resources
from pathlib import Path

from packaging.requirements import Requirement

from crosswheel.errors import ToolchainError
from crosswheel.files import digest_of

# A list of what has no influence, as a file that were forgotten in a list of the opposite would let old proofs pass.
# These files and folders only ask, show and hand on; recipes, targets and C libraries have digests of their own.
WITHOUT_INFLUENCE = frozenset({
    "__main__.py", "agent", "audit", "cli", "deploy", "doctor.py", "index", "learning", "progress", "publish",
    "py.typed", "recipes/data", "serve.py", "simulator", "stores", "targets/data", "toolchain/libraries/libraries.toml",
})  # fmt: skip
# Libraries that only the parts above use.
_OTHER_LIBRARIES = frozenset({
    "fsspec", "ijson", "jinja2", "nh3", "readme-renderer", "rich", "starlette", "typer", "univers", "uvicorn",
})  # fmt: skip


def code_digest(root: Path | None = None, without: Collection[str] = WITHOUT_INFLUENCE) -> str:
    """Return the digest of the code and the libraries that can change a wheel or a proof.

    Args:
        root: the folder of the package; crosswheel's own by default.
        without: files and folders below it that have no influence.

    Raises:
        ToolchainError: one of ``without`` does not exist, or nothing is left.
    """
    root = root or Path(str(resources.files("crosswheel")))
    unknown = sorted(name for name in without if not (root / name).exists())
    files = [path for path in _files(root) if not _below(path.relative_to(root), without)]
    if unknown or not files:
        raise ToolchainError(
            f"{root} has no {', '.join(unknown) or 'code'}, so what it makes cannot be named",
            hint="install crosswheel anew: its own files are missing.",
        )
    contents = {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return digest_of(contents=contents, libraries=dict(_libraries()))


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]


def _below(path: Path, folders: Collection[str]) -> bool:
    return any(str(part) in folders for part in (path, *path.parents))


def _libraries() -> Iterator[tuple[str, str]]:
    """Yield name and version of each library that crosswheel requires, those of extras excepted."""
    for text in metadata.requires("crosswheel") or ():
        required = Requirement(text)
        applies = required.marker is None or required.marker.evaluate({"extra": ""})
        if applies and required.name not in _OTHER_LIBRARIES:
            yield required.name, metadata.version(required.name)
