"""The folders that commands work in, as options; apart from the others, which take longer to import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DIST, BUILD, INDEX = Path("dist"), Path("build"), Path("index")
RECIPES, TARGETS = Path("packages"), Path("targets")

DistOption = Annotated[Path, typer.Option("--dist-tree-root", help="Where the wheels go.")]
BuildOption = Annotated[
    Path, typer.Option("--build-tree-root", help="Where builds happen, and their logs stay.")
]
IndexOption = Annotated[Path, typer.Option("--index-tree-root", help="Where the index goes.")]
RecipesOption = Annotated[Path, typer.Option("--recipes", help="The folder of recipes.")]
RootUrlOption = Annotated[
    str | None,
    typer.Option("--index-root-url", help="Its address, for absolute links; relative without it."),
]
