"""Defines the command audit, which looks for known vulnerabilities."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from crosswheel import targets
from crosswheel.audit.advisories import Matches
from crosswheel.audit.auditing import AdvisorySources, read_interpreter, read_wheels, wheels_of_index
from crosswheel.audit.exceptions import AuditException, AuditVerdict, apply_exceptions, read_exceptions
from crosswheel.audit.reports import sarif, summary_of, vex
from crosswheel.audit.subjects import AuditedParts, subjects_of
from crosswheel.cli.robot_options import Fleet, Login, Wheels
from crosswheel.cli.spreading import spread
from crosswheel.cli.trees import TARGETS
from crosswheel.deploy.fleet import RobotResult
from crosswheel.deploy.ssh import Connection
from crosswheel.errors import UsageError
from crosswheel.files import write_text
from crosswheel.progress import activity, table
from crosswheel.progress.wording import plural, printable
from crosswheel.provenance.parts import Part, read_closure
from crosswheel.settings import Settings

SOURCES_VARIABLE = "CROSSWHEEL_OSV"
"""The environment variable that names the sources of advisories."""
_MAX_AGE = 30


@dataclass(frozen=True)
class AdvisoryOptions:
    """The options for the sources of advisories, and for exceptions."""

    osv: Annotated[
        list[str] | None,
        typer.Option(
            "--osv",
            "--advisories",
            envvar=SOURCES_VARIABLE,
            help="OSV's database: a file or folder of its export, or the URL of a service; may be given several times.",
        ),
    ] = None
    max_age: Annotated[
        int, typer.Option("--max-age", min=0, help="The greatest age of the newest advisory, in days.")
    ] = _MAX_AGE
    exceptions: Annotated[
        Path | None, typer.Option("--exceptions", help="A TOML file of advisories to ignore.")
    ] = None

    @property
    def details(self) -> Mapping[str, object]:
        """The values of the options other than the sources, by option."""
        return {"--max-age": self.max_age != _MAX_AGE, "--exceptions": self.exceptions}

    @property
    def sources(self) -> AdvisorySources:
        """The sources of advisories; raises :class:`UsageError` if none is named."""
        return AdvisorySources.of(self.osv or (), self.max_age)

    @property
    def excused(self) -> Sequence[AuditException]:
        """The advisories that do not count."""
        return read_exceptions(self.exceptions) if self.exceptions else ()


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(spread(audit))


def audit(
    wheels: Wheels,
    known: AdvisoryOptions,
    fleet: Fleet,
    login: Login,
    requirement: Annotated[
        str | None, typer.Argument(help="A root whose wheels were built, such as prefect==3.3.4.")
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            help="A folder of wheels: an index, or the tree of wheels.",
            file_okay=False,
            exists=True,
        ),
    ] = None,
    report: Annotated[
        Literal["text", "sarif", "vex"], typer.Option("--format", help="The format of the report.")
    ] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write it to, instead of the terminal.")
    ] = None,
) -> None:
    """Look for known vulnerabilities of wheels and of what is inside them: exit code 0, or 1 if there are some."""
    sources, excused = known.sources, known.excused
    now = datetime.datetime.now(datetime.timezone.utc)
    errors = Console(stderr=True)
    with activity(errors) as tell:
        subjects = subjects_of(_audited(requirement, index, fleet, login, wheels, tell))
        matches = sources.matches(subjects, Settings.from_environment(), now, tell)
    verdict = apply_exceptions(matches.findings, excused, now.date())
    forms = {"sarif": lambda: sarif(verdict), "vex": lambda: vex(verdict, matches.newest)}
    if report != "text":
        _write(forms[report](), output)
    _tell(verdict, matches, subjects, errors)
    if report == "text":
        _tell_findings(verdict, output)
    if verdict.counted:
        raise typer.Exit(1)


def _audited(
    requirement: str | None,
    index: Path | None,
    fleet: Fleet,
    login: Login,
    wheels: Wheels,
    tell: Callable[[str], None],
) -> Iterable[Part]:
    """Return the wheels to audit: those of a root, of a folder, or in the environments of robots."""
    robots = bool(fleet.robot or fleet.robots)
    if [requirement is not None, index is not None, robots].count(True) != 1:
        raise UsageError(
            "name one of: a root, a folder with --index, robots with --robot",
            hint="such as `crosswheel audit --index index`.",
        )
    if robots:
        tell("asking the robots")
        return robot_parts(fleet.ask(login, robot_sboms))
    if index:
        return read_wheels(wheels_of_index(index), tell)
    assert requirement is not None
    target = targets.load(fleet.target, TARGETS)
    locked, proven = wheels.of(requirement, target)
    root = next(wheel.path for wheel in proven if wheel.pin.name == locked.name)
    return [*read_interpreter(root, target.name), *read_wheels([wheel.path for wheel in proven], tell)]


def robot_sboms(connection: Connection) -> dict[str, str | None]:
    """Return the SBOMs of the active environments of a robot, by name."""
    names = [row["name"] for row in connection.ask("list")["environments"] if row["active"]]
    return {name: connection.ask("sbom", name=name)["sbom"] for name in names}


def robot_parts(outcomes: Iterable[RobotResult[dict[str, str | None]]]) -> Iterator[Part]:
    """Yield the environments of robots, with their wheels.

    Raises:
        CrosswheelError: a robot cannot be reached, or an environment has no SBOM.
    """
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error
        for name, sbom in outcome.value.items():
            if sbom is None:
                raise UsageError(
                    f"{name} on {outcome.robot} has no SBOM",
                    hint="an earlier version of crosswheel installed it; deploy it again.",
                )
            title = f"{name} on {outcome.robot}"
            yield Part(title, role="root", parts=read_closure(sbom.encode(), title))


def _write(text: str, output: Path | None) -> None:
    if output:
        write_text(output, text)
    else:
        sys.stdout.write(text)


def _tell(verdict: AuditVerdict, matches: Matches, subjects: AuditedParts, errors: Console) -> None:
    """Print what was audited, what could not be, and which exceptions are due for review."""
    lines = [f"warning: not decided: {text}" for text in matches.undecided]
    lines += [
        f"warning: the exception of {item.id} expired on {item.expires}: {item.reason}"
        for item in verdict.expired
    ]
    lines += [f"warning: the exception of {item.id} is of nothing that was found" for item in verdict.unused]
    for found, item in verdict.excepted:
        lines.append(f"excepted until {item.expires}: {found.id} of {found.subject.title}: {item.reason}")
    if subjects.unnamed:
        names = sorted({subject.part.name for subject in subjects.unnamed})
        lines.append(f"advisories have no name for {plural(len(names), 'part')}: {', '.join(names)}")
    as_of = f", the newest of {matches.newest.date()}" if matches.newest else ""
    counted = f"{plural(len(verdict.counted), 'finding')}"
    lines.append(
        f"{plural(subjects.count, 'part')} looked for; advisories read: {matches.read}{as_of}; {counted}"
    )
    for line in lines:
        typer.echo(printable(errors, line), err=True)


def _tell_findings(verdict: AuditVerdict, output: Path | None) -> None:
    console = Console()
    rows = [[printable(console, cell) for cell in summary_of(finding)] for finding in verdict.counted]
    if output:
        write_text(output, "".join("\t".join(row) + "\n" for row in rows))
    elif rows:
        table(console, "known vulnerabilities", ["advisory", "of", "mended in", "what"], rows)
