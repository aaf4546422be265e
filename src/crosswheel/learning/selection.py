"""Select the files of a machine that its Python loads, and keep them as a userland."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from crosswheel.errors import IntegrityError, TargetError
from crosswheel.learning.source import Listed, Source
from crosswheel.userlands import Userland, UserlandEntry, UserlandStore, links_on_the_way, resolved

# Folders without programs of the image.
_OUTSIDE = re.compile(r"/(dev|home|lost\+found|media|mnt|proc|root|run|srv|sys|tmp|var)(/|$)")
_LIBRARY = re.compile(r"/(usr/(local/)?)?(lib\w*|opt)/.*\.so(\.[^/]*)?$")
_PYTHON = re.compile(r"/(usr/(local/)?)?(lib\w*|opt)/(.*/)?python3?(\.\d+)?/")
_PROGRAM = re.compile(r"/((usr/(local/)?)?bin|opt/(.*/)?bin)/python3(\.\d+)?$")
_SETTINGS = re.compile(
    r"/etc/(ld\.so\.(cache|conf|conf\.d/.*\.conf)|ld-musl-\w+\.path|pip\.conf|xdg/pip/pip\.conf|os-release|python3[^/]*/.*)$"
    r"|/usr/lib/os-release$"
)
_SKIPPED = re.compile(r"/(__pycache__|modules/\d[^/]*)/|\.a$")
# Links to folders, which give the same files several names.
_FOLDER_LINK = re.compile(r"/(usr/(local/)?)?[^/]+$|/etc/alternatives/")
_PLACES = ("/usr/local/bin", "/usr/bin", "/bin")
_NAMED_LOADER = re.compile(r"\.so\.\d+$")
_SHORT = re.compile(r"python(3\.\d+)$")
_HALF = "this is half a root file system: name a whole one, or the machine itself with --robot."


@dataclass(frozen=True)
class Selection:
    """The files to copy from a machine.

    Attributes:
        paths: the files and links, by path.
        python: the path of its Python, with all links followed; ``None`` if it has none.
        kernel: the newest kernel with installed modules; empty without modules.
        loader: the path of the dynamic loader, as programs name it.
    """

    paths: tuple[str, ...]
    python: str | None
    kernel: str
    loader: str | None = None


def belongs(path: str) -> bool:
    """Return whether a machine's Python loads a file, or the file describes the machine."""
    if _OUTSIDE.match(path) or _SKIPPED.search(path):
        return False
    return any(kind.match(path) for kind in (_LIBRARY, _PYTHON, _PROGRAM, _SETTINGS))


def select(listing: Mapping[str, Listed], title: str) -> Selection:
    """Choose the files to copy from a machine.

    Raises:
        TargetError: it is not a Linux system.
        IntegrityError: a part is missing.
    """
    link_of = links_of(listing)
    loaders = [path for path in listing if re.search(r"/ld(-linux|-musl|64)?[^/]*\.so(\.\d+)?$", path)]
    if not loaders:
        if any(re.match(r"/(system/bin|Windows|bin/launchctl|Applications)", path) for path in listing):
            raise TargetError(f"{title} is no Linux", hint="crosswheel makes wheels for Linux alone.")
        raise IntegrityError(f"{title} has no dynamic loader (such as /lib/ld-linux.so)", hint=_HALF)
    python = _python_of(listing, link_of)
    chosen = {path for path, item in listing.items() if item.kind in ("file", "link") and belongs(path)}
    chosen |= {p for p, item in listing.items() if item.kind == "link" and _FOLDER_LINK.match(p)}
    paths = tuple(sorted(with_goals(chosen, listing, link_of)))
    return Selection(paths, python, _kernel_of(listing), _loader_of(loaders, listing, link_of))


def take(
    source: Source,
    store: UserlandStore,
    tell: Callable[[str], None],
    chosen: Callable[[str], bool] = lambda path: True,
) -> tuple[Userland, Selection]:
    """Keep the userland of a machine; files in the store are not read again.

    Args:
        tell: receives progress messages.
        chosen: returns whether to copy the file at a path; all files of the selection, if not given.

    Raises:
        TargetError, IntegrityError, NetworkError, StorageError: the userland is incomplete. Nothing is kept except
            single files, which the next attempt reuses.
    """
    tell(f"looking what is in {source.title}")
    listing = source.listing()
    selection = select(listing, source.title)
    paths = (path for path in selection.paths if listing[path].kind == "link" or chosen(path))
    selection = replace(selection, paths=tuple(paths))
    return copied(source, listing, selection.paths, store, tell), selection


def copied(
    source: Source,
    listing: Mapping[str, Listed],
    paths: Collection[str],
    store: UserlandStore,
    tell: Callable[[str], None],
) -> Userland:
    """Copy files and links of a machine into a store; files in the store are not read again.

    Args:
        listing: what the source has; it names each of the paths.
        tell: receives progress messages.

    Raises:
        IntegrityError, NetworkError, StorageError: a file cannot be copied. Nothing is kept except single files.
    """
    entries = dict(_entries(paths, listing, store))
    files = [path for path in paths if listing[path].kind == "file"]
    missing = [path for path in files if path not in entries]
    expected, done = sum(listing[path].size for path in missing), 0
    for number, (path, stream) in enumerate(source.files(missing), 1):
        sha256 = store.put_blob(stream)
        if listing[path].sha256 not in ("", sha256):
            raise IntegrityError(
                f"{path} of {source.title} was changed while it was read", hint="run the same command again."
            )
        entries[path] = UserlandEntry("file", sha256, listing[path].executable)
        done += listing[path].size
        tell(f"{number} of {len(missing)} files, {done >> 20} of {expected >> 20} MiB: {path}")
    absent = [path for path in files if path not in entries]
    if absent:
        raise IntegrityError(f"{source.title} did not give {absent[0]}, which it lists", hint=_HALF)
    return store.keep(entries)


def _entries(
    paths: Iterable[str], listing: Mapping[str, Listed], store: UserlandStore
) -> Iterator[tuple[str, UserlandEntry]]:
    """Yield entries that need no reading: links, and files with content in the store."""
    for path in paths:
        item = listing[path]
        if item.kind == "link":
            yield path, UserlandEntry("link", link=_relative(path, item.link))
        elif item.sha256 and store.has_blob(item.sha256):
            yield path, UserlandEntry("file", item.sha256, item.executable)


def with_goals(
    chosen: Iterable[str], listing: Mapping[str, Listed], link_of: Callable[[str], str | None]
) -> set[str]:
    """Return files and links with the targets of the links; no link leaves the root."""
    reached = set(chosen)
    for path in [path for path in reached if listing[path].kind == "link"]:
        try:
            reached |= set(links_on_the_way(path, link_of))
            goal = resolved(path, link_of)
        except IntegrityError:  # a circle, which no program can load
            reached.discard(path)
            continue
        if goal in listing and listing[goal].kind == "file":
            reached.add(goal)
    folders = {posixpath.dirname(path) for path in reached}
    real = {folder for folder in folders if resolved(folder, link_of) == folder}
    return {path for path in reached if posixpath.dirname(path) in real}


def _relative(path: str, link: str) -> str:
    """Return a link's text so that it has the same target wherever the root lies, and never leaves it."""
    folder = posixpath.dirname(path)
    depth = len([name for name in folder.split("/") if name])
    if not link.startswith("/") and link.split("/").count("..") <= depth:
        return link
    return posixpath.relpath(posixpath.normpath("/" + posixpath.join(folder, link).lstrip("/")), folder)


def links_of(listing: Mapping[str, Listed]) -> Callable[[str], str | None]:
    """Return the function that tells the target of the link at a path; ``None`` if there is no link."""

    def link_of(path: str) -> str | None:
        item = listing.get(path)
        return item.link if item and item.kind == "link" else None

    return link_of


def _python_of(listing: Mapping[str, Listed], link_of: Callable[[str], str | None]) -> str | None:
    """Return the Python that a login shell starts; the newest one, if none is named ``python3``."""
    named = [f"{folder}/python3" for folder in _PLACES]
    numbered = [path for path in listing if _PROGRAM.match(path) and _SHORT.search(path)]
    numbered.sort(key=lambda path: int(path.rpartition(".")[2]), reverse=True)
    for path in (*named, *numbered):
        try:
            goal = resolved(path, link_of)
        except IntegrityError:
            continue
        if goal in listing and listing[goal].kind == "file":
            return goal
    return None


def _loader_of(
    loaders: Iterable[str], listing: Mapping[str, Listed], link_of: Callable[[str], str | None]
) -> str | None:
    """Return the dynamic loader by the path that programs name; of several, glibc's, and that of 64-bit programs."""
    names = {posixpath.basename(path) for path in loaders if _NAMED_LOADER.search(path)}
    for name in sorted(names, key=lambda name: ("musl" in name, name)):
        for folder in ("/lib64", "/lib"):
            goal = resolved(f"{folder}/{name}", link_of)
            if goal in listing and listing[goal].kind == "file":
                return f"{folder}/{name}"
    return None


def _kernel_of(listing: Mapping[str, Listed]) -> str:
    found = {m[1] for m in (re.match(r"/(?:usr/)?lib/modules/(\d+(?:\.\d+)+[^/]*)", p) for p in listing) if m}
    return max(found, key=lambda release: [int(n) for n in re.findall(r"\d+", release)[:3]], default="")
