"""Match advisories in OSV's format against the audited parts."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.utils import canonicalize_name

from crosswheel.audit.subjects import AuditedPart, AuditedParts, Coordinates
from crosswheel.audit.version_ranges import is_affected
from crosswheel.errors import IntegrityError

Record = Mapping[str, Any]
"""An advisory as parsed JSON."""


@dataclass(frozen=True)
class Vulnerability:
    """An advisory that affects a part of a wheel.

    Attributes:
        aliases: other identifiers, such as a CVE.
        fixed: the versions that fix it, in the ecosystem's version scheme.
    """

    id: str
    subject: AuditedPart
    summary: str
    aliases: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    severity: str | None = None
    modified: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """All identifiers of the advisory."""
        return frozenset((self.id, *self.aliases))


@dataclass
class Matches:
    """The result of matching advisories.

    Attributes:
        read: the number of advisories.
        newest: the latest time of modification among them.
        undecided: advisories that name an audited part, but whose versions cannot be understood.
    """

    findings: list[Vulnerability] = field(default_factory=list)
    read: int = 0
    newest: datetime.datetime | None = None
    undecided: list[str] = field(default_factory=list)


def match(records: Iterable[Record], subjects: AuditedParts) -> Matches:
    """Match advisories one after the other against the audited parts; irrelevant ones are not kept in memory.

    Raises:
        IntegrityError: an advisory is not in OSV's format.
    """
    matches, names = Matches(), {(key.ecosystem, key.name): key for key in subjects.by_coordinates}
    for record in records:
        matches.read += 1
        modified = _time(record)
        if modified and (matches.newest is None or modified > matches.newest):
            matches.newest = modified
        if record.get("withdrawn"):
            continue
        found: dict[AuditedPart, Vulnerability] = {}
        for affected in _list(record, "affected", record):
            for subject in _affected(record, affected, names, subjects, matches):
                found.setdefault(subject, _finding(record, affected, subject))
        matches.findings += found.values()
    matches.findings.sort(key=lambda finding: (finding.subject.title, finding.id))
    return matches


def _affected(
    record: Record,
    affected: object,
    names: Mapping[tuple[str, str], Coordinates],
    subjects: AuditedParts,
    matches: Matches,
) -> Iterator[AuditedPart]:
    package = affected.get("package") if isinstance(affected, dict) else None
    if not isinstance(affected, dict) or (package is not None and not isinstance(package, dict)):
        raise _wrong(record, "`affected` names no package")
    if package is None:
        return  # it states only commits of a repository
    ecosystem, name = package.get("ecosystem"), package.get("name")
    if not isinstance(ecosystem, str) or not isinstance(name, str):
        raise _wrong(record, "a package has no ecosystem or no name")
    base = ecosystem.partition(":")[0]
    key = names.get((base, canonicalize_name(name) if base == "PyPI" else name))
    if key is None or not key.matches(ecosystem):
        return
    for subject in subjects.by_coordinates[key]:
        try:
            if is_affected(subject.version, affected, base):
                yield subject
        except ValueError as error:
            matches.undecided.append(f"{record.get('id')}: {subject.title}: {error}")


def _finding(record: Record, affected: Mapping[str, Any], subject: AuditedPart) -> Vulnerability:
    events = [
        event
        for stated in affected.get("ranges") or []
        for event in stated.get("events", [])
        if stated.get("type") != "GIT"
    ]
    summary = record.get("summary") or str(record.get("details") or "").strip().partition("\n")[0]
    aliases = [alias for alias in _list(record, "aliases", record) if isinstance(alias, str)]
    upstream = [alias for alias in _list(record, "upstream", record) if isinstance(alias, str)]
    return Vulnerability(
        str(record["id"]),
        subject,
        str(summary)[:300],
        tuple(dict.fromkeys([*aliases, *upstream])),
        tuple(str(event["fixed"]) for event in events if isinstance(event, dict) and "fixed" in event),
        _severity(record),
        str(record.get("modified") or "") or None,
    )


def _severity(record: Record) -> str | None:
    """Return the vector of an advisory's severity (CVSS), of the newest CVSS version."""
    stated = [item for item in _list(record, "severity", record) if isinstance(item, dict)]
    scores = sorted(((str(item.get("type")), str(item.get("score"))) for item in stated), reverse=True)
    return scores[0][1] if scores else None


def _time(record: Record) -> datetime.datetime | None:
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise IntegrityError(
            "the database has an entry that is no advisory in OSV's format: it has no id",
            hint="fetch the database again; `crosswheel audit` reads OSV's export, one JSON object for each advisory.",
        )
    text = record.get("modified")
    if not isinstance(text, str):
        return None
    try:
        time = datetime.datetime.fromisoformat(text.partition(".")[0].rstrip("Z"))
    except ValueError:
        raise _wrong(record, f"`modified` is {text[:40]!r}") from None
    return time.replace(tzinfo=datetime.timezone.utc)


def _list(owner: Record, key: str, record: Record) -> list[Any]:
    value = owner.get(key) or []
    if not isinstance(value, list):
        raise _wrong(record, f"`{key}` is not a list")
    return value


def _wrong(record: Record, reason: str) -> IntegrityError:
    return IntegrityError(
        f"the advisory {str(record.get('id'))[:80]} is not of OSV's format: {reason}",
        hint="fetch the database again.",
    )
