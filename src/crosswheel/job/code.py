"""A name for crosswheel's own code: what it made or proved is made and proven anew when that changes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from importlib import metadata, resources
from pathlib import Path

from packaging.requirements import Requirement

from crosswheel.errors import ToolchainError
from crosswheel.files import digest_of

# What a wheel or a proof passes through is not listed, since what is forgotten there would let old proofs pass. These
# files and folders only ask, show and hand on; what is said of packages, targets and C libraries names their wheels.
WITHOUT_INFLUENCE = frozenset({
    "__main__.py", "agent", "audit", "cli", "deploy", "doctor.py", "index", "learning", "progress", "publish",
    "py.typed", "recipes/data", "serve.py", "simulator", "stores", "targets/data", "toolchain/libraries/libraries.toml",
})  # fmt: skip
# Libraries of the parts above.
_OTHER_LIBRARIES = frozenset({
    "fsspec", "ijson", "jinja2", "nh3", "readme-renderer", "rich", "starlette", "typer", "univers", "uvicorn",
})  # fmt: skip


def code_digest(root: Path | None = None, without: Collection[str] = WITHOUT_INFLUENCE) -> str:
    """Name the code and the libraries that wheels and proofs pass through.

    Args:
        root: the package's folder, if it is not crosswheel's own.
        without: the files and folders below it that have no influence.

    Raises:
        ToolchainError: one of ``without`` is not there, or nothing is left.
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
    """Yield the names and versions of the libraries that are required, other than by an extra."""
    for text in metadata.requires("crosswheel") or ():
        required = Requirement(text)
        applies = required.marker is None or required.marker.evaluate({"extra": ""})
        if applies and required.name not in _OTHER_LIBRARIES:
            yield required.name, metadata.version(required.name)
