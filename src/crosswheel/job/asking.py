"""Prepares what users ask for to be resolved: packs their projects, and translates files that name them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from crosswheel.errors import LockError, UsageError
from crosswheel.files import digest_of, write_text
from crosswheel.job.closures import Closure, closure_for
from crosswheel.job.context import BuildContext, Trees
from crosswheel.job.gathering import Gathered
from crosswheel.job.misfits import exact_releases, explained
from crosswheel.job.project_closures import LockedProjects, locked_projects
from crosswheel.job.releasing import Releasing, with_settings
from crosswheel.projects.foreign_locks import (
    UV_LOCK,
    ForeignLock,
    ForeignPin,
    is_foreign_lock,
    read_foreign_lock,
)
from crosswheel.projects.pyproject import ProjectFolder
from crosswheel.projects.requirements_file import FileLine, RequirementsContent, read_requirements
from crosswheel.resolver import Request

Error = TypeVar("Error", LockError, UsageError)


@dataclass(frozen=True)
class Asking:
    """What a command asks for: requirements and files, the day to resolve as of, and dependency groups of projects."""

    request: Request
    as_of: datetime.date | None = None
    groups: tuple[str, ...] = ()
    upgrade: bool = False
    constraints: tuple[Path, ...] = ()
    releasing: Releasing = field(default_factory=Releasing)

    def closure(self, context: BuildContext) -> tuple[Closure, BuildContext]:
        """Return the closure that satisfies the request, and the context to run its steps in.

        Raises: as :func:`prepare`, and
            LockError: no set of releases satisfies it.
            PlanError: a release can be neither taken nor built.
        """
        prepared = prepare(self.request, context, self.groups, self.constraints)
        if self.releasing.alone:
            prepared = prepared.for_release(self.releasing)
        names = [_name(text) for text in prepared.request.requirements]
        if prepared.has_projects and not prepared.request.files:
            return self.releasing.of(self.locked(prepared).closure, names), prepared.context
        try:
            closure = closure_for(prepared.request, self.as_of, prepared.context)
        except LockError as error:
            raise prepared.naming(explained(error, prepared.exact, prepared.context)) from error
        except UsageError as error:
            raise prepared.naming(error) from error
        prepared.require_locked(closure)
        _warn_of_confusion(closure, prepared.context)
        return self.releasing.of(closure, names), prepared.context

    def locked(self, prepared: Prepared) -> LockedProjects:
        """Return the requested projects, locked."""
        return locked_projects(prepared.request, self.as_of, prepared.context, upgrade=self.upgrade)


@dataclass(frozen=True)
class Prepared:
    """A request in which exact releases replace folders and addresses, and the context that offers these releases.

    Attributes:
        exact: the releases that it names exactly.
        has_projects: whether projects of the user's are asked for themselves.
        folders: where the projects lie, by name.
        translated: the files that were written in place of the user's own, and those.
        limits: the packages in each lock that only limits what a project requires.
    """

    request: Request
    context: BuildContext
    exact: tuple[ForeignPin, ...] = ()
    has_projects: bool = False
    folders: Mapping[str, Path] = field(default_factory=dict)
    translated: Mapping[Path, Path] = field(default_factory=dict)
    limits: Mapping[Path, frozenset[str]] = field(default_factory=dict)

    def require_locked(self, closure: Closure) -> None:
        """Raise :class:`LockError` if nothing but such locks is asked for, and one of them lacks a package."""
        if not self.limits or self.request.requirements or set(self.limits) != set(self.translated.values()):
            return
        known = {release.name for release in self.context.projects}.union(*self.limits.values())
        missing = sorted(closure.steps.keys() - known)
        if missing:
            raise LockError(
                f"{', '.join(map(str, self.limits))} does not name {', '.join(missing)}, which is needed as well",
                hint="renew it with its tool: it was made for other requirements than those of its project.",
            )

    def naming(self, error: Error) -> Error:
        """Return an error that names the user's own files in place of those that were written for them."""
        message = error.message
        for written, own in self.translated.items():
            message = message.replace(str(written), str(own))
        return type(error)(message, hint=error.hint)

    def for_release(self, releasing: Releasing) -> Prepared:
        """Return the same, with what the projects' own settings say of their wheels.

        Raises:
            UsageError: files are asked for, of which it is not known what is released; or a setting has no meaning.
            LeftOut: the settings do not mean the build for this target.
        """
        if self.request.files or not self.request.requirements:
            raise UsageError(
                "--no-deps is for what is named itself, and files name what is needed as well",
                hint="name the project or the package on the command line, without -r and -c.",
            )
        requirements, context = with_settings(
            self.request.requirements, self.folders, releasing, self.context
        )
        released = frozenset(_name(text) for text in requirements)
        return replace(self, request=Request(requirements), context=replace(context, released=released))


def prepare(
    request: Request, context: BuildContext, groups: Sequence[str] = (), constraints: Sequence[Path] = ()
) -> Prepared:
    """Find every project that the command line and its files name, pack it, and offer it like a release.

    Args:
        groups: dependency groups of the projects, or of the locks.
        constraints: files of constraints, which bound versions and ask for nothing.

    Raises:
        UsageError: a project or a file cannot be read, or an option of a file cannot be honoured.
        NetworkError: a repository or an archive cannot be had.
        BuildFailed: a build backend cannot tell a project's metadata.
    """
    gathered = Gathered(context, Path.cwd(), groups)
    for requirement in request.requirements:  # a registry's package stays as it is asked for
        gathered.ask(requirement)
    if groups and not gathered.releases and not any(map(is_foreign_lock, request.files)):
        raise UsageError(
            f"--group {groups[0]} is of a project, and none is asked for",
            hint="name its folder, such as ./mylib.",
        )
    requirements = tuple(gathered.requirements)
    exact, files, limits = [*exact_releases(requirements)], dict[Path, Path](), dict[Path, frozenset[str]]()
    for path in request.files:
        if is_foreign_lock(path):
            lock = _read_lock(path, context, groups)
            exact += lock.pins
            if lock.is_partial:
                limits[path] = frozenset(pin.name for pin in lock.pins)
            files[_of_lock(lock, path, gathered)] = path
            continue
        content = read_requirements(path)
        if content is None:
            files[path] = path
            continue
        context = with_options(context, content, path)
        files[_translated(content, path, gathered)] = path
    if constraints:
        limited = _limited(requirements, constraints, context.trees)
        files[limited] = limited
        requirements = ()
    offering = context.offering(gathered.releases.values())
    offered = {release.name for release in offering.projects}
    has_projects = bool(gathered.releases) or any(_name(text) in offered for text in requirements)
    request = Request(requirements, tuple(files))
    return Prepared(request, offering, tuple(exact), has_projects, dict(gathered.folders), files, limits)


def _warn_of_confusion(closure: Closure, context: BuildContext) -> None:
    """Warn of the packages that more than one registry has, each of which may be somebody else's."""
    if not context.settings.extra_registries:
        return
    with context.questions() as pool:
        having = dict(
            zip(closure.steps, pool.map(context.registry.registries_with, closure.steps), strict=True)
        )
    for name, registries in having.items():
        if len(registries) > 1:
            taken, *others = (
                urlsplit(url or "").netloc.rpartition("@")[2] or "the default registry" for url in registries
            )
            context.display.warning(
                f"{name} is on several registries: it comes from {taken}, not from {', '.join(others)}"
            )


def _name(requirement: str) -> str:
    """Return the normalised name in a requirement; the resolver refuses what is not one."""
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return ""


def _limited(requirements: Iterable[str], constraints: Sequence[Path], trees: Trees) -> Path:
    """Write the command line's requirements to a file that names their constraints; return its path."""
    for path in constraints:
        if not path.is_file():
            raise UsageError(f"there is no file of constraints {path}", hint="check --constraint.")
    text = "".join(f"{line}\n" for line in [*requirements, *(f"-c {path.resolve()}" for path in constraints)])
    file = trees.build / "locks" / "files" / digest_of(text=text) / "requirements.txt"
    write_text(file, text)
    return file


def _read_lock(path: Path, context: BuildContext, groups: Sequence[str]) -> ForeignLock:
    if path.name != UV_LOCK:
        return read_foreign_lock(path, context.target, groups)
    if not (path.parent / "pyproject.toml").is_file():
        raise UsageError(
            f"there is no pyproject.toml beside {path}", hint="name the lock in its project's folder."
        )
    exported = (
        context.trees.build
        / "locks"
        / "files"
        / digest_of(lock=path.read_text(), groups=groups)
        / "pylock.toml"
    )
    text = context.uv.export_lock(path.parent, python=context.toolchain.host.executable, groups=groups)
    write_text(exported, text)
    return read_foreign_lock(exported, context.target, groups)


def _of_lock(lock: ForeignLock, path: Path, gathered: Gathered) -> Path:
    """Write another tool's lock as a requirements file; return its path."""
    folder = path.parent.absolute()
    found = replace(gathered, requirements=[], base=folder, groups=())
    own = [] if path.name == UV_LOCK or not _has_own_project(path) else ["."]
    for address in dict.fromkeys([*own, *lock.projects]):
        found.ask(address)
    pins = [pin.line for pin in lock.pins]
    limits, lines = (pins, []) if lock.is_partial else ([], pins)
    if lock.is_partial and (gathered.groups or not found.requirements):
        missing = f"are of {gathered.groups[0]}" if gathered.groups else "are for development"
        alone = "" if gathered.groups else ", and no project lies beside it"
        raise UsageError(
            f"{path} does not tell which of its packages {missing}{alone}",
            hint="make it anew with the newest version of its tool; with PDM, with --strategy inherit_metadata.",
        )
    return written_requirements([*found.requirements, *lines], limits, path.name, gathered.context.trees)


def _has_own_project(path: Path) -> bool:
    """Tell whether a buildable project lies beside a lock that has no entry for it."""
    if path.name not in ("poetry.lock", "pdm.lock"):
        return False
    project = ProjectFolder(path.parent.absolute())
    tool = project.document.get("tool", {})
    is_package = tool.get("poetry", {}).get("package-mode", True) and tool.get("pdm", {}).get(
        "distribution", True
    )
    return bool("build-system" in project.document and is_package)


def with_options(context: BuildContext, content: RequirementsContent, path: Path) -> BuildContext:
    """Return a context in which the options of a requirements file hold."""
    if content.index_url:
        host = urlsplit(content.index_url).hostname
        context.display.warning(
            f"{path.name} names the registry on {host}: all packages of this run are asked for there, and nowhere else"
        )
    for url in content.extra_index_urls:
        context.display.warning(
            f"{path.name} names the registry on {urlsplit(url).hostname} as well: it is asked for every package, and "
            "what it has comes from there. Whoever may publish there can replace any package; to say what belongs to "
            "it, use --index NAME=URL and --from-index PACKAGE=NAME"
        )
    if content.index_url or content.extra_index_urls:
        context = context.asking(content.index_url, content.extra_index_urls)
    return replace(
        context,
        no_binary=context.no_binary | content.no_binary,
        only_binary=context.only_binary | content.only_binary,
    )


def _translated(content: RequirementsContent, path: Path, gathered: Gathered) -> Path:
    """Write the same requirements with exact releases instead of projects; return the file's path."""
    requirements = [
        text for line in content.lines if not line.is_constraint for text in _stated(line, gathered)
    ]
    limits = [text for line in content.lines if line.is_constraint for text in _stated(line, gathered)]
    return written_requirements(requirements, limits, path.name, gathered.context.trees)


def written_requirements(lines: Iterable[str], limits: Iterable[str], name: str, trees: Trees) -> Path:
    """Write a requirements file, with its constraints beside it; return where."""
    text, bounds = ("".join(f"{line}\n" for line in part) for part in (lines, limits))
    folder = trees.build / "locks" / "files" / digest_of(text=text, limits=bounds)
    write_text(folder / "constraints.txt", bounds)
    file = folder / (name if name.endswith(".txt") else f"{name}.txt")
    write_text(file, text + ("-c constraints.txt\n" if bounds else ""))
    return file


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
    _require_stated_hash(line, found)
    yield from (f"{requirement}{line.marker}" for requirement in found.requirements)


def _require_stated_hash(line: FileLine, found: Gathered) -> None:
    """Raise :class:`UsageError` if a line states hashes, and none of them is of the file that it names."""
    stated = {value.partition(":")[2].lower() for value in line.hashes}
    for name in map(_name, found.requirements if stated else ()):
        release = found.releases[name]
        if release.file.sha256 not in stated:
            raise UsageError(
                f"{line.file}, line {line.number}: {release.origin} has sha256 {release.file.sha256}, which is not "
                "stated there",
                hint="find out who changed it; a folder and a repository have no hash to state.",
            )
