"""Lock the requirements of a build backend as of the closure's day.

They run on the build machine, so they are resolved for the host, and universally: the lock is the same on every kind
of host. A root's locks lie at ``packages/<name>/<version>/<target>.build/<package>.txt``.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from packaging.markers import Environment, default_environment
from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock, PylockSelectError
from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.errors import BuildFailed, LockError
from crosswheel.files import digest_of, write_text
from crosswheel.lock import Pin, pins_of
from crosswheel.process import tail
from crosswheel.recipes.model import Recipe
from crosswheel.targets import Target
from crosswheel.uv import Uv, require_answered

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Projects that run setup.py as a program are from a time when setuptools had pkg_resources.
_FOR_SETUP_PY = ("setuptools<82", "wheel")
SETUP_PY = "setuptools.build_meta:__legacy__"
"""The build backend of a project with a setup.py that declares no backend."""
Release = tuple[str, str]
"""The normalised name and version of a release."""
_PREFIX = "# for: "  # one line for each requirement, followed by the releases that they resolved to


@dataclass(frozen=True)
class BuildSystem:
    """The build system of a source tree (PEP 517, PEP 518)."""

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...] = ()


class _BuildSystemTable(BaseModel):
    """The table ``build-system``; without it, or without a backend in it, setuptools' legacy backend builds."""

    model_config = ConfigDict(frozen=True, strict=True, alias_generator=lambda name: name.replace("_", "-"))

    requires: list[str] = ["setuptools>=40.8.0", "wheel"]
    build_backend: str = SETUP_PY
    backend_path: list[str] = []


def build_system(tree: Path, recipe: Recipe | None) -> BuildSystem:
    """Return the build system of a tree; setuptools' legacy backend if it declares none.

    Raises:
        BuildFailed: the tree is not a Python project, or its pyproject.toml cannot be read.
    """
    extra = recipe.build_dependencies if recipe else ()
    table = _table(tree)
    if table is None and not (tree / "setup.py").is_file() and not (tree / "pyproject.toml").is_file():
        raise BuildFailed(
            f"{tree.name} has neither pyproject.toml nor setup.py",
            hint="if the project lies in a subfolder of its source, name it with `path` in the recipe.",
        )
    table = table or _BuildSystemTable()
    by_setup_py = bool(recipe and recipe.setup_py_commands)
    # Running setup.py bypasses the declared build backend and may contradict it.
    static = () if by_setup_py and extra else table.requires
    requires = [*static, *(_FOR_SETUP_PY if by_setup_py else ()), *extra]
    return BuildSystem(tuple(dict.fromkeys(requires)), table.build_backend, tuple(table.backend_path))


def _table(tree: Path) -> _BuildSystemTable | None:
    table = pyproject(tree).get("build-system")
    try:
        return None if table is None else _BuildSystemTable.model_validate(table)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BuildFailed(
            f"[build-system] in {tree / 'pyproject.toml'} is wrong: {faults}",
            hint="mend it with a patch in the recipe.",
        ) from error


def pyproject(tree: Path) -> Mapping[str, Any]:
    """Return the contents of a tree's pyproject.toml; empty if there is none.

    Raises:
        BuildFailed: it cannot be read.
    """
    path = tree / "pyproject.toml"
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuildFailed(
            f"{path} cannot be read: {error}", hint="mend it with a patch in the recipe."
        ) from error


@dataclass(frozen=True)
class RequirementFile:
    """The file of a release that is installed: its name and its SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True)
class LockedRequirements:
    """Resolved build requirements: the file to install from, and the requirements that it was resolved for.

    ``files`` are the files that were installed, by their releases; empty before that.
    """

    file: Path
    requirements: frozenset[str]
    files: Mapping[Release, RequirementFile] = field(default_factory=dict)

    @property
    def needs_rust(self) -> bool:
        """Whether they include a backend that compiles Rust."""
        names = {_name(requirement) for requirement in self.requirements}
        return bool(names & {"maturin", "setuptools-rust"})

    @property
    def pinned(self) -> tuple[str, ...]:
        """The releases to install, as ``name==version``."""
        return tuple(map(str, self.pins))

    @property
    def sha256(self) -> frozenset[str]:
        """The hashes of all files that may be installed."""
        return frozenset().union(*(pin.sha256 for pin in self.pins))

    @property
    def pins(self) -> Iterable[Pin]:
        """The releases to install, with the hashes of all files that may be installed."""
        return pins_of(self.file.read_text(), self.file)

    def material(self, name: str, version: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the name of the file that a release was installed from, and its hash.

        Where the file is not known, return ``None`` and the hashes of all that may be installed.
        """
        release = _release(name, version)
        if release in self.files:
            return self.files[release].name, (self.files[release].sha256,)
        allowed = (pin.sha256 for pin in self.pins if _release(pin.name, pin.version) == release)
        return None, tuple(sorted(next(allowed, ())))

    def require(self, requirements: Iterable[str]) -> None:
        """Raise :class:`LockError` for a requirement that the lock was not resolved for."""
        missing = sorted(set(requirements) - self.requirements)
        if missing:
            raise LockError(
                f"{self.file} was resolved without {', '.join(missing)}, which the build now asks for",
                hint="renew it with `crosswheel lock`, look at what changed, and commit it.",
            )


@dataclass(frozen=True)
class RequirementsStore:
    """The locked build requirements of a closure, with a file for each package that is built.

    Attributes:
        folder: the folder of the files.
        as_of: the day as of which they are resolved; without one, the latest releases count.
        frozen: whether they are committed, so that only ``crosswheel lock`` renews them.
        day: ``as_of``, or otherwise the day of resolution.
    """

    folder: Path
    as_of: datetime.date | None
    frozen: bool
    day: datetime.date | None = None

    def read(self, package: str) -> LockedRequirements | None:
        """Return the locked requirements of a package's build; ``None`` if they are not locked yet."""
        return read(self.path(package))

    def obtain(
        self, package: str, requirements: Sequence[str], *, python: Path, uv: Uv
    ) -> LockedRequirements:
        """Return locked requirements that cover a build's requirements; resolve them if that is allowed.

        Raises:
            LockError: they are frozen and do not cover them, or no set of releases satisfies them.
        """
        locked = self.read(package)
        if self.frozen and locked is None:
            raise LockError(
                f"the build requirements of {package} are not locked",
                hint="lock them with `crosswheel lock`, and commit what it writes.",
            )
        if self.frozen and locked is not None:
            locked.require(requirements)
            return locked
        if locked is not None and set(requirements) <= locked.requirements:
            return locked
        return resolve(requirements, self.path(package), python=python, as_of=self.as_of, uv=uv)

    def path(self, package: str) -> Path:
        """Return the file of a package's locked requirements, which need not be there."""
        return self.folder / f"{package}.txt"


def own_store(
    tree: Path,
    title: str,
    target: Target,
    as_of: datetime.date | None,
    day: datetime.date | None = None,
    registries: Sequence[str] = (),
) -> RequirementsStore:
    """Return the store of build requirements for what no recipe names; it resolves them when a build needs them.

    Args:
        tree: the build tree, in which the store lies.
        title: what the store is for: what was asked for, or a release.
        day: the day that stands for "now" where ``as_of`` gives none.
        registries: where releases come from.
    """
    day = as_of or day
    digest = digest_of(requirements=title, target=target.fingerprint, as_of=day, registries=registries)
    return RequirementsStore(tree / "locks" / digest / "build", as_of, frozen=False, day=day)


def read(file: Path) -> LockedRequirements | None:
    """Return the resolved requirements in a file; ``None`` if it does not exist."""
    if not file.is_file():
        return None
    lines = file.read_text().splitlines()
    return LockedRequirements(
        file, frozenset(line[len(_PREFIX) :] for line in lines if line.startswith(_PREFIX))
    )


def resolve(
    requirements: Sequence[str], file: Path, *, python: Path, as_of: datetime.date | None, uv: Uv
) -> LockedRequirements:
    """Resolve the requirements of a build, and write them to ``file``.

    Args:
        python: an interpreter of the target's version that answers as the host.

    Raises:
        LockError: no set of releases satisfies them.
        NetworkError: the registry could not be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        source_file, resolved = Path(folder) / "requirements.in", Path(folder) / "resolved.txt"
        source_file.write_text("".join(f"{line}\n" for line in requirements))
        result = uv.compile([source_file], resolved, python=python, as_of=as_of, universal=True)
        subject = f"the build requirements {', '.join(requirements)}" + (f" as of {as_of}" if as_of else "")
        require_answered(result, subject)
        if result.returncode != 0:
            raise LockError(
                f"no set of releases satisfies {subject}:\n{tail(result.output, 20)}",
                hint="name other versions with build_dependencies in a recipe, or choose a later as_of date.",
            )
        text = resolved.read_text()
    write_text(file, "".join(f"{_PREFIX}{requirement}\n" for requirement in sorted(requirements)) + text)
    return LockedRequirements(file, frozenset(requirements))


def install(
    locked: LockedRequirements, installed: Path, *, python: Path, short: str, uv: Uv
) -> LockedRequirements:
    """Install locked requirements, each release from one file; return them with these files.

    A lock is the same for every host and allows each file of a release. The best file for this host is chosen here, and
    uv may install no other. Where the registry names no hashes, uv chooses, and the file stays unknown.

    Args:
        installed: the file to write for uv: the releases, with the hashes of what may be installed.
        python: the interpreter of the environment to install into.
        short: its version, such as 3.10.

    Raises:
        BuildFailed: uv failed.
    """
    lock = Pylock.from_dict(tomllib.loads(uv.candidates(locked.file, python=python)))
    allowed = {_release(pin.name, pin.version): pin.sha256 for pin in locked.pins}
    files: dict[Release, RequirementFile] = {}
    lines = []
    for package in lock.packages:
        release = _release(package.name, str(package.version))
        hashes = allowed.get(release, frozenset())
        file = _best(package, hashes, lock, short)
        if file is not None:
            files[release] = RequirementFile(file.filename, file.hashes["sha256"])
            hashes = frozenset({file.hashes["sha256"]})
        lines.append(
            " ".join(["==".join(release), *(f"--hash=sha256:{sha256}" for sha256 in sorted(hashes))])
        )
    write_text(installed, "".join(f"{line}\n" for line in lines))
    uv.install_locked(installed, python=python)
    return replace(locked, files=files)


def _best(
    package: Package, hashes: Collection[str], lock: Pylock, short: str
) -> PackageWheel | PackageSdist | None:
    """Return the best file of a release that has one of these hashes, or ``None``."""
    wheels = [wheel for wheel in package.wheels or () if wheel.hashes.get("sha256") in hashes]
    sdist = package.sdist if package.sdist and package.sdist.hashes.get("sha256") in hashes else None
    if not wheels and sdist is None:
        return None
    narrowed = Package(name=package.name, version=package.version, wheels=wheels or None, sdist=sdist)
    alone = Pylock(lock_version=lock.lock_version, created_by=lock.created_by, packages=[narrowed])
    environment, tags = _of_this_host(short)
    try:
        (chosen,) = (file for _, file in alone.select(environment=environment, tags=tags))
    except PylockSelectError:
        return None
    assert isinstance(chosen, (PackageWheel, PackageSdist))
    return chosen


def _release(name: str, version: str) -> Release:
    return canonicalize_name(name), str(Version(version))


def _of_this_host(short: str) -> tuple[Environment, Sequence[Tag]]:
    """Return the markers' environment of this host with a version of Python, and the tags that it installs."""
    numbers = tuple(map(int, short.split(".")))
    environment = default_environment()
    environment["python_version"], environment["python_full_version"] = short, f"{short}.0"
    return environment, [*cpython_tags(numbers), *compatible_tags(numbers, f"cp{short.replace('.', '')}")]


def _name(requirement: str) -> str:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return ""
