"""Proving one wheel on the emulated target, together with all that it depends on, and putting it into ``dist/``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from crosswheel.cached import cached_path
from crosswheel.check.modules import unfit_modules
from crosswheel.emulation.commands import TestCommand
from crosswheel.emulation.sites import bytecode_folder, trial_prefix
from crosswheel.emulation.trials import Importable, Imports, Trial, import_modules, run_test
from crosswheel.files import digest_of, place_link, remove_tree
from crosswheel.job.attesting import attest
from crosswheel.job.bills import write_sboms
from crosswheel.job.context import BuildContext
from crosswheel.job.machine_runs import KeptRuns, run_on_machine
from crosswheel.job.making import refuse
from crosswheel.job.record import WheelRecord
from crosswheel.job.requirement_graph import Requirements
from crosswheel.job.reuse import proof_digest, proof_of, reused_proof, share
from crosswheel.lock import parsed
from crosswheel.plan import Step
from crosswheel.sources.archive import unpack
from crosswheel.targets import Target
from crosswheel.uv import site_of
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.proof import MachineRun, Proof


@dataclass(frozen=True)
class Candidate:
    """A wheel to be proven.

    Attributes:
        needed: the other wheels that are installed beside it.
        incomplete: whether a package that it requires is not among these.
    """

    step: Step
    record: WheelRecord
    needed: Sequence[WheelRecord]
    incomplete: bool

    @property
    def tests(self) -> tuple[Path, ...]:
        """The tests of its recipe."""
        return self.step.recipe.test_files if self.step.recipe else ()

    @property
    def skip(self) -> Mapping[str, str]:
        """The modules that its recipe says not to import, with the reasons."""
        return self.step.recipe.skip_imports if self.step.recipe else {}

    def importable(self, target: Target) -> Importable:
        """Return what is imported of it on a target."""
        record, complete = self.record, not self.incomplete
        return Importable.of(
            record.wheel.name, record.modules, record.audited, target, skip=self.skip, complete=complete
        )


def prove(
    step: Step, records: Mapping[str, WheelRecord], requirements: Requirements, context: BuildContext
) -> Proof:
    """Import a wheel's modules and run its recipe's tests, then put it into ``dist/`` with its proof.

    Raises:
        CheckFailed: a module does not load, or a test fails.
    """
    record = records[step.pin.name]
    reached, _ = requirements.follow(tested_with(step), records)
    absent = requirements.absent(tested_with(step), records)
    candidate = Candidate(step, record, [records[name] for name in sorted(reached)], bool(absent))
    inputs = inputs_of(candidate, context)
    shared_digest = proof_digest(inputs)
    proof = reused_proof(shared_digest, record, context)
    if proof is None:
        proof = (
            context.executor.proven(candidate, context)
            if context.executor
            else proven_here(candidate, context)
        )
    share(record, proof, shared_digest, context)
    run = _on_machine(candidate, inputs, context)
    proof = proof.model_copy(update={"on_machine": run}) if run else proof
    if absent and proof.skipped:
        context.display.warning(
            f"{step.pin}: {len(proof.skipped)} of its modules were not imported, because it requires what its recipe "
            f"does not bring ({', '.join(absent)}); a recipe with as_of brings the whole closure"
        )
    folder = context.dist_folder(step.pin.name, step.pin.version)
    with context.lock_for(folder):  # closures of one batch may have the release in common
        placed = Dist(context.trees.dist).put(record.wheel, proof, folder)
        attest(step, record, proof, placed, context)
        write_sboms(step.pin.name, records, requirements, placed, context)
    return proof


def _on_machine(
    candidate: Candidate, inputs: Mapping[str, object], context: BuildContext
) -> MachineRun | None:
    """Return what ran on a machine itself; it is run there, if one is named and it was not run on it before."""
    kept = KeptRuns(context.settings.cache, context.seals, inputs)
    run = kept.read(context.machine)
    if run is not None or context.machine is None:
        return run
    context.display.step(candidate.step.pin.name, f"testing on {context.machine.title} itself")
    sites = [installed_site(required.wheel, required.sha256, context) for required in candidate.needed]
    run = run_on_machine(context.machine, candidate.importable(context.target), candidate.tests, sites)
    kept.write(run)
    return run


def proven_here(candidate: Candidate, context: BuildContext) -> Proof:
    """Return the proof that the cache of this machine has, or give one.

    Raises:
        CheckFailed: a module does not load, or a test fails.
    """
    inputs = inputs_of(candidate, context)
    emulator = context.emulator.version if context.has_runnable_python else None
    kept = cached_path(context.settings.cache, "proofs", f"{digest_of(**inputs, emulator=emulator)}.json")
    pin = candidate.step.pin

    def look() -> Proof | None:
        return proof_of(context.seals.read(kept, kept.stem), candidate.record, context.target)

    proof = look()
    if proof is None:
        with context.own_folder(pin.name, pin.version):
            proof = look() or _proven(candidate, context)
        context.seals.write(kept, kept.stem, proof.model_dump_json())
    return proof


def tested_with(step: Step) -> list[str]:
    """Return the packages that a step's test installs, each with its requirements."""
    test_requirements = step.recipe.test_requires if step.recipe else ()
    return [step.pin.name, *(canonicalize_name(parsed(text).name) for text in test_requirements)]


def inputs_of(candidate: Candidate, context: BuildContext) -> dict[str, object]:
    """Return all that a proof depends on, but for the emulator."""
    step, record = candidate.step, candidate.record
    recipe = step.recipe
    return {
        "wheel": str(step.pin),
        "reason": record.reason,
        "sandbox": context.sandbox,
        "audited": [item.model_dump() for item in record.audited],
        "closure": [other_record.sha256 for other_record in candidate.needed],
        "userland": context.userland,
        "tests": [test.read_text() for test in candidate.tests],
        "command": [recipe.test_command, recipe.test_sources] if recipe and recipe.test_command else None,
        "skip": dict(candidate.skip),
        "target": context.target.fingerprint,
        "code": context.code_digest,
    }


def _proven(candidate: Candidate, context: BuildContext) -> Proof:
    step, record, recipe = candidate.step, candidate.record, candidate.step.recipe
    tests, skip = candidate.tests, candidate.skip
    refuse(
        unfit_modules(record.compiled, record.wheel.name, context.target.python.short, skip),
        record.wheel.name,
    )
    if context.has_runnable_python:
        imports = _run(candidate, _trial(candidate, context), context)
    else:
        reason = f"no Python {context.target.python.short} for {context.target.machine} can be had here"
        imports, tests = (
            Imports(skipped=dict.fromkeys((*record.modules.extensions, *record.modules.pure), reason)),
            (),
        )
    ran_command = bool(recipe and recipe.test_command and context.has_runnable_python)
    log = context.log(step.pin.name, step.pin.version)
    facts = {
        **record.facts,
        "reason": context.public(record.reason),
        "source": context.public(record.source),
        "sandbox": context.sandbox,
        "seconds": round(record.seconds, 1),
    }
    return Proof(
        **facts,
        wheel=record.wheel.name,
        target=context.target.name,
        recipe=recipe.label if recipe and recipe.says_how else None,
        compiled=record.compiled.count,
        compiled_by=record.compiled.by or None,
        emulator=context.emulator.version if imports.imported or tests else None,
        userland=context.userland,
        imported=imports.imported,
        skipped={
            **{name: skip[name] for name in record.compiled.unfit},
            **{module: context.public(reason) for module, reason in imports.skipped.items()},
        },
        tests=(*(test.stem for test in tests), *(["test-command"] if ran_command else [])),
        log=os.path.relpath(log, context.trees.build) if record.origin == "built" else None,
    )


def _run(candidate: Candidate, trial: Trial, context: BuildContext) -> Imports:
    """Import a wheel's modules and run its recipe's tests on the emulated target."""
    pin, wheel = candidate.step.pin, candidate.record.wheel
    context.display.start(pin.name, pin.version, "testing")
    imports = import_modules(candidate.importable(context.target), trial)
    faults = list(imports.faults)
    for test in candidate.tests:
        faults += [] if faults else run_test(test, wheel.name, trial)
    command = _test_command(candidate.step, context)
    if command is not None and not faults:
        context.display.step(pin.name, "running its test command")
        faults = command.run(trial, wheel)
    refuse(faults, wheel.name)
    return imports


def _test_command(step: Step, context: BuildContext) -> TestCommand | None:
    """Return the project's own test command, with its source unpacked for it; ``None`` if there is none."""
    recipe = step.recipe
    if recipe is None or not recipe.test_command or step.file is None or step.file.kind != "sdist":
        return None
    folder = context.folder(step.pin.name, step.pin.version) / "tested"
    remove_tree(folder)
    source = unpack(context.registry.fetch(step.file), folder)
    variables = tuple(sorted(recipe.environment.items()))
    return TestCommand(recipe.test_command, source, recipe.test_sources, variables)


def _trial(candidate: Candidate, context: BuildContext) -> Trial:
    step = candidate.step
    runner = context.limited(step.recipe).runner(step.pin.name, step.pin.version)
    sites = [installed_site(record.wheel, record.sha256, context) for record in candidate.needed]
    scratch = context.folder(step.pin.name, step.pin.version) / "trial"
    remove_tree(scratch)
    return Trial(context.emulator, sites, scratch, runner)


def installed_site(wheel: Path, sha256: str, context: BuildContext, python: Path | None = None) -> Path:
    """Return a ``site-packages`` of the cache into which uv has installed a wheel, whose hash is known.

    It has the bytecode that the audit has left, or uv's if there is none.

    Args:
        python: the interpreter to install for, if it is not one that answers as the target; of the same version.
    """
    cache, short = context.settings.cache, context.target.python.short
    bytecode = bytecode_folder(cache, sha256, short)

    def install(folder: Path) -> None:
        # The audit leaves out what is no importable module; a trial compiles it, should it load it all the same.
        interpreter, compiled = python or context.toolchain.interpreter, not bytecode.is_dir()
        site = context.uv.install_wheel(wheel, folder, python=interpreter, compiled=compiled)
        for file in bytecode.rglob("*.pyc"):
            place_link(file, site / file.relative_to(bytecode))

    return site_of(trial_prefix(cache, sha256, short).make(install))
