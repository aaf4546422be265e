"""Uses one wheel for several targets, where another target's wheel passes this target's audit.

Builds for two targets seldom give the same bytes, and an index serves one wheel of a name. If ``dist/`` has a wheel of
the same name that was proven on another target, this module audits it for this target. It is proven later; if that
fails, this target's own wheel is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from crosswheel.cached import cached_path
from crosswheel.check.elf import audit
from crosswheel.check.modules import compile_modules
from crosswheel.check.suitability import suitability
from crosswheel.errors import IntegrityError
from crosswheel.files import place_copy, sha256_of
from crosswheel.job.context import BuildContext, Trees
from crosswheel.job.record import WheelRecord
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.reading import WheelFile


def shared_wheel(record: WheelRecord, context: BuildContext) -> WheelRecord:
    """Return another target's wheel to use instead of a built one, if it passes this target's audit.

    It must be built from the same source, by the same recipe, as of the same day and by the same code, and be compiled
    for a CPU whose code this target's CPU runs, which neither the audit nor a trial can show.
    """
    for wheel, proof in _others(record, context.trees, context.target):
        try:
            opened = WheelFile.open(_kept(wheel, proof, context.settings))
        except IntegrityError:
            continue
        audited, faults = audit(opened, context.target, context.system)
        if faults or suitability(opened, context.target):
            continue
        return record.model_copy(
            update={
                "wheel": opened.path,
                "sha256": proof.sha256,
                "size": opened.path.stat().st_size,
                "reason": f"{record.reason}; the wheel that was built for {proof.target} passes",
                "toolchain": proof.toolchain,
                "build_requirements": proof.build_requirements,
                "parity": proof.parity,
                "traces": proof.traces,
                "cpu": proof.cpu,
                "audited": tuple(audited),
                "compiled": compile_modules(opened, context.target, context.pythons),
                "instead_of": record,
            }
        )
    return record


def runs_code_for(target: Target, cpu: str | None) -> bool:
    """Tell whether a target's CPU runs all code compiled for another CPU, which is spelled as zig does."""
    return cpu in (target.toolchain.cpu, *target.toolchain.also_runs)


def in_order(targets: Sequence[Target]) -> list[Target]:
    """Return targets in the best order to build for them: those whose wheels run on more machines first."""
    return sorted(targets, key=lambda target: (bool(target.toolchain.also_runs), target.abi.glibc_version))


def _others(record: WheelRecord, trees: Trees, target: Target) -> Iterator[tuple[Path, Proof]]:
    """Yield other targets' wheels of the same file name as a built one, each with a proof."""
    if record.inputs is None:
        return
    for wheel in Dist(trees.dist).wheels(record.name, record.version):
        proofs = filter(None, map(Proof.read, Proof.paths_beside(wheel)))
        usable = (proof for proof in proofs if _is_like(proof, record, target))
        proof = next(usable, None)
        if proof and sha256_of(wheel) == proof.sha256:
            yield wheel, proof


def _is_like(proof: Proof, record: WheelRecord, target: Target) -> bool:
    """Tell whether a proof is of another target's wheel from a record's inputs, whose code a target's CPU runs."""
    same = (proof.wheel, proof.inputs) == (record.wheel.name, record.inputs)
    others = proof.target != target.name and proof.sha256 != record.sha256
    return same and others and proof.emulator is not None and runs_code_for(target, proof.cpu)


def _kept(wheel: Path, proof: Proof, settings: Settings) -> Path:
    """Copy a wheel into the cache and return its path there; the one in ``dist/`` may be moved meanwhile."""
    kept = cached_path(settings.cache, "shared", proof.sha256[:20]) / wheel.name
    if not kept.is_file() or sha256_of(kept) != proof.sha256:
        place_copy(wheel, kept)
    return kept
