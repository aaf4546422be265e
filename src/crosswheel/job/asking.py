"""What users ask for, made ready to be resolved: projects packed, and files that name them translated."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from crosswheel.errors import UsageError
from crosswheel.files import digest_of, write_text
from crosswheel.job.closures import Closure
from crosswheel.job.context import BuildContext
from crosswheel.job.project_closures import LockedProjects, locked_projects
from crosswheel.job.projects import Gathered
from crosswheel.job.resolving import closure_for
from crosswheel.projects.requirements_file import FileLine, RequirementsContent, read_requirements
from crosswheel.resolver import Request


@dataclass(frozen=True)
class Asking:
    """What a command asks for: requirements and files, as of a day, with dependency groups of the projects in it."""

    request: Request
    as_of: datetime.date | None = None
    groups: tuple[str, ...] = ()
    upgrade: bool = False

    def closure(self, context: BuildContext) -> tuple[Closure, BuildContext]:
        """Return the steps for it, and the context to run them in.

        Raises: as :func:`prepare`, and
            LockError: no set of releases satisfies it.
            PlanError: a release can be neither taken nor built.
        """
        prepared = prepare(self.request, context, self.groups)
        if prepared.has_projects and not prepared.request.files:
            return self.locked(prepared).closure, prepared.context
        return closure_for(prepared.request, self.as_of, prepared.context), prepared.context

    def locked(self, prepared: Prepared) -> LockedProjects:
        """Return the projects that it asks for, locked."""
        return locked_projects(prepared.request, self.as_of, prepared.context, upgrade=self.upgrade)


@dataclass(frozen=True)
class Prepared:
    """What is asked for without any folder or address, and the context that offers what those held."""

    request: Request
    context: BuildContext

    @property
    def has_projects(self) -> bool:
        """Whether projects of the user's are among it."""
        return bool(self.context.projects)


def prepare(request: Request, context: BuildContext, groups: Sequence[str] = ()) -> Prepared:
    """Find every project that is asked for, on the command line and in files, and offer it.

    Raises:
        UsageError: a project or a file cannot be read, or an option of a file cannot be honoured.
        NetworkError: a repository or an archive cannot be had.
        BuildFailed: a build backend cannot tell a project's metadata.
    """
    gathered = Gathered(context, Path.cwd(), groups)
    for requirement in request.requirements:
        gathered.ask(requirement)
    if groups and not gathered.releases:
        raise UsageError(
            f"--group {groups[0]} is of a project, and none is asked for",
            hint="name its folder, such as ./mylib.",
        )
    requirements = tuple(gathered.requirements)
    files = []
    for path in request.files:
        content = read_requirements(path)
        if content is None or content.is_plain:
            files.append(path)
            continue
        context = _with_options(context, content, path)
        files.append(_translated(content, path, gathered))
    return Prepared(Request(requirements, tuple(files)), context.offering(gathered.releases.values()))


def _with_options(context: BuildContext, content: RequirementsContent, path: Path) -> BuildContext:
    if content.index_url:
        host = urlsplit(content.index_url).hostname
        context.display.warning(
            f"{path.name} names the registry on {host}: all packages of this run are asked for there, and nowhere else"
        )
        context = context.asking(content.index_url)
    return replace(
        context,
        no_binary=context.no_binary | content.no_binary,
        only_binary=context.only_binary | content.only_binary,
    )


def _translated(content: RequirementsContent, path: Path, gathered: Gathered) -> Path:
    """Write the same requirements, with exact releases in the place of projects; return where."""
    requirements = [
        text for line in content.lines if not line.is_constraint for text in _stated(line, gathered)
    ]
    limits = [text for line in content.lines if line.is_constraint for text in _stated(line, gathered)]
    text = "".join(f"{line}\n" for line in requirements)
    digest = digest_of(text=text, limits=limits)
    folder = gathered.context.trees.build / "locks" / "files" / digest
    write_text(folder / "constraints.txt", "".join(f"{line}\n" for line in limits))
    write_text(folder / path.name, text + ("-c constraints.txt\n" if limits else ""))
    return folder / path.name


def _stated(line: FileLine, gathered: Gathered) -> Iterable[str]:
    if not line.is_project:
        yield " ".join([f"{line.text}{line.marker}", *(f"--hash={value}" for value in line.hashes)])
        return
    base = Path.cwd() if (Path.cwd() / line.text.partition("[")[0]).exists() else line.file.parent.absolute()
    found = replace(gathered, requirements=[], base=base, groups=())
    text = line.text
    try:
        found.ask(text if "@" in text or ":" in text or text.startswith((".", "/", "~")) else f"./{text}")
    except UsageError as error:
        raise UsageError(f"{line.file}, line {line.number}: {error}", hint=error.hint) from error
    yield from (f"{requirement}{line.marker}" for requirement in found.requirements)
