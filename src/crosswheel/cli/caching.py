"""Defines the commands about caches: show, verify and prune."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console

from crosswheel.cli.amounts import amount_of
from crosswheel.errors import UsageError
from crosswheel.files import remove_tree
from crosswheel.progress import table
from crosswheel.progress.wording import size as size_in_words
from crosswheel.quantities import BYTES, DAYS
from crosswheel.sealed_trees import sealed_trees
from crosswheel.seals import Seals
from crosswheel.settings import Settings
from crosswheel.shared_cache.configured import open_cache_store
from crosswheel.shared_cache.upkeep import prune as prune_cache
from crosswheel.shared_cache.upkeep import read_contents
from crosswheel.shared_cache.upkeep import verify as verify_cache
from crosswheel.signing.keys import KeyFolder, PublicKey
from crosswheel.stores.store import Store

commands = typer.Typer(
    help="Look after a cache that a team shares (--shared-cache), and verify this machine's own.",
    no_args_is_help=True,
)
CacheOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shared-cache",
        envvar="CROSSWHEEL_SHARED_CACHE",
        help="The store of the shared cache: a URL or a folder.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(commands, name="cache")


@commands.command()
def show(shared_cache: CacheOption = None) -> None:
    """Show what is in a shared cache, who signed it, and what was not reproducible."""
    trusted = _trusted()
    for store in _stores(shared_cache):
        contents = read_contents(store, trusted)
        rows = [[kind, str(number)] for kind, number in sorted(contents.counts().items())]
        table(Console(), store.url, ("kind", "records"), rows, right=("records",))
        print(f"{len(contents.blobs)} blobs, {size_in_words(contents.size)}.")
        if contents.strangers:
            print(f"{contents.strangers} records of keys that are not trusted here; they are never used.")
        if contents.faults:
            print(
                f"{len(contents.faults)} records are damaged: `crosswheel cache verify --remove` removes them."
            )
        for path, record in contents.differing.items():
            names = [blob.name for use, blob in record.blobs.items() if use != "log"]
            print(f"not reproducible: {', '.join(names)} was built with other bytes, {path}")


@commands.command()
def verify(
    shared_cache: CacheOption = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove damaged entries, which are then made anew.")
    ] = False,
) -> None:
    """Compare all of a shared cache with its signatures and hashes; without one, the tools in this machine's cache."""
    trusted, code = _trusted(), 0
    if not shared_cache:
        raise typer.Exit(_verify_tools(remove=remove))
    for store in _stores(shared_cache):
        faults = verify_cache(store, trusted)
        for fault in faults.values():
            typer.echo(fault, err=True)
        if remove:
            store.remove_all(faults)
        if faults:
            code = 1
        done = " and removed" if remove else ""
        print(
            f"{store.url}: {f'{len(faults)} files are damaged{done}' if faults else 'all files are undamaged'}."
        )
    raise typer.Exit(code)


def _verify_tools(*, remove: bool) -> int:
    """Hash every file of the tools in this machine's cache; return the exit code."""
    cache, damaged = Settings.from_environment().cache, 0
    trees = list(sealed_trees(cache, Seals.of_user()))
    for tree in trees:
        faults = tree.faults()
        damaged += bool(faults)
        for fault in faults:
            typer.echo(fault, err=True)
        if faults and remove:
            remove_tree(tree.folder)
    done = " and removed: they are made anew" if remove else ""
    state = f"{damaged} are damaged{done}" if damaged else "all are as they were put there"
    print(f"{cache}: of {len(trees)} tools, {state}.")
    return 1 if damaged else 0


@commands.command()
def prune(
    shared_cache: CacheOption = None,
    keep: Annotated[
        str | None, typer.Option("--keep", help="Remove entries that are older, such as 30d or 8w.")
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option("--max-size", help="Then remove the oldest entries, down to this size: 50G, 800M."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
) -> None:
    """Make room in a shared cache: what is removed is built again when it is needed."""
    days = amount_of(keep, DAYS, "--keep", "30d") if keep else None
    bytes_left = amount_of(max_size, BYTES, "--max-size", "50G") if max_size else None
    if days is None and bytes_left is None:
        raise UsageError(
            "no limit is given, so there is nothing to remove",
            hint="give --keep 30d, --max-size 50G, or both.",
        )
    now = datetime.datetime.now(datetime.timezone.utc)
    before = None if days is None else now - datetime.timedelta(days=days)
    for store in _stores(shared_cache):
        removed = prune_cache(store, _trusted(), written_before=before, max_size=bytes_left, dry_run=dry_run)
        print(
            f"{store.url}: {removed.records} records and {removed.blobs} blobs, {size_in_words(removed.size)}, "
            f"{'would be ' if dry_run else ''}removed."
        )


def _stores(urls: list[str] | None) -> Iterator[Store]:
    if not urls:
        raise UsageError(
            "no shared cache is named", hint="give --shared-cache URL, or set CROSSWHEEL_SHARED_CACHE."
        )
    yield from map(open_cache_store, urls)


def _trusted() -> list[PublicKey]:
    return KeyFolder.of(Settings.from_environment().keys).trusted()
