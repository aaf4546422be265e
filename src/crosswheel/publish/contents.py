"""What is in a channel: wheels with records, and the pages that follow from them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from packaging.metadata import RawMetadata, parse_email
from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.errors import StorageError, UsageError
from crosswheel.index import people, rendering
from crosswheel.index.entry import Entry, newest, required_names
from crosswheel.index.failures import Failure
from crosswheel.index.overview import overview_of
from crosswheel.index.owner import LAST_PUBLICATION, STATE_FILE
from crosswheel.publish.channel_manifest import belongs_to_manifests
from crosswheel.publish.replacing import in_force
from crosswheel.stores.store import Store, Stored
from crosswheel.wheels.layout import LOG_SUFFIX, METADATA_SUFFIX, PROOF_SUFFIX, YANKED_SUFFIX
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.schema import NEWEST_SCHEMA, SchemaVersion

RECORD_SUFFIX = ".entry.json"
"""A wheel's record comes last: there is one if all else is in its place, unless that was removed or damaged."""

Listing = Mapping[str, Stored]
"""What a store has below ``simple/``, by path."""
Model = TypeVar("Model", bound=BaseModel)

FORMS = ("index.html", "index.json")
_ROOT_FILES = (LAST_PUBLICATION, people.HOME, people.STATUS, *people.asset_files())


class ChannelRecord(Entry):
    """A wheel as it was published.

    Attributes:
        metadata_size: size of its METADATA in bytes; older versions of crosswheel did not say.
        replaces: how often the wheels of its file name were replaced up to it, where that may be done.
    """

    schema_version: SchemaVersion = NEWEST_SCHEMA
    metadata_size: int | None = None
    replaces: int = 0

    def is_whole(self, listing: Listing) -> bool:
        """Whether the wheel and its METADATA are in the channel, in their right sizes: else it is not published."""
        path = wheel_path(self)
        if path not in listing or path + METADATA_SUFFIX not in listing:
            return False
        size = listing[path + METADATA_SUFFIX].size
        return listing[path].size == self.size and size == (self.metadata_size or max(size, 1))


class Publication(BaseModel):
    """What a publisher says beside its wheels.

    Attributes:
        published: when it was, UTC.
        failures: what could not be built.
        channel: the name of the channel, if it follows from git: of a branch, that.
        root_url: the channel's URL for readers, if links are absolute.
        replaceable: whether other bytes may be published under a file name that is taken.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore"
    )  # another version of crosswheel may have written it

    schema_version: SchemaVersion = NEWEST_SCHEMA
    published: datetime.datetime
    failures: tuple[Failure, ...] = ()
    channel: str | None = None
    root_url: str | None = None
    replaceable: bool = False


def wheel_path(entry: Entry) -> str:
    """Return where a wheel is in a channel; the files that belong to it begin with this."""
    return f"simple/{entry.name}/{entry.path}"


def wheel_of(path: str) -> str:
    """Return the path of the wheel that a file belongs to."""
    return path[: path.index(".whl") + len(".whl")]


def belongs_to_channel(path: str) -> bool:
    """Whether a channel has a file of this path: no other is ever removed."""
    folder, _, name = path.rpartition("/")
    parts = folder.split("/")
    if path in _ROOT_FILES or belongs_to_manifests(path) or (folder == "project" and name.endswith(".html")):
        return True
    if parts[0] == "simple" and len(parts) > 1 and ".whl" in name:
        return len(parts) <= 3
    if name == people.TARGET_PAGE:
        return len(parts) == 1
    return name in FORMS and is_page_of_index(parts)


def is_page_of_index(folder: Sequence[str]) -> bool:
    """Whether a folder, given by its parts, is one of ``simple/``, or of the same of a target."""
    below = folder[1:] if folder[0] == "simple" else folder[2:]
    return "simple" in folder[:2] and len(below) <= 1


def list_channel(store: Store) -> Listing:
    """Return what is in a channel, without its pages: what pages are made from."""
    listing = store.listing("simple")
    return {path: stored for path, stored in listing.items() if path.count("/") in (2, 3) and ".whl" in path}


def read_records(store: Store, listing: Listing) -> dict[str, ChannelRecord]:
    """Return the records of wheels, also of those that are not whole, by the path of the wheel.

    Raises:
        StorageError: a record is not one, so somebody else wrote into the channel.
    """
    paths = [path for path in listing if path.endswith(RECORD_SUFFIX)]
    texts = store.read_all(paths).items()
    return {path[: -len(RECORD_SUFFIX)]: parse(ChannelRecord, store, path, data) for path, data in texts}


def parse(model: type[Model], store: Store, path: str, data: bytes) -> Model:
    """Return what a file of a channel says.

    Raises:
        StorageError: it is something else, or a newer version of crosswheel wrote what is not understood here.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        kind = {"ChannelRecord": "a wheel's record"}.get(model.__name__, f"a {model.__name__.lower()}")
        raise StorageError(
            f"{store.url}/{path} is not {kind}: {error.errors()[0]['msg']}",
            hint="nothing but crosswheel should write into a channel; restore that file, or remove it and publish "
            "again what it belongs to.",
        ) from error


def last_publication(store: Store) -> Publication | None:
    """Return what the last publisher said; ``None`` where there is no channel yet.

    Raises:
        UsageError: there is something else.
        StorageError: it cannot be understood.
    """
    files = store.read_all((STATE_FILE, LAST_PUBLICATION))
    if STATE_FILE in files:
        raise UsageError(
            f"{store.url} is an index that `crosswheel index` makes from wheels, and no channel",
            hint=f"publish to another place. If it is to be a channel from now on, remove its {STATE_FILE} and its "
            "pages, and publish there.",
        )
    foreign: list[str] = []
    if LAST_PUBLICATION not in files:
        pages = store.read_all((people.HOME, people.STATUS))
        foreign = [*pages, *(path for folder in ("simple", "project") for path in store.listing(folder))]
        # Another publisher may have begun a channel meanwhile, with this file before all others.
        files = store.read_all((LAST_PUBLICATION,))
    if LAST_PUBLICATION in files:
        return parse(Publication, store, LAST_PUBLICATION, files[LAST_PUBLICATION])
    if foreign:
        raise UsageError(
            f"there is something in {store.url} that `crosswheel publish` did not write, such as {foreign[0]}",
            hint="publish to a place where nothing is yet.",
        )
    return None


@dataclass(frozen=True)
class ChannelContents:
    """All that pages are made from: entries with their proofs, by project, and what the last publisher said."""

    projects: Mapping[str, list[people.ListedWheel]]
    described: Mapping[str, RawMetadata]
    last: Publication | None

    def pages(self) -> dict[str, bytes]:
        """Return all pages of the channel, in the order in which they are to be written."""
        pages: dict[str, bytes] = {}
        overviews = {}
        root_url = self.last.root_url if self.last else None
        for name, files in self.projects.items():
            overviews[name] = overview_of([file.entry for file in files])
            links = [
                dependency
                for dependency in required_names(self.described[name])
                if dependency in self.projects
            ]
            pages.update(rendering.project_pages(files, self.described[name], links, root_url))
        failures = self.last.failures if self.last else ()
        pages.update(rendering.root_pages(overviews, failures, root_url))
        return pages


def read_contents(store: Store, listing: Listing, last: bytes | None) -> ChannelContents:
    """Read from a channel what its pages are made from: the wheels that are whole.

    Args:
        store: the channel.
        listing: what is in it.
        last: what its last publisher said.
    """
    records = read_records(store, listing)
    proofs: dict[str, dict[str, Proof]] = {}
    for path, data in sorted(store.read_all(path for path in listing if path.endswith(PROOF_SUFFIX)).items()):
        wheel, name = wheel_of(path), path.rpartition("/")[2]
        proofs.setdefault(wheel, {})[name] = parse(Proof, store, path, data)
    reasons = store.read_all(path for path in listing if path.endswith(YANKED_SUFFIX))
    files = [
        (
            record.replaces,
            _file(
                record, proofs.get(path, {}), reasons.get(path + YANKED_SUFFIX), path + LOG_SUFFIX in listing
            ),
        )
        for path, record in records.items()
        if record.is_whole(listing)
    ]
    projects: dict[str, list[people.ListedWheel]] = {}
    for file in sorted(in_force(files), key=lambda file: (file.entry.name, file.entry.order)):
        projects.setdefault(file.entry.name, []).append(file)
    paths = {
        name: wheel_path(newest(file.entry for file in group)) + METADATA_SUFFIX
        for name, group in projects.items()
    }
    metadata = store.read_all(paths.values())
    return ChannelContents(
        # What was removed since it was listed is not there for anybody.
        {name: group for name, group in projects.items() if paths[name] in metadata},
        {name: parse_email(metadata[path])[0] for name, path in paths.items() if path in metadata},
        parse(Publication, store, LAST_PUBLICATION, last) if last else None,
    )


def _file(
    record: ChannelRecord, proofs: Mapping[str, Proof], reason: bytes | None, has_log: bool
) -> people.ListedWheel:
    entry = record.model_copy(
        update={
            "targets": tuple(sorted({proof.target for proof in proofs.values() if proof.emulator})),
            "offered": tuple(sorted({proof.target for proof in proofs.values()})),
            "yanked": None if reason is None else reason.decode(errors="replace").strip(),
        }
    )
    return people.ListedWheel(entry, proofs, has_log)
