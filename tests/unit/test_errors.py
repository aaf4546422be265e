"""Errors keep what they say, wherever they are raised, and end with the right exit code."""

from __future__ import annotations

import pickle

import pytest

from crosswheel import errors
from crosswheel.errors import CrosswheelError

KINDS = [CrosswheelError, *CrosswheelError.__subclasses__()]


@pytest.mark.parametrize("kind", KINDS)
def test_what_happened_and_what_to_do_survive_another_process(kind: type[CrosswheelError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what happened", hint="what to do")))
    assert type(error) is kind
    assert (error.message, error.hint, str(error)) == ("what happened", "what to do", "what happened")


def test_a_failed_build_and_a_refused_wheel_exit_with_1_a_stop_as_by_a_signal_and_all_else_with_2() -> None:
    codes = {kind: kind.exit_code for kind in KINDS}
    assert codes.pop(errors.BuildFailed) == 1
    assert codes.pop(errors.CheckFailed) == 1
    assert codes.pop(errors.Interrupted) == 128 + 2  # SIGINT, as shells count
    assert set(codes.values()) == {2}


def test_an_error_cannot_be_made_without_saying_what_to_do() -> None:
    with pytest.raises(TypeError, match="hint"):
        CrosswheelError("what happened")  # type: ignore[call-arg]
