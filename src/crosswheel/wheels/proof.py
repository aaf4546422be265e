"""Defines what is recorded of a wheel: its origin, and the proof that it loads and runs on a target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crosswheel.files import write_text
from crosswheel.wheels.layout import CLOSURE_SUFFIX, PROVENANCE_SUFFIX, SBOM_SUFFIX
from crosswheel.wheels.schema import NEWEST_SCHEMA, SchemaVersion

SUFFIX = ".proof.json"
SandboxLevel = Literal["namespaces", "landlock", "none"]


class _ProofModel(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore"
    )  # another version of crosswheel may have written it


class AuditedObject(_ProofModel):
    """A shared object or program in a wheel: the libraries that it needs, and the newest symbol version of each kind.

    ``opened`` tells whether a trial loads it by itself, which it does not do with programs and with objects that need
    others to be loaded before. ``unproven`` lists needs that may or may not be met: the exports of a library are not
    known.
    """

    file: str
    needed: tuple[str, ...] = ()
    newest: Mapping[str, str] = Field(default_factory=dict)
    """The newest symbol version of each prefix, such as ``{"GLIBC": "2.17", "GLIBCXX": "3.4.21"}``."""
    unproven: tuple[str, ...] = ()
    opened: bool = False


class WheelFacts(_ProofModel):
    """A wheel's origin and the findings of its audit: the fields that the cache's records and the proofs share.

    Attributes:
        sha256: hash of the wheel's bytes, in hexadecimal.
        origin: ``taken`` from the registry, or ``built``.
        reason: why it was taken or built.
        source: the origin of the wheel, or of the source it was built from, without host names.
        toolchain: the versions of the tools that it was built with, by name.
        build_requirements: the releases in the build environment, as ``name==version``.
        audited: its shared objects and programs.
        parity: the file name of the nearest official wheel, which it was compared with.
        sandbox: the level of the sandbox in which it was built and run.
        traces: how often each file in it names a folder of the build machine; its bytes depend on these folders.
        inputs: the digest of its inputs other than the target (source, recipe, day, crosswheel's code); ``None`` if it
            was taken.
        cpu: the CPU that it was compiled for, as zig spells it.
        seconds: how long the build took.
    """

    sha256: str
    origin: Literal["taken", "built"]
    reason: str
    source: str
    toolchain: Mapping[str, str] = Field(default_factory=dict)
    build_requirements: tuple[str, ...] = ()
    audited: tuple[AuditedObject, ...] = ()
    parity: str | None = None
    sandbox: SandboxLevel | None = None
    traces: Mapping[str, int] = Field(default_factory=dict)
    inputs: str | None = None
    cpu: str | None = None
    seconds: float = 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of this class alone, to create another value that has them."""
        return {name: getattr(self, name) for name in WheelFacts.model_fields}


class MachineRun(_ProofModel):
    """A wheel's run on a real machine of the target's kind.

    ``day`` is in UTC, as ``YYYY-MM-DD``; ``python`` and ``kernel`` are the machine's versions on that day.
    """

    day: str
    machine: str
    kernel: str
    python: str
    imported: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


class Proof(WheelFacts):
    """The evidence that a wheel loads and runs on a target, which lies beside the wheel in ``dist/``.

    Attributes:
        wheel: the wheel's file name.
        recipe: the label of the recipe that told how to build, take or test it; ``None`` if none did.
        compiled: the number of its modules that a Python of the target's version compiled.
        compiled_by: that Python, such as ``CPython 3.10.8 of the build machine``.
        emulator: the emulator and Python that ran it, such as ``qemu-arm 7.2.0, CPython 3.10.8``; ``None`` means
            *not run*.
        userland: the digest of the learned userland that the wheel was audited against and run in.
        on_machine: its run on a real machine, if there was one.
        imported: the imported modules: all extension modules, and the packages and modules without any in them.
        skipped: modules that were not imported, each with the reason.
        tests: the names of the recipe's tests that passed.
        log: the path of the build log, relative to the build tree.
    """

    schema_version: SchemaVersion = NEWEST_SCHEMA
    wheel: str
    target: str
    recipe: str | None = None
    compiled: int = 0
    compiled_by: str | None = None
    emulator: str | None = None
    userland: str | None = None
    on_machine: MachineRun | None = None
    imported: tuple[str, ...] = ()
    skipped: Mapping[str, str] = Field(default_factory=dict)
    tests: tuple[str, ...] = ()
    log: str | None = None

    @property
    def not_run(self) -> str | None:
        """The reason why nothing of the wheel was run; ``None`` if something was."""
        if self.emulator is not None:
            return None
        return next(iter(self.skipped.values()), "it has no module to be imported")

    def write_beside(self, wheel: Path) -> None:
        """Write the proof as ``<wheel>.<target>.proof.json``: a pure wheel may be proven on several targets."""
        write_text(self.path_beside(wheel), self.model_dump_json(indent=1) + "\n")

    def path_beside(self, wheel: Path) -> Path:
        """Return the proof's path beside its wheel."""
        return _path(wheel, self.target)

    @classmethod
    def read_beside(cls, wheel: Path, target: str) -> Proof | None:
        """Read the proof of a wheel on a target, or return ``None`` where it has none."""
        return cls.read(_path(wheel, target))

    @classmethod
    def read(cls, path: Path) -> Proof | None:
        """Read a proof, or return ``None`` if there is none, or it is damaged and so proves nothing."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    @staticmethod
    def paths_beside(wheel: Path) -> list[Path]:
        """Return the paths of a wheel's proofs, one for each target."""
        return sorted(wheel.parent.glob(f"{wheel.name}.*{SUFFIX}"))

    @staticmethod
    def remove_beside(wheel: Path, target: str) -> bool:
        """Remove the proof of a wheel on a target, its provenance and its SBOMs; tell whether it was the last proof."""
        _path(wheel, target).unlink(missing_ok=True)
        for suffix in (PROVENANCE_SUFFIX, SBOM_SUFFIX, CLOSURE_SUFFIX):
            wheel.with_name(f"{wheel.name}.{target}{suffix}").unlink(missing_ok=True)
        return not Proof.paths_beside(wheel)


def _path(wheel: Path, target: str) -> Path:
    return wheel.with_name(f"{wheel.name}.{target}{SUFFIX}")
