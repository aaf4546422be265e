"""Takes wheels and proofs from the team's shared cache, and stores there what was made and proven here.

Their digests name only inputs that are known before any tool is fetched, so that nobody fetches a compiler or an
emulator to find out that it is not needed. The tools' versions are in the record and in the proof.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crosswheel.build.requirements import RequirementsStore
from crosswheel.cached import cached_path
from crosswheel.files import full_digest_of, make_folder, place_copy, sha256_of, write_text
from crosswheel.job.context import BuildContext
from crosswheel.job.record import OF_THIS_MACHINE, WheelRecord
from crosswheel.plan import Step
from crosswheel.registry import Registry
from crosswheel.seals import Seals
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.shared_cache.records import CacheRecord
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.libraries.linking import library_inputs
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.proof import Proof

WHEEL, PROOF, BUNDLE = "wheel", "proof", "bundle"
LOG = "build.log"
"""The name of a build's log beside its wheel."""


def reused_wheel(step: Step, store: RequirementsStore, context: BuildContext) -> WheelRecord | None:
    """Return the audited wheel that the shared cache has for a step, or ``None``; keep it in this machine's cache.

    A refused wheel has no record, so the wheel of the step's fallback is looked for as well.
    """
    if context.shared_cache is None:
        return None
    for candidate in filter(None, (step, step.fallback)):
        digest = wheel_digest(candidate, store, context)
        with context.lock_for(digest):
            kept = cached_path(context.settings.cache, "made", digest)
            record = WheelRecord.read(kept, context.seals) or _fetched(candidate, kept, context)
        if record is not None:
            log = context.log(record.name, record.version)
            kept_log = record.wheel.with_name(LOG)
            if record.origin == "built" and kept_log.is_file() and not log.exists():
                place_copy(kept_log, log)
            return record.model_copy(update={"shared_as": digest})
    return None


def _fetched(step: Step, kept: Path, context: BuildContext) -> WheelRecord | None:
    """Copy a step's wheel from the shared cache into this machine's cache, and return its record, or ``None``."""
    assert context.shared_cache is not None
    context.display.step(step.pin.name, "asking the shared cache")
    digest = kept.name
    make_folder(kept.parent)
    with tempfile.TemporaryDirectory(prefix=".shared", dir=kept.parent) as name:
        folder = Path(name)
        found = context.shared_cache.get(WHEEL, digest, folder)
        record = _as_record(found, step, kept, context.registry) if found else None
        if record is None:
            _notes(digest, context.shared_cache, context.settings).unlink(missing_ok=True)
            return None
        record.keep(kept, folder.iterdir(), context.seals)
    _note(digest, context.shared_cache, context.settings)
    return WheelRecord.read(kept, context.seals)


def _as_record(found: CacheRecord, step: Step, kept: Path, registry: Registry) -> WheelRecord | None:
    """Return a shared record as a wheel's record, if it is of this step; ``None`` otherwise."""
    blob = found.blobs.get("wheel")
    try:
        if step.action == "take":
            assert step.file is not None
            wheel = registry.fetch(step.file)  # the shared cache stores no wheel that a registry has
        elif blob is not None:
            wheel = kept / blob.name
        else:
            return None
        record = WheelRecord.model_validate({**found.facts, "wheel": wheel})
    except ValidationError:
        return None
    sha256 = step.file.sha256 if step.action == "take" and step.file else blob and blob.sha256
    same = (record.name, record.version, record.sha256) == (step.pin.name, step.pin.version, sha256)
    return record if same else None


def reused_proof(digest: str, record: WheelRecord, context: BuildContext) -> Proof | None:
    """Return the shared cache's proof of a wheel, tested with the same other wheels, or ``None``."""
    if context.shared_cache is None:
        return None
    kept = cached_path(context.settings.cache, "proofs", f"{digest}.json")
    proof = proof_of(context.seals.read(kept, digest), record, context.target)
    if proof is None:
        found = context.shared_cache.get(PROOF, digest, kept.parent)
        proof = proof_of(found.facts if found else None, record, context.target)
        if proof is not None:
            context.seals.write(kept, digest, proof.model_dump_json())
            _note(digest, context.shared_cache, context.settings)
        else:
            _notes(digest, context.shared_cache, context.settings).unlink(missing_ok=True)
    return proof


def proof_of(text: str | Mapping[str, Any] | None, record: WheelRecord, target: Target) -> Proof | None:
    """Return a proof from its JSON text or data, if it is of this very wheel and target; ``None`` otherwise."""
    try:
        if text is None:
            return None
        proof = Proof.model_validate_json(text) if isinstance(text, str) else Proof.model_validate(text)
    except ValidationError:  # written by another version
        return None
    of = (proof.wheel, proof.sha256, proof.target)
    return proof if of == (record.wheel.name, record.sha256, target.name) else None


def share(record: WheelRecord, proof: Proof, digest: str, context: BuildContext) -> None:
    """Store in the shared cache what it lacks of a proven wheel: its bytes, log and record, then its proof.

    A proof that nothing was run for is not shared.

    Args:
        digest: the digest of the proof, from :func:`proof_digest`.
    """
    cache = context.shared_cache
    ran = proof.emulator is not None or not (record.modules.extensions or record.modules.pure)
    if cache is None or record.shared_as is None or record.instead_of or not ran:
        return
    kept = cached_path(context.settings.cache, "proofs", f"{digest}.json")
    context.seals.write(kept, digest, proof.model_dump_json())
    files = {}
    if record.origin == "built":
        log = record.wheel.with_name(LOG)
        files = {"wheel": record.wheel, **({"log": log} if log.is_file() else {})}
    keep(record, record.shared_as, files, context.seals, context.settings)
    if not _is_noted(record.shared_as, context.shared_cache, context.settings):
        facts = record.model_dump(mode="json", exclude=set(OF_THIS_MACHINE))
        if cache.put(WHEEL, record.shared_as, facts, files):
            _note(record.shared_as, context.shared_cache, context.settings)
    if not _is_noted(digest, context.shared_cache, context.settings) and cache.put(
        PROOF, digest, proof.model_dump(mode="json")
    ):
        _note(digest, context.shared_cache, context.settings)


def _is_noted(digest: str, shared_cache: SharedCache | None, settings: Settings) -> bool:
    """Tell whether this machine has noted that the stores have a record."""
    return _notes(digest, shared_cache, settings).exists()


def _note(digest: str, shared_cache: SharedCache | None, settings: Settings) -> None:
    """Note that the stores have a record, so that the next run does not ask them."""
    write_text(_notes(digest, shared_cache, settings), "")


def _notes(digest: str, shared_cache: SharedCache | None, settings: Settings) -> Path:
    assert shared_cache is not None
    return cached_path(settings.cache, "shared-with", shared_cache.identity) / digest


def keep(
    record: WheelRecord, digest: str, files: Mapping[str, Path], seals: Seals, settings: Settings
) -> None:
    """Keep a wheel in this machine's cache under its shared digest, so that the next run does not ask for it."""
    kept = cached_path(settings.cache, "made", digest)
    if WheelRecord.read(kept, seals) is not None:
        return
    wheel = kept / record.wheel.name if files else record.wheel
    record.model_copy(update={"wheel": wheel}).keep(kept, files.values(), seals)


def reused_bundle(source: str, path: Path, context: BuildContext) -> bool:
    """Copy the shared cache's bundle wheel of the same wheels into ``dist/``, if there is one."""
    cache = context.shared_cache
    if cache is None:
        return False
    digest = _bundle_digest(source, context.code_digest, context.target)
    folder = cached_path(context.settings.cache, "bundles", digest)
    found = cache.get(BUNDLE, digest, folder)
    try:
        proof = Proof.model_validate(found.facts) if found else None
    except ValidationError:
        return False
    wheel = folder / path.name
    if proof is None or not wheel.is_file() or sha256_of(wheel) != proof.sha256:
        return False
    if (proof.wheel, proof.target, proof.source) != (path.name, context.target.name, source):
        return False
    Dist(context.trees.dist).put(wheel, proof, path.parent)
    shutil.rmtree(folder, ignore_errors=True)
    return True


def share_bundle(source: str, path: Path, context: BuildContext) -> None:
    """Store a proven bundle wheel in the shared cache."""
    proof = Proof.read_beside(path, context.target.name)
    if context.shared_cache is not None and proof is not None:
        digest = _bundle_digest(source, context.code_digest, context.target)
        context.shared_cache.put(BUNDLE, digest, proof.model_dump(mode="json"), {"wheel": path})


def _bundle_digest(source: str, code_digest: str, target: Target) -> str:
    return full_digest_of(source=source, target=target.fingerprint, code=code_digest)


def wheel_digest(step: Step, store: RequirementsStore, context: BuildContext) -> str:
    """Return the shared digest of a step's wheel, of inputs that are known before any tool is fetched."""
    recipe = step.recipe if step.action == "build" else None
    locked = store.read(step.pin.name) if step.action == "build" and store.frozen else None
    return full_digest_of(
        action=step.action,
        file=step.file.sha256 if step.file else None,
        name=str(step.pin),
        recipe=recipe.fingerprint if recipe else None,
        requirements=locked.file.read_text() if locked else store.day if step.action == "build" else None,
        libraries=library_inputs(recipe.libraries if recipe else (), context.recipes.libraries),
        compilers=_compilers(context),
        sandbox=context.sandbox if step.action == "build" else None,
        target=context.target.fingerprint,
        userland=context.userland,
        code=context.code_digest,
    )


def proof_digest(inputs: Mapping[str, object]) -> str:
    """Return the shared digest of a proof, of inputs that are known before the emulator is fetched."""
    return full_digest_of(**inputs)


def _compilers(context: BuildContext) -> str:
    """Return the identity of the compilers, which for zig is known without fetching it."""
    if context.sdk is not None:
        return context.toolchain.compilers.identity
    return zig_compilers(context.target, context.settings.cache).identity
