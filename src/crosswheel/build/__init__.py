"""Build one wheel from a prepared source tree and a cross environment.

Build requirements are host programs and are installed as such. Only while a hook of the build backend runs does the
interpreter answer as the target, and only then is there no network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import parse_wheel_filename

from crosswheel.build import requirements as build_requirements
from crosswheel.build.attribution import LinkedMaterials, materials_of, required_materials
from crosswheel.build.backend import Backend, extra_variables
from crosswheel.build.crates import fetch_crates
from crosswheel.build.finish import Contents, finish
from crosswheel.build.numpy_headers import retarget
from crosswheel.build.requirements import LockedRequirements
from crosswheel.errors import BuildFailed
from crosswheel.files import remove_tree
from crosswheel.process import Runner
from crosswheel.provenance.sbom import Described, wheel_sbom
from crosswheel.recipes.model import Recipe
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.link_map import FOLDER as LINKS_VARIABLE
from crosswheel.toolchain.environment import CrossEnvironment, Toolchain
from crosswheel.uv import Uv
from crosswheel.wheels.materials import Material, Materials
from crosswheel.wheels.reading import WheelFile
from crosswheel.wheels.writing import EPOCH, with_build_number


@dataclass(frozen=True)
class Project:
    """A prepared source tree: unpacked, patched, and with a known version.

    Attributes:
        folder: the package's folder in the build tree; ``venv`` and ``build`` are created in it.
        variables: environment variables that pass the version to backends that would ask git.
        source: the archive that ``tree`` was unpacked from; the sdist, if nothing more is known.
    """

    name: str
    version: str
    tree: Path
    folder: Path
    recipe: Recipe | None
    variables: Mapping[str, str]
    source: Material | None = None

    @property
    def config(self) -> Mapping[str, str | list[str]]:
        """The config settings that its recipe names (PEP 517)."""
        stated = self.recipe.config_settings if self.recipe else {}
        return {name: value if isinstance(value, str) else list(value) for name, value in stated.items()}


@dataclass(frozen=True)
class Built:
    """A built wheel, and what went into it."""

    wheel: Path
    materials: Materials


Resolve = Callable[[list[str]], LockedRequirements]
"""Returns build requirements in locked form, from a committed file or by resolving them."""


def prepare(
    project: Project,
    resolve: Resolve,
    environment: Callable[[LockedRequirements], CrossEnvironment],
    toolchain: Toolchain,
    uv: Uv,
    runner: Runner,
) -> tuple[Backend, LockedRequirements]:
    """Install a project's build backend with all of its requirements, ready for hook calls.

    Returns:
        The backend, and the installed requirements.

    Raises:
        BuildFailed: the tree is not a project, or the backend fails to report its requirements.
        LockError: the build asks for requirements that are not locked.
    """
    system = build_requirements.build_system(project.tree, project.recipe)
    locked = resolve(list(system.requires))
    variables = extra_variables(project.recipe, project.variables)
    venv = project.folder / "venv"
    remove_tree(project.folder / "copies")  # left over from an interrupted build
    backend = Backend(system, project.tree, venv, environment(locked), variables, runner, toolchain.sandbox)
    uv.venv(venv, python=toolchain.host.executable)
    uv.install_locked(locked.file, python=venv / "bin" / "python")
    by_setup_py = bool(project.recipe and project.recipe.setup_py_commands)
    dynamic = [] if by_setup_py else backend.requirements_for_wheel(project.config)
    if not set(dynamic) <= locked.requirements:
        locked = resolve(list(dict.fromkeys([*system.requires, *dynamic])))
        uv.install_locked(locked.file, python=venv / "bin" / "python")
    retarget(venv)
    return backend, locked


def build_wheel(
    project: Project,
    backend: Backend,
    locked: LockedRequirements,
    target: Target,
    on_step: Callable[[str], None],
) -> Built:
    """Build a project's wheel, in ``project.folder/build``, with an SBOM in it (PEP 770).

    Raises:
        BuildFailed: a command of the build failed, or its wheel is not for the target.
    """
    output, links = project.folder / "build", project.folder / "links"
    for folder in (output, links):
        remove_tree(folder)
        folder.mkdir(parents=True)
    if locked.needs_rust:
        on_step("fetching crates")
        fetch_crates(backend)
        remove_tree(backend.copies)  # made before the crates were fetched
    if project.recipe and project.recipe.before_build:
        on_step("running what comes before the build")
        backend.run_command(project.recipe.before_build)
    on_step("building")
    backend = replace(backend, extra={**backend.extra, LINKS_VARIABLE: str(links)})
    commands = project.recipe.setup_py_commands if project.recipe else None
    try:
        wheel = (
            backend.run_setup_py(commands, output)
            if commands
            else backend.build_wheel(output, project.config)
        )
    finally:
        remove_tree(backend.copies)
    _require_target(wheel, target)
    WheelFile.open(wheel)  # verify the backend's wheel before rewriting it
    renamed = backend.environment.named(backend.venv, backend.tree)
    linked = LinkedMaterials(backend.environment, backend.venv, backend.tree, links)
    source = project.source or Material(role="source", name=project.name, version=project.version)
    required = required_materials(backend.venv, locked)
    described: list[Materials] = []

    def describe(contents: Contents) -> bytes:
        described.append(materials_of(contents, source, linked, required))
        names = Described(project.name, project.version, wheel.name, contents.licence, kept=contents.sboms)
        return wheel_sbom(names, described[0], EPOCH)

    in_order = dict(reversed(list(renamed.items())))
    finish(wheel, backend.environment.libraries, backend.runner, in_order, describe)
    number = project.recipe.build_number if project.recipe else None
    return Built(wheel if number is None else with_build_number(wheel, number), described[0])


def _require_target(wheel: Path, target: Target) -> None:
    tags = parse_wheel_filename(wheel.name)[3]
    if not tags & set(target.tags):
        raise BuildFailed(
            f"the build made {wheel.name}, which {target.name} does not install",
            hint="the backend does not ask Python what it builds for; tell it by config_settings or environment.",
        )
