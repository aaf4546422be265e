"""Assembles a release from a lock: installs each locked, proven wheel on this machine as it will lie on the robot."""

from __future__ import annotations

import configparser
import contextlib
import csv
import hashlib
import io
import os
import shlex
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from crosswheel import lock as locks
from crosswheel.agent.manifest import PYTHON, PYTHON_FOLDER, SBOM, Refused, require_name
from crosswheel.cached import cache_path, cached_folder
from crosswheel.deploy.carried import compile_agent, has_compiled
from crosswheel.deploy.release import Package, Release
from crosswheel.emulation.sites import link_files, trial_prefix
from crosswheel.errors import CheckFailed, IntegrityError, UsageError
from crosswheel.files import digest_of, sha256_of, write_bytes, write_text
from crosswheel.lock import Pin
from crosswheel.process import Runner
from crosswheel.provenance.closure import closure_sbom
from crosswheel.provenance.parts import Part
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.uv import Uv
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.preference import by_preference
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.writing import EPOCH

if TYPE_CHECKING:
    from crosswheel.toolchain.environment import Toolchain

_LAYOUT = 5  # raise it when the layout of installed packages changes

HEADER = b"""#!/bin/sh
'''exec' "$(dirname "$(readlink -f "$0")")/python3" "$0" "$@"
' '''
"""
"""What a Python program begins with, to be run by the interpreter of the environment that it lies in.

To the shell, the second line is a command; to Python, the second and third are a string.
"""
# The header that installers write if the interpreter's path is too long for a first line, or has a space.
_TRAMPOLINE = b"#!/bin/sh\n'''exec' "
# The names that every environment has.
_RESERVED_FOLDERS = ("launchers/", f"{PYTHON_FOLDER}/")
_RESERVED = ("pyvenv.cfg", "release.json", SBOM, "bin/python", "bin/python3")
# Unset PYTHONPATH: the robot's server has its own, and a protocol that calls a program passes it on. The file that
# stays open tells an update that the release is in use.
_LAUNCHER = """#!/bin/sh
unset PYTHONHOME PYTHONPATH
launcher=$(readlink -f "$0")
environment=${{launcher%/launchers/*}}
exec 9< "$environment/pyvenv.cfg"
exec {command} "$@"
"""


@dataclass(frozen=True)
class LockedProgram:
    """A program for a robot: the requirement, and the lock that satisfies it."""

    name: str
    version: str
    lock: Path


@dataclass(frozen=True)
class ProvenWheel:
    """A wheel of ``dist/`` with a proof for the target and for exactly these bytes."""

    pin: Pin
    path: Path
    proof: Proof

    @property
    def commands(self) -> frozenset[str]:
        """The commands that the program adds to a ``PATH``."""
        with zipfile.ZipFile(self.path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
            text = archive.read(names[0]).decode() if names else ""
        entry_points = configparser.ConfigParser(delimiters="=", interpolation=None)
        entry_points.optionxform = str  # type: ignore[method-assign,assignment]
        entry_points.read_string(text)
        return (
            frozenset(entry_points["console_scripts"])
            if entry_points.has_section("console_scripts")
            else frozenset()
        )


def locked_program(requirement: str, recipes: Path, target: Target) -> LockedProgram:
    """Return the newest locked version of a program that satisfies a requirement such as ``prefect==3.3.4``.

    Raises:
        UsageError: the text is not a requirement, or no lock satisfies it.
    """
    try:
        requested = Requirement(requirement)
    except InvalidRequirement as error:
        raise UsageError(
            f"{requirement!r} is not a requirement: {error}", hint="write it like prefect==3.3.4."
        ) from error
    _require_answerable(requested, target)
    name = canonicalize_name(requested.name)
    known = dict(_locks_of(name, recipes, target))
    fitting = [version for version in known if requested.specifier.contains(version, prereleases=True)]
    if not fitting:
        have = ", ".join(map(str, sorted(known))) or "none"
        raise UsageError(
            f"no lock for {target.name} satisfies {requirement}; locked versions of {name}: {have}",
            hint=f"make a recipe in {recipes}, then `crosswheel lock` and `crosswheel build`.",
        )
    extras = set(map(canonicalize_name, requested.extras))
    with_extras = [version for version in fitting if extras <= _extras_of(name, known[version])]
    if not with_extras:
        lacking = ", ".join(sorted(extras - _extras_of(name, known[max(fitting)])))
        raise UsageError(
            f"the lock of {name} {max(fitting)} for {target.name} was made without the extra {lacking}",
            hint=f"lock and build it with the extra: `crosswheel add '{requested}'`.",
        )
    return LockedProgram(name, str(max(with_extras)), known[max(with_extras)])


def _require_answerable(requested: Requirement, target: Target) -> None:
    """Raise :class:`UsageError` if a requirement has a part that locks do not record."""
    if requested.url:
        raise UsageError(
            f"{requested} names a source, and robots get only releases from a lock",
            hint=f"name a release that was built: {requested.name}==VERSION.",
        )
    if requested.marker and not requested.marker.evaluate({**target.marker_environment, "extra": ""}):
        raise UsageError(
            f"{requested} is not for {target.title}: its marker excludes it there",
            hint="leave the marker out to install it all the same.",
        )


def _extras_of(name: str, lock: Path) -> set[str]:
    """Return the normalised extras of a program (PEP 685) that its lock includes."""
    roots = locks.read(lock).made_for.get("requirements", "")
    return {
        canonicalize_name(extra)
        for root in map(locks.parsed, filter(None, roots.split(", ")))
        if canonicalize_name(root.name) == name
        for extra in root.extras
    }


def _locks_of(name: str, recipes: Path, target: Target) -> Iterator[tuple[Version, Path]]:
    """Yield the locked versions of a program with their locks; folders may spell names and versions freely."""
    for path in sorted(recipes.glob(f"*/*/{target.name}.lock")):
        if canonicalize_name(path.parents[1].name) == name:
            with contextlib.suppress(InvalidVersion):  # not the folder of a release
                folder = Version(path.parent.name)
                pin = locks.read(path).pins.get(name)
                yield (Version(pin.version) if pin else folder), path


def proven_wheels(program: LockedProgram, dist: Path, target: Target) -> list[ProvenWheel]:
    """Return the wheels of a program's lock.

    Raises:
        UsageError: a wheel was not built yet.
        CheckFailed: a wheel has no proof for the target.
        IntegrityError: a wheel was changed since it was proven.
    """
    pins = locks.read(program.lock).pins.values()
    return [_proven_wheel(pin, Dist(dist), target) for pin in pins]


def _proven_wheel(pin: Pin, dist: Dist, target: Target) -> ProvenWheel:
    """Return the proven wheel of a release that the target's pip would choose."""
    proven = {wheel.name: (wheel, proof) for wheel, proof in dist.proven(pin.name, pin.version, target.name)}
    best = next(iter(by_preference(proven, target)), None)
    if best is None:
        if not dist.wheels(pin.name, pin.version):
            raise UsageError(
                f"there is no wheel of {pin} in {dist.root}", hint="make it with `crosswheel build`."
            )
        raise CheckFailed(
            f"no wheel of {pin} was proven to run on {target.title}",
            hint="`crosswheel build` proves what it puts into dist/.",
        )
    wheel, proof = proven[best]
    if sha256_of(wheel) != proof.sha256:
        raise IntegrityError(
            f"{wheel} is not the file that was proven on {target.title}",
            hint="something changed it since; remove it and run `crosswheel build` again.",
        )
    return ProvenWheel(pin, wheel, proof)


@dataclass(frozen=True)
class Assembler:
    """Installs wheels for a target, each once, and assembles releases of them.

    Attributes:
        is_sent: whether packages are sent to a robot as they are, and so byte-compiled and compressed.
    """

    target: Target
    settings: Settings
    runner: Runner
    is_sent: bool = True

    def release(
        self, locked: LockedProgram, wheels: Sequence[ProvenWheel], name: str, test: str | None = None
    ) -> Release:
        """Return a release of a program, with its closure.

        Args:
            name: the environment's name on the robot. It replaces the program's name in the names of commands:
                ``prefect`` as ``flows`` has ``flows`` and ``flows-python``.
            test: a command of the program that tests the release, such as ``prefect version``, instead of an import.

        Raises:
            UsageError: no environment can have this name, or the program has no such command.
        """
        require_environment_name(name)
        if self.is_sent:
            self._keep_agent()
        packages = list(self.packages(wheels))
        root = next(number for number, wheel in enumerate(wheels) if wheel.pin.name == locked.name)
        commands = [file.path.split("/")[1] for file in packages[root].files if file.path.startswith("bin/")]
        called = {program: _called(program, locked.name, name) for program in commands}
        bill = closure_sbom(
            locked.name,
            {wheel.path: wheel.proof.sha256 for wheel in wheels},
            self.target.marker_environment,
            EPOCH,
            self.python_part,
        )
        launchers = self._launchers(name, packages[root], called, bill)
        folder = "launchers/"
        programs = tuple(
            sorted(file.path[len(folder) :] for file in launchers.files if file.path.startswith(folder))
        )
        command = locked.name if locked.name in wheels[root].commands else None
        check: tuple[str, ...] = (f"launchers/{name}-python", "-c", _trial(packages[root], command))
        if test:
            check = _command(shlex.split(test), called, programs)
        python = self.provided_python()
        return Release(
            name,
            locked.name,
            locked.version,
            self.target,
            tuple(packages),
            launchers,
            programs,
            (check,),
            python,
        )

    @property
    def python_digest(self) -> str:
        """The digest that names the Python that is sent."""
        from crosswheel.toolchain.python.brought import data_versions

        return digest_of(cpython=self._toolchain.python.root.name, data=data_versions())

    @cached_property
    def python_part(self) -> Part | None:
        """The Python that is sent to the target, for an SBOM; ``None`` if the target has its own."""
        from crosswheel.toolchain.python.brought import python_part  # imported late, as the toolchain is

        return python_part(self.target, self.settings, self.runner)

    def provided_python(self) -> Package | None:
        """Return the Python that is sent to the target, byte-compiled; ``None`` if the target has its own."""
        if not self.target.python.provided:
            return None
        tree = self._toolchain.python
        # Import it as late as the toolchain, to which it belongs.
        from crosswheel.toolchain.python.brought import complete, data_versions

        inputs = self._inputs(cpython=tree.root.name, data=data_versions())
        program = f"{PYTHON_FOLDER}/bin/python{tree.short}"

        def fill(temporary: Path) -> None:
            top = temporary / "files" / PYTHON_FOLDER
            top.mkdir(parents=True)
            for part in ("bin", "include", "lib"):
                shutil.copytree(tree.root / part, top / part, ignore=_links_in)
            for licence in tree.root.glob("copyright-*"):
                shutil.copyfile(licence, top / licence.name)
            complete(top, tree.short)
            self._compile(top / "lib" / f"python{tree.short}")
            Package.read(PYTHON, self.target.python.version, temporary / "files").pack()

        folder = cached_folder(self.settings.cache, "installed", inputs, fill, [f"files/{program}"])
        return Package.read(PYTHON, self.target.python.version, folder / "files")

    def packages(self, wheels: Sequence[ProvenWheel]) -> Iterator[Package]:
        """Yield wheels as installed packages, in their order; those that come later are installed meanwhile."""
        with ThreadPoolExecutor() as pool:
            yield from pool.map(self.package, wheels)

    def package(self, wheel: ProvenWheel) -> Package:
        """Return a wheel as an installed package, with no path of this machine in its programs."""
        inputs = self._inputs(wheel=wheel.proof.sha256, is_sent=self.is_sent)
        holds = [f"files/{self._site}/*.dist-info/RECORD"]
        install = partial(self._install, wheel)
        folder = cached_folder(self.settings.cache, "installed", inputs, install, holds)
        return Package.read(wheel.pin.name, wheel.pin.version, folder / "files")

    def _install(self, wheel: ProvenWheel, folder: Path) -> None:
        site, cache = folder / "files" / self._site, self.settings.cache
        if not link_files(
            trial_prefix(cache, wheel.proof.sha256, self.target.python.short), folder / "files"
        ):
            uv = Uv(self.settings, self.runner)
            uv.install_wheel(wheel.path, folder / "files", python=self._toolchain.interpreter, compiled=False)
        _forget_origin(site)
        _free_programs(folder / "files" / "bin")
        if self.is_sent:
            self._compile(site)
        package = Package.read(wheel.pin.name, wheel.pin.version, folder / "files")
        folders = [folder, cache_path(cache, "sites"), self._toolchain.interpreter.parents[1]]
        _require_free(package, folders)
        if self.is_sent:
            package.pack()

    def _keep_agent(self) -> None:
        """Compile the agent for the next connection; the present one began without it."""
        python, cache = self.target.python.short, self.settings.cache
        if not has_compiled(python, cache):
            compile_agent(python, cache, [self._toolchain.host.executable], self.runner)

    @cached_property
    def _toolchain(self) -> Toolchain:
        # Importing it takes longer than finding a cached package.
        from crosswheel.toolchain.environment import toolchain_for

        return toolchain_for(self.target, self.settings, runner=self.runner)

    @property
    def _site(self) -> str:
        return f"lib/python{self.target.python.short}/site-packages"

    def _inputs(self, **contents: object) -> dict[str, object]:
        python = self.target.python
        return {"layout": _LAYOUT, "python": [python.version, python.soabi], **contents}

    def _compile(self, site: Path) -> None:
        # Unchecked hashes: nothing in a release ever changes, so Python need not compare times. The paths in the
        # bytecode are relative, so that the same source gives the same bytes in any folder. By force: a wheel may
        # contain bytecode that depends on the time of its source.
        words = ["-s", "-m", "compileall", "-qf", "--invalidation-mode", "unchecked-hash", "-s", str(site)]
        # Files that are not valid Python of this version (templates, tests of syntax) stay uncompiled, as with pip. A
        # fixed hash seed makes the order of constant sets reproducible.
        env = {"PATH": os.defpath, "PYTHONHASHSEED": "0"}
        folder = site.parents[2]  # Python searches it for modules first, and it has none
        self.runner.run(
            [self._toolchain.host.executable, *words, str(site)], check=False, env=env, cwd=folder
        )

    def _launchers(self, name: str, root: Package, called: Mapping[str, str], bill: bytes) -> Package:
        """Return the package of an environment's launchers and its SBOM."""
        texts = {f"{name}-python": _LAUNCHER.format(command='"$environment/bin/python3"')}
        for program, launcher in called.items():
            words = f'"$environment/bin/{program}"'
            if (root.folder / "bin" / program).read_bytes().startswith(HEADER):
                words = f'"$environment/bin/python3" {words}'
            texts[launcher] = _LAUNCHER.format(command=words)

        def fill(temporary: Path) -> None:
            for launcher, text in texts.items():
                _write_program(temporary / "files" / "launchers" / launcher, text.encode())
            write_bytes(temporary / "files" / SBOM, bill)

        paths = [f"files/launchers/{launcher}" for launcher in texts]
        inputs = self._inputs(launchers=texts, bill=hashlib.sha256(bill).hexdigest())
        folder = cached_folder(self.settings.cache, "installed", inputs, fill, paths)
        return Package.read("launchers", root.version, folder / "files")


def _links_in(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if Path(folder, name).is_symlink()}


def require_environment_name(name: str) -> None:
    """Raise :class:`UsageError` if no environment can have this name."""
    try:
        require_name(name)
    except Refused as refusal:
        raise UsageError(str(refusal), hint="use small letters, digits, dots and hyphens.") from refusal


def _called(command: str, program: str, name: str) -> str:
    """Return the name of a program's command in an environment."""
    if name == program:
        return command
    return name if command == program else f"{name}-{command}"


def _command(words: Sequence[str], called: Mapping[str, str], programs: Sequence[str]) -> tuple[str, ...]:
    """Return the words that run a command of a program, given by its own name or by that in the environment."""
    launcher = called.get(words[0], words[0])
    if launcher not in programs:
        raise UsageError(
            f"--test: there is no command {words[0]!r}", hint=f"it may be one of: {', '.join(programs)}."
        )
    return (f"launchers/{launcher}", *words[1:])


def _trial(program: Package, command: str | None) -> str:
    """Return a trial that imports the program's packages, and loads its command without calling it."""
    below_site = [file.path.split("/")[3:] for file in program.files if "/site-packages/" in file.path]
    names = {parts[0] for parts in below_site if parts[1:] == ["__init__.py"]}
    names |= {parts[0][:-3] for parts in below_site if len(parts) == 1 and parts[0].endswith(".py")}
    modules = sorted(name for name in names if name.isidentifier())
    lines = [f"import {', '.join(modules)}"] if modules else []
    if command:  # under another name than __main__, it loads its function and does not call it
        lines += ["import runpy, sys", f"runpy.run_path(sys.prefix + '/bin/{command}', run_name='trial')"]
    return "\n".join(lines) or "pass"


def _forget_origin(site: Path) -> None:
    """Remove the records of the path on this machine from which a wheel was installed."""
    (site.parents[2] / ".lock").unlink(missing_ok=True)
    (info,) = site.glob("*.dist-info")
    dropped = {f"{info.name}/direct_url.json", f"{info.name}/uv_cache.json"}
    rows = [row for row in csv.reader(io.StringIO((info / "RECORD").read_text())) if row[0] not in dropped]
    for path in dropped:
        (site / path).unlink(missing_ok=True)
    # RECORD leaves out the hashes of programs, because their first lines change.
    changed = [[row[0], "", ""] if row[0].startswith("../../../bin/") else row for row in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(changed))
    write_text(info / "RECORD", text.getvalue())  # as a new file: this one may be a link to that of a trial


def _free_programs(folder: Path) -> None:
    """Make the Python programs in a folder use the interpreter beside them instead of this machine's."""
    for program in sorted(folder.glob("*")):
        data = program.read_bytes()
        shebang, _, body = data.partition(b"\n")
        if data.startswith(_TRAMPOLINE):
            data = HEADER + data.partition(b"\n' '''\n")[2]
        elif shebang.startswith(b"#!") and b"python" in shebang:
            data = HEADER + body
        program.unlink()  # the file may be a hard link into a cache, where it must not change
        _write_program(program, data)


def _require_free(package: Package, folders: Sequence[Path]) -> None:
    """Raise :class:`CheckFailed` if a package cannot be part of an environment on a robot."""
    for file in package.files:
        if file.path in _RESERVED or file.path.startswith(_RESERVED_FOLDERS):
            raise CheckFailed(
                f"{package.name} {package.version} would put {file.path} into the environment, which has its own",
                hint="drop that file from its wheel, with a patch in a recipe.",
            )
        data = (package.folder / file.path).read_bytes()
        for folder in folders:
            if os.fsencode(folder) in data:
                raise CheckFailed(
                    f"{file.path} of {package.name} {package.version} names {folder}, which no robot has",
                    hint="if its build wrote it, patch that in a recipe; otherwise it is a bug in crosswheel.",
                )


def _write_program(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755)


def chosen(
    requirement: str, recipes: Path, dist: Path, target: Target
) -> tuple[LockedProgram, list[ProvenWheel]]:
    """Return the program that a requirement names, and the wheels of its lock.

    Raises:
        UsageError, CheckFailed, IntegrityError: as for :func:`locked_program` and :func:`proven_wheels`.
    """
    program = locked_program(requirement, recipes, target)
    return program, proven_wheels(program, dist, target)


def assembler_for(target: Target, settings: Settings) -> Assembler:
    """Return an assembler for a target."""
    runner = Runner(log=cache_path(settings.cache, "installed") / "log.txt")
    return Assembler(target, settings, runner)
