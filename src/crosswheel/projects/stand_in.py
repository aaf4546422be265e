"""Show a resolver the user's projects as wheels with metadata alone, so that it need not run any code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosswheel.projects.local_release import LocalRelease
from crosswheel.wheels.writing import Member, write_wheel

_CONSTRAINTS = "projects.txt"


@dataclass(frozen=True)
class StandIn:
    """A project's release, and the wheel that represents it while requirements are resolved."""

    release: LocalRelease
    wheel: Path

    @property
    def constraint(self) -> str:
        """The constraint that selects this release alone for its name (PEP 508)."""
        return f"{self.release.name} @ {self.wheel.as_uri()}"

    def restored(self, text: str) -> str:
        """Return resolved requirements in which the release and its source's hash replace the stand-in."""
        name = re.escape(self.release.name)
        pattern = rf"^({name}(?:\[[^]]*\])?) @ \S+((?: ;[^\n\\]*)?) \\\n\s+--hash=sha256:[0-9a-f]+"
        exact = rf"\1=={self.release.version}\2 \\\n    --hash=sha256:{self.release.file.sha256}"
        return re.sub(pattern, exact, text, flags=re.MULTILINE)


def written_constraints(stand_ins: Sequence[StandIn], folder: Path) -> Path:
    """Write the constraints that make a resolver use the stand-ins, and return their file."""
    path = folder / _CONSTRAINTS
    path.write_text("".join(f"{stand_in.constraint}\n" for stand_in in stand_ins))
    return path


def restored(text: str, stand_ins: Iterable[StandIn]) -> str:
    """Return resolved requirements with releases instead of stand-ins, without comments that name the stand-ins."""
    for stand_in in stand_ins:
        text = stand_in.restored(text)
    return re.sub(rf"^\s*#\s+-c \S*{re.escape(_CONSTRAINTS)}\n", "", text, flags=re.MULTILINE)


def write_stand_in(release: LocalRelease, folder: Path) -> StandIn:
    """Write a wheel with the metadata of a project's future wheel (PEP 427), and no other contents."""
    base = f"{release.name.replace('-', '_')}-{release.version}"
    info = f"{base}.dist-info"
    wheel = folder / f"{base}-py3-none-any.whl"
    members = [
        Member(f"{info}/METADATA", "\n".join([*_metadata(release), ""]).encode()),
        Member(
            f"{info}/WHEEL",
            b"Wheel-Version: 1.0\nGenerator: crosswheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
    ]
    write_wheel(wheel, members, f"{info}/RECORD")
    return StandIn(release, wheel)


def _metadata(release: LocalRelease) -> Iterator[str]:
    metadata = release.metadata
    yield from ("Metadata-Version: 2.2", f"Name: {metadata.name}", f"Version: {metadata.version}")
    if metadata.requires_python:
        yield f"Requires-Python: {metadata.requires_python}"
    yield from (f"Requires-Dist: {requirement}" for requirement in metadata.requires_dist)
    yield from (f"Provides-Extra: {extra}" for extra in metadata.provides_extra)
