"""Read and write the records of a shared cache: statements in signed envelopes (DSSE)."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crosswheel.errors import IntegrityError
from crosswheel.signing.envelope import open_signed, sign
from crosswheel.signing.keys import PublicKey, SigningKey

PAYLOAD_TYPE = "application/vnd.crosswheel.cache-record+json"
RECORDS, DIFFERING, BLOBS = "records", "differing", "blobs"
_SCHEMA = 1


class Blob(BaseModel):
    """A file of a record: its name, size and SHA-256."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+!-]*$")]

    @property
    def path(self) -> str:
        """The blob's path in a store."""
        return f"{BLOBS}/{self.sha256[:2]}/{self.sha256}"


class CacheRecord(BaseModel):
    """The result for a digest of inputs.

    Attributes:
        kind: the kind of result, such as ``wheel``.
        digest: identifies all inputs.
        written: the time of storing, by the signer's clock.
        blobs: files, by purpose.
        facts: everything else, as JSON.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Annotated[int, Field(le=_SCHEMA)] = _SCHEMA
    kind: str
    digest: str
    written: datetime.datetime
    blobs: Mapping[str, Blob] = Field(default_factory=dict)
    facts: Mapping[str, Any] = Field(default_factory=dict)

    def signed(self, key: SigningKey) -> bytes:
        """Return the record's signed envelope."""
        return json.dumps(sign(self.model_dump(mode="json"), PAYLOAD_TYPE, key)).encode()

    def agrees(self, other: CacheRecord) -> bool:
        """Return whether another record of the same digest has the same bytes, except for logs, which always differ."""
        mine, theirs = (
            {use: blob.sha256 for use, blob in record.blobs.items() if use != "log"}
            for record in (self, other)
        )
        return mine == theirs


def record_path(kind: str, digest: str, key: PublicKey) -> str:
    """Return the path of a signer's record for a digest."""
    return f"{RECORDS}/{kind}/{digest}/{key.short}.json"


def read_record(data: bytes, trusted: Iterable[PublicKey], path: str) -> CacheRecord:
    """Return the record in an envelope; its contents must match its ``path``.

    Raises:
        IntegrityError: no trusted key signed it, it is for another digest, or it is not a record.
    """
    statement = open_signed(data, PAYLOAD_TYPE, trusted, path)
    try:
        record = CacheRecord.model_validate(statement)
    except ValidationError as error:
        raise IntegrityError(
            f"{path} is no record of a shared cache: {error.errors()[0]['msg']}",
            hint="use the version of crosswheel that wrote it, or newer.",
        ) from error
    if path.split("/")[1:3] != [record.kind, record.digest]:
        raise IntegrityError(
            f"{path} is the record of something else ({record.kind} {record.digest})",
            hint="somebody moved it; `crosswheel cache verify --remove` removes what is wrong.",
        )
    return record
