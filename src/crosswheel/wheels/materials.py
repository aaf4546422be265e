"""What went into a wheel that was built: the materials that its SBOM lists and its provenance states.

A material is *linked in* when its code is in a file of the wheel: the linker and rustc told so. Requirements of the
build are programs of the build machine: named as such, and not in the wheel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["source", "library", "crate", "runtime", "requirement"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Patch(_Value):
    """A change that a recipe makes to a source: the patch's file name, its SHA-256, and its text."""

    name: str
    sha256: str
    text: str


class Material(_Value):
    """One thing that went into a wheel, or that it was built with.

    Attributes:
        role: ``source`` of the package itself; a C ``library``, a ``crate`` or a compiler's ``runtime`` that is linked
            in; a ``requirement`` of the build (PEP 518).
        name: as the system that it comes from spells it.
        version: in that system's way of counting; ``None`` where it has none.
        purl: its package URL, without a host's name.
        licence: an SPDX expression, where one is known.
        sha256: hashes of the file that it came as: one, if it is known which; for a requirement, all that its lock
            allows.
        commit: the commit or the tree of git that it came as, such as ``git-commit:0123…``, where it was no file.
        debian: the source package of Debian that it is built from, by which Debian's advisories name it.
        patches: what was changed in it, in this order.
        files: the members of the wheel that its code is in; empty for a source and for requirements.
        parent: the purl of the material that carries it: of the crate that a C library was compiled by.
    """

    role: Role
    name: str
    version: str | None = None
    purl: str | None = None
    licence: str | None = None
    sha256: tuple[str, ...] = ()
    commit: str | None = None
    debian: str | None = None
    patches: tuple[Patch, ...] = ()
    files: tuple[str, ...] = ()
    parent: str | None = None


class Materials(_Value):
    """All that went into a wheel.

    Attributes:
        source: the sdist or the checkout that was built.
        linked: libraries, crates and runtimes whose code is in the wheel, sorted.
        requirements: the releases that the build environment held, sorted.
        unknown: members of the wheel that are machine code and that no compiler of ours linked, so that it is not known
            what is in them.
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
