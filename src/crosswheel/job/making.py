"""Takes or builds the wheel of one step, and audits it."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from packaging.version import Version

from crosswheel.build import Backend, Project, build_wheel, numpy_headers, prepare, traces
from crosswheel.build.attribution import source_material
from crosswheel.build.diagnosis import library_done_without
from crosswheel.build.requirements import LockedRequirements, RequirementsStore
from crosswheel.cached import cached_path
from crosswheel.check.elf import audit, unstripped
from crosswheel.check.fault import Fault
from crosswheel.check.manylinux import oldest_policy
from crosswheel.check.modules import Interpreter, compile_modules
from crosswheel.check.parity import Parity, compare
from crosswheel.check.suitability import suitability
from crosswheel.check.system import System
from crosswheel.errors import BuildFailed, CheckFailed, IntegrityError, LimitExceeded
from crosswheel.files import digest_of, place_copy, remove_tree, sha256_of
from crosswheel.job.context import BuildContext
from crosswheel.job.missing_inputs import missing, with_missing_inputs
from crosswheel.job.record import BuildLock, WheelRecord
from crosswheel.job.release_day import build_as_of_release
from crosswheel.job.reuse import reused_wheel, wheel_digest
from crosswheel.job.sharing import shared_wheel
from crosswheel.lock import Pin
from crosswheel.plan import Step, choose
from crosswheel.progress import Display
from crosswheel.recipes.model import PypiSource
from crosswheel.registry import Registry, ReleaseFile
from crosswheel.seals import Seals
from crosswheel.sources import SourceTree, obtain
from crosswheel.sources.prepare import apply_patches, pin_version
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.cxx import needs_cxx
from crosswheel.toolchain.compilers.fortran import fetched_version, needs_fortran
from crosswheel.toolchain.environment import Languages
from crosswheel.uv import Uv
from crosswheel.wheels.proof import AuditedObject
from crosswheel.wheels.reading import WheelFile
from crosswheel.wheels.writing import with_platform


def make(step: Step, store: RequirementsStore, context: BuildContext) -> WheelRecord:
    """Return the audited wheel of a step: from the cache, from the registry, or built.

    Args:
        store: the locked build requirements of the step's closure.

    Raises:
        CrosswheelError: of the step that failed.
    """
    context.display.start(step.pin.name, step.pin.version, "looking")
    record = with_missing_inputs(step, context, partial(_made, store=store, context=context))
    for warning in record.warnings:
        context.display.warning(f"{step.pin}: {warning}")
    return shared_wheel(record, context)


def _made(step: Step, store: RequirementsStore, context: BuildContext) -> WheelRecord:
    made = context.executor.made if context.executor else _made_here
    record = reused_wheel(step, store, context) or made(step, store, context)
    ran = step.fallback if record.origin == "built" and step.fallback else step
    return record.model_copy(update={"reason": ran.reason})


def _made_here(step: Step, store: RequirementsStore, context: BuildContext) -> WheelRecord:
    record = None if step.action == "build" else _taken_or_refused(step, context)
    if record is None:
        step = step.fallback or step
        record = _built(step, store, context)
    if context.shared_cache is None:
        return record
    return record.model_copy(update={"shared_as": wheel_digest(step, store, context)})


def settled(step: Step, context: BuildContext) -> Step:
    """Return the step that will run: the fallback, where the audit refuses the published wheel."""
    return step.fallback if step.fallback and _taken_or_refused(step, context) is None else step


def _taken_or_refused(step: Step, context: BuildContext) -> WheelRecord | None:
    """Return the published wheel; ``None`` if the audit refuses it and the step has a fallback."""
    assert step.file is not None
    # The audit learns of the target's libraries from the compilers.
    digest = digest_of(
        wheel=step.file.sha256,
        compilers=context.toolchain.compilers.identity,
        target=context.target.fingerprint,
        code=context.code_digest,
    )
    kept = cached_path(context.settings.cache, "made", digest)
    with context.lock_for(digest):
        try:
            return WheelRecord.read(kept, context.seals) or _take(step, step.file, kept, context)
        except CheckFailed as refused:
            if step.fallback is None:
                raise
            context.display.warning(f"{step.pin} is built from its source, as {refused}")
            return None


def _built(step: Step, store: RequirementsStore, context: BuildContext) -> WheelRecord:
    name, version = step.pin.name, step.pin.version
    kept = cached_path(context.settings.cache, "made", _digest(step, store, context))
    with context.lock_for(kept.name):
        record = _fitting(kept, context)
        if record is None:
            with context.own_folder(name, version):
                # Another command may have built it while this one waited for the folder.
                record = _fitting(kept, context) or _built_by_either_day(step, store, kept, context)
        elif (kept / "build.log").is_file() and not context.log(name, version).exists():
            place_copy(kept / "build.log", context.log(name, version))
    return record


def _built_by_either_day(
    step: Step, store: RequirementsStore, kept: Path, context: BuildContext
) -> WheelRecord:
    """Build a wheel with a closure's build requirements; where that fails, with those of its release's own day."""
    build = partial(build_anew, step, kept=kept, context=context, look=partial(_of_other_day, step, context))
    try:
        record = build(store)
    except LimitExceeded:
        raise
    except BuildFailed as error:
        context.cancellation.raise_if_requested()
        if missing(error, step):  # no other build requirements bring it
            raise
        older = build_as_of_release(build, error, step, store, context)
        if older is None:
            raise
        record = older
    locked = store.read(step.pin.name)
    if locked is not None and _are_of_any_day(locked):
        _keep_copy(record, _of_requirements(step, locked, context), context.seals)
    return record


def _are_of_any_day(locked: LockedRequirements) -> bool:
    """Tell whether a build depends on its locked requirements alone; a linked numpy is built as of their day."""
    return all(pin.name != "numpy" for pin in locked.pins)


def _of_requirements(step: Step, locked: LockedRequirements, context: BuildContext) -> Path:
    """Return where the cache has the wheel that is built with locked build requirements, whatever day these are of."""
    return cached_path(context.settings.cache, "made", _digest_with(step, locked, None, context))


def _of_other_day(
    step: Step, context: BuildContext, store: RequirementsStore, locked: LockedRequirements, kept: Path
) -> WheelRecord | None:
    """Return the wheel that was built with the same build requirements, though as of another day; keep it here, too."""
    record = None
    if _are_of_any_day(locked):
        record = _fitting(_of_requirements(step, locked, context), context)
    if record is None:
        return None
    log = record.wheel.with_name("build.log")
    if log.is_file():
        place_copy(log, context.log(record.name, record.version))
    record = record.model_copy(update={"inputs": _inputs(step, store, context.code_digest)})
    _keep_copy(record, kept, context.seals)
    return record


def _keep_copy(record: WheelRecord, folder: Path, seals: Seals) -> None:
    """Keep a wheel in another folder of the cache as well, with its log."""
    if WheelRecord.read(folder, seals) is None:
        files = [file for file in (record.wheel, record.wheel.with_name("build.log")) if file.is_file()]
        record.model_copy(update={"wheel": folder / record.wheel.name}).keep(folder, files, seals)


def _fitting(kept: Path, context: BuildContext) -> WheelRecord | None:
    record = WheelRecord.read(kept, context.seals)
    # The digest leaves out the Fortran compiler: only the unpacked source shows whether a build needs it.
    fits = record and record.agrees("gfortran", fetched_version(context.target, context.settings))
    return record if fits else None


def _tell_of_damage(kept: Path, step: Step, seals: Seals, display: Display) -> None:
    if kept.is_dir() and WheelRecord.read(kept, seals) is None:
        display.warning(
            f"{step.pin}: what the cache has of it was changed or damaged, or another user made it; it is made anew"
        )


def _digest(step: Step, store: RequirementsStore, context: BuildContext) -> str:
    """Return the digest of everything that goes into a build, as far as it is known before it."""
    # Build requirements without a lock are resolved from these same inputs: the source, the recipe and the day.
    locked = store.read(step.pin.name) if store.frozen else None
    return _digest_with(step, locked, store.day, context)


def _digest_with(
    step: Step, locked: LockedRequirements | None, day: datetime.date | None, context: BuildContext
) -> str:
    """Return the digest of a build with locked build requirements, or with those of a day."""
    recipe = step.recipe
    languages = Languages(rust=bool(locked and locked.needs_rust))
    environment = context.environment(recipe.libraries if recipe else (), languages)
    return digest_of(
        **step.inputs,
        requirements=locked.file.read_text() if locked else day,
        versions=dict(environment.versions),
        sandbox=context.sandbox,
        libraries=[item.prefix.name for item in environment.libraries],
        target=context.target.fingerprint,
        code=context.code_digest,
    )


def _inputs(step: Step, store: RequirementsStore, code_digest: str) -> str:
    """Return the digest of those inputs of a build that do not depend on the target."""
    return digest_of(**step.inputs, day=store.day, code=code_digest)


def _take(step: Step, file: ReleaseFile, kept: Path, context: BuildContext) -> WheelRecord:
    _tell_of_damage(kept, step, context.seals, context.display)
    context.display.step(step.pin.name, "downloading")
    wheel = WheelFile.open(context.registry.fetch(file))
    context.display.step(step.pin.name, "auditing")
    audited = _audited(wheel, [], context.target, context.system)
    source = file.origin or f"the registry's {wheel.path.name}"
    record = _described(
        step,
        wheel,
        audited,
        context.target,
        context.pythons,
        path=wheel.path,
        source=source,
        warnings=wheel.oddities,
    )
    record.write(kept, kept.name, context.seals)
    return record


Look = Callable[[RequirementsStore, LockedRequirements, Path], WheelRecord | None]
"""Looks for a wheel that was built before with locked build requirements, to keep it in a folder as well."""


def build_anew(
    step: Step, store: RequirementsStore, kept: Path, context: BuildContext, look: Look | None = None
) -> WheelRecord:
    """Build a package's wheel, even if the cache has one, audit it, and keep it in a folder.

    Args:
        look: asked for one instead, as soon as the build requirements are known.

    Raises:
        CrosswheelError: of the part that failed.
    """
    began, context = time.monotonic(), context.limited(step.recipe)
    _tell_of_damage(kept, step, context.seals, context.display)
    name, version = step.pin.name, step.pin.version
    context.warn_of_sandbox()
    context.log(name, version).unlink(missing_ok=True)
    warnings = [f"{module} is left out: {reason}" for module, reason in _left_out(step).items()]
    project, source = prepared_project(step, context, warnings.append)
    context.display.step(name, "preparing")
    backend, locked = prepared_backend(step, project, store, context)
    if look and (known := look(store, locked, kept)):
        return known
    _replace_linked(step, project, backend, locked, store, context)
    built = build_wheel(project, backend, locked, context.target, partial(context.display.step, name))
    context.display.step(name, "auditing")
    wheel = _tagged(WheelFile.open(built.wheel), step, context.target, context.system)
    path = wheel.path
    folder_traces = traces(path, backend.environment.named(backend.venv, backend.tree))
    warnings += map(_warning_of_trace, folder_traces, folder_traces.values())
    parity = _against_official(wheel, step, context.target, context.registry)
    faults = [*_identity_faults(wheel, step), *(parity.faults if parity else ()), *_unstripped(wheel)]
    with _seeking_library(parity, backend, context.log(name, version)):
        audited = _audited(wheel, faults, context.target, context.system)
    record = _described(
        step,
        wheel,
        audited,
        context.target,
        context.pythons,
        path=kept / path.name,
        source=source.origin,
        toolchain=backend.environment.versions,
        build_requirements=locked.pinned,
        lock=BuildLock(
            sdist=step.file.sha256 if step.file else None,
            requirements=locked.file.read_text(),
            as_of=store.as_of,
            day=store.day,
            asked=step.asked,
        ),
        materials=built.materials,
        parity=parity.official if parity else None,
        traces=folder_traces,
        inputs=_inputs(step, store, context.code_digest),
        cpu=context.target.toolchain.cpu if context.sdk is None else None,
        sandbox=context.sandbox,
        warnings=(*warnings, *wheel.oddities, *(parity.notes if parity else ())),
        seconds=time.monotonic() - began,
    )
    return _keep(record, path, kept, context)


def _warning_of_trace(file: str, count: int) -> str:
    return f"{file} names folders of this machine {count} times: where these are others, its bytes will be others"


def _keep(record: WheelRecord, wheel: Path, kept: Path, context: BuildContext) -> WheelRecord:
    """Put a built wheel into the cache; return the record there, which is another command's if that was first."""
    if _fitting(kept, context) is None:
        remove_tree(kept)
    record.keep(kept, [wheel, context.log(record.name, record.version)], context.seals)
    first = WheelRecord.read(kept, context.seals)
    if first is None:
        raise IntegrityError(
            f"{kept} was changed as soon as the wheel of {record.name} {record.version} was put there",
            hint="find out what else writes into the cache, and run the same command again.",
        )
    return first.model_copy(update={"is_kept": False})


def prepared_project(
    step: Step, context: BuildContext, warn: Callable[[str], None]
) -> tuple[Project, SourceTree]:
    """Fetch a package's source, patch it, and state its version where it has no history."""
    name, version = step.pin.name, step.pin.version
    runner = context.runner(name, version)
    context.display.step(name, "fetching")
    recipe = step.recipe
    if recipe and recipe.source and not (step.file and step.file.origin):
        source_spec, fallback = recipe.source, recipe.fallback
    else:
        assert step.file is not None
        source_spec, fallback = PypiSource(name=name, version=version, sha256=step.file.sha256), None
    tree = obtain(
        source_spec,
        fallback,
        folder=context.folder(name, version),
        settings=context.settings,
        registry=context.registry,
        runner=runner,
        warn=warn,
    )
    if step.file and step.file.origin:
        tree = replace(tree, origin=step.file.origin)
    if recipe:
        apply_patches(tree.path, [recipe.folder / patch for patch in recipe.patches], runner)
    variables = pin_version(tree.path, version)
    folder = context.folder(name, version)
    used = fallback if fallback and tree.used_fallback else source_spec
    material = source_material(name, version, used, tree.digest, recipe)
    return Project(name, version, tree.path, folder, recipe, variables, material), tree


def prepared_backend(
    step: Step, project: Project, store: RequirementsStore, context: BuildContext
) -> tuple[Backend, LockedRequirements]:
    """Install the build backend of a package."""
    runner = context.runner(project.name, project.version)
    libraries = project.recipe.libraries if project.recipe else ()
    languages = Languages(fortran=needs_fortran(project.tree), cxx=needs_cxx(project.tree))
    python, uv = context.toolchain.host.executable, Uv(context.settings, runner)
    return prepare(
        project,
        lambda requirements: store.obtain(project.name, requirements, python=python, uv=uv),
        lambda locked: context.environment(libraries, replace(languages, rust=locked.needs_rust)),
        context.toolchain,
        uv,
        runner,
    )


def _replace_linked(
    step: Step,
    project: Project,
    backend: Backend,
    locked: LockedRequirements,
    store: RequirementsStore,
    context: BuildContext,
) -> None:
    """Replace the libraries of the host's numpy by the target's, if the build links them."""
    version = numpy_headers.linked_version(backend.venv, project.tree)
    if version is None:
        return
    pin = Pin("numpy", version, locked.sha256)
    context.display.step(step.pin.name, "for numpy")
    files = context.registry.release_files(pin.name, version)
    recipe = context.recipes.for_package(pin.name, version)
    step_of_numpy = choose(pin, files, recipe, context.target, prefer=context.prefer)
    temporary = context.nested(step.pin.name, step.pin.version)
    numpy_store = context.own_store(str(pin), store.as_of, store.day)
    record = make(step_of_numpy, numpy_store, temporary)
    numpy_headers.replace_libraries(backend.venv, record.wheel)


def _audited(
    wheel: WheelFile, faults: Sequence[Fault], target: Target, system: System
) -> list[AuditedObject]:
    audited, audit_faults = audit(wheel, target, system)
    refuse([*suitability(wheel, target), *faults, *audit_faults], wheel.path.name)
    return audited


def _tagged(wheel: WheelFile, step: Step, target: Target, system: System) -> WheelFile:
    """Give a wheel the tag that its recipe asks for, if what it needs allows that."""
    if step.recipe is None or step.recipe.tag == "linux" or wheel.is_pure or not wheel.elf_members:
        return wheel
    faults = audit(wheel, target, system)[1]
    refuse([*suitability(wheel, target), *faults], wheel.path.name)
    verdict = oldest_policy(wheel, target)
    refuse(verdict.faults, wheel.path.name)
    return WheelFile.open(with_platform(wheel.path, verdict.platform)) if verdict.platform else wheel


def refuse(faults: Sequence[Fault], wheel: str) -> None:
    """Raise :class:`CheckFailed` if there are faults."""
    if faults:
        listed = "\n".join(f"    {fault.file}: {fault.message}" for fault in faults)
        remedies = "; ".join(dict.fromkeys(fault.remedy for fault in faults))
        raise CheckFailed(f"{wheel} was refused:\n{listed}", hint=f"{remedies}.")


def _identity_faults(wheel: WheelFile, step: Step) -> list[Fault]:
    if (wheel.name, wheel.version) == (step.pin.name, Version(step.pin.version)):
        return []
    return [
        Fault(
            wheel.path.name,
            f"the build made {wheel.name} {wheel.version}, not {step.pin}",
            "a tool that asks git for the version was not told it; see docs/recipes.md on versions",
        )
    ]


def _unstripped(wheel: WheelFile) -> list[Fault]:
    remedy = "the build links without our compiler, or adds -g after it; strip it in the recipe"
    return [Fault(member, "it carries debugging symbols", remedy) for member in unstripped(wheel)]


def _against_official(wheel: WheelFile, step: Step, target: Target, registry: Registry) -> Parity | None:
    official = (WheelFile.open(registry.fetch(file)) for file in step.official)
    return compare(wheel, official, target, _left_out(step))


@contextlib.contextmanager
def _seeking_library(parity: Parity | None, backend: Backend, log: Path) -> Iterator[None]:
    """Where a wheel is refused that lacks extension modules, name the C library that its build did without."""
    try:
        yield
    except CheckFailed as refused:
        if parity and parity.missing:
            linked = {item.name for item in backend.environment.libraries}
            refused.library = library_done_without(log.read_text(errors="replace"), linked)
        raise


def _left_out(step: Step) -> Mapping[str, str]:
    return step.recipe.without if step.recipe else {}


def _described(
    step: Step,
    wheel: WheelFile,
    audited: Sequence[AuditedObject],
    target: Target,
    pythons: Iterator[Interpreter],
    *,
    path: Path,
    **details: object,
) -> WheelRecord:
    facts: dict[str, object] = {
        "name": step.pin.name,
        "version": step.pin.version,
        "wheel": path,
        "sha256": sha256_of(wheel.path),
        "size": wheel.path.stat().st_size,
        "origin": "taken" if step.action == "take" else "built",
        "reason": step.reason,
        "requires": tuple(map(str, wheel.requires_dist)),
        "modules": wheel.modules(target),
        "audited": tuple(audited),
        "compiled": compile_modules(wheel, target, pythons),
    }
    return WheelRecord.model_validate({**facts, **details})
