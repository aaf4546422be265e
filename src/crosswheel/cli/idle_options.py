"""Refuses options that have no effect without another one, so that no user relies on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from crosswheel.cli.robot_options import Login
from crosswheel.errors import UsageError


def refuse_idle(given: Mapping[str, object], reason: str, *, idle: bool) -> None:
    """Refuse options that have no effect.

    Args:
        given: the value of each option; empty if it was not given.
        reason: why the options have no effect, such as ``without --on``.
        idle: whether that is so.

    Raises:
        UsageError: that is so, and an option was given.
    """
    option = next((name for name, value in given.items() if value), None)
    if idle and option:
        raise UsageError(
            f"{option} has no effect {reason}", hint=f"leave {option} out; `--help` tells what it goes with."
        )


def given_login(login: Login) -> Mapping[str, object]:
    """Return the options for logging in to a machine that were given."""
    return {
        f"--{field.name.replace('_', '-')}": getattr(login, field.name)
        for field in dataclasses.fields(Login)
        if getattr(login, field.name) != field.default
    }
