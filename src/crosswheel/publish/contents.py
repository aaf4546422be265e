"""What is in a channel: wheels with records, and the pages that follow from them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.metadata import RawMetadata, parse_email
from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.errors import StorageError
from crosswheel.index import contents as index_contents
from crosswheel.index import people
from crosswheel.index.entry import Entry, newest, required_names
from crosswheel.index.failures import Failure
from crosswheel.index.overview import overview_of
from crosswheel.index.owner import LAST_PUBLICATION
from crosswheel.stores.store import Store
from crosswheel.wheels.layout import LOG_SUFFIX, METADATA_SUFFIX, PROOF_SUFFIX, YANKED_SUFFIX
from crosswheel.wheels.proof import Proof

RECORD_SUFFIX = ".entry.json"
"""A wheel's record: its entry as it was published. There is one if, and only if, all else is in its place."""

Listing = Mapping[str, str]
"""What a store has below ``simple/``: path to a mark that changes with the bytes."""


def list_channel(store: Store) -> Listing:
    """Return what is in a channel, without its pages: what pages are made from."""
    listing = store.listing("simple")
    return {path: mark for path, mark in listing.items() if path.count("/") == 2 and ".whl" in path}


def wheel_path(entry: Entry) -> str:
    """Return where a wheel is in a channel; the files that belong to it begin with this."""
    return f"simple/{entry.name}/{entry.filename}"


def read_records(store: Store, listing: Listing) -> dict[str, Entry]:
    """Return the entries of published wheels, by the path of the wheel.

    Raises:
        StorageError: a record is not one, so somebody else wrote into the channel.
    """
    paths = [path for path in listing if path.endswith(RECORD_SUFFIX)]
    records = {}
    for path, data in store.read_all(paths).items():
        records[path[: -len(RECORD_SUFFIX)]] = _parse_record(store, path, data)
    return records


def _parse_record(store: Store, path: str, data: bytes) -> Entry:
    try:
        return Entry.model_validate_json(data)
    except ValidationError as error:
        raise StorageError(
            f"{store.url}/{path} is not a wheel's record",
            hint="nothing but crosswheel should write into a channel; restore that file, or remove it and publish "
            "its wheel again.",
        ) from error


class Publication(BaseModel):
    """What a publisher says beside its wheels: when it was, and what could not be built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    published: datetime.datetime
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class ChannelContents:
    """All that pages are made from: entries with their proofs, by project, and what failed."""

    projects: Mapping[str, list[people.File]]
    described: Mapping[str, RawMetadata]
    failures: tuple[Failure, ...]

    def pages(self, root_url: str | None) -> dict[str, bytes]:
        """Return all pages of the channel, in the order in which they are to be written."""
        pages: dict[str, bytes] = {}
        overviews = {}
        for name, files in self.projects.items():
            overviews[name] = overview_of([file.entry for file in files])
            links = [other for other in required_names(self.described[name]) if other in self.projects]
            pages.update(index_contents.project_pages(files, self.described[name], links, root_url))
        pages.update(index_contents.root_pages(overviews, self.failures, root_url))
        return pages


def read_contents(store: Store, listing: Listing) -> ChannelContents:
    """Read from a channel what its pages are made from."""
    records = read_records(store, listing)
    texts = store.read_all([path for path in listing if path.endswith((PROOF_SUFFIX, YANKED_SUFFIX))])
    files = [_file(path, entry, listing, texts) for path, entry in records.items()]
    projects: dict[str, list[people.File]] = {}
    for file in sorted(files, key=lambda file: (file.entry.name, file.entry.order)):
        projects.setdefault(file.entry.name, []).append(file)
    paths = {
        name: wheel_path(newest(file.entry for file in group)) + METADATA_SUFFIX
        for name, group in projects.items()
    }
    metadata = store.read_all(paths.values())
    last = store.read(LAST_PUBLICATION)
    return ChannelContents(
        projects,
        {name: parse_email(metadata[path])[0] for name, path in paths.items()},
        Publication.model_validate_json(last).failures if last else (),
    )


def _file(path: str, entry: Entry, listing: Listing, texts: Mapping[str, bytes]) -> people.File:
    proofs = {
        name.rpartition("/")[2]: Proof.model_validate_json(data)
        for name, data in sorted(texts.items())
        if name.startswith(f"{path}.") and name.endswith(PROOF_SUFFIX)
    }
    reason = texts.get(path + YANKED_SUFFIX)
    entry = entry.model_copy(
        update={
            "targets": tuple(sorted({proof.target for proof in proofs.values() if proof.emulator})),
            "yanked": None if reason is None else reason.decode().strip(),
        }
    )
    return people.File(entry, proofs, path + LOG_SUFFIX in listing)
