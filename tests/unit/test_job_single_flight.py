"""A thing is made once, and making it holds up nobody who wants another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from crosswheel.errors import HostError
from crosswheel.job.single_flight import SingleFlight


def test_a_thing_is_made_once_for_all_who_want_it() -> None:
    once, made = SingleFlight(), []
    with ThreadPoolExecutor(8) as pool:
        things = list(pool.map(lambda _: once.get("key", lambda: made.append(1) or object()), range(50)))
    assert len(made) == 1
    assert len(set(map(id, things))) == 1


def test_making_one_thing_does_not_hold_up_another() -> None:
    once, release = SingleFlight(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(once.get, "slow", lambda: release.wait(60))
        assert pool.submit(once.get, "quick", lambda: "made").result(timeout=60) == "made"
        release.set()
        assert slow.result(timeout=60) is True


def test_what_could_not_be_made_is_made_when_asked_for_again() -> None:
    once = SingleFlight()
    with pytest.raises(ZeroDivisionError):
        once.get("key", lambda: 1 // 0)
    assert once.get("key", lambda: 2) == 2


def test_what_this_machine_cannot_have_is_not_tried_again() -> None:
    once, tried = SingleFlight(), []

    def refuse() -> None:
        tried.append(1)
        raise HostError("no emulator", hint="get one.")

    for _ in range(3):
        with pytest.raises(HostError, match="no emulator"):
            once.get("key", refuse)
    assert len(tried) == 1
