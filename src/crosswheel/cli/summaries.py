"""Appends summaries to a file for the page of a CI run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crosswheel.files import explained_storage_errors

SummaryOption = Annotated[
    Path | None, typer.Option("--summary", help="Append a summary to this file, as Markdown.")
]


def append(file: Path, text: str) -> None:
    """Append a text to a file."""
    with explained_storage_errors(file), file.open("a") as stream:
        stream.write(text + "\n")
