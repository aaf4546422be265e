"""Makes a twin of a robot's program: an environment on this machine with exactly the same versions."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import canonicalize_name

from crosswheel.deploy.assembling import ProvenWheel
from crosswheel.errors import UsageError
from crosswheel.files import new_folder
from crosswheel.job.context import BuildContext
from crosswheel.job.host_wheels import HostWheel, host_tags, published_for_host, takes
from crosswheel.projects.local_release import is_of_project
from crosswheel.registry import Registry


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
    tags = frozenset(host_tags(context.target))
    closure = {wheel.pin.name for wheel in wheels}
    others = {canonicalize_name(name): version for name, version in context.target.image.packages.items()}
    extra = {name: version for name, version in others.items() if name not in closure} if image else {}
    with context.questions() as pool:
        chosen = list(pool.map(lambda wheel: _of_closure(wheel, tags, context.registry), wheels))
        chosen += pool.map(
            lambda item: published_for_host(item[0], item[1], None, tags, context.registry), extra.items()
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


def _of_closure(wheel: ProvenWheel, tags: Collection[Tag], registry: Registry) -> HostWheel:
    if takes(wheel.path.name, tags):
        return HostWheel(wheel.pin.name, wheel.pin.version, wheel.path)
    if is_of_project(wheel.proof.source):
        reason = "it is a project with native code, and nothing is built for a twin"
        return HostWheel(wheel.pin.name, wheel.pin.version, reason=reason)
    return published_for_host(wheel.pin.name, wheel.pin.version, wheel.pin.sha256, tags, registry)
