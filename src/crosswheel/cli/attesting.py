"""Defines the command attest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crosswheel.cli.trees import DIST, DistOption
from crosswheel.files import sha256_of, write_text
from crosswheel.index.scan import scan
from crosswheel.signing.public_ci import Attester
from crosswheel.wheels.attestations import has_beside, path_beside

SigstoreOption = Annotated[
    Path | None,
    typer.Option(
        "--sigstore-config",
        exists=True,
        dir_okay=False,
        help="The trust configuration of a sigstore of your own; otherwise the public one.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(attest)


def attest(dist_tree_root: DistOption = DIST, sigstore_config: SigstoreOption = None) -> None:
    """Attest all wheels with the identity of this CI's job, for the index that is made next (sigstore, PEP 740)."""
    dist = dist_tree_root.resolve()
    wheels = [item.path(dist) for project in scan(dist).projects.values() for item in project.scanned]
    lacking = [wheel for wheel in wheels if not has_beside(wheel, sha256_of(wheel))]
    publisher = ""
    for wheel, attested in Attester.of_ci(sigstore_config).attest(lacking):
        write_text(path_beside(wheel), attested.provenance)
        publisher = f" by {attested.publisher}"
    print(f"{len(lacking)} wheels attested{publisher}, {len(wheels) - len(lacking)} that were.")
