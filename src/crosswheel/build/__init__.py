"""Builds one wheel from a prepared source tree and a cross environment, and completes it for the target.

Build requirements are host programs and are installed as such. Only while a hook of the build backend runs does the
interpreter answer as the target, and only then is there no network.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.parser import BytesParser
from email.policy import compat32
from functools import partial
from pathlib import Path

from packaging.utils import parse_wheel_filename
from pyproject_hooks import BackendUnavailable, BuildBackendHookCaller, HookMissing

from crosswheel.build import requirements as build_requirements
from crosswheel.build.attribution import LinkedMaterials, materials_of, required_materials
from crosswheel.build.bundling import Contents, bundled, licence_texts, naming_licences
from crosswheel.build.crates import fetch_crates
from crosswheel.build.diagnosis import diagnose
from crosswheel.build.numpy_headers import retarget
from crosswheel.build.requirements import BuildSystem, LockedRequirements
from crosswheel.errors import BuildFailed
from crosswheel.files import remove_tree
from crosswheel.process import Runner
from crosswheel.provenance.sbom import SBOM_NAME, Described, wheel_sbom
from crosswheel.recipes.model import Recipe
from crosswheel.sandbox.levels import Sandbox
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.link_map import FOLDER as LINKS_VARIABLE
from crosswheel.toolchain.environment import CrossEnvironment, Toolchain
from crosswheel.toolchain.libraries.linking import Library
from crosswheel.uv import Uv
from crosswheel.wheels.materials import Material, Materials
from crosswheel.wheels.reading import WheelFile
from crosswheel.wheels.writing import EPOCH, change_wheel, with_build_number

ConfigSettings = Mapping[str, str | list[str]]
"""The config settings of a build (PEP 517)."""

# A limit for builds that hang; OpenCV's takes hours on a machine with few processors.
_LIMIT = 6 * 3600.0

_ELF_MAGIC = b"\x7fELF"


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


@dataclass(frozen=True)
class Backend:
    """A build backend, installed in ``venv``, for the project in ``tree``."""

    system: BuildSystem
    tree: Path
    venv: Path
    environment: CrossEnvironment
    extra: Mapping[str, str]
    runner: Runner
    sandbox: Sandbox

    @property
    def copies(self) -> Path:
        """The folder with the build's own copies of paths that its tools write to, if it needs copies."""
        return self.venv.parent / "copies"

    def variables(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the complete environment of a hook, with some variables more."""
        return self.environment.for_hook(self.venv, self.tree, {**self.extra, **(more or {})})

    def requirements_for_wheel(self, config: ConfigSettings) -> Sequence[str]:
        """Return the additional requirements that the backend needs for building a wheel.

        Raises:
            BuildFailed: it is not installed, or fails.
        """
        with self._explained():
            requirements: Sequence[str] = self._caller().get_requires_for_build_wheel(self._settings(config))
        return requirements

    def prepare_metadata(self, folder: Path, config: ConfigSettings) -> bytes:
        """Return the METADATA of the future wheel; a backend that cannot prepare it builds the wheel.

        Raises:
            BuildFailed: the backend failed; the lines that it printed last are in the message.
        """
        with self._explained():
            name = self._caller().prepare_metadata_for_build_wheel(str(folder), self._settings(config))
        return (folder / name / "METADATA").read_bytes()

    def build_wheel(self, folder: Path, config: ConfigSettings) -> Path:
        """Build the wheel into ``folder``.

        Raises:
            BuildFailed: the backend failed; the lines that it printed last are in the message.
        """
        with self._explained():
            name = self._caller().build_wheel(str(folder), self._settings(config))
        return folder / name

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (BackendUnavailable, HookMissing) as error:
            reason = str(error).strip().splitlines()[0]  # a traceback follows
            raise BuildFailed(
                f"the build backend {self.system.backend} cannot be used: {reason}",
                hint="name what it needs with build_dependencies in a recipe.",
            ) from error

    def run_setup_py(self, commands: Sequence[str], folder: Path) -> Path:
        """Run ``setup.py`` with commands, as the original tools did; ``bdist_wheel`` puts the wheel into ``folder``."""
        words: list[str] = []
        for command in commands:
            words += [command, f"--dist-dir={folder}"] if command == "bdist_wheel" else [command]
        self._run([str(self.venv / "bin" / "python"), "setup.py", *words], str(self.tree), {})
        wheels = sorted(folder.glob("*.whl"))
        if not wheels:
            raise BuildFailed(
                f"setup.py {' '.join(commands)} ended well but made no wheel",
                hint="the last of setup_py_commands should be bdist_wheel.",
            )
        return wheels[0]

    def run_command(self, command: str) -> None:
        """Run a shell command of the project in its folder, with what a hook of the backend has and no more.

        Raises:
            BuildFailed: it failed; the lines that it printed last are in the message.
        """
        try:
            self._run(["sh", "-c", _in_folder(command, self.tree), "before-build"], None, {})
        except BuildFailed as error:
            raise type(error)(  # a limit that was exceeded stays one
                f"what the project runs before its build failed: {command}\n{error}",
                hint=f"{error.hint.rstrip('.')}; it has no network, and installs nothing.",
            ) from error

    def _settings(self, config: ConfigSettings) -> dict[str, str | list[str]] | None:
        """Return the config settings to pass: the recipe's, and those that describe the target to a backend."""
        settings: dict[str, str | list[str]] = {
            name: _in_folder(value, self.tree)
            if isinstance(value, str)
            else [_in_folder(item, self.tree) for item in value]
            for name, value in config.items()
        }
        if self.system.backend == "mesonpy":
            cross_file = [f"--cross-file={self.environment.variables['CROSSWHEEL_MESON_CROSS_FILE']}"]
            stated = settings.get("setup-args", "")
            settings["setup-args"] = [
                *cross_file,
                *(shlex.split(stated) if isinstance(stated, str) else stated),
            ]
        return settings or None

    def _caller(self) -> BuildBackendHookCaller:
        return BuildBackendHookCaller(
            str(self.tree),
            self.system.backend,
            list(self.system.backend_path) or None,
            runner=self._run,
            python_executable=str(self.venv / "bin" / "python"),
        )

    def _run(
        self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
    ) -> None:
        env = self.variables(extra_environ)
        where = Path(cwd) if cwd else self.tree
        # pyproject_hooks exchanges requests and answers through a folder, the last argument.
        exchange = [Path(word) for word in cmd[-1:] if Path(word).is_dir()]
        view = replace(self.environment.view, copies=self.copies)
        view = view.writing([self.venv.parent, self.tree, *exchange])
        result = self.sandbox.run(self.runner, cmd, view, cwd=where, env=env, timeout=_LIMIT)
        if result.returncode != 0:
            diagnosis = diagnose(result.output)
            cause = f": {diagnosis.cause}" if diagnosis.cause else ""
            error = BuildFailed(
                f"the build ended with exit code {result.returncode}{cause}\n{diagnosis.lines}",
                hint=f"{diagnosis.remedy}; the whole output is in {self.runner.log}.",
            )
            error.library, error.build_dependency = diagnosis.library, diagnosis.build_dependency
            raise error


def _in_folder(text: str, tree: Path) -> str:
    """Return a text of the project's settings, in which its folder has a name of its own."""
    return text.replace("{project}", str(tree)).replace("{package}", str(tree))


def extra_variables(recipe: Recipe | None, version_variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables for this package: its recipe's, and those that pass its version."""
    variables: dict[str, str] = dict(version_variables)
    if recipe is None:
        return variables
    if recipe.optimize:
        variables["CROSSWHEEL_OPTIMIZE"] = recipe.optimize
    if recipe.cargo_features:
        variables["MATURIN_PEP517_ARGS"] = f"--features {','.join(recipe.cargo_features)}"
    variables.update(recipe.environment)
    return variables


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
    install = partial(
        build_requirements.install,
        installed=project.folder / "requirements.txt",
        python=venv / "bin" / "python",
        short=toolchain.host.short,
        uv=uv,
    )
    locked = install(locked)
    by_setup_py = bool(project.recipe and project.recipe.setup_py_commands)
    dynamic = [] if by_setup_py else backend.requirements_for_wheel(project.config)
    if not set(dynamic) <= locked.requirements:
        locked = resolve(list(dict.fromkeys([*system.requires, *dynamic])))
        locked = install(locked)
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
        fetch_crates(backend.tree, backend.variables(), backend.runner)
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


def finish(
    wheel: Path,
    libraries: Sequence[Library],
    runner: Runner,
    renamed: Mapping[Path, str] | None = None,
    describe: Callable[[Contents], bytes] | None = None,
) -> None:
    """Complete a built wheel and rewrite it, so that its bytes depend on its contents alone.

    The original order, times and modes of its files depend on the file system, the clock and the user's umask. Bytecode
    that the build compiled is left out: it names this machine's folders, and the installer compiles anew.

    Args:
        renamed: maps folders of this machine that the wheel's texts may name to the target's; the first match wins.
        describe: makes the wheel's SBOM (PEP 770).

    Raises:
        MissingToolError: a library has to be bundled, and patchelf is not installed.
        BuildFailed: patchelf cannot modify an object.
    """
    with zipfile.ZipFile(wheel) as archive:
        compiled = [name for name in archive.namelist() if "__pycache__" in name.split("/")]
        changed = dict(_completed(archive, wheel, libraries, runner, renamed or {}, describe))
    change_wheel(wheel, changed, without=compiled)


def _completed(
    archive: zipfile.ZipFile,
    wheel: Path,
    libraries: Sequence[Library],
    runner: Runner,
    renamed: Mapping[Path, str],
    describe: Callable[[Contents], bytes] | None,
) -> Mapping[str, bytes]:
    """Return the files to change in a wheel and those to add, by path."""
    objects = {name: archive.read(name) for name in archive.namelist() if _is_elf(archive, name)}
    named = {**dict.fromkeys((library.prefix for library in libraries), "/usr"), **renamed}
    texts = _as_on_the_target(archive, objects.keys(), named)
    (info,) = {name.split("/")[0] for name in archive.namelist() if name.endswith(".dist-info/RECORD")}
    metadata = archive.read(f"{info}/METADATA")
    changed, owners = dict(texts), dict[str, Library]()
    if objects:
        objects_changed, owners = bundled(wheel, objects, libraries, runner)
        licences = licence_texts(libraries)
        changed.update({f"{info}/licenses/{path}": text for path, text in licences.items()})
        changed.update({f"{info}/METADATA": naming_licences(metadata, licences)} if libraries else {})
        changed.update(objects_changed)
    if describe:
        names = [name for name in archive.namelist() if name.startswith(f"{info}/sboms/") and name[-1] != "/"]
        kept = {name.split("/", 2)[2]: changed.get(name) or archive.read(name) for name in names}
        expression = BytesParser(policy=compat32).parsebytes(metadata, headersonly=True)["License-Expression"]
        contents = Contents(objects, owners, kept, expression)
        changed[f"{info}/sboms/{SBOM_NAME}"] = describe(contents)
    return changed


def _is_elf(archive: zipfile.ZipFile, name: str) -> bool:
    with archive.open(name) as stream:
        return stream.read(len(_ELF_MAGIC)) == _ELF_MAGIC


def _as_on_the_target(
    archive: zipfile.ZipFile, objects: Collection[str], renamed: Mapping[Path, str]
) -> Mapping[str, bytes]:
    """Return the wheel's texts that name folders of this machine, with the target's folders instead."""
    texts = {}
    for name in archive.namelist():
        data = b"" if name in objects or name.endswith("/RECORD") else archive.read(name)
        changed = data
        for folder, replacement in renamed.items():
            changed = changed.replace(str(folder).encode(), replacement.encode())
        if changed != data and b"\0" not in data:
            texts[name] = changed
    return texts


def traces(wheel: Path, folders: Iterable[Path]) -> Mapping[str, int]:
    """Count how often each file of a wheel names a folder of the build machine; return counts by path in the wheel.

    Such a wheel is not reproducible in other folders, and reveals on whose machine it was built.
    """
    pattern = re.compile(b"|".join(re.escape(os.fsencode(folder)) for folder in folders))
    with zipfile.ZipFile(wheel) as archive:
        counts = {name: len(pattern.findall(archive.read(name))) for name in archive.namelist()}
    return {name: count for name, count in counts.items() if count}
