"""Audit wheels and their parts against sufficiently recent sources of advisories."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from crosswheel.audit.advisories import Matches, Record, match
from crosswheel.audit.database import read_database
from crosswheel.audit.osv_service import ask_service
from crosswheel.audit.subjects import AuditedParts
from crosswheel.download import offline_error
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.files import sha256_of
from crosswheel.provenance.parts import INTERPRETER, Part, parts_of_wheel, read_closure
from crosswheel.settings import Settings
from crosswheel.wheels.layout import CLOSURE_SUFFIX
from crosswheel.wheels.reading import WheelFile


@dataclass(frozen=True)
class AdvisorySources:
    """The sources of advisories.

    Attributes:
        databases: files and folders.
        services: URLs.
        max_age: the maximum age of a database's newest advisory, in days.
    """

    databases: tuple[Path, ...]
    services: tuple[str, ...]
    max_age: int

    @classmethod
    def of(cls, stated: Sequence[str], max_age: int) -> AdvisorySources:
        """Parse the sources on a command line.

        Raises:
            UsageError: there is none.
        """
        if not stated:
            raise UsageError(
                "there is nothing to look for vulnerabilities in",
                hint="name OSV's database with --osv: a file or a folder of its export, or the address of a service.",
            )
        services = tuple(text for text in stated if text.startswith(("http://", "https://")))
        return cls(tuple(Path(text) for text in stated if text not in services), services, max_age)

    def matches(
        self, subjects: AuditedParts, settings: Settings, now: datetime.datetime, tell: Callable[[str], None]
    ) -> Matches:
        """Match the sources' advisories against the audited parts.

        Raises:
            UsageError: a database is missing or too old.
            IntegrityError: a database is damaged.
            NetworkError: a service cannot be queried.
        """
        if self.services and settings.offline:
            raise offline_error(f"what {self.services[0]} knows of vulnerabilities")
        parts = [self._of_database(path, subjects, now, tell) for path in self.databases]
        asked = chain.from_iterable(ask_service(url, subjects, tell) for url in self.services)
        return _joined([*parts, match(asked, subjects)])

    def _of_database(
        self, path: Path, subjects: AuditedParts, now: datetime.datetime, tell: Callable[[str], None]
    ) -> Matches:
        matches = match(_counted(read_database(path), path, tell), subjects)
        if matches.newest is None:
            raise IntegrityError(
                f"{path} has no advisory that tells when it was changed, so it is not known how old it is",
                hint="fetch OSV's export again.",
            )
        age = now - matches.newest
        if age > datetime.timedelta(days=self.max_age):
            raise UsageError(
                f"the newest advisory in {path} is of {matches.newest.date()}, {age.days} days old",
                hint=f"fetch OSV's export again, or allow its age with --max-age {age.days + 1}.",
            )
        return matches


def _counted(records: Iterable[Record], path: Path, tell: Callable[[str], None]) -> Iterator[Record]:
    for number, record in enumerate(records, 1):
        if number % 1000 == 0:
            tell(f"{path.name}: {number} advisories")
        yield record


def _joined(parts: Sequence[Matches]) -> Matches:
    """Merge the results of several sources; of two advisories with one identifier, the first counts."""
    findings = {(found.id, found.subject): found for part in reversed(parts) for found in part.findings}
    return Matches(
        sorted(findings.values(), key=lambda found: (found.subject.title, found.id)),
        sum(part.read for part in parts),
        min((part.newest for part in parts if part.newest), default=None),
        [text for part in parts for text in part.undecided],
    )


def read_wheels(paths: Iterable[Path], tell: Callable[[str], None]) -> Iterator[Part]:
    """Yield wheels with the contents of their SBOMs.

    Raises:
        IntegrityError: a wheel is damaged, or an SBOM in it cannot be read.
    """
    for path in paths:
        tell(f"reading {path.name}")
        WheelFile.open(path)  # verify that it is sound and matches its name
        part, refusals = parts_of_wheel(path, sha256_of(path))
        if refusals:
            raise IntegrityError(
                f"what is inside of {path.name} is not known: {refusals[0]}",
                hint="tell the authors of the wheel; or build it: a recipe with prefer='source'.",
            )
        yield part


def read_interpreter(root: Path, target: str) -> list[Part]:
    """Return the Python that is installed with a root's wheel, if the SBOM of its closure names one.

    Raises:
        IntegrityError: that SBOM cannot be read.
    """
    bill = root.with_name(f"{root.name}.{target}{CLOSURE_SUFFIX}")
    parts = read_closure(bill.read_bytes(), bill.name) if bill.is_file() else ()
    return [part for part in parts if part.role == INTERPRETER]


def wheels_of_index(folder: Path) -> list[Path]:
    """Return the wheels of a site or of a tree of wheels, without copies of the same file.

    Raises:
        UsageError: there is none.
    """
    found = {
        (path.name, path.stat().st_size, path.stat().st_ino): path
        for path in sorted(folder.rglob("*.whl"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    if not found:
        raise UsageError(f"there is no wheel in {folder}", hint="name the folder of an index, or of wheels.")
    return list(found.values())
