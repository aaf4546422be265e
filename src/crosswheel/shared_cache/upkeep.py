"""List, verify and prune a shared cache."""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crosswheel.errors import IntegrityError, UsageError
from crosswheel.shared_cache.records import BLOBS, DIFFERING, RECORDS, CacheRecord, read_record
from crosswheel.signing.keys import PublicKey
from crosswheel.stores.store import Store, Stored


@dataclass(frozen=True)
class CacheContents:
    """The contents of a shared cache.

    Attributes:
        records: the records of trusted keys, by path.
        blobs: all blobs, by path.
        faults: the faults of trusted keys' records, by path.
        strangers: the number of records by other signers, which are never read.
        differing: the records of builds whose bytes differ from those stored before, by path.
    """

    records: Mapping[str, CacheRecord]
    blobs: Mapping[str, Stored]
    faults: Mapping[str, str]
    strangers: int
    differing: Mapping[str, CacheRecord]

    @property
    def size(self) -> int:
        """The total size of all blobs in bytes."""
        return sum(stored.size for stored in self.blobs.values())

    def counts(self) -> Mapping[str, int]:
        """Return the number of records of each kind."""
        return Counter(record.kind for record in self.records.values())

    def blobs_of(self, path: str) -> set[str]:
        """Return the paths of a record's blobs."""
        return {blob.path for blob in self.records[path].blobs.values()}


def read_contents(store: Store, trusted: Sequence[PublicKey]) -> CacheContents:
    """Read the contents of a shared cache.

    Raises:
        StorageError: the store failed.
    """
    by_name = {key.short: key for key in trusted}
    records: dict[str, CacheRecord] = {}
    faults: dict[str, str] = {}
    paths = list(store.listing(RECORDS))
    own = [path for path in paths if _signer(path) in by_name]
    for path, data in store.read_all(own).items():
        try:
            records[path] = read_record(data, [by_name[_signer(path)]], path)
        except IntegrityError as error:
            faults[path] = str(error)
    differing: dict[str, CacheRecord] = {}
    for path, data in store.read_all(store.listing(DIFFERING)).items():
        try:
            differing[path] = read_record(data, trusted, path)
        except IntegrityError:
            continue  # by another signer, or damaged: it is informative only
    return CacheContents(records, store.listing(BLOBS), faults, len(paths) - len(own), differing)


def verify(store: Store, trusted: Sequence[PublicKey]) -> Mapping[str, str]:
    """Verify every record of trusted keys and every blob; return the faults by path.

    Raises:
        StorageError: the store failed.
    """
    contents = read_contents(store, trusted)
    faults = dict(contents.faults)
    for path, data in store.read_all(contents.blobs).items():
        if hashlib.sha256(data).hexdigest() != path.rpartition("/")[2]:
            faults[path] = f"{path} is not what its name says"
    for path in contents.records:
        for blob in contents.blobs_of(path) - set(contents.blobs):
            faults[path] = f"{path} names {blob}, which is not there"
    return faults


@dataclass(frozen=True)
class Removed:
    """The numbers of removed records and blobs, and the blobs' total size in bytes."""

    records: int
    blobs: int
    size: int


def prune(
    store: Store,
    trusted: Sequence[PublicKey],
    *,
    written_before: datetime.datetime | None = None,
    max_size: int | None = None,
    dry_run: bool = False,
) -> Removed:
    """Remove the oldest records of trusted keys, then the blobs that no record names any more.

    A concurrent writer may lose a blob; its result is then built and stored once more.

    Args:
        written_before: older records are removed.
        max_size: then the oldest records are removed until at most this many bytes remain.

    Raises:
        StorageError: the store failed.
        UsageError: the store has records of other signers, so the needed blobs are unknown.
    """
    contents = read_contents(store, trusted)
    if contents.strangers:
        raise UsageError(
            f"{store.url} has {contents.strangers} records that keys signed which are not trusted here: it "
            "is not known which blobs they need",
            hint="trust their keys first (`crosswheel keys trust FILE`), or let who owns them prune.",
        )
    doomed = list(_doomed(contents, written_before, max_size))
    kept = [path for path in contents.records if path not in set(doomed)]
    named = set[str]().union(*map(contents.blobs_of, kept))
    unnamed = [path for path in contents.blobs if path not in named]
    if not dry_run:
        store.remove_all([*doomed, *_remarks(contents, kept)])  # before the blobs that they name
        store.remove_all(unnamed)
    return Removed(len(doomed), len(unnamed), sum(contents.blobs[path].size for path in unnamed))


def _doomed(
    contents: CacheContents, written_before: datetime.datetime | None, max_size: int | None
) -> Iterator[str]:
    """Yield the paths of the records to remove, the oldest first."""
    uses = Counter(blob for path in contents.records for blob in contents.blobs_of(path))
    left = sum(contents.blobs[blob].size for blob in uses if blob in contents.blobs)
    for path in sorted(contents.records, key=lambda path: contents.records[path].written):
        is_old = written_before is not None and contents.records[path].written < written_before
        if not is_old and (max_size is None or left <= max_size):
            continue
        yield path
        for blob in contents.blobs_of(path):
            uses[blob] -= 1
            if not uses[blob] and blob in contents.blobs:
                left -= contents.blobs[blob].size


def _remarks(contents: CacheContents, kept: Sequence[str]) -> Iterator[str]:
    """Yield the paths of differing builds' records that belong to no kept record."""
    places = {tuple(path.split("/")[1:3]) for path in kept}
    yield from (path for path in contents.differing if tuple(path.split("/")[1:3]) not in places)


def _signer(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".json")
