"""Makes a wheel of a program with its whole closure, for robots where plain pip cannot install beside the image.

The wheel has no dependencies. It has the closure in a folder that is not on any ``sys.path``; its launchers use that
folder as a virtual environment. A local version (PEP 440) makes pip prefer it to the release with dependencies, and its
platform tag keeps it from other kinds of machines.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel import __version__
from crosswheel.agent.manifest import PYTHON_FOLDER, SBOM
from crosswheel.deploy.assembling import (
    HEADER,
    Assembler,
    LockedProgram,
    ProvenWheel,
    require_environment_name,
)
from crosswheel.deploy.preflight import clashes
from crosswheel.deploy.release import Package
from crosswheel.emulation.emulator import Emulator, emulator_for
from crosswheel.emulation.trials import Importable, Trial, import_modules
from crosswheel.errors import CheckFailed
from crosswheel.files import digest_of, sha256_of
from crosswheel.provenance.sbom import SBOM_NAME
from crosswheel.targets import Target, robot_of
from crosswheel.wheels.deflated import deflated_in
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.proof import AuditedObject, Proof
from crosswheel.wheels.reading import WheelFile
from crosswheel.wheels.writing import Member, write_wheel

_LAYOUT = 5  # raised when the content of bundle wheels changes

# With a Python of its own, the folder is that Python's prefix, and no virtual environment. Otherwise:
# A virtual environment is a folder with pyvenv.cfg and a link to an interpreter (PEP 405); a wheel cannot hold links.
_LAUNCHER = """#!/bin/sh
unset PYTHONHOME PYTHONPATH
launcher=$(readlink -f "$0")
environment=$(readlink -f "${{launcher%/*}}/../lib/crosswheel/{name}")
[ -e "$environment/bin/python3" ] || ln -sf {python} "$environment/bin/python3"
exec {command} "$@"
"""


@dataclass(frozen=True)
class BundleWheel:
    """The bundle wheel of a program.

    Attributes:
        wheels: the program's closure.
        dist: the tree of wheels for it.
        name: the name of its folder and of its command for scripts; the program's name by default.
    """

    locked: LockedProgram
    wheels: Sequence[ProvenWheel]
    dist: Path
    assembler: Assembler
    name: str | None = None

    @property
    def is_needed(self) -> bool:
        """Whether plain pip needs it: it is for a program, and the image has other versions of packages of its closure.

        A program has a command of its own name, as for ``pipx run``. A library would be of no use in a folder that is
        not on ``sys.path``.
        """
        target, program = self._target, self._program
        if target.robot is None or not target.robot.bundle or program is None:
            return False
        closure = {wheel.pin.name: wheel.pin.version for wheel in self.wheels}
        commands = {canonicalize_name(command) for command in program.commands}
        differs = any(clash.differs for clash in clashes(closure, target.image.packages))
        return self.locked.name in commands and (differs or target.python.provided is not None)

    @property
    def is_there(self) -> bool:
        """Whether the tree has it, proven, and made of exactly these wheels."""
        proof = Proof.read_beside(self.path, self._target.name)
        return bool(
            proof
            and proof.source == self.source
            and self.path.is_file()
            and sha256_of(self.path) == proof.sha256
        )

    @property
    def path(self) -> Path:
        """Its path."""
        folder = Dist(self.dist).folder(self.locked.name, self._version)
        return folder / "-".join([self._base, *self._build, f"{self._tag}.whl"])

    def write(self) -> None:
        """Write the wheel and its proof, after importing the program from it on the emulated target.

        Raises:
            CheckFailed: the program cannot be imported.
            StorageError: the wheel cannot be written.
        """
        require_environment_name(self.name or self.locked.name)
        emulator = emulator_for(self._target, self.assembler.settings, self.assembler.runner)
        with tempfile.TemporaryDirectory() as scratch:
            wheel = Path(scratch) / self.path.name
            write_wheel(wheel, self._members(), f"{self._base}.dist-info/RECORD")
            proof = self._proof(sha256_of(wheel), self._imported(wheel, emulator), emulator)
            Dist(self.dist).put(wheel, proof, self.path.parent)

    def _proof(self, sha256: str, imported: tuple[str, ...], emulator: Emulator) -> Proof:
        target = self._target
        return Proof(
            wheel=self.path.name,
            sha256=sha256,
            target=target.name,
            origin="built",
            reason=f"plain pip cannot install {self.locked.name} beside what the image of {target.title} has",
            source=self.source,
            toolchain={"crosswheel": __version__},
            audited=tuple(self._audited()),
            emulator=emulator.version,
            userland=emulator.userland,
            sandbox=emulator.sandbox.level,
            imported=imported,
        )

    @property
    def _target(self) -> Target:
        return self.assembler.target

    @property
    def _program(self) -> ProvenWheel | None:
        return next((wheel for wheel in self.wheels if wheel.pin.name == self.locked.name), None)

    @property
    def _version(self) -> str:
        return f"{self.locked.version}+{self._target.name.replace('-', '.')}"

    @property
    def _base(self) -> str:
        return f"{self.locked.name.replace('-', '_')}-{self._version}"

    @property
    def _tag(self) -> str:
        if self._target.python.provided:  # any Python may install it, as it brings the Python that runs it
            return f"py3-none-{self._target.platform_tag}"
        return "cp{0}{1}-cp{0}{1}-{2}".format(*self._target.python.numbers, self._target.platform_tag)

    @property
    def _build(self) -> list[str]:
        """The build tag of the program's wheel (PEP 427), if any, so that a corrected build makes a new bundle."""
        assert self._program is not None
        return self._program.path.name.split("-")[2:-3]

    @property
    def source(self) -> str:
        """Its inputs, in words and as a digest, for people and for :attr:`is_there`."""
        inputs = digest_of(
            layout=_LAYOUT,
            wheels=[wheel.proof.sha256 for wheel in self.wheels],
            robot=robot_of(self._target).model_dump(mode="json"),
            name=self.name,
            python=self._target.python.provided and self.assembler.python_digest,
        )
        return f"{len(self.wheels)} proven wheels of the lock, {inputs}"

    @property
    def _home(self) -> str:
        """The folder of the environment, in the wheel."""
        return f"{self._base}.data/data/lib/crosswheel/{self.name or self.locked.name}"

    @property
    def _site(self) -> str:
        """The folder of the closure, in the wheel."""
        return f"{self._home}/lib/python{self._target.python.short}/site-packages"

    def _members(self) -> Iterator[Member]:
        """Yield all members except RECORD."""
        robot = robot_of(self._target)
        # Without bytecode if pip compiles it, for the Python that it installs into.
        brought = self._target.python.provided is not None
        assembler = replace(self.assembler, is_sent=brought)
        yield from self._files(assembler)
        release = assembler.release(self.locked, self.wheels, self.name or self.locked.name)
        if not brought:
            configuration = f"home = {robot.prefix}/bin\ninclude-system-site-packages = false\n"
            yield Member(f"{self._home}/pyvenv.cfg", configuration.encode())
        program = next(package for package in release.closure if package.name == release.program)
        for command in release.programs:
            launcher = _LAUNCHER.format(
                name=release.name,
                python=f"python{self._target.python.short}" if brought else f"{robot.prefix}/bin/python3",
                command=_words(command, program),
            )
            yield Member(f"{self._base}.data/scripts/{command}", launcher.encode(), executable=True)
        dropped = ("Requires-Dist", "Provides-Extra", *(("Requires-Python",) if brought else ()))
        metadata = _metadata(program, self._version, dropped)
        yield Member(f"{self._base}.dist-info/METADATA", metadata)
        about = (
            "Wheel-Version: 1.0",
            f"Generator: crosswheel {__version__}",
            "Root-Is-Purelib: false",
            f"Tag: {self._tag}",
            *(f"Build: {number}" for number in self._build),
        )
        yield Member(f"{self._base}.dist-info/WHEEL", "\n".join([*about, ""]).encode())
        bill = (release.launchers.folder / SBOM).read_bytes()
        yield Member(f"{self._base}.dist-info/sboms/{SBOM_NAME}", bill)

    def _files(self, assembler: Assembler) -> Iterator[Member]:
        """Yield the files of the Python that is sent, if any, and of the closure."""
        if python := assembler.provided_python():
            for file in python.files:
                path = file.path.removeprefix(f"{PYTHON_FOLDER}/")
                data = (python.folder / file.path).read_bytes()
                yield Member(f"{self._home}/{path}", data, file.executable)
        for package, wheel in zip(assembler.packages(self.wheels), self.wheels):
            # Most files are as the wheel has them, and deflating them again would take most of the time.
            with deflated_in(wheel.path) as deflated:
                for file in package.files:
                    if assembler.is_sent or "/__pycache__/" not in file.path:
                        data = (package.folder / file.path).read_bytes()
                        yield Member(f"{self._home}/{file.path}", data, file.executable, deflated(data))

    def _audited(self) -> Iterator[AuditedObject]:
        """Yield the audited objects of the closure's wheels, with their paths in this wheel."""
        for wheel in self.wheels:
            for item in wheel.proof.audited:
                yield item.model_copy(update={"file": f"{self._site}/{item.file}"})

    def _imported(self, path: Path, emulator: Emulator) -> tuple[str, ...]:
        """Import the program on the emulated target, from the content of the wheel alone."""
        assert self._program is not None
        modules = WheelFile.open(self._program.path).importable_names
        with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(path) as archive:
            archive.extractall(scratch)
            folder = Path(scratch)
            trial = Trial(emulator, [folder / self._site], folder / "trial", self.assembler.runner)
            imports = import_modules(Importable(self.path.name, modules), trial)
        for fault in imports.faults:
            raise CheckFailed(f"{fault.file} was refused: {fault.message}", hint=fault.remedy)
        return imports.imported


def _words(command: str, program: Package) -> str:
    script = program.folder / "bin" / command
    if not script.is_file():
        return '"$environment/bin/python3"'
    words = f'"$environment/bin/{command}"'
    return f'"$environment/bin/python3" {words}' if script.read_bytes().startswith(HEADER) else words


def _metadata(program: Package, version: str, dropped: Sequence[str]) -> bytes:
    """Return the program's own metadata, at the bundle's version and without what it needs not say any more."""
    (source,) = [file.path for file in program.files if file.path.endswith(".dist-info/METADATA")]
    message: Message = BytesParser(policy=compat32).parsebytes((program.folder / source).read_bytes())
    for field in dropped:
        del message[field]
    message.replace_header("Version", version)
    return message.as_bytes()
