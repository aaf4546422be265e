"""Compares what machines of a cluster run: pickled values and digests mean the same only to the same code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from crosswheel import __version__
from crosswheel.errors import HostError
from crosswheel.job.code import code_digest


@dataclass(frozen=True)
class Versions:
    """What a machine of a cluster runs."""

    crosswheel: str
    python: str
    distributed: str

    def __str__(self) -> str:
        return f"crosswheel {self.crosswheel}, Python {self.python}, distributed {self.distributed}"


def versions_here() -> dict[str, str]:
    """Return this machine's versions, by name: plain values, which any version can read."""
    return {
        "crosswheel": f"{__version__} (code {code_digest()[:12]})",
        "python": "{}.{}".format(*sys.version_info),
        "distributed": metadata.version("distributed"),
    }


def require_same(theirs: Mapping[str, Mapping[str, str]]) -> None:
    """Compare the versions of others, by what they are, with this machine's.

    Raises:
        HostError: one of them differs.
    """
    here = Versions(**versions_here())
    for who, said in theirs.items():
        there = Versions(**said)
        if there != here:
            raise HostError(
                f"{who} has {there}, and this machine has {here}",
                hint="install the same versions on all machines of a cluster.",
            )
