"""Sign and verify the manifest of a channel: its wheels with their hashes, signed by its publishers.

Others may have write access to a store, and the server in front of it may be tampered with. So a publisher signs the
wheels of its own site and those of the last manifest that a trusted key signed, and never mere contents of the store.
Manifests are numbered and immutable (``signed/<number>.json``), so that the second of two concurrent publishers sees
the first one's manifest and adds to it. ``signed.json`` is a copy of the newest, for readers.

One signed file replaces TUF's timestamp, snapshot and targets roles. The number prevents replay and rollback, the
expiry prevents freeze attacks, and the channel's identity prevents the substitution of another channel's manifest. As
one file holds all hashes, mix-and-match attacks are impossible. Separate role keys and thresholds are not supported.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.agent.signed import CHANNEL
from crosswheel.errors import IntegrityError, StorageError, UsageError
from crosswheel.files import digest_of, read_sealed, write_sealed
from crosswheel.signing.envelope import open_signed, sign
from crosswheel.signing.keys import PublicKey, SigningKey
from crosswheel.stores.store import Store
from crosswheel.wheels.schema import NEWEST_SCHEMA, SchemaVersion

NEWEST = "signed.json"
FOLDER = "signed"
DAYS = 90
_KEPT = 3  # earlier manifests stay for a while, for readers that began with one
_TRIES = 50
_DAY = 24 * 3600


class SignedFile(BaseModel):
    """A file of a channel: its SHA-256, in hexadecimal, and its size in bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: str
    size: int
    yanked: bool = False


class Manifest(BaseModel):
    """The signed content of a channel's manifest.

    Attributes:
        channel: the channel's identity, constant over its manifests and unique to it.
        version: the manifest's number, higher than that of the manifest before.
        issued: the time of signing, in seconds since 1970 (UTC).
        expires: the time from which it is no longer valid, in the same unit.
        files: the wheels and their METADATA, by path below the channel.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: SchemaVersion = NEWEST_SCHEMA
    channel: str
    version: int
    issued: int
    expires: int
    files: Mapping[str, SignedFile]


@dataclass(frozen=True)
class Reader:
    """A reader of channel manifests, with its trusted keys and a memory of earlier manifests.

    Attributes:
        trusted: the keys whose signatures count.
        memory: a folder that keeps the identity and number of each channel's last manifest.
    """

    trusted: tuple[PublicKey, ...]
    memory: Path

    def open(self, data: bytes, url: str) -> Manifest:
        """Verify and return the manifest of a channel, and remember its number.

        Args:
            data: its envelope.
            url: the channel's URL.

        Raises:
            IntegrityError: no trusted key signed it, it is another channel's, or it is older than one seen before.
        """
        manifest = parse(data, self.trusted, f"the manifest of {url}")
        kept = self.memory / f"{digest_of(url=url)}.json"
        text = read_sealed(kept)
        if text is not None:
            channel, version = json.loads(text)
            if manifest.channel != channel:
                raise IntegrityError(
                    f"what is signed at {url} is another channel than before",
                    hint=f"if its publisher began it anew, remove {kept}.",
                )
            if manifest.version < version:
                raise IntegrityError(
                    f"the manifest of {url} is number {manifest.version}, and number {version} was seen here before",
                    hint="an old one was put back: find out who did, and have its publisher publish again.",
                )
        write_sealed(kept, json.dumps([manifest.channel, manifest.version]))
        return manifest


@dataclass(frozen=True)
class Signatory:
    """A publisher that signs a channel.

    Attributes:
        key: the signing key.
        reader: verifies the earlier manifest that the new one extends.
        days: the validity of a manifest.
    """

    key: SigningKey
    reader: Reader
    days: int = DAYS

    def sign(
        self, store: Store, changes: Mapping[str, SignedFile], marks: Mapping[str, bool] | None = None
    ) -> Manifest:
        """Sign and publish the channel's newest manifest, extended by some files.

        Args:
            marks: maps a file's path to whether it is yanked.

        Raises:
            IntegrityError: no trusted key signed the existing manifest, or it is a replayed old one.
            StorageError: the store failed, or other publishers kept interfering.
        """
        for _ in range(_TRIES):
            before = read_newest(store, self.reader)
            earlier = before.files if before else {}
            yanked = {**{path: file.yanked for path, file in earlier.items()}, **(marks or {})}
            files = {
                path: file.model_copy(update={"yanked": yanked.get(path, False)})
                for path, file in {**earlier, **changes}.items()
            }
            now = int(time.time())
            manifest = Manifest(
                channel=before.channel if before else secrets.token_hex(16),
                version=before.version + 1 if before else 1,
                issued=now,
                expires=now + self.days * _DAY,
                files=files,
            )
            envelope = json.dumps(sign(manifest.model_dump(mode="json"), CHANNEL, self.key)).encode()
            if store.create(_path(manifest.version), envelope):
                _announce(store)
                return self.reader.open(envelope, store.url)
        raise StorageError(
            f"others publish to {store.url} again and again meanwhile",
            hint="publish again when they are done.",
        )


def read_newest(store: Store, reader: Reader) -> Manifest | None:
    """Return the newest manifest of a channel; ``None`` if it has none.

    Raises: as :meth:`Reader.open`.
    """
    number = _newest(store)
    data = store.read(_path(number)) if number else None
    return reader.open(data, store.url) if data is not None else None


def require_signatory(store: Store, signatory: Signatory | None) -> None:
    """Raise :class:`UsageError` if the channel is signed and there is no signatory for the change."""
    if signatory is None and _newest(store):
        raise UsageError(
            f"{store.url} is signed, and there is no key here that signs what changes in it",
            hint="give it with CROSSWHEEL_SIGNING_KEY, or `crosswheel keys new` and have who publishes there trust it.",
        )


def parse(data: bytes, trusted: Iterable[PublicKey], origin: str) -> Manifest:
    """Return the manifest in an envelope.

    Raises:
        IntegrityError: no trusted key signed it, or it is not a manifest.
    """
    statement = open_signed(data, CHANNEL, trusted, origin)
    try:
        return Manifest.model_validate(statement)
    except ValidationError as error:
        raise IntegrityError(
            f"{origin} is not a manifest that is understood here: {error.errors()[0]['msg']}",
            hint="another version of crosswheel may have written it: use that one.",
        ) from error


def belongs_to_manifests(path: str) -> bool:
    """Return whether a file of a channel is one of its manifests."""
    return path == NEWEST or re.fullmatch(rf"{FOLDER}/\d+\.json", path) is not None


def _announce(store: Store) -> None:
    """Point readers to the newest manifest; the last writer has seen all manifests created before."""
    announced = 0
    while (number := _newest(store)) != announced:
        data = store.read(_path(number))
        if data is not None:
            store.write(NEWEST, data)
        announced = number
    for path in store.listing(FOLDER):
        if belongs_to_manifests(path) and _number(path) <= announced - _KEPT:
            with contextlib.suppress(StorageError):  # some publishers may not remove files
                store.remove(path)


def _newest(store: Store) -> int:
    return max((_number(path) for path in store.listing(FOLDER) if belongs_to_manifests(path)), default=0)


def _number(path: str) -> int:
    return int(path.rpartition("/")[2].partition(".")[0])


def _path(number: int) -> str:
    return f"{FOLDER}/{number:08}.json"
