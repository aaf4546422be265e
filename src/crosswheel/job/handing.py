"""Hands files and wheels to other machines of a cluster, and takes theirs, through the shared cache.

What is handed over was audited, but need not be proven yet: nothing but a cluster reads records of this kind. A wheel
that a registry has is only named, and fetched from there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from crosswheel.cached import cache_path
from crosswheel.errors import IntegrityError, StorageError
from crosswheel.files import full_digest_of, make_folder, place_copy, sha256_of
from crosswheel.job.context import BuildContext
from crosswheel.job.record import OF_THIS_MACHINE, WheelRecord
from crosswheel.job.reuse import LOG, keep
from crosswheel.projects.local_release import is_of_project
from crosswheel.registry import ReleaseFile
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.shared_cache.records import CacheRecord

HANDED = "handed"


def hand_over_file(path: Path, cache: SharedCache) -> str:
    """Store a file for the other machines; return its SHA-256, by which they ask for it.

    Raises:
        StorageError: the shared cache cannot be written.
    """
    sha256 = sha256_of(path)
    _put(sha256, {}, {"file": path}, cache)
    return sha256


def handed_file(sha256: str, destination: Path, cache: SharedCache) -> Path:
    """Put a file that another machine handed over at a path, unless it is there.

    Raises:
        StorageError: the shared cache does not have it, from a key that is trusted here.
        IntegrityError: what it has is something else.
    """
    if not destination.is_file() or sha256_of(destination) != sha256:
        with _taken(sha256, destination.parent, cache) as (_, files):
            _place(files.get("file"), sha256, destination)
    return destination


def hand_over(record: WheelRecord, cache: SharedCache) -> str:
    """Store a wheel's record for the other machines, and what no registry has: the wheel and the log of its build.

    Returns:
        The digest by which they ask for it.

    Raises:
        StorageError: the shared cache cannot be written.
    """
    log = record.wheel.with_name(LOG)
    files = {"wheel": record.wheel, **({"log": log} if log.is_file() else {})}
    facts = record.model_dump(mode="json", exclude={*OF_THIS_MACHINE} - {"shared_as"})
    digest = _digest(record)
    _put(digest, facts, {} if is_on_registry(record) else files, cache)
    return digest


def handed_record(digest: str, file: ReleaseFile | None, context: BuildContext) -> WheelRecord:
    """Return the record of a wheel that another machine made; from now on it is in this machine's cache.

    Args:
        file: the published wheel, if the other machine may have taken it.

    Raises: as :func:`handed_file`.
    """
    made = cache_path(context.settings.cache, "made")
    with _taken(digest, made, _shared(context.shared_cache)) as (facts, files):
        try:
            wheel = files["wheel"] if files else context.registry.fetch(file) if file else made
            record = WheelRecord.model_validate({**facts, "wheel": wheel})
        except ValidationError as error:
            raise _differs(digest) from error
        if _digest(record) != digest or record.shared_as is None or sha256_of(wheel) != record.sha256:
            raise _differs(wheel.name)
        keep(record, record.shared_as, files, context.seals, context.settings)
        if "log" in files:
            place_copy(files["log"], context.log(record.name, record.version))
    path = made / record.shared_as / wheel.name if files else wheel
    return record.model_copy(update={"wheel": path})


def handed_wheel(record: WheelRecord, context: BuildContext) -> WheelRecord:
    """Return a record whose wheel is on this machine: from the registry that has it, or handed over.

    Raises: as :func:`handed_file`.
    """
    if is_on_registry(record):
        offered = context.registry.release_files(record.name, record.version)
        published = next((file for file in offered if file.sha256 == record.sha256), None)
        if published is None:
            raise _differs(record.wheel.name)
        return record.model_copy(update={"wheel": context.registry.fetch(published)})
    digest = _digest(record)
    folder = cache_path(context.settings.cache, "handed") / digest
    wheel = folder / record.wheel.name
    with context.lock_for(folder):
        if not wheel.is_file() or sha256_of(wheel) != record.sha256:
            with _taken(digest, folder, _shared(context.shared_cache)) as (_, files):
                if "log" in files:
                    place_copy(files["log"], folder / LOG)
                _place(files.get("wheel"), record.sha256, wheel)
    return record.model_copy(update={"wheel": wheel})


def is_on_registry(record: WheelRecord) -> bool:
    """Tell whether a wheel is a published one, which each machine fetches for itself."""
    return record.origin == "taken" and not is_of_project(record.source)


def _digest(record: WheelRecord) -> str:
    """Return the digest under which a wheel is handed over."""
    return full_digest_of(wheel=record.sha256, inputs=record.shared_as)


def _shared(cache: SharedCache | None) -> SharedCache:
    assert cache is not None  # the command line sees to that
    return cache


def _put(digest: str, facts: Mapping[str, object], files: Mapping[str, Path], cache: SharedCache) -> None:
    if not cache.put(HANDED, digest, facts, files):
        raise StorageError(
            f"{_stores(cache)} could not be written, through which the machines of a cluster hand each other wheels",
            hint="the warnings above say why; this machine needs the right to write there, and a key that signs "
            "(`crosswheel keys new`).",
        )


@contextmanager
def _taken(
    digest: str, near: Path, cache: SharedCache
) -> Iterator[tuple[Mapping[str, object], Mapping[str, Path]]]:
    """Yield the facts of what was handed over, and its files by purpose, which are there while the block lasts."""
    make_folder(near)
    with tempfile.TemporaryDirectory(prefix=".handed", dir=near) as name:
        record: CacheRecord | None = cache.get(HANDED, digest, Path(name))
        if record is None:
            raise StorageError(
                f"{_stores(cache)} has nothing under {digest[:12]}, which another machine of the cluster stored",
                hint="all machines of a cluster need the same store, and each has to trust the keys of the others: "
                "`crosswheel keys show` there, `crosswheel keys trust FILE` here.",
            )
        yield record.facts, {use: Path(name) / blob.name for use, blob in record.blobs.items()}


def _stores(cache: SharedCache) -> str:
    return f"the shared cache {', '.join(store.url for store in cache.stores)}"


def _place(file: Path | None, sha256: str, destination: Path) -> None:
    if file is None or sha256_of(file) != sha256:
        raise _differs(destination.name)
    place_copy(file, destination)


def _differs(name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} is not what another machine of the cluster handed over",
        hint="find out who else writes to the shared cache; `crosswheel cache verify` compares all that it has.",
    )
