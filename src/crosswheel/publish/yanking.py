"""Yank published wheels (PEP 592), and undo that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile, ZipFile

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from crosswheel.errors import UsageError
from crosswheel.index.entry import Entry
from crosswheel.index.owner import LAST_PUBLICATION
from crosswheel.publish.channel_manifest import Signatory, require_signatory
from crosswheel.publish.contents import ChannelRecord, Listing, last_publication, list_channel, read_records
from crosswheel.publish.publisher import write_pages
from crosswheel.stores.store import Store
from crosswheel.wheels.layout import PROOF_SUFFIX, YANKED_SUFFIX


@dataclass(frozen=True)
class WheelSelection:
    """A selection of published wheels: those of a release, or some of them.

    Attributes:
        name: the project, in any spelling.
        version: the release, with its local versions (PEP 440), which pip prefers; or one local version.
        file: a file name, to select only this wheel.
        target: a target's name, to select only wheels that were proven on it.
        bundles: whether to select bundles that contain the release as well.
    """

    name: str
    version: str
    file: str | None = None
    target: str | None = None
    bundles: bool = False

    def is_release(self, name: str, version: str) -> bool:
        """Return whether a release is the selected one, or a local version of it."""
        try:
            selected, candidate = Version(self.version), Version(version)
        except InvalidVersion:
            return False
        same = selected == (candidate if selected.local else Version(candidate.public))
        return canonicalize_name(self.name) == canonicalize_name(name) and same

    def has(self, path: str, entry: Entry, listing: Listing) -> bool:
        """Return whether the selection includes a wheel, given by its path in a channel."""
        return (
            self.is_release(entry.name, entry.version)
            and self.file in (None, entry.filename)
            and (self.target is None or f"{path}.{self.target}{PROOF_SUFFIX}" in listing)
        )


@dataclass(frozen=True)
class Yanked:
    """The file names of the wheels that were yanked or restored.

    Attributes:
        wheels: the wheels of the release.
        bundles: the bundles that contain it; they were changed too if the selection says so.
    """

    wheels: tuple[str, ...]
    bundles: tuple[str, ...]


def set_yanked(
    store: Store,
    selection: WheelSelection,
    reason: str | None,
    *,
    root_url: str | None = None,
    signatory: Signatory | None = None,
) -> Yanked:
    """Yank published wheels; with ``None`` as the reason, undo that.

    Args:
        store: the channel.
        selection: the wheels.
        reason: why; may be empty.
        root_url, signatory: as in :func:`crosswheel.publish.publisher.publish`.

    Raises:
        UsageError: no such wheel was published, or the reason is not text.
        StorageError: the store failed; running the same command again resumes.
    """
    text, last = _encoded(reason), last_publication(store)
    require_signatory(store, signatory)
    listing = list_channel(store)
    records = {path: r for path, r in read_records(store, listing).items() if r.is_whole(listing)}
    paths = [path for path, record in records.items() if selection.has(path, record, listing)]
    if not paths:
        raise _not_there(store, selection, records)
    bundles = list(_bundles(store, selection, records))
    marked = [*paths, *bundles] if selection.bundles else paths
    if signatory is not None:
        signatory.sign(store, {}, dict.fromkeys(marked, text is not None))
    for path in marked:
        if text is None:
            store.remove(path + YANKED_SUFFIX)
        else:
            store.write(path + YANKED_SUFFIX, text)
    if root_url is not None and last is not None:
        publication = last.model_copy(update={"root_url": root_url or None})
        store.write(LAST_PUBLICATION, publication.model_dump_json().encode())
    write_pages(store)
    return Yanked(
        *(tuple(dict.fromkeys(path.rpartition("/")[2] for path in some)) for some in (paths, bundles))
    )


def _encoded(reason: str | None) -> bytes | None:
    try:
        return None if reason is None else reason.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the reason is not text: {error.reason}",
            hint="give it in the encoding of the terminal, or in ASCII.",
        ) from error


def _not_there(store: Store, selection: WheelSelection, records: Mapping[str, ChannelRecord]) -> UsageError:
    named = [record for record in records.values() if record.name == canonicalize_name(selection.name)]
    files = [record.filename for record in named if selection.is_release(record.name, record.version)]
    if files:
        return UsageError(
            f"no wheel of {selection.name} {selection.version} in {store.url} is "
            + (f"called {selection.file}" if selection.file else f"proven on {selection.target}"),
            hint=f"wheels there: {', '.join(sorted(files))}.",
        )
    known = sorted({record.version for record in named}, key=Version)
    return UsageError(
        f"{selection.name} {selection.version} is not in {store.url}",
        hint=f"versions there: {', '.join(known)}." if known else "that project is not there at all.",
    )


def _bundles(store: Store, selection: WheelSelection, records: Mapping[str, ChannelRecord]) -> Iterator[str]:
    """Yield the paths of the wheels of other releases that contain the selected one."""
    for path, record in records.items():
        # A bundle has a local version; only its contents tell what it contains.
        if record.order[0].local is None or selection.is_release(record.name, record.version):
            continue
        held = _held(store.read(path) or b"")
        if any(selection.is_release(name, version) for name, version in held):
            yield path


def _held(wheel: bytes) -> Sequence[tuple[str, str]]:
    """Return name and version of each distribution in a wheel, its own included."""
    try:
        members = ZipFile(BytesIO(wheel)).namelist()
    except BadZipFile:
        return ()
    folders = (member.split("/")[-2] for member in members if member.endswith(".dist-info/METADATA"))
    pairs = (folder.removesuffix(".dist-info").partition("-") for folder in folders)
    return [(name, version) for name, _, version in pairs]
