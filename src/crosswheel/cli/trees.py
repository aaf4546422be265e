"""Defines the options for folders, apart from the other options, which are slower to import."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from crosswheel.errors import UsageError

DIST, BUILD, INDEX = Path("dist"), Path("build"), Path("index")
RECIPES, TARGETS = Path("packages"), Path("targets")

DistOption = Annotated[Path, typer.Option("--dist-tree-root", help="The folder for wheels.")]
BuildOption = Annotated[Path, typer.Option("--build-tree-root", help="The folder for builds and their logs.")]
IndexOption = Annotated[Path, typer.Option("--index-tree-root", help="The folder for the index.")]
RecipesOption = Annotated[Path, typer.Option("--recipes", help="The folder of recipes.")]


def web_address(text: str | None) -> str | None:
    """Return the URL of a site; an empty text stands for none.

    Raises:
        UsageError: it is not a URL that pages can be served at.
    """
    try:
        parts = urlsplit(text or "http://none")
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port or IPv6 address
        fits = False
    if not fits or re.search(r"[\s?#<>\"'\\^`{|}\x00-\x1f]", text or ""):
        raise UsageError(
            f"{text!r} is not the address of a site",
            hint="give one such as https://wheels.example.org/robots: http or https, a host, maybe a port and a path.",
        )
    return text


RootUrlOption = Annotated[
    str | None,
    typer.Option(
        "--index-root-url",
        callback=web_address,
        help="The URL of the index, for absolute links; by default, links are relative.",
    ),
]
PythonOption = Annotated[
    str | None,
    typer.Option(
        "--python",
        help="A Python to send along, such as 3.13, instead of the target's own; it is built once, from source.",
    ),
]
