"""Defines the options of commands that run wheels on a real machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer

from crosswheel.cli.robot_options import Login
from crosswheel.job.machine_runs import Machine
from crosswheel.targets import Target

ProveOnOption = Annotated[
    str | None,
    typer.Option(
        "--prove-on",
        help="Also run each wheel on this machine itself, as for ssh, in a temporary folder and at low priority.",
    ),
]


@contextlib.contextmanager
def machine_at(host: str | None, login: Login, target: Target) -> Iterator[Machine | None]:
    """Yield the machine that the command line names, if any, during the block; leave nothing on it.

    Raises:
        NetworkError: the machine cannot be reached.
        TargetError: the machine is not of the target's kind.
    """
    if host is None:
        yield None
        return
    from crosswheel.deploy.proving_ground import ProvingGround

    with ProvingGround(login.to(host), target) as ground:
        yield Machine(host, ground.facts, ground.trial)
