"""What is recorded of a wheel: where it comes from, and the proof that it loads and runs on a target."""

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
    """A shared object or program in a wheel: what it needs, and the newest symbol version of each kind.

    ``opened`` tells whether it is loaded by itself where the wheel is run: programs are not, nor is what others have to
    be loaded before. ``unproven`` tells what is neither there for certain nor missing, as the exports of a library are
    not known.
    """

    file: str
    needed: tuple[str, ...] = ()
    newest: Mapping[str, str] = Field(default_factory=dict)
    """Newest symbol version per prefix, such as ``{"GLIBC": "2.17", "GLIBCXX": "3.4.21"}``."""
    unproven: tuple[str, ...] = ()
    opened: bool = False


class WheelFacts(_ProofModel):
    """Where a wheel comes from, and what its audit read; a record in the cache has it, and so has the proof.

    Attributes:
        sha256: hash of the wheel's bytes, in hexadecimal.
        origin: ``taken`` from the registry, or ``built`` here.
        reason: why it was taken or built.
        source: where the wheel, or the source it was built from, came from (no host names).
        toolchain: name to version of what it was built with.
        build_requirements: what the build environment held, as ``name==version``.
        audited: its shared objects and programs.
        parity: file name of the nearest official wheel it was compared with.
        sandbox: how its build and what ran of it were kept from all else of the machine that built it.
        traces: files in it that name folders of the machine that built it, and how often; its bytes depend on these.
        inputs: names what it was built from (source, recipe, day, crosswheel's code), whatever the target; ``None``
            for what was taken.
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
        """The fields of this class alone, for another that has them too."""
        return {name: getattr(self, name) for name in WheelFacts.model_fields}


class MachineRun(_ProofModel):
    """What ran of a wheel on a machine of the target's kind itself.

    ``day`` is in UTC, as ``YYYY-MM-DD``; ``python`` and ``kernel`` are what it had then.
    """

    day: str
    machine: str
    kernel: str
    python: str
    imported: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


class Proof(WheelFacts):
    """What was done to show that a wheel loads and runs on a target; kept beside it in ``dist/``.

    Attributes:
        wheel: its file name.
        recipe: whose recipe said how it is built, taken or tested, if one did.
        compiled: how many of its modules were compiled by a Python of the target's version.
        compiled_by: which one, such as ``CPython 3.10.8 of the build machine``.
        emulator: what ran it, such as ``qemu-arm 7.2.0, CPython 3.10.8``; ``None`` means *not run*.
        userland: the digest of the machine's own userland, where the wheel was audited against that and ran in it.
        on_machine: what ran on the machine itself, if anything did.
        imported: modules that were imported: the extension modules, and packages and modules that none of them is in.
        skipped: modules that were not, with the reason.
        tests: names of the recipe's tests that passed.
        log: path of the log, relative to the build tree.
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
        """Why nothing of the wheel was run, if that is so."""
        if self.emulator is not None:
            return None
        return next(iter(self.skipped.values()), "it has no module to be imported")

    def write_beside(self, wheel: Path) -> None:
        """Write the proof as ``<wheel>.<target>.proof.json``: a pure wheel may be proven on several targets."""
        write_text(self.path_beside(wheel), self.model_dump_json(indent=1) + "\n")

    def path_beside(self, wheel: Path) -> Path:
        """Return where the proof lies beside its wheel."""
        return _path(wheel, self.target)

    @classmethod
    def read_beside(cls, wheel: Path, target: str) -> Proof | None:
        """Read the proof of a wheel on a target, or return ``None`` where it has none."""
        return cls.read(_path(wheel, target))

    @classmethod
    def read(cls, path: Path) -> Proof | None:
        """Read a proof, or return ``None`` where there is none, or what is there is damaged and proves nothing."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    @staticmethod
    def paths_beside(wheel: Path) -> list[Path]:
        """Return where the proofs of a wheel lie, one for each target."""
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
