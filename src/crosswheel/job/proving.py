"""Proving one wheel on the emulated target, together with all that it depends on, and putting it into ``dist/``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from packaging.utils import canonicalize_name
from pydantic import ValidationError

from crosswheel.check.modules import unfit_modules
from crosswheel.emulation.trials import Importable, Imports, Trial, import_modules, openable, run_test
from crosswheel.files import cached_folder, digest_of, read_sealed, remove_tree, write_sealed
from crosswheel.job.context import BuildContext
from crosswheel.job.made import Made
from crosswheel.job.making import refuse
from crosswheel.job.requirements import Requirements
from crosswheel.plan import Step
from crosswheel.uv import Uv, site_of
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.proof import Proof


def prove(step: Step, made: Mapping[str, Made], requirements: Requirements, context: BuildContext) -> Proof:
    """Import a wheel's modules and run its recipe's tests, then put it into ``dist/`` with its proof.

    Raises:
        CheckFailed: a module does not load, or a test fails.
    """
    own = made[step.pin.name]
    reached, _ = requirements.follow(tested_with(step), made)
    needed = [made[name] for name in sorted(reached)]
    absent = requirements.absent(tested_with(step), made)
    kept = context.settings.cache / "proofs" / f"{_digest(step, own, needed, context)}.json"
    proof = _kept_proof(kept, own, context)
    if proof is None:
        with context.own_folder(step.pin.name, step.pin.version):
            proof = _kept_proof(kept, own, context) or _proven(step, own, needed, context, alone=bool(absent))
        write_sealed(kept, proof.model_dump_json())
    if absent and proof.skipped:
        context.display.warning(
            f"{step.pin}: {len(proof.skipped)} of its modules were not imported, because it requires what its recipe "
            f"does not bring ({', '.join(absent)}); a recipe with as_of brings the whole closure"
        )
    Dist(context.trees.dist).put(own.wheel, proof, context.dist_folder(step.pin.name, step.pin.version))
    return proof


def _kept_proof(kept: Path, own: Made, context: BuildContext) -> Proof | None:
    """Return the proof that the cache has, if it is to the byte what was written and is of this very wheel."""
    said = read_sealed(kept)
    try:
        proof = Proof.model_validate_json(said) if said is not None else None
    except ValidationError:  # written by another version
        return None
    of = proof and (proof.wheel, proof.sha256, proof.target)
    return proof if of == (own.wheel.name, own.sha256, context.target.name) else None


def tested_with(step: Step) -> list[str]:
    """Return the names of the packages that must be there, with all they require, when a wheel is tested."""
    more = step.recipe.test_requires if step.recipe else ()
    return [step.pin.name, *map(canonicalize_name, more)]


def _digest(step: Step, own: Made, needed: list[Made], context: BuildContext) -> str:
    recipe = step.recipe
    return digest_of(
        wheel=str(step.pin),
        reason=own.reason,
        sandbox=context.sandbox,
        emulator=context.emulator.version if context.toolchain.python.runs else None,
        audited=[item.model_dump() for item in own.audited],
        closure=[made.sha256 for made in needed],
        tests=[test.read_text() for test in recipe.test_files] if recipe else [],
        skip=dict(recipe.skip_imports) if recipe else {},
        target=context.target.fingerprint,
        code=context.code_digest,
    )


def _proven(step: Step, own: Made, needed: list[Made], context: BuildContext, *, alone: bool) -> Proof:
    """Run what can be run; ``alone`` tells that not all that the wheel requires is there to be imported."""
    recipe = step.recipe
    tests = recipe.test_files if recipe else ()
    skip = recipe.skip_imports if recipe else {}
    refuse(unfit_modules(own.compiled, own.wheel.name, context.target.python.short, skip), own.wheel.name)
    wanted = Importable(
        own.wheel.name,
        own.extensions,
        own.importable,
        {**own.not_importable, **skip},
        complete=not alone,
        objects=openable(own.audited),
        system=context.target.image.libraries,
    )
    if context.toolchain.python.runs:
        imports = _run(step, wanted, _trial(step, needed, context), context)
    else:
        reason = f"no Python {context.target.python.short} for {context.target.machine} can be had here"
        imports, tests = Imports(skipped=dict.fromkeys((*own.extensions, *own.importable), reason)), ()
    log = context.log(step.pin.name, step.pin.version)
    return Proof(
        wheel=own.wheel.name,
        sha256=own.sha256,
        target=context.target.name,
        origin=own.origin,
        reason=context.public(own.reason),
        source=context.public(own.source),
        recipe=recipe.label if recipe and recipe.says_how else None,
        toolchain=own.toolchain,
        build_requirements=own.build_requirements,
        audited=own.audited,
        parity=own.parity,
        compiled=own.compiled.count,
        compiled_by=own.compiled.by or None,
        traces=own.traces,
        sandbox=context.sandbox,
        emulator=context.emulator.version if imports.imported or tests else None,
        imported=imports.imported,
        skipped={
            **{name: skip[name] for name in own.compiled.unfit},
            **{module: context.public(reason) for module, reason in imports.skipped.items()},
        },
        tests=tuple(test.stem for test in tests),
        seconds=round(own.seconds, 1),
        log=os.path.relpath(log, context.trees.build) if own.origin == "built" else None,
    )


def _run(step: Step, wanted: Importable, trial: Trial, context: BuildContext) -> Imports:
    """Import a wheel's modules and run its recipe's tests on the emulated target."""
    context.display.start(step.pin.name, step.pin.version, "testing")
    imports = import_modules(wanted, trial)
    faults = list(imports.faults)
    for test in step.recipe.test_files if step.recipe else ():
        faults += [] if faults else run_test(test, wanted.wheel, trial)
    refuse(faults, wanted.wheel)
    return imports


def _trial(step: Step, needed: list[Made], context: BuildContext) -> Trial:
    runner = context.runner(step.pin.name, step.pin.version)
    sites = [_installed(made, context) for made in needed]
    scratch = context.folder(step.pin.name, step.pin.version) / "trial"
    remove_tree(scratch)
    return Trial(context.emulator, sites, scratch, runner)


def _installed(made: Made, context: BuildContext) -> Path:
    """Return a site-packages with the wheel installed in it, as the target would install it; made if need be."""
    folder = context.settings.cache / "sites" / f"{made.sha256[:20]}-prefix"
    install = partial(
        Uv(context.settings, context.general_runner).install_wheel,
        made.wheel,
        python=context.toolchain.interpreter,
    )
    return site_of(cached_folder(folder, ["lib/*/site-packages/*.dist-info/RECORD"], install))
