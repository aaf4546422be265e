"""Defines options that several commands share, apart from the code that they configure, which is slower to import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TargetOption = Annotated[
    str, typer.Option("--target", help="The machine to build for: a name, or a TOML file.")
]
TargetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--target", help="The machine to build for: a name, or a TOML file; may be given several times."
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show the output of every program.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write all messages to a file instead of the terminal.")
]
SdkOption = Annotated[
    Path | None,
    typer.Option(
        "--sdk",
        envvar="CROSSWHEEL_SDK",
        help="A Buildroot SDK, a folder or a tarball, to compile with instead of zig.",
    ),
]
SandboxOption = Annotated[
    str | None,
    typer.Option(
        "--sandbox",
        envvar="CROSSWHEEL_SANDBOX",
        help="How code that is not ours is kept from all else: namespaces, landlock or none; by itself, the strictest "
        "that this machine allows.",
    ),
]
GroupOption = Annotated[
    list[str] | None,
    typer.Option("--group", help="Also a dependency group of a project; may be given several times."),
]
ConstraintOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--constraint",
        "-c",
        help="A file of constraints, in pip's format: it bounds versions, and asks for nothing.",
    ),
]
PrivateIndexOption = Annotated[
    list[str] | None,
    typer.Option(
        "--index", help="A private registry, NAME=URL; it is asked only for the packages of --from-index."
    ),
]
FromIndexOption = Annotated[
    list[str] | None,
    typer.Option("--from-index", help="A package of a private registry: PACKAGE=NAME, or 'lab-*=NAME'."),
]
UpgradeOption = Annotated[
    bool,
    typer.Option(
        "--upgrade",
        help="For a project: resolve its dependencies to the newest releases, instead of the locked ones.",
    ),
]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="Ignore what was published after this day: YYYY-MM-DD.")
]
SharedCacheOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shared-cache",
        envvar="CROSSWHEEL_SHARED_CACHE",
        help="A store with what your team built and proved: a URL or a folder; may be given several times.",
    ),
]
SharedCacheReadOnlyOption = Annotated[
    bool,
    typer.Option(
        "--shared-cache-read-only",
        envvar="CROSSWHEEL_SHARED_CACHE_READ_ONLY",
        help="Read the shared cache, and store nothing there.",
    ),
]
