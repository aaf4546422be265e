"""Publishing itself: what is new is uploaded, and then the pages are made to say what is there."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from crosswheel.errors import IntegrityError
from crosswheel.files import sha256_of
from crosswheel.index.entry import Entry
from crosswheel.index.owner import LAST_PUBLICATION
from crosswheel.index.project_reading import read_proof
from crosswheel.index.simple import list_pages, simple_pages
from crosswheel.index.site import read_site
from crosswheel.publish.channel_manifest import Manifest, Signatory, SignedFile, require_signatory
from crosswheel.publish.contents import (
    RECORD_SUFFIX,
    ChannelRecord,
    Listing,
    Publication,
    belongs_to_channel,
    last_publication,
    list_channel,
    read_contents,
    read_records,
    wheel_path,
)
from crosswheel.publish.replacing import folder_of, is_replaceable
from crosswheel.stores.store import Store
from crosswheel.wheels.layout import (
    LOG_SUFFIX,
    METADATA_SUFFIX,
    PROOF_SUFFIX,
    PROVENANCE_SUFFIX,
    SBOM_SUFFIX,
    YANKED_SUFFIX,
)

_LIST = list_pages()[0]


@dataclass(frozen=True)
class Published:
    """What a publication did, or with ``dry_run`` would do.

    Attributes:
        new: file names of the wheels that were not there before.
        mended: file names of wheels that were published, and were not there as a whole any more.
        proofs: file names of new proofs of wheels that were.
        replaced: file names of wheels that take the place of others, with other bytes, in a channel that allows it.
        kept: how many wheels were there already.
        of_yanked: file names of new wheels of releases that are yanked there; they are not.
        pages: paths of the pages that were written; in a dry run none, for they depend on what is there then.
        manifest: what was signed, if anything was.
    """

    new: tuple[str, ...]
    mended: tuple[str, ...]
    proofs: tuple[str, ...]
    kept: int
    of_yanked: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    manifest: Manifest | None = None


@dataclass(frozen=True)
class _Upload:
    """A wheel of the site, with its place in the channel, and the files that go with it by their suffix there.

    ``replaces`` numbers it among the wheels of its file name, where others are replaced.
    """

    entry: Entry
    replaces: int
    wheel: Path
    companions: Mapping[str, Path]


def publish(
    site: Path,
    store: Store,
    *,
    channel: str | None = None,
    root_url: str | None = None,
    dry_run: bool = False,
    signatory: Signatory | None = None,
    replaceable: bool | None = None,
) -> Published:
    """Add what is in a site to a channel; what is there stays, and is never changed, only made whole again.

    In a channel that is replaceable, other bytes of a file name lie apart, and pages name the newest.

    Args:
        site: a site, as :func:`crosswheel.index.site.write_site` makes it.
        store: the channel.
        channel: the channel's name, if it follows from git.
        root_url: the channel's URL for readers, for absolute links from now on; relative if it is empty, and as they
            were if it is not given.
        dry_run: only say what would be done.
        signatory: who signs what is in the site.
        replaceable: whether wheels of the channel may be replaced from now on; as before, if it is not given.

    Raises:
        UsageError: there is no index in the site, or something else than a channel in the store; or what is signed
            there is to be changed, and nobody signs; or the channel can never be replaceable.
        IntegrityError: a wheel of that name was published with other bytes, or somebody else signed the channel.
        StorageError: the store failed; doing the same again goes on where this stopped.
    """
    local = read_site(site)
    last = last_publication(store)
    listing = list_channel(store)
    may_replace = is_replaceable(
        replaceable, channel or (last.channel if last else None), last is not None and last.replaceable
    )
    published = _ChannelSnapshot(store, listing, read_records(store, listing), may_replace)
    uploads = [_upload(site, entry, published) for entry in local.entries]
    plan = _plan(uploads, published)
    require_signatory(store, signatory)
    if dry_run:
        return plan
    if last is not None:
        channel, root_url = channel or last.channel, last.root_url if root_url is None else root_url
    publication = Publication(
        published=_now(),
        failures=local.failures,
        channel=channel,
        root_url=root_url or None,
        replaceable=may_replace,
    )
    if last is None:  # from its first file on, what is there tells whose it is
        store.create(
            LAST_PUBLICATION, publication.model_copy(update={"failures": ()}).model_dump_json().encode()
        )
    _in_parallel(store, partial(_store_wheel, published), uploads)
    # Before the pages that name them, so that whoever verifies finds everything signed that pages name.
    manifest = signatory.sign(store, _signed_files(uploads)) if signatory else None
    store.write(LAST_PUBLICATION, publication.model_dump_json().encode())
    return replace(plan, pages=tuple(write_pages(store)), manifest=manifest)


def _signed_files(uploads: Sequence[_Upload]) -> dict[str, SignedFile]:
    """Return what is signed of the wheels of a site: what they are here, whatever lies in the channel."""
    files = {}
    for upload in uploads:
        path, entry, metadata = wheel_path(upload.entry), upload.entry, upload.companions[METADATA_SUFFIX]
        files[path] = SignedFile(sha256=entry.sha256, size=entry.size)
        files[path + METADATA_SUFFIX] = SignedFile(sha256=entry.metadata_sha256, size=metadata.stat().st_size)
    return files


@dataclass(frozen=True)
class _ChannelSnapshot:
    """What was in a channel when it was looked at: its files, and the records among them by the wheel's path."""

    store: Store
    listing: Listing
    records: Mapping[str, ChannelRecord]
    replaceable: bool = False

    def has(self, entry: Entry) -> bool:
        """Whether a wheel is published there, as a whole."""
        record = self.records.get(wheel_path(entry))
        return record is not None and record.is_whole(self.listing)

    def targets_of(self, record: ChannelRecord) -> set[str]:
        """Return the targets that have a proof of a wheel there."""
        path = wheel_path(record) + "."
        names = [name[len(path) :] for name in self.listing if name.startswith(path)]
        return {name.removesuffix(PROOF_SUFFIX) for name in names if name.endswith(PROOF_SUFFIX)}

    def placed(self, entry: Entry) -> tuple[Entry, int]:
        """Return a wheel with its place there, and its number among those of its name where they replace each other.

        It lies apart where its name is taken: by other targets' bytes, or by those that it replaces.

        Raises:
            IntegrityError: its name is taken by other bytes for one of its targets, or where no proof tells for whom,
                and the channel is not replaceable.
        """
        hashed = entry.model_copy(update={"apart": folder_of(entry.sha256)})
        taken = self._by_name.get((entry.name, entry.filename), [])
        if not taken:
            return (hashed if self.replaceable and self._is_in_the_way(entry) else entry), 0
        newest = max(record.replaces for record in taken)
        same = next((record for record in taken if record.sha256 == entry.sha256), None)
        if same is not None:
            later = any(record.replaces >= same.replaces for record in taken if record is not same)
            number = newest + 1 if self.replaceable and later else same.replaces
            return entry.model_copy(update={"apart": same.apart}), number
        theirs = [self.targets_of(record) for record in taken]
        if not entry.offered or not all(theirs) or set(entry.offered) & set().union(*theirs):
            if not self.replaceable:
                raise _refused(self.store, entry)
            return hashed, newest + 1
        return entry.model_copy(update={"apart": entry.offered[0]}), 0

    def _is_in_the_way(self, entry: Entry) -> bool:
        """Whether other bytes lie where a wheel would: of a publisher that died, as there is no record of them."""
        path = wheel_path(entry)
        return (
            path in self.listing and hashlib.sha256(self.store.read(path) or b"").hexdigest() != entry.sha256
        )

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str], Sequence[ChannelRecord]]:
        records: dict[tuple[str, str], list[ChannelRecord]] = {}
        for record in self.records.values():
            records.setdefault((record.name, record.filename), []).append(record)
        return records

    def yanks(self, entry: Entry) -> bool:
        """Whether a wheel of the same release is yanked there."""
        return any(
            record.name == entry.name and record.is_of_release(entry) and path + YANKED_SUFFIX in self.listing
            for path, record in self.records.items()
        )


def _plan(uploads: Sequence[_Upload], published: _ChannelSnapshot) -> Published:
    new: list[Entry] = []
    mended: list[str] = []
    replaced: list[str] = []
    proofs: list[str] = []
    for upload in uploads:
        path, entry = wheel_path(upload.entry), upload.entry
        record = published.records.get(path)
        if upload.replaces > (record.replaces if record else 0):
            replaced.append(entry.filename)
        elif record is None:
            new.append(entry)
        elif not published.has(entry):
            mended.append(entry.filename)
        else:
            proofs += [
                file.name
                for suffix, file in upload.companions.items()
                if suffix.endswith(PROOF_SUFFIX) and path + suffix not in published.listing
            ]
    return Published(
        new=tuple(entry.filename for entry in new),
        mended=tuple(mended),
        proofs=tuple(proofs),
        kept=len(uploads) - len(new) - len(mended) - len(replaced),
        replaced=tuple(replaced),
        of_yanked=tuple(entry.filename for entry in new if published.yanks(entry)),
    )


def write_pages(store: Store) -> list[str]:
    """Make a channel's pages say what is there; return the paths of those that were written or removed.

    Pages of projects are written before those that name projects, and removed after them. When anything came
    meanwhile, from another publisher, it is done again: that one may have written its pages before these.
    """
    written: dict[str, None] = {}
    last_state: object = None
    while (now := (list_channel(store), store.read(LAST_PUBLICATION))) != last_state:
        last_state = now
        pages = read_contents(store, *now).pages()
        published = store.read_all(pages)
        changed = {path: data for path, data in pages.items() if published.get(path) != data}
        for stage in _stages(changed):
            store.write_all({path: changed[path] for path in stage})
        removed = list(_left_over(store, pages))
        for path in removed:
            store.remove(path)
        written.update(dict.fromkeys((*changed, *removed)))
    return list(written)


def _left_over(store: Store, pages: Collection[str]) -> Iterator[str]:
    """Yield the paths of the pages of projects of which nothing is published any more; what pip reads goes first."""
    roots = ["", *(page[: -len(_LIST)] for page in pages if page.endswith(f"/{_LIST}"))]
    for path in store.listing("project"):
        if path not in pages and belongs_to_channel(path):
            name = path[len("project/") : -len(".html")]
            yield from (page for root in roots for page in simple_pages(name, root))
            yield path


def _stages(paths: Iterable[str]) -> list[list[str]]:
    """Return paths of pages in groups, to be written one after the other: assets, projects, what names them."""
    stages: list[list[str]] = [[], [], []]
    for path in paths:
        folder = path.split("/")[:-1]
        of_project = folder[0] == "project" or folder[-2:-1] == ["simple"] if folder else False
        stages[0 if path.startswith("assets/") else 1 if of_project else 2].append(path)
    return stages


def _upload(site: Path, entry: Entry, published: _ChannelSnapshot) -> _Upload:
    wheel = site / wheel_path(entry)
    companions = {METADATA_SUFFIX: wheel.with_name(wheel.name + METADATA_SUFFIX)}
    log = wheel.with_name(wheel.name + LOG_SUFFIX)
    if log.is_file():
        companions[LOG_SUFFIX] = log
    for path in wheel.parent.glob(f"{wheel.name}*{PROOF_SUFFIX}"):
        # The proofs of several targets meet in a channel.
        companions[f".{read_proof(path, entry.filename, entry.sha256).target}{PROOF_SUFFIX}"] = path
    for path in wheel.parent.glob(f"{wheel.name}.*.json"):
        if path.name.endswith((PROVENANCE_SUFFIX, SBOM_SUFFIX)):
            companions[path.name[len(wheel.name) :]] = path
    return _Upload(*published.placed(entry), wheel, companions)


def _store_wheel(channel: _ChannelSnapshot, upload: _Upload) -> None:
    """Store a wheel and what belongs to it, as far as it is not there as a whole; its record comes last."""
    store, path, entry = channel.store, wheel_path(upload.entry), upload.entry
    is_whole, published = channel.has(entry), path in channel.records
    if not is_whole and sha256_of(upload.wheel) != entry.sha256:
        raise IntegrityError(
            f"{upload.wheel} is not what the index says it is",
            hint="make the index again with `crosswheel index`, then publish.",
        )
    for suffix, file in {"": upload.wheel, **upload.companions}.items():
        if (is_whole and path + suffix in channel.listing) or store.create(path + suffix, file):
            continue
        # Without a record it may be there from a publisher that died, or of one that is not done yet.
        if suffix in ("", METADATA_SUFFIX) and store.read(path + suffix) != file.read_bytes():
            if not published:
                raise _refused(store, entry)
            store.write(path + suffix, file.read_bytes())
    if not published or upload.replaces > channel.records[path].replaces:
        data = _record(upload).model_dump_json(exclude_defaults=True).encode()
        if published:  # it was replaced, and is back
            store.write(path + RECORD_SUFFIX, data)
        else:
            store.create(path + RECORD_SUFFIX, data)


def _record(upload: _Upload) -> ChannelRecord:
    facts = upload.entry.model_dump(exclude={"targets", "yanked", "log"})
    size = upload.companions[METADATA_SUFFIX].stat().st_size
    return ChannelRecord.model_validate(
        {**facts, "uploaded": _now(), "metadata_size": size, "replaces": upload.replaces}
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def _in_parallel(store: Store, function: Callable[[_Upload], None], uploads: Sequence[_Upload]) -> None:
    with ThreadPoolExecutor(store.parallel) as pool:
        futures = [pool.submit(function, upload) for upload in uploads]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _refused(store: Store, entry: Entry) -> IntegrityError:
    return IntegrityError(
        f"{entry.filename} was published in {store.url} with other bytes",
        hint="what is published never changes: give the new build another version or build number "
        "(PEP 427), and yank the old one if it is bad.",
    )
