"""The manifest of a channel: which wheels are in it, with their hashes, signed by who published them.

A store can be written to by more than those who publish, and what serves it can be changed. So a publisher signs what
it has itself: the wheels of its own site, beside those of the last manifest that a trusted key has signed; never what
merely lies there. Manifests are numbered, and each is created and never changed (``signed/<number>.json``), so that of
two publishers at once the second sees the first one's, and adds to it. ``signed.json`` is the newest, for readers.

One signed file takes the place of TUF's timestamp, snapshot and targets roles: the number withstands replay and
rollback, the time until which it counts withstands a freeze, the channel's identity withstands another channel's
manifest in this one's place, and as one file has all hashes, nothing can be mixed. Roles with keys of their own, and
thresholds, it does not have.
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
_KEPT = 3  # earlier manifests stay for a while: a reader may have begun with one
_TRIES = 50
_DAY = 24 * 3600


class SignedFile(BaseModel):
    """A file of a channel: its SHA-256, in hexadecimal, and its size in bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: str
    size: int
    yanked: bool = False


class Manifest(BaseModel):
    """What is signed of a channel.

    Attributes:
        channel: its identity: the same in all of its manifests, and in no other channel's.
        version: each manifest has a higher one than that before.
        issued: when it was signed, in seconds since 1970 (UTC).
        expires: until when it counts.
        files: wheels and their METADATA, by path below the channel.
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
    """Who reads the manifests of channels: whose signatures count, and what was seen of each channel before.

    Attributes:
        trusted: the keys whose manifests count.
        memory: a folder that keeps the identity and the number of each channel's last manifest.
    """

    trusted: tuple[PublicKey, ...]
    memory: Path

    def open(self, data: bytes, url: str) -> Manifest:
        """Return the manifest of a channel, and remember it.

        Args:
            data: its envelope.
            url: where the channel is.

        Raises:
            IntegrityError: no trusted key has signed it, or it is another channel's, or older than what was seen here.
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
    """Who signs a channel.

    Attributes:
        key: what it signs with.
        reader: whose earlier manifests it goes on from.
        days: for how long a manifest counts.
    """

    key: SigningKey
    reader: Reader
    days: int = DAYS

    def sign(
        self, store: Store, changes: Mapping[str, SignedFile], marks: Mapping[str, bool] | None = None
    ) -> Manifest:
        """Sign the newest manifest of a channel with some files more, and publish that.

        Args:
            marks: whether some of its files are yanked, by path.

        Raises:
            IntegrityError: no trusted key has signed the manifest that is there, or an old one was put back.
            StorageError: the store failed, or others publish without an end.
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
    """Return the newest manifest of a channel; ``None`` where it has none.

    Raises: as :meth:`Reader.open`.
    """
    number = _newest(store)
    data = store.read(_path(number)) if number else None
    return reader.open(data, store.url) if data is not None else None


def require_signatory(store: Store, signatory: Signatory | None) -> None:
    """Raise :class:`UsageError` if a channel is signed and nobody signs what changes in it."""
    if signatory is None and _newest(store):
        raise UsageError(
            f"{store.url} is signed, and there is no key here that signs what changes in it",
            hint="give it with CROSSWHEEL_SIGNING_KEY, or `crosswheel keys new` and have who publishes there trust it.",
        )


def parse(data: bytes, trusted: Iterable[PublicKey], origin: str) -> Manifest:
    """Return the manifest that an envelope holds.

    Raises:
        IntegrityError: no trusted key has signed it, or it is none.
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
    """Have readers find the newest manifest; whoever writes last has seen all that were created before."""
    announced = 0
    while (number := _newest(store)) != announced:
        data = store.read(_path(number))
        if data is not None:
            store.write(NEWEST, data)
        announced = number
    for path in store.listing(FOLDER):
        if belongs_to_manifests(path) and _number(path) <= announced - _KEPT:
            with contextlib.suppress(StorageError):  # not everybody who publishes may remove something
                store.remove(path)


def _newest(store: Store) -> int:
    return max((_number(path) for path in store.listing(FOLDER) if belongs_to_manifests(path)), default=0)


def _number(path: str) -> int:
    return int(path.rpartition("/")[2].partition(".")[0])


def _path(number: int) -> str:
    return f"{FOLDER}/{number:08}.json"
