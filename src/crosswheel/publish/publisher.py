"""Publish a site: upload its new wheels, then write pages that list what the channel has."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from crosswheel.errors import IntegrityError, UsageError
from crosswheel.files import sha256_of
from crosswheel.index.entry import Entry
from crosswheel.index.owner import LAST_PUBLICATION
from crosswheel.index.project_reading import read_proof
from crosswheel.index.simple import is_secure, list_pages, simple_pages
from crosswheel.index.site import SiteContents, read_site
from crosswheel.publish.channel_manifest import Manifest, Signatory, SignedFile, require_signatory
from crosswheel.publish.contents import (
    RECORD_SUFFIX,
    ChannelRecord,
    Listing,
    Publication,
    belongs_to_channel,
    files_of,
    last_publication,
    list_channel,
    portions,
    projects_of,
    read_contents,
    read_records,
    wheel_path,
)
from crosswheel.publish.replacing import folder_of, is_replaceable
from crosswheel.signing.public_ci import Attester
from crosswheel.stores.store import Store
from crosswheel.wheels.attestations import path_beside as attestations_beside
from crosswheel.wheels.attestations import require_of as require_attested
from crosswheel.wheels.layout import (
    ATTESTATIONS_SUFFIX,
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
    """What a publication did; with ``dry_run``, what it would do.

    Attributes:
        new: file names of the new wheels.
        mended: file names of published wheels that were incomplete and were repaired.
        proofs: file names of new proofs of existing wheels.
        replaced: file names of wheels that replace others of the same name, in a channel that allows it.
        kept: the number of unchanged wheels.
        attested: file names of the wheels that were attested by a public CI.
        of_yanked: file names of new wheels, not yanked themselves, of releases that are yanked in the channel.
        pages: paths of the pages that were written; none in a dry run, because they depend on the contents then.
        manifest: the signed manifest, if there is one.
    """

    new: tuple[str, ...]
    mended: tuple[str, ...]
    proofs: tuple[str, ...]
    kept: int
    of_yanked: tuple[str, ...] = ()
    attested: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    manifest: Manifest | None = None


@dataclass(frozen=True)
class _Upload:
    """A wheel of the site, with its place in the channel and its other files by suffix.

    ``replaces`` is its number among the wheels of its file name, if they replace each other.
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
    attester: Attester | None = None,
) -> Published:
    """Add the contents of a site to a channel; existing files are never changed, only restored if damaged.

    In a replaceable channel, other bytes under a file name get a separate folder, and pages name the newest.

    Args:
        site: a site, as :func:`crosswheel.index.site.write_site` makes it.
        store: the channel.
        channel: the channel's name, if it comes from git.
        root_url: the channel's URL for readers, for absolute links from now on; empty for relative links, ``None`` to
            keep the present setting.
        dry_run: write nothing; only report.
        signatory: signs the site's wheels.
        replaceable: whether wheels may be replaced from now on; ``None`` keeps the present setting.
        attester: attests the site's wheels that are not attested in the channel yet.

    Raises:
        UsageError: the site has no index, the store has other contents than a channel, a signed channel is changed
            without a signatory, the channel can never be replaceable, or its pages cannot name attestations.
        IntegrityError: a wheel of that name was published with other bytes, or an untrusted key signed the channel.
        StorageError: the store failed; running the same command again resumes.
    """
    last = last_publication(store)
    may_replace = is_replaceable(
        replaceable, channel or (last.channel if last else None), last is not None and last.replaceable
    )
    if last is not None:
        channel, root_url = channel or last.channel, last.root_url if root_url is None else root_url
    settings = Publication(
        published=_now(), channel=channel, root_url=root_url or None, replaceable=may_replace
    )
    # What this needed is free again when the pages are made.
    published = _store_site(site, store, settings, signatory, attester, is_new=last is None, dry_run=dry_run)
    return published if dry_run else replace(published, pages=tuple(write_pages(store)))


def _store_site(
    site: Path,
    store: Store,
    settings: Publication,
    signatory: Signatory | None,
    attester: Attester | None,
    *,
    is_new: bool,
    dry_run: bool,
) -> Published:
    """Do all that :func:`publish` does but for pages."""
    comparison = _Comparison(
        site, read_site(site), store, projects_of(list_channel(store)), settings.replaceable
    )
    survey = _surveyed(comparison)
    require_signatory(store, signatory)
    if attester:
        _require_own_url(settings.root_url)
    if dry_run:
        return survey.plan
    if is_new:  # the first file marks the channel's owner
        store.create(LAST_PUBLICATION, settings.model_dump_json().encode())
    for snapshot, uploads in comparison.portions(survey.changed):
        _in_parallel(store, partial(_store_wheel, snapshot), uploads)
    attested = tuple(_attest(store, survey.unattested, attester)) if attester else ()
    # Sign before writing pages, so that every wheel that a page names is signed.
    manifest = signatory.sign(store, _signed_files(comparison)) if signatory else None
    local = comparison.local
    publication = settings.model_copy(update={"failures": local.failures, "batches": local.batches})
    store.write(LAST_PUBLICATION, publication.model_dump_json().encode())
    return replace(survey.plan, attested=attested, manifest=manifest)


def _require_own_url(root_url: str | None) -> None:
    if not root_url or not is_secure(root_url):
        raise UsageError(
            "pages can name attestations by a full https URL alone (PEP 740), and the channel's is not known",
            hint="give the address of the channel for readers with --index-root-url https://…",
        )


def _attest(store: Store, unattested: Mapping[Path, str], attester: Attester) -> Iterator[str]:
    """Attest wheels, put the attestations next to them at once, and yield the wheels' file names.

    Args:
        unattested: their paths in the channel.
    """
    for wheel, attested in attester.attest(list(unattested)):
        store.create(unattested[wheel] + ATTESTATIONS_SUFFIX, attested.provenance.encode())
        yield wheel.name


def _signed_files(comparison: _Comparison) -> dict[str, SignedFile]:
    """Return the signed facts about a site's wheels, taken from the site and not from the channel."""
    files = {}
    for _, uploads in comparison.portions(comparison.local.known):
        for upload in uploads:
            path, entry, metadata = (
                wheel_path(upload.entry),
                upload.entry,
                upload.companions[METADATA_SUFFIX],
            )
            files[path] = SignedFile(sha256=entry.sha256, size=entry.size)
            files[path + METADATA_SUFFIX] = SignedFile(
                sha256=entry.metadata_sha256, size=metadata.stat().st_size
            )
    return files


@dataclass(frozen=True)
class _Comparison:
    """A site beside a channel as it was at one moment.

    Attributes:
        published: the channel's files by project.
        replaceable: whether wheels may be replaced there.
    """

    site: Path
    local: SiteContents
    store: Store
    published: Mapping[str, Listing]
    replaceable: bool

    def portions(self, names: Iterable[str]) -> Iterator[tuple[_ChannelSnapshot, list[_Upload]]]:
        """Yield what the channel has of some of these projects at a time, and the site's wheels of them.

        Raises:
            IntegrityError: other bytes have a wheel's name in the channel.
        """
        projects = self.local.projects
        sizes = {name: projects[name].wheels + len(self.published.get(name, ())) for name in names}
        for portion in portions(sizes):
            listing = files_of(portion, self.published)
            snapshot = _ChannelSnapshot(
                self.store, listing, read_records(self.store, listing), self.replaceable
            )
            entries = (entry for name in portion for entry in self.local.entries(name))
            yield snapshot, [_upload(self.site, entry, snapshot) for entry in entries]


@dataclass(frozen=True)
class _Survey:
    """What is to be done for a site.

    Attributes:
        plan: what a publication does.
        changed: the projects with a file that the channel lacks.
        unattested: the wheels without attestations, with their paths in the channel.
    """

    plan: Published
    changed: Sequence[str]
    unattested: Mapping[Path, str]


def _surveyed(comparison: _Comparison) -> _Survey:
    plans: list[Published] = []
    changed: dict[str, None] = {}
    unattested: dict[Path, str] = {}
    for snapshot, uploads in comparison.portions(comparison.local.known):
        plans.append(_plan(uploads, snapshot))
        for upload in uploads:
            if not snapshot.has_all(upload):
                changed[upload.entry.name] = None
            path = wheel_path(upload.entry) + ATTESTATIONS_SUFFIX
            if ATTESTATIONS_SUFFIX not in upload.companions and path not in snapshot.listing:
                unattested[upload.wheel] = wheel_path(upload.entry)
    plan = Published(
        new=tuple(name for plan in plans for name in plan.new),
        mended=tuple(name for plan in plans for name in plan.mended),
        proofs=tuple(name for plan in plans for name in plan.proofs),
        kept=sum(plan.kept for plan in plans),
        replaced=tuple(name for plan in plans for name in plan.replaced),
        of_yanked=tuple(name for plan in plans for name in plan.of_yanked),
    )
    return _Survey(plan, tuple(changed), unattested)


@dataclass(frozen=True)
class _ChannelSnapshot:
    """What a channel has of some projects at one moment: files, and the records among them by the wheel's path."""

    store: Store
    listing: Listing
    records: Mapping[str, ChannelRecord]
    replaceable: bool = False

    def has(self, entry: Entry) -> bool:
        """Return whether the channel has a wheel completely published."""
        record = self.records.get(wheel_path(entry))
        return record is not None and record.is_whole(self.listing)

    def has_all(self, upload: _Upload) -> bool:
        """Return whether the channel has a wheel, in force, with all of its other files."""
        path = wheel_path(upload.entry)
        return (
            self.has(upload.entry)
            and all(path + suffix in self.listing for suffix in upload.companions)
            and upload.replaces <= self.records[path].replaces
        )

    def targets_of(self, record: ChannelRecord) -> set[str]:
        """Return the targets with a proof of a wheel in the channel."""
        path = wheel_path(record) + "."
        names = [name[len(path) :] for name in self.listing if name.startswith(path)]
        return {name.removesuffix(PROOF_SUFFIX) for name in names if name.endswith(PROOF_SUFFIX)}

    def placed(self, entry: Entry) -> tuple[Entry, int]:
        """Return a wheel with its place in the channel, and its number among replaceable wheels of its name.

        It gets a separate folder if its name is taken: by other targets' bytes, or by the bytes that it replaces.

        Raises:
            IntegrityError: other bytes have the name for one of its targets, or without a proof of any target, and the
                channel is not replaceable.
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
            placed = entry if entry.apart == same.apart else entry.model_copy(update={"apart": same.apart})
            return placed, number
        theirs = [self.targets_of(record) for record in taken]
        if not entry.offered or not all(theirs) or set(entry.offered) & set().union(*theirs):
            if not self.replaceable:
                raise _refused(self.store, entry)
            return hashed, newest + 1
        return entry.model_copy(update={"apart": entry.offered[0]}), 0

    def _is_in_the_way(self, entry: Entry) -> bool:
        """Return whether an interrupted publisher left other bytes at a wheel's path; such a wheel has no record."""
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
    """Bring a channel's pages up to date; return the paths of those that were written or removed.

    Projects' pages are written before the pages that list projects, and removed after them. If another publisher
    changed the channel meanwhile, start over: it may have written its pages before these.
    """
    written: dict[str, None] = {}
    last_state: object = None
    while (now := (list_channel(store), store.read(LAST_PUBLICATION))) != last_state:
        last_state = now
        paths: set[str] = set()
        for pages in read_contents(store, *now).pages():
            published = store.read_all(pages)
            changed = {path: data for path, data in pages.items() if published.get(path) != data}
            store.write_all(changed)
            paths.update(pages)
            written.update(dict.fromkeys(changed))
        removed = list(_left_over(store, paths))
        for path in removed:
            store.remove(path)
        written.update(dict.fromkeys(removed))
    return list(written)


def _left_over(store: Store, pages: Collection[str]) -> Iterator[str]:
    """Yield the paths of the pages of projects without wheels; pages that pip reads come first."""
    roots = ["", *(page[: -len(_LIST)] for page in pages if page.endswith(f"/{_LIST}"))]
    for path in store.listing("project"):
        if path not in pages and belongs_to_channel(path):
            name = path[len("project/") : -len(".html")]
            yield from (page for root in roots for page in simple_pages(name, root))
            yield path


def _upload(site: Path, entry: Entry, published: _ChannelSnapshot) -> _Upload:
    wheel = site / wheel_path(entry)
    companions = {METADATA_SUFFIX: wheel.with_name(wheel.name + METADATA_SUFFIX)}
    log = wheel.with_name(wheel.name + LOG_SUFFIX)
    if log.is_file():
        companions[LOG_SUFFIX] = log
    for path in wheel.parent.glob(f"{wheel.name}*{PROOF_SUFFIX}"):
        # In a channel, the proofs of several targets come together.
        companions[f".{read_proof(path, entry.filename, entry.sha256).target}{PROOF_SUFFIX}"] = path
    attestations = attestations_beside(wheel)
    if attestations.is_file():
        require_attested(attestations, entry.filename, entry.sha256)
        companions[ATTESTATIONS_SUFFIX] = attestations
    for path in wheel.parent.glob(f"{wheel.name}.*.json"):
        if path.name.endswith((PROVENANCE_SUFFIX, SBOM_SUFFIX)):
            companions[path.name[len(wheel.name) :]] = path
    return _Upload(*published.placed(entry), wheel, companions)


def _store_wheel(channel: _ChannelSnapshot, upload: _Upload) -> None:
    """Store a wheel and its other files unless they are complete already; write its record last."""
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
        # Without a record, the file may come from an interrupted publisher, or from one that still runs.
        if suffix in ("", METADATA_SUFFIX) and store.read(path + suffix) != file.read_bytes():
            if not published:
                raise _refused(store, entry)
            store.write(path + suffix, file.read_bytes())
    if not published or upload.replaces > channel.records[path].replaces:
        data = _record(upload).model_dump_json(exclude_defaults=True).encode()
        if published:  # a wheel that had been replaced is published again
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
