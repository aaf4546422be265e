"""Defines the materials of a built wheel, which its SBOM and its provenance list.

A material is *linked in* if its code is in a file of the wheel, as the linker or rustc reported. Build requirements are
programs of the build machine; they are listed as such, as they are not in the wheel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["source", "library", "crate", "runtime", "requirement"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Patch(_Value):
    """A recipe's patch of a source: its file name, its SHA-256 and its text."""

    name: str
    sha256: str
    text: str


class Material(_Value):
    """A source, library, crate or runtime that went into a wheel, or a requirement that it was built with.

    Attributes:
        role: ``source`` of the package itself; a C ``library``, a ``crate`` or a compiler's ``runtime`` that is linked
            in; a ``requirement`` of the build (PEP 518).
        name: its name, as its own packaging system spells it.
        version: its version in that system; ``None`` if it has none.
        purl: its package URL, without a host's name.
        licence: its licence as an SPDX expression, if known.
        sha256: the hash of its file; for a requirement whose file is not known, all hashes that its lock allows.
        file: for a requirement, the name of the file that was installed, if it is known.
        commit: the git commit or tree of a source that is not a file, such as ``git-commit:0123…``.
        debian: the Debian source package that it is built from, which Debian's advisories name.
        patches: the patches of it, in the order in which they were applied.
        files: the members of the wheel that have its code; empty for a source and for requirements.
        parent: the purl of the material that brought it, such as the crate that compiled a C library.
    """

    role: Role
    name: str
    version: str | None = None
    purl: str | None = None
    licence: str | None = None
    sha256: tuple[str, ...] = ()
    file: str | None = None
    commit: str | None = None
    debian: str | None = None
    patches: tuple[Patch, ...] = ()
    files: tuple[str, ...] = ()
    parent: str | None = None


class Materials(_Value):
    """All materials of a wheel.

    Attributes:
        source: the sdist or the checkout that was built.
        linked: libraries, crates and runtimes whose code is in the wheel, sorted.
        requirements: the releases in the build environment, sorted.
        unknown: members of the wheel with machine code that crosswheel's compilers did not link, so that their
            materials are not known.
    """

    source: Material
    linked: tuple[Material, ...] = ()
    requirements: tuple[Material, ...] = ()
    unknown: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Material]:  # type: ignore[override]
        """Yield every material: the source, what is linked in, the requirements."""
        yield self.source
        yield from self.linked
        yield from self.requirements
