"""Fetches the source that a recipe names, verifies it, and unpacks it into a tree."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from crosswheel.cached import CachedFolder
from crosswheel.download import download, offline_error
from crosswheel.errors import IntegrityError, NetworkError, PlanError, RecipeError
from crosswheel.files import digest_of, new_folder, remove_tree, sha256_of
from crosswheel.process import Runner
from crosswheel.recipes.model import FolderSource, GithubSource, GitSource, PypiSource, Source, UrlSource
from crosswheel.settings import Settings
from crosswheel.sources.archive import unpack
from crosswheel.sources.git import clone, head
from crosswheel.sources.git_tree import git_tree_id

if TYPE_CHECKING:
    from crosswheel.registry import Registry, ReleaseFile  # it imports sources.download, and so this package

_ArchiveSource = GithubSource | PypiSource | UrlSource


@dataclass(frozen=True)
class SourceTree:
    """An unpacked source.

    Attributes:
        path: the project's folder, whose content a build may change.
        origin: its origin, for people, such as ``GitHub PrefectHQ/prefect 3.3.4``.
        digest: the digest of its content: ``sha256:`` of the archive, or ``git-tree:`` or ``git-commit:`` and an id.
        used_fallback: whether the recipe's source could not be reached, so that its fallback was used.
    """

    path: Path
    origin: str
    digest: str
    used_fallback: bool = False


@dataclass(frozen=True)
class _Context:
    """The folder for a source's download and its tree, and the clients that fetch it."""

    folder: Path
    settings: Settings
    registry: Registry
    runner: Runner

    @property
    def downloads(self) -> Path:
        return self.folder / "download"

    @property
    def unpacked(self) -> Path:
        return self.folder / "unpack"


def obtain(
    source: Source,
    fallback: Source | None = None,
    *,
    folder: Path,
    settings: Settings,
    registry: Registry,
    runner: Runner,
    warn: Callable[[str], None],
) -> SourceTree:
    """Fetch a source, verify it and unpack it.

    Downloads are kept in ``folder/download`` and reused. The tree in ``folder/unpack`` is written again each time, as
    builds and patches change it.

    Args:
        source: the source that the recipe names.
        fallback: the source to use if ``source`` cannot be fetched; it is not used if the hash of ``source`` is wrong.
        warn: called with a sentence when the fallback is used.

    Raises:
        NetworkError: the source cannot be fetched.
        IntegrityError: it does not have the stated hash, or the archive is damaged or malicious.
        RecipeError: the recipe's ``path`` is not in it.
        PlanError: the registry does not have the release, or the release has no sdist.
        MissingToolError: it is a git source, and git is not installed.
        StorageError: a file cannot be written.
    """
    context = _Context(folder, settings, registry, runner)
    try:
        return _tree(source, context)
    except NetworkError as error:
        if fallback is None:
            raise
        warn(f"{source} cannot be had, so {fallback} is used instead: {error.message}")
    return replace(_tree(fallback, context), used_fallback=True)


def _tree(source: Source, context: _Context) -> SourceTree:
    remove_tree(context.unpacked)
    if isinstance(source, FolderSource):  # a folder that exists was packed earlier, and is taken by its hash
        raise RecipeError(f"{source} is not there", hint="get it, or correct `path` in the recipe.")
    top, digest = (
        _from_git(source, context) if isinstance(source, GitSource) else _from_archive(source, context)
    )
    return SourceTree(_project_folder(top, source), str(source), digest)


def _from_git(source: GitSource, context: _Context) -> tuple[Path, str]:
    """Return the checked-out top folder and its digest; ``.git`` stays for builds that read it."""
    digest = digest_of(url=source.url, ref=source.ref, commit=source.commit)
    kept = context.downloads / f"git-{digest}"

    def fill(temporary: Path) -> None:
        if context.settings.offline:
            raise offline_error(str(source))
        clone(source, temporary, context.runner)

    CachedFolder(kept, [".git/HEAD"]).make(fill)
    with new_folder(context.unpacked) as temporary:
        shutil.copytree(kept, temporary / "source", symlinks=True)
    return context.unpacked / "source", f"git-commit:{head(kept, context.runner)}"


def _from_archive(source: _ArchiveSource, context: _Context) -> tuple[Path, str]:
    """Return the unpacked top folder and its digest."""
    archive = _archive_of(source, context)
    digest = f"sha256:{sha256_of(archive)}"
    try:
        top = unpack(archive, context.unpacked)
        if isinstance(source, GithubSource) and source.git_tree is not None:
            _verify_git_tree(top, source, source.git_tree)
            digest = f"git-tree:{source.git_tree}"
    except IntegrityError:
        # Remove an archive that failed verification, or the next run would use it.
        archive.unlink()
        shutil.rmtree(context.unpacked, ignore_errors=True)
        raise
    return top, digest


def _archive_of(source: _ArchiveSource, context: _Context) -> Path:
    if isinstance(source, PypiSource):
        return context.registry.fetch(_sdist(source, context.registry), context.downloads)
    url = source.url if isinstance(source, UrlSource) else source.url(context.settings.github)
    kept = context.downloads / _file_name(source)
    return download(url, kept, sha256=source.sha256, settings=context.settings)


def _file_name(source: GithubSource | UrlSource) -> str:
    if isinstance(source, UrlSource):
        return unquote(PurePosixPath(urlsplit(source.url).path).name).replace("/", "-") or "source"
    # The name tells archives apart, as an archive without a hash is found again by its name alone.
    words = (source.org, source.repo, source.tag, source.sdist_archive or "source.zip")
    return "-".join(words).replace("/", "-")


def _sdist(source: PypiSource, registry: Registry) -> ReleaseFile:
    files = [file for file in registry.release_files(source.name, source.version) if file.kind == "sdist"]
    if not files:
        raise PlanError(
            f"the registry has no sdist of {source.name} {source.version}",
            hint="name another source in the recipe, such as github_source(...).",
        )
    if source.sha256 is None:
        return min(files, key=lambda file: (not file.filename.endswith(".tar.gz"), file.filename))
    for file in files:
        if file.sha256 == source.sha256:
            return file
    raise IntegrityError(
        f"the registry's sdist {files[0].filename} has sha256 {files[0].sha256}, not {source.sha256} "
        "as the recipe says",
        hint="find out why they differ before changing the hash in the recipe.",
    )


def _verify_git_tree(top: Path, source: GithubSource, expected: str) -> None:
    actual = git_tree_id(top, submodules=source.submodules)
    if actual != expected:
        raise IntegrityError(
            f"{source} is git tree {actual}, not {expected} as the recipe says",
            hint="the tag was moved, or its .gitattributes change what archives hold (export-ignore, "
            "export-subst; then use sha256 or a git source), or it has submodules that the recipe does "
            "not name. Find out which before changing the recipe.",
        )


def _project_folder(top: Path, source: Source) -> Path:
    folder = top / (source.path or "")
    if not folder.is_dir() or top not in (folder, *folder.parents) or ".." in folder.parts:
        folders = ", ".join(sorted(path.name for path in top.iterdir() if path.is_dir()))
        raise RecipeError(
            f"{source} has no folder {source.path}",
            hint=f"correct `path` in the recipe; at the top there are: {folders or 'no folders'}.",
        )
    return folder
