"""Builds a wheel again from its provenance, and compares the bytes."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel import __version__
from crosswheel.build.requirements import RequirementsStore
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.files import digest_of, sha256_of, write_text
from crosswheel.job.context import BuildContext
from crosswheel.job.making import build_anew
from crosswheel.job.record import WheelRecord
from crosswheel.lock import Pin
from crosswheel.plan import Step
from crosswheel.recipes.model import Recipe
from crosswheel.registry import Registry, ReleaseFile
from crosswheel.targets import Target
from crosswheel.wheels import provenance
from crosswheel.wheels.comparing import differences

REBUILD = "urn:crosswheel:rebuild:v1"


class _External(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    package: str
    target: str
    recipe: Mapping[str, Any] | None


class _Internal(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    sdist: str | None
    requirements: str
    as_of: datetime.date | None
    day: datetime.date | None
    target: str
    code: str
    toolchain: Mapping[str, str]
    sandbox: str | None


@dataclass(frozen=True)
class Instructions:
    """A provenance's instructions for building a wheel."""

    external: _External
    internal: _Internal

    @property
    def pin(self) -> Pin:
        """The release."""
        name, _, version = self.external.package.partition("==")
        return Pin(name, version, frozenset({self.internal.sdist} if self.internal.sdist else ()))

    @classmethod
    def of(cls, statement: provenance.Statement) -> Instructions:
        """Return the instructions in a provenance.

        Raises:
            UsageError: the wheel was taken, so there is nothing to build.
            IntegrityError: the provenance is incomplete.
        """
        try:
            definition = statement["predicate"]["buildDefinition"]
            if definition["buildType"] == provenance.TAKEN:
                raise UsageError(
                    f"{definition['externalParameters']['package']} was taken from the registry, not built",
                    hint="its hash is in the lock, and tells that it is the registry's.",
                )
            if definition["buildType"] != provenance.BUILT:
                raise ValueError(f"it is a {definition['buildType']}")
            external = _External.model_validate(definition["externalParameters"])
            internal = _Internal.model_validate(definition["internalParameters"])
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise IntegrityError(
                f"the provenance does not say how the wheel was built: {error}",
                hint="another version of crosswheel may have written it, or it is damaged.",
            ) from error
        return cls(external, internal)


@dataclass(frozen=True)
class RebuildResult:
    """The result of building a wheel again.

    Attributes:
        wheel: the wheel's file name.
        sha256: the hash of the first build.
        rebuilt: the hash of the second build.
        differences: where the two differ, a sentence each.
        changes: what has changed since the first build: tools, crosswheel itself, the sandbox.
    """

    wheel: str
    sha256: str
    rebuilt: str
    differences: tuple[str, ...]
    changes: tuple[str, ...]

    @property
    def is_identical(self) -> bool:
        """Whether the two wheels are identical to the byte."""
        return self.sha256 == self.rebuilt

    def statement(self, of: Path, record: WheelRecord, code: str) -> provenance.Statement:
        """Return the verdict as a statement about the wheel.

        Args:
            of: the file of the provenance that was followed.
            record: the record of the second build.
            code: the digest of crosswheel's code.
        """
        predicate = {
            "result": "identical" if self.is_identical else "different",
            "provenance": {"digest": {"sha256": sha256_of(of)}},
            "rebuilt": {"digest": {"sha256": self.rebuilt}},
            "differences": list(self.differences),
            "changes": list(self.changes),
            "toolchain": dict(record.toolchain),
            "sandbox": record.sandbox,
            "crosswheel": {"version": __version__, "code": code},
        }
        return provenance.statement({self.wheel: self.sha256}, REBUILD, predicate)


def rebuild(
    wheel: Path, statement: provenance.Statement, context: BuildContext
) -> tuple[RebuildResult, WheelRecord]:
    """Build a wheel again from its provenance, in the context's folders, and compare the two.

    Cached tools are used; wheels of ``dist/`` and of the cache are not.

    Raises:
        UsageError: the wheel was taken, or is for another target.
        IntegrityError: the provenance is of another wheel, or incomplete.
        CrosswheelError: of the step of the build that failed.
    """
    sha256 = sha256_of(wheel)
    provenance.require_subject(statement, sha256, wheel)
    instructions = Instructions.of(statement)
    _require_target(instructions, context.target)
    with tempfile.TemporaryDirectory(dir=_made(context.trees.build)) as scratch:
        folder = Path(scratch)
        step, store = _step(instructions, folder, context.registry), _store(instructions, folder)
        context.display.expect([(step.pin.name, step.pin.version)])
        context.display.start(step.pin.name, step.pin.version, "building again")
        record = build_anew(step, store, folder / "kept", context)
        context.display.done(step.pin.name, "built", step.reason, record.seconds)
        found = tuple(differences(wheel, record.wheel))
        changes = tuple(_changes(instructions, record, context.code_digest))
    return RebuildResult(wheel.name, sha256, record.sha256, found, changes), record


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _require_target(instructions: Instructions, target: Target) -> None:
    if instructions.external.target != target.name:
        raise UsageError(
            f"the wheel was built for {instructions.external.target}",
            hint=f"give --target {instructions.external.target}.",
        )
    if instructions.internal.target != digest_of(target=target.fingerprint):
        raise UsageError(
            f"what is known of {target.name} here is not what the wheel was built for",
            hint="build again with the target file that it was built with, such as of the same version of crosswheel.",
        )


def _step(instructions: Instructions, folder: Path, registry: Registry) -> Step:
    pin, recipe = instructions.pin, _recipe(instructions, folder)
    sdist = instructions.internal.sdist
    file = _sdist(pin, sdist, registry) if sdist else None
    return Step(pin, "build", file, (), recipe, "it is built again")


def _sdist(pin: Pin, sha256: str, registry: Registry) -> ReleaseFile:
    files = registry.release_files(pin.name, pin.version)
    for file in files:
        if file.sha256 == sha256:
            return file
    raise IntegrityError(
        f"the registry has no file of {pin} with the hash {sha256}, which the wheel was built from",
        hint="its publisher removed or replaced it; give a registry that still has it.",
    )


def _recipe(instructions: Instructions, folder: Path) -> Recipe | None:
    """Return the recipe in the provenance, with its patches written to files."""
    stated = instructions.external.recipe
    if stated is None:
        return None
    patches = [str(text) for text in stated.get("patches", ())]
    names = [f"{number}.patch" for number in range(len(patches))]
    for name, text in zip(names, patches):
        write_text(folder / "recipe" / name, text)
    try:
        return Recipe.model_validate({**stated, "patches": names, "file": folder / "recipe" / "build.py"})
    except ValidationError as error:
        raise IntegrityError(
            f"the recipe in the provenance cannot be read: {error.errors()[0]['msg']}",
            hint="another version of crosswheel may have written it: use that one.",
        ) from error


def _store(instructions: Instructions, folder: Path) -> RequirementsStore:
    internal = instructions.internal
    write_text(folder / "requirements" / f"{instructions.pin.name}.txt", internal.requirements)
    return RequirementsStore(folder / "requirements", internal.as_of, frozen=True, day=internal.day)


def _changes(instructions: Instructions, record: WheelRecord, code_digest: str) -> list[str]:
    """Return what has changed since the first build, for people."""
    before, now = instructions.internal.toolchain, record.toolchain
    changes = [
        f"{name} is {now.get(name, 'not used')}, and was {before.get(name, 'not used')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if instructions.internal.code != code_digest:
        changes.append("crosswheel's own code is another")
    if instructions.internal.sandbox != record.sandbox:
        changes.append(f"the sandbox is {record.sandbox}, and was {instructions.internal.sandbox}")
    return changes


def in_folder(context: BuildContext, folder: Path) -> BuildContext:
    """Return the context with its build tree in another folder."""
    return replace(context, trees=replace(context.trees, build=folder, dist=folder / "dist"))
