"""Refuses options that have no effect without another one, so that no user relies on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from crosswheel.cli.robot_options import Login
from crosswheel.errors import UsageError


def refuse_idle(given: Mapping[str, object], partner: str, *, idle: bool) -> None:
    """Refuse options that have no effect.

    Args:
        given: the value of each option; empty if it was not given.
        partner: what the options need, in words.
        idle: whether that is missing.

    Raises:
        UsageError: the partner is missing, and an option was given.
    """
    option = next((name for name, value in given.items() if value), None)
    if idle and option:
        raise UsageError(
            f"{option} changes nothing here: it goes with {partner}", hint=f"leave {option} out, or add that."
        )


def given_login(login: Login) -> Mapping[str, object]:
    """Return the options for logging in to a machine that were given."""
    return {
        f"--{field.name.replace('_', '-')}": getattr(login, field.name)
        for field in dataclasses.fields(Login)
        if getattr(login, field.name) != field.default
    }
