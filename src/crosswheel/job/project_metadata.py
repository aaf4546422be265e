"""Finds a project's metadata: reads its pyproject.toml, or asks its build backend in the sandbox."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from packaging.metadata import RawMetadata
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from crosswheel.build import Project
from crosswheel.build.metadata import asked_raw_metadata, stated_metadata
from crosswheel.errors import BuildFailed, UsageError
from crosswheel.files import digest_of
from crosswheel.job.context import BuildContext
from crosswheel.job.describing import cached_metadata
from crosswheel.job.making import prepared_backend
from crosswheel.job.missing_inputs import retried
from crosswheel.lock import Pin
from crosswheel.plan import Step
from crosswheel.projects.pyproject import ProjectFolder
from crosswheel.projects.snapshot import Snapshot
from crosswheel.sources.archive import unpack
from crosswheel.uv import ReleaseMetadata
from crosswheel.wheels.legacy import repaired_requirement, repaired_specifiers

# The version that setuptools gives to a project which states none.
_NO_VERSION, _NO_NAME = Version("0.0.0"), "unknown"


def metadata_of(project: ProjectFolder, snapshot: Snapshot, context: BuildContext) -> ReleaseMetadata:
    """Return the metadata that a project's wheel will have.

    Raises:
        UsageError: the project has no name or no version, or requires what no index can offer.
        BuildFailed: its build backend cannot tell the metadata.
        LockError: the requirements of its backend cannot be satisfied.
        NetworkError: they cannot be fetched.
    """
    digest = digest_of(
        source=snapshot.sha256,
        history=snapshot.history,
        target=context.target.fingerprint,
        code=context.code_digest,
    )

    def told() -> ReleaseMetadata:
        metadata = _stated(project) or _asked(project, snapshot, context)
        _require_offerable(metadata, project)
        return metadata

    return cached_metadata(digest, told, context)


def _stated(project: ProjectFolder) -> ReleaseMetadata | None:
    """Return the metadata in the table ``[project]``, or ``None`` if it does not state all of them (PEP 621)."""
    table: Mapping[str, object] = project.document.get("project", {})
    name, version = table.get("name"), table.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        return None
    tree = Project(*_identity(name, version, project), project.folder, project.folder, None, {})
    return stated_metadata(tree)


def _asked(project: ProjectFolder, snapshot: Snapshot, context: BuildContext) -> ReleaseMetadata:
    """Ask the build backend in a copy of the project, with its git history, which the version may come from."""
    title = project.name or canonicalize_name(project.folder.name)
    folder = context.folder(title, "project")
    with context.own_folder(title, "project"):
        shutil.rmtree(folder / "unpack", ignore_errors=True)
        tree = unpack(snapshot.archive, folder / "unpack")
        if snapshot.history and (project.folder / ".git").is_dir():
            shutil.copytree(project.folder / ".git", tree / ".git", symlinks=True)
        step = Step(Pin(title, "0", frozenset()), "build", None, (), None, "its metadata is asked for")
        context.display.start(title, "", "asking")
        store = context.own_store(snapshot.sha256, None)

        def asked(step: Step) -> RawMetadata:
            build = Project(title, "project", tree, folder, step.recipe, {})
            return asked_raw_metadata(build, *prepared_backend(step, build, store, context))

        try:
            raw, _ = retried(step, asked, context.display.warning, context.cancellation)
        except BuildFailed as error:
            if _states_no_version(project):
                raise _without("version", project) from error
            raise
    return _released(raw, project)


def _states_no_version(project: ProjectFolder) -> bool:
    """Return whether ``[project]`` has no version, and does not call it dynamic: some backends have it elsewhere."""
    table: Mapping[str, object] = project.document.get("project", {})
    dynamic = table.get("dynamic", ())
    said = isinstance(dynamic, (list, tuple)) and "version" in dynamic
    return bool(table) and table.get("version") is None and not said


def _released(raw: RawMetadata, project: ProjectFolder) -> ReleaseMetadata:
    name, version = _identity(raw.get("name", ""), raw.get("version", ""), project)
    if Version(version) == _NO_VERSION and "0.0.0" not in _settings(project):
        raise _without("version", project)
    return ReleaseMetadata(
        name=name,
        version=version,
        requires_dist=tuple(map(repaired_requirement, raw.get("requires_dist", ()))),
        provides_extra=tuple(raw.get("provides_extra", ())),
        requires_python=repaired_specifiers(raw.get("requires_python", "")) or None,
    )


def _settings(project: ProjectFolder) -> str:
    files = (project.folder / name for name in ("pyproject.toml", "setup.cfg", "setup.py", "PKG-INFO"))
    return "".join(file.read_text(errors="replace") for file in files if file.is_file())


def _identity(name: str, version: str, project: ProjectFolder) -> tuple[str, str]:
    """Return a normalised name and version (PEP 503, PEP 440)."""
    try:
        normalised = str(canonicalize_name(name, validate=True))
    except InvalidName:
        normalised = _NO_NAME
    if normalised == _NO_NAME:
        raise _without("name", project)
    try:
        return normalised, str(Version(version))
    except InvalidVersion as error:
        raise UsageError(
            f"{project.folder} says that its version is {version!r}, which is none (PEP 440)",
            hint="write one such as 1.0 or 1.0.dev3.",
        ) from error


def _without(what: str, project: ProjectFolder) -> UsageError:
    hint = (
        f'state it in the table [project] of its pyproject.toml: {what} = "…"; a version that is made from git needs a '
        'tag, and dynamic = ["version"].'
    )
    if what == "version" and "use_scm_version" in _settings(project):
        hint = (
            "its setup.py has use_scm_version, which means nothing unless setuptools_scm is required: write "
            '[build-system] with requires = ["setuptools", "setuptools_scm"] into its pyproject.toml.'
        )
    return UsageError(f"the project in {project.folder} has no {what}", hint=hint)


def _require_offerable(metadata: ReleaseMetadata, project: ProjectFolder) -> None:
    """Raise :class:`UsageError` if a project requires a URL: no installer finds that on an index."""
    for text in metadata.requires_dist:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise BuildFailed(
                f"{project.folder} requires {text!r}, which is no requirement", hint="mend it."
            ) from error
        if requirement.url:
            raise UsageError(
                f"{metadata.name} requires {requirement.name} at an address, which its wheel would keep, and no index "
                "can offer",
                hint=f'require "{requirement.name}" alone, and state where it lies under [tool.uv.sources].',
            )
