"""Publishing itself: what is new is uploaded, and then the pages are made to say what is there."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from crosswheel.errors import IntegrityError, UsageError
from crosswheel.files import sha256_of
from crosswheel.index.entry import Entry
from crosswheel.index.owner import LAST_PUBLICATION
from crosswheel.index.site import read_site
from crosswheel.publish.contents import (
    RECORD_SUFFIX,
    Listing,
    Publication,
    list_channel,
    read_contents,
    read_records,
    wheel_path,
)
from crosswheel.stores.store import Store
from crosswheel.wheels.layout import LOG_SUFFIX, METADATA_SUFFIX, PROOF_SUFFIX, YANKED_SUFFIX
from crosswheel.wheels.proof import Proof


@dataclass(frozen=True)
class Published:
    """What a publication did, or with ``dry_run`` would do.

    Attributes:
        new: file names of the wheels that were not there before.
        proofs: file names of new proofs of wheels that were.
        kept: how many wheels were there already.
        pages: paths of the pages that were written; in a dry run none, for they depend on what is there then.
    """

    new: tuple[str, ...]
    proofs: tuple[str, ...]
    kept: int
    pages: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Upload:
    """A wheel of the site, and the files that go with it by their suffix in the channel."""

    entry: Entry
    wheel: Path
    beside: Mapping[str, Path]


def publish(site: Path, store: Store, *, root_url: str | None = None, dry_run: bool = False) -> Published:
    """Add what is in a site to a channel; what is there stays, and is never changed.

    Args:
        site: a site, as :func:`crosswheel.index.site.write_site` makes it.
        store: the channel.
        root_url: the channel's URL for readers, for absolute links; links are relative without it.
        dry_run: only say what would be done.

    Raises:
        UsageError: there is no index in the site.
        IntegrityError: a wheel of that name was published with other bytes.
        StorageError: the store failed; doing the same again goes on where this stopped.
    """
    local = read_site(site)
    uploads = [_upload(site, entry) for entry in local.entries]
    listing = list_channel(store)
    records = read_records(store, listing)
    new = []
    for upload in uploads:
        record = records.get(wheel_path(upload.entry))
        if record is None:
            new.append(upload)
        elif record.sha256 != upload.entry.sha256:
            raise _refused(store, upload.entry)
    proofs = [
        path.name
        for upload in uploads
        for suffix, path in upload.beside.items()
        if suffix.endswith(PROOF_SUFFIX)
        and wheel_path(upload.entry) + suffix not in listing
        and upload not in new
    ]
    plan = Published(tuple(u.entry.filename for u in new), tuple(proofs), len(uploads) - len(new))
    if dry_run:
        return plan
    _in_parallel(store, partial(_store_wheel, store, listing), uploads)
    last = Publication(published=_now(), failures=local.failures)
    store.write(LAST_PUBLICATION, last.model_dump_json().encode())
    return Published(plan.new, plan.proofs, plan.kept, tuple(write_pages(store, root_url)))


def set_yanked(
    store: Store, name: str, version: str, reason: str | None, *, root_url: str | None = None
) -> list[str]:
    """Yank a published version, or with ``None`` as the reason take that back; return the wheels' file names.

    Raises:
        UsageError: that version was not published there.
    """
    records = read_records(store, list_channel(store))
    paths = [path for path, entry in records.items() if _is_release(entry, name, version)]
    if not paths:
        known = sorted(
            {e.version for e in records.values() if e.name == canonicalize_name(name)}, key=Version
        )
        raise UsageError(
            f"{name} {version} is not in {store.url}",
            hint=f"versions there: {', '.join(known)}." if known else "that project is not there at all.",
        )
    for path in paths:
        if reason is None:
            store.remove(path + YANKED_SUFFIX)
        else:
            store.write(path + YANKED_SUFFIX, reason.encode())
    write_pages(store, root_url)
    return [path.rpartition("/")[2] for path in paths]


def write_pages(store: Store, root_url: str | None = None) -> list[str]:
    """Make a channel's pages say what is there; return the paths of those that were written.

    Pages of projects are written before those that name projects. When anything came meanwhile, from another
    publisher, it is done again: that one may have written its pages before these.
    """
    written: dict[str, None] = {}
    listing: Listing | None = None
    while (now := list_channel(store)) != listing:
        listing = now
        pages = read_contents(store, listing).pages(root_url)
        there = store.read_all(pages)
        changed = {path: data for path, data in pages.items() if there.get(path) != data}
        for stage in _stages(changed):
            store.write_all({path: changed[path] for path in stage})
        written.update(dict.fromkeys(changed))
    return list(written)


def _stages(paths: Iterable[str]) -> list[list[str]]:
    """Return paths of pages in groups, to be written one after the other: assets, projects, what names them."""
    stages: list[list[str]] = [[], [], []]
    for path in paths:
        of_project = path.count("/") == (2 if path.startswith("simple/") else 1)
        stages[0 if path.startswith("assets/") else 1 if of_project else 2].append(path)
    return stages


def _upload(site: Path, entry: Entry) -> _Upload:
    wheel = site / wheel_path(entry)
    beside = {METADATA_SUFFIX: wheel.with_name(wheel.name + METADATA_SUFFIX)}
    log = wheel.with_name(wheel.name + LOG_SUFFIX)
    if log.is_file():
        beside[LOG_SUFFIX] = log
    for path in wheel.parent.glob(f"{wheel.name}*{PROOF_SUFFIX}"):
        # The proofs of several targets meet in a channel.
        target = Proof.model_validate_json(path.read_bytes()).target
        beside[f".{target}{PROOF_SUFFIX}"] = path
    return _Upload(entry, wheel, beside)


def _store_wheel(store: Store, listing: Listing, upload: _Upload) -> None:
    """Store a wheel and what belongs to it, as far as it is not there; its record comes last."""
    path, entry = wheel_path(upload.entry), upload.entry
    if path + RECORD_SUFFIX not in listing:
        if sha256_of(upload.wheel) != entry.sha256:
            raise IntegrityError(
                f"{upload.wheel} is not what the index says it is",
                hint="make the index again with `crosswheel index`, then publish.",
            )
        # Without a record it may be there from a publisher that died, or of one that is not done yet.
        if not store.create(path, upload.wheel) and store.read(path) != upload.wheel.read_bytes():
            raise _refused(store, entry)
    for suffix, file in upload.beside.items():
        if path + suffix not in listing:
            store.create(path + suffix, file)
    if path + RECORD_SUFFIX not in listing:
        record = entry.model_copy(update={"uploaded": _now(), "targets": (), "yanked": None, "log": None})
        store.create(path + RECORD_SUFFIX, record.model_dump_json(exclude_defaults=True).encode())


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


def _is_release(entry: Entry, name: str, version: str) -> bool:
    try:
        return entry.name == canonicalize_name(name) and Version(entry.version) == Version(version)
    except InvalidVersion:
        return False


def _refused(store: Store, entry: Entry) -> IntegrityError:
    return IntegrityError(
        f"{entry.filename} was published in {store.url} with other bytes",
        hint="what is published never changes: give the new build another version or build number "
        "(PEP 427), and yank the old one if it is bad.",
    )
