"""Defines the commands index and serve."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from crosswheel.cli.summaries import SummaryOption, append
from crosswheel.cli.trees import (
    BUILD,
    DIST,
    INDEX,
    TARGETS,
    BuildOption,
    DistOption,
    IndexOption,
    RootUrlOption,
)
from crosswheel.index.ahead import ahead
from crosswheel.index.scan import scan


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (index, serve):
        app.command()(command)


def index(
    dist_tree_root: DistOption = DIST,
    build_tree_root: BuildOption = BUILD,
    index_tree_root: IndexOption = INDEX,
    index_root_url: RootUrlOption = None,
    summary: SummaryOption = None,
) -> None:
    """Make the index of all wheels that are there: pages for pip, for tools, and for people."""
    dist, site = dist_tree_root.resolve(), index_tree_root.resolve()
    with ahead(partial(scan, dist)) as scanned:
        # Importing these takes as long as scanning the tree.
        from crosswheel.index.rendering import known_targets
        from crosswheel.index.site import write_site

        written = write_site(
            dist,
            site,
            scanned=scanned,
            root_url=index_root_url,
            build=build_tree_root.resolve(),
            described=known_targets(TARGETS),
            tell=partial(typer.echo, err=True),
        )
    print(
        f"{written.wheels} wheels of {written.projects} projects in {site}; "
        f"what changed was written: {written.changed} projects."
    )
    for sentence in written.sentences:
        print(sentence)
    if summary:
        from crosswheel.index.site import read_site
        from crosswheel.index.summary import markdown

        append(summary, markdown(read_site(site)))


def serve(
    index_tree_root: IndexOption = INDEX,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 for all addresses.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any free one.")] = 8000,
) -> None:
    """Serve the index on this network, until stopped with Ctrl-C."""
    from crosswheel.index.people import untrusted_host
    from crosswheel.serve import serve as serve_site  # slow to import: a web server

    def announce(url: str) -> None:
        trusted = untrusted_host(url)
        print(f"pip install {f'--trusted-host {trusted} ' if trusted else ''}--index-url {url}", flush=True)

    serve_site(
        index_tree_root.absolute(), host, port, announce
    )  # a symbolic link is not resolved, as it may change meanwhile
