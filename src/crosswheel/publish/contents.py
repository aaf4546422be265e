"""Read the contents of a channel: wheels with records, and the pages made from them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from packaging.metadata import RawMetadata, parse_email
from pydantic import BaseModel, ConfigDict, ValidationError

from crosswheel.errors import StorageError, UsageError
from crosswheel.index import people, rendering
from crosswheel.index.batches import Batch
from crosswheel.index.entry import Entry, newest, required_names
from crosswheel.index.failures import Failure
from crosswheel.index.overview import overview_of
from crosswheel.index.owner import LAST_PUBLICATION, STATE_FILE
from crosswheel.publish.channel_manifest import belongs_to_manifests
from crosswheel.publish.replacing import in_force
from crosswheel.stores.store import Store, Stored
from crosswheel.wheels.attestations import fault_of
from crosswheel.wheels.layout import (
    ATTESTATIONS_SUFFIX,
    LOG_SUFFIX,
    METADATA_SUFFIX,
    PROOF_SUFFIX,
    YANKED_SUFFIX,
)
from crosswheel.wheels.proof import Proof
from crosswheel.wheels.schema import NEWEST_SCHEMA, SchemaVersion

RECORD_SUFFIX = ".entry.json"
"""A wheel's record is written last, so a record means that all other files exist, unless removed or damaged later."""

Listing = Mapping[str, Stored]
"""The files of a store below ``simple/``, by path."""
Model = TypeVar("Model", bound=BaseModel)

FORMS = ("index.html", "index.json")
# Files of projects that are read at the same time.
_PORTION = 400
_ROOT_FILES = (LAST_PUBLICATION, people.HOME, people.STATUS, *people.asset_files())


class ChannelRecord(Entry):
    """A published wheel.

    Attributes:
        metadata_size: the size of its METADATA in bytes; older versions of crosswheel did not record it.
        replaces: in a replaceable channel, the number of wheels of its file name that were replaced before it.
    """

    schema_version: SchemaVersion = NEWEST_SCHEMA
    metadata_size: int | None = None
    replaces: int = 0

    def is_whole(self, listing: Listing) -> bool:
        """Return whether the channel has the wheel and its METADATA in full size; without them it is not published."""
        path = wheel_path(self)
        if path not in listing or path + METADATA_SUFFIX not in listing:
            return False
        size = listing[path + METADATA_SUFFIX].size
        return listing[path].size == self.size and size == (self.metadata_size or max(size, 1))


class Publication(BaseModel):
    """What a publisher states about the channel as a whole.

    Attributes:
        published: the time of publication, UTC.
        failures: the failed builds.
        batches: where batches stood.
        channel: the channel's name, if it comes from git; for a branch, the branch's name.
        root_url: the channel's URL for readers, if links are absolute.
        replaceable: whether a wheel may be replaced by other bytes under its file name.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore"
    )  # another version of crosswheel may have written it

    schema_version: SchemaVersion = NEWEST_SCHEMA
    published: datetime.datetime
    failures: tuple[Failure, ...] = ()
    batches: tuple[Batch, ...] = ()
    channel: str | None = None
    root_url: str | None = None
    replaceable: bool = False


def wheel_path(entry: Entry) -> str:
    """Return the path of a wheel in a channel; the paths of its other files begin with this one."""
    return f"simple/{entry.name}/{entry.path}"


def wheel_of(path: str) -> str:
    """Return the path of the wheel that a file belongs to."""
    return path[: path.index(".whl") + len(".whl")]


def belongs_to_channel(path: str) -> bool:
    """Return whether a path is one of a channel's files; only such files are ever removed."""
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
    """Return whether a folder, given by its parts, belongs to ``simple/`` of the channel or of a target."""
    below = folder[1:] if folder[0] == "simple" else folder[2:]
    return "simple" in folder[:2] and len(below) <= 1


def list_channel(store: Store) -> Listing:
    """Return a channel's files except the pages: the inputs of its pages."""
    listing = store.listing("simple")
    return {path: stored for path, stored in listing.items() if path.count("/") in (2, 3) and ".whl" in path}


def read_records(store: Store, listing: Listing) -> dict[str, ChannelRecord]:
    """Return the records of wheels, incomplete wheels included, by the path of the wheel.

    Raises:
        StorageError: a record is malformed, so something else wrote to the channel.
    """
    paths = [path for path in listing if path.endswith(RECORD_SUFFIX)]
    texts = store.read_all(paths).items()
    return {path[: -len(RECORD_SUFFIX)]: parse(ChannelRecord, store, path, data) for path, data in texts}


def parse(model: type[Model], store: Store, path: str, data: bytes) -> Model:
    """Parse a file of a channel.

    Raises:
        StorageError: it is malformed, or a newer version of crosswheel wrote a format that this one cannot read.
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
    """Return the last publisher's statement; ``None`` if there is no channel yet.

    Raises:
        UsageError: the store has other contents.
        StorageError: the statement cannot be read.
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
        # Another publisher may have begun a channel meanwhile, with this file first.
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
    """The inputs of a channel's pages, for complete wheels only.

    Attributes:
        projects: the files of each project with such wheels, in the order of names.
        last: the last publisher's statement.
    """

    store: Store
    projects: Mapping[str, Listing]
    last: Publication | None

    def pages(self) -> Iterator[dict[str, bytes]]:
        """Yield all pages of the channel in the order in which to write them, those of some projects at a time.

        A project whose newest wheel was removed since the listing is missing for readers, too.
        """
        yield people.asset_files()
        overviews = {}
        root_url = self.last.root_url if self.last else None
        for names in portions({name: len(files) for name, files in self.projects.items()}):
            pages: dict[str, bytes] = {}
            wheels = _read_wheels(self.store, files_of(names, self.projects))
            described = _read_metadata(self.store, wheels)
            for name, metadata in described.items():
                overviews[name] = overview_of([file.entry for file in wheels[name]])
                links = [other for other in required_names(metadata) if other in self.projects]
                pages.update(rendering.project_pages(wheels[name], metadata, links, root_url))
            yield pages
        failures, batches = (self.last.failures, self.last.batches) if self.last else ((), ())
        yield dict(rendering.root_pages(overviews, failures, root_url, batches=batches))


def projects_of(listing: Listing) -> dict[str, Listing]:
    """Return a channel's files by the normalised name of their project, in the order of names."""
    projects: dict[str, dict[str, Stored]] = {}
    for path, stored in listing.items():
        projects.setdefault(path.split("/")[1], {})[path] = stored
    return dict(sorted(projects.items()))


def files_of(names: Iterable[str], projects: Mapping[str, Listing]) -> Listing:
    """Return the files of some projects."""
    return {path: stored for name in names for path, stored in projects.get(name, {}).items()}


def portions(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Group projects, given the number of their files, so that a group keeps a store busy and fits into any memory."""
    names: list[str] = []
    files = 0
    for name, size in sizes.items():
        if names and files + size > _PORTION:
            yield names
            names, files = [], 0
        names.append(name)
        files += size
    if names:
        yield names


def read_contents(store: Store, listing: Listing, last: bytes | None) -> ChannelContents:
    """Return what a channel has, for its pages.

    Args:
        store: the channel.
        listing: its files.
        last: the last publisher's statement.
    """
    projects = projects_of(listing)
    whole: set[str] = set()
    for names in portions({name: len(files) for name, files in projects.items()}):
        records = read_records(store, files_of(names, projects)).values()
        whole.update(record.name for record in records if record.is_whole(listing))
    return ChannelContents(
        store,
        {name: files for name, files in projects.items() if name in whole},
        parse(Publication, store, LAST_PUBLICATION, last) if last else None,
    )


def _read_wheels(store: Store, listing: Listing) -> dict[str, list[people.ListedWheel]]:
    """Return the wheels that pages name by project, the oldest version first."""
    proofs: dict[str, dict[str, Proof]] = {}
    for path, data in sorted(store.read_all(path for path in listing if path.endswith(PROOF_SUFFIX)).items()):
        wheel, name = wheel_of(path), path.rpartition("/")[2]
        proofs.setdefault(wheel, {})[name] = parse(Proof, store, path, data)
    reasons = store.read_all(path for path in listing if path.endswith(YANKED_SUFFIX))
    attestations = store.read_all(path for path in listing if path.endswith(ATTESTATIONS_SUFFIX))
    files = [
        (
            record.replaces,
            _file(
                record,
                proofs.get(path, {}),
                reasons.get(path + YANKED_SUFFIX),
                attestations.get(path + ATTESTATIONS_SUFFIX),
                path + LOG_SUFFIX in listing,
            ),
        )
        for path, record in read_records(store, listing).items()
        if record.is_whole(listing)
    ]
    projects: dict[str, list[people.ListedWheel]] = {}
    for file in sorted(in_force(files), key=lambda file: (file.entry.name, file.entry.order)):
        projects.setdefault(file.entry.name, []).append(file)
    return projects


def _read_metadata(
    store: Store, projects: Mapping[str, Sequence[people.ListedWheel]]
) -> dict[str, RawMetadata]:
    """Return the METADATA of each project's newest wheel, where it exists."""
    paths = {
        name: wheel_path(newest(file.entry for file in wheels)) + METADATA_SUFFIX
        for name, wheels in projects.items()
    }
    metadata = store.read_all(paths.values())
    return {name: parse_email(metadata[path])[0] for name, path in paths.items() if path in metadata}


def _file(
    record: ChannelRecord,
    proofs: Mapping[str, Proof],
    reason: bytes | None,
    attestations: bytes | None,
    has_log: bool,
) -> people.ListedWheel:
    entry = record.model_copy(
        update={
            "targets": tuple(sorted({proof.target for proof in proofs.values() if proof.emulator})),
            "offered": tuple(sorted({proof.target for proof in proofs.values()})),
            # What others put there about something else is not linked.
            "attested": attestations is not None
            and fault_of(attestations, record.filename, record.sha256) is None,
            "yanked": None if reason is None else reason.decode(errors="replace").strip(),
        }
    )
    return people.ListedWheel(entry, proofs, has_log)
