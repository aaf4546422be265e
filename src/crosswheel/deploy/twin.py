"""Makes a twin of a robot's program: an environment on this machine with exactly the same versions."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from crosswheel.deploy.assembling import ProvenWheel
from crosswheel.errors import PlanError, UsageError
from crosswheel.files import new_folder
from crosswheel.job.context import BuildContext
from crosswheel.projects.local_release import is_of_project
from crosswheel.registry import Registry, ReleaseFile
from crosswheel.targets import Target

_QUESTIONS_AT_ONCE = 8


@dataclass(frozen=True)
class Twin:
    """An environment on this machine.

    Attributes:
        python: its interpreter.
        installed: the versions of its packages, by name.
        differences: the differences from the robot, in words.
    """

    python: Path
    installed: Mapping[str, str]
    differences: tuple[str, ...]


@dataclass(frozen=True)
class _Choice:
    """A release with the wheel of it for this machine, or the reason why there is none."""

    name: str
    version: str
    wheel: Path | None = None
    reason: str = ""


def make_twin(wheels: Sequence[ProvenWheel], folder: Path, context: BuildContext, *, image: bool) -> Twin:
    """Make an environment with the releases of a program's lock, from wheels for this machine.

    Pure wheels are those that were proven for the robot. Nothing is built.

    Args:
        folder: the folder of the environment, which must not exist.
        image: also install the packages of the robot's image that the program does not bring.

    Raises:
        UsageError: the folder exists.
        NetworkError: a wheel cannot be fetched.
    """
    if folder.exists():
        raise UsageError(
            f"{folder} is there already", hint="remove it, or name another folder with --output."
        )
    tags = frozenset(_tags_of_this_machine(context.target))
    closure = {wheel.pin.name for wheel in wheels}
    others = {canonicalize_name(name): version for name, version in context.target.image.packages.items()}
    extra = {name: version for name, version in others.items() if name not in closure} if image else {}
    with context.workers(_QUESTIONS_AT_ONCE) as pool:
        chosen = list(pool.map(lambda wheel: _of_closure(wheel, tags, context.registry), wheels))
        chosen += pool.map(
            lambda item: _of_registry(item[0], item[1], None, tags, context.registry), extra.items()
        )
    with new_folder(folder):
        pass
    context.uv.venv(folder, python=context.toolchain.host.executable)
    python = folder / "bin" / "python"
    context.uv.install_wheels([choice.wheel for choice in chosen if choice.wheel], python=python)
    differences = [
        f"{choice.name} {choice.version} is missing: {choice.reason}" for choice in chosen if choice.reason
    ]
    return Twin(
        python,
        {choice.name: choice.version for choice in chosen if choice.wheel},
        (*_of_machine(context), *differences),
    )


def _of_machine(context: BuildContext) -> Iterator[str]:
    target, host = context.target, platform.machine()
    if host != target.machine:
        yield f"it runs on {host}, and the robot is {target.machine}: native code is another build of the same release"
    program = "import platform; print(platform.python_version())"
    version = context.general_runner.run([context.toolchain.host.executable, "-c", program]).output.strip()
    if version != target.python.version:
        yield f"its Python is {version}, and the robot's is {target.python.version}"


def _of_closure(wheel: ProvenWheel, tags: Collection[Tag], registry: Registry) -> _Choice:
    if _takes(wheel.path.name, tags):
        return _Choice(wheel.pin.name, wheel.pin.version, wheel.path)
    if is_of_project(wheel.proof.source):
        reason = "it is a project with native code, and nothing is built for a twin"
        return _Choice(wheel.pin.name, wheel.pin.version, reason=reason)
    return _of_registry(wheel.pin.name, wheel.pin.version, wheel.pin.sha256, tags, registry)


def _of_registry(
    name: str, version: str, sha256: Collection[str] | None, tags: Collection[Tag], registry: Registry
) -> _Choice:
    """Choose a release's wheel for this machine; for a locked release, only wheels whose hash is in the lock."""
    try:
        files = registry.release_files(name, version)
    except PlanError as error:
        return _Choice(name, version, reason=str(error))
    fitting = [
        file for file in files if _takes(file.filename, tags) and (sha256 is None or file.sha256 in sha256)
    ]
    if not fitting:
        return _Choice(
            name, version, reason="no wheel of it is for this machine, and nothing is built for a twin"
        )
    best = min(fitting, key=lambda file: _rank(file, tags))
    return _Choice(name, version, registry.fetch(best))


def _takes(filename: str, tags: Collection[Tag]) -> bool:
    try:
        return not parse_wheel_filename(filename)[3].isdisjoint(tags)
    except InvalidWheelFilename:
        return False


def _rank(file: ReleaseFile, tags: Collection[Tag]) -> tuple[bool, str]:
    """Return the sort key that puts native wheels before pure ones."""
    return file.filename.endswith("-any.whl"), file.filename


def _tags_of_this_machine(target: Target) -> Iterator[Tag]:
    numbers = target.python.numbers
    platforms = list(platform_tags())
    yield from cpython_tags(numbers, platforms=platforms)
    yield from compatible_tags(numbers, f"cp{''.join(map(str, numbers))}", platforms)
