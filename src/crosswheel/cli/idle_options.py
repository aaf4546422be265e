"""Options that change nothing without another: refused, where a user might think that they were heeded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from crosswheel.cli.robot_options import Login
from crosswheel.errors import UsageError


def refuse_idle(given: Mapping[str, object], partner: str, *, idle: bool) -> None:
    """Refuse options that were given and change nothing.

    Args:
        given: the value of each option; empty for what was not given.
        partner: what they go with, in words.
        idle: whether that is not there.

    Raises:
        UsageError: one of them was given.
    """
    option = next((name for name, value in given.items() if value), None)
    if idle and option:
        raise UsageError(
            f"{option} changes nothing here: it goes with {partner}", hint=f"leave {option} out, or add that."
        )


def given_login(login: Login) -> Mapping[str, object]:
    """Return the options that say how to get into a machine, as far as they were given."""
    return {
        f"--{field.name.replace('_', '-')}": getattr(login, field.name)
        for field in dataclasses.fields(Login)
        if getattr(login, field.name) != field.default
    }
