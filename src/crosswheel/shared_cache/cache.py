"""Read and store results through all stores of a shared cache, in their order."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosswheel.errors import IntegrityError
from crosswheel.files import digest_of, write_bytes
from crosswheel.shared_cache.guarded import GuardedStore
from crosswheel.shared_cache.records import DIFFERING, Blob, CacheRecord, read_record, record_path
from crosswheel.signing.keys import PublicKey, SigningKey


@dataclass(frozen=True)
class SharedCache:
    """The stores to use, the trusted keys, and the signing key; without a signing key nothing is written.

    ``warn`` receives problems; faults of a store never raise here.
    """

    stores: Sequence[GuardedStore]
    trusted: Sequence[PublicKey]
    key: SigningKey | None
    warn: Callable[[str], None]
    _damaged: set[tuple[str, str]] = field(default_factory=set)

    @property
    def identity(self) -> str:
        """The stores and the signer, as one text."""
        signer = self.key.public.short if self.key else None
        return digest_of(stores=[store.url for store in self.stores], signer=signer)

    @property
    def is_writable(self) -> bool:
        """Whether results of this machine are stored."""
        return self.key is not None

    def get(self, kind: str, digest: str, folder: Path) -> CacheRecord | None:
        """Fetch the result for a digest, its blobs as named files in ``folder``; ``None`` if no store has it.

        Raises:
            StorageError: the folder cannot be written.
        """
        for store in self.stores:
            for key in self.trusted:
                record = self._record(store, record_path(kind, digest, key), key)
                if record is not None and self._fetch(store, record, folder):
                    return record
        return None

    def put(
        self, kind: str, digest: str, facts: Mapping[str, Any], files: Mapping[str, Path] | None = None
    ) -> bool:
        """Store the result for a digest of inputs: first its files, by purpose, then its record.

        Returns:
            Whether every store now has a result for the digest, this one or one with other bytes.
        """
        if self.key is None:
            return False
        contents = {use: (path.name, path.read_bytes()) for use, path in (files or {}).items()}
        record = CacheRecord(
            kind=kind,
            digest=digest,
            written=datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0),
            blobs={
                use: Blob(sha256=hashlib.sha256(data).hexdigest(), size=len(data), name=name)
                for use, (name, data) in contents.items()
            },
            facts=facts,
        )
        done = []
        for store in self.stores:
            blobs = [self._store_blob(store, blob, contents[use][1]) for use, blob in record.blobs.items()]
            done.append(all(blobs) and self._store_record(store, record, self.key))
        return all(done)

    def _record(self, store: GuardedStore, path: str, key: PublicKey) -> CacheRecord | None:
        data = store.read(path)
        if data is None:
            return None
        try:
            return read_record(data, [key], path)
        except IntegrityError as error:
            self._tell(store, path, str(error))
            return None

    def _fetch(self, store: GuardedStore, record: CacheRecord, folder: Path) -> bool:
        for blob in record.blobs.values():
            data = store.read(blob.path, blob.size)
            if data is None:
                return False
            if hashlib.sha256(data).hexdigest() != blob.sha256:
                self._tell(store, blob.path, f"{blob.path} is not what its name says: {len(data)} bytes")
                return False
            write_bytes(folder / blob.name, data)
        return True

    def _tell(self, store: GuardedStore, path: str, fault: str) -> None:
        """Warn about a damaged file once; storing the same result again replaces it."""
        if (store.url, path) not in self._damaged:
            self._damaged.add((store.url, path))
            self.warn(f"the shared cache {store.url} has something damaged, which is passed over: {fault}")

    def _store_blob(self, store: GuardedStore, blob: Blob, data: bytes) -> bool:
        created = store.create(blob.path, data)
        if created is not False:
            return bool(created)
        there = store.read(blob.path, blob.size)
        if there is not None and hashlib.sha256(there).hexdigest() == blob.sha256:
            return True
        return store.write(blob.path, data)  # it was truncated or modified

    def _store_record(self, store: GuardedStore, record: CacheRecord, key: SigningKey) -> bool:
        path, data = record_path(record.kind, record.digest, key.public), record.signed(key)
        for other_key in self.trusted:
            other_path = record_path(record.kind, record.digest, other_key)
            other = self._record(store, other_path, other_key)
            if other is not None and not record.agrees(other):
                self._tell_of_difference(store, record, other, other_key, data)
        created = store.create(path, data)
        if created is False and (
            (store.url, path) in self._damaged or self._has_lost_blobs(store, path, key.public)
        ):
            return store.write(path, data)
        return created is not None

    def _has_lost_blobs(self, store: GuardedStore, path: str, key: PublicKey) -> bool:
        """Return whether an existing record names a blob that is missing or incomplete."""
        record = self._record(store, path, key)
        return record is not None and any(
            hashlib.sha256(store.read(blob.path, blob.size) or b"").hexdigest() != blob.sha256
            for blob in record.blobs.values()
        )

    def _tell_of_difference(
        self, store: GuardedStore, mine: CacheRecord, other: CacheRecord, key: PublicKey, data: bytes
    ) -> None:
        blobs = [blob for use, blob in mine.blobs.items() if use != "log"]
        name, sha256 = (blobs[0].name, blobs[0].sha256) if blobs else (mine.kind, mine.digest)
        self.warn(
            f"{name} is not reproducible: the same inputs gave other bytes here than what {key.short} stored in "
            f"{store.url} on {other.written:%Y-%m-%d}; what was built here is used here"
        )
        store.create(f"{DIFFERING}/{mine.kind}/{mine.digest}/{sha256}.json", data)
