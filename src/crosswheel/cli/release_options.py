"""Defines the options for releasing wheels on a registry."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from crosswheel.errors import UsageError
from crosswheel.job.releasing import Releasing
from crosswheel.resolver import Request


class WheelTag(str, Enum):
    """The kind of a built wheel's platform tag."""

    LINUX = "linux"
    MANYLINUX = "manylinux"


@dataclass(frozen=True)
class ReleaseOptions:
    """The options that choose which wheels are kept, and with which tag."""

    no_deps: Annotated[
        bool,
        typer.Option(
            "--no-deps",
            help="Keep the wheels of what is named alone, as for a release: what they need is made only to run them. "
            "A project's settings for cibuildwheel are heeded.",
        ),
    ] = False
    tag: Annotated[
        WheelTag,
        typer.Option(
            help="linux: for this kind of machine. manylinux: for a registry; the oldest policy of PEP 600 that the "
            "wheel keeps, compiled for every CPU that this stands for."
        ),
    ] = WheelTag.LINUX

    @property
    def for_registry(self) -> bool:
        """Whether the wheels have to run on every machine of the target's kind."""
        return self.tag is WheelTag.MANYLINUX

    def releasing(self, request: Request, sdk: Path | None) -> Releasing:
        """Return how the requested wheels are released.

        Raises:
            UsageError: the options do not go together.
        """
        if self.for_registry and sdk is not None:
            raise UsageError(
                "--tag manylinux stands for every CPU of a kind, and an SDK compiles for its own machine's alone",
                hint="leave --sdk out: zig compiles for all of them.",
            )
        if (self.no_deps or self.for_registry) and not request.requirements:
            raise UsageError(
                f"{'--no-deps' if self.no_deps else '--tag manylinux'} needs a project or package on the command line",
                hint="name a project, such as ., or a package.",
            )
        return Releasing(self.no_deps, "manylinux" if self.for_registry else "linux", os.environ)
