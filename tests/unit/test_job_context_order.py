"""What a run makes at the same time, and what it waits for."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from crosswheel.job import context as contexts
from crosswheel.job.context import BuildContext
from support.contexts import offline_job


def test_only_the_first_build_waits_for_what_zig_links_with_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Runtime(Future[None]):
        def result(self, timeout: float | None = None) -> None:
            seen.append("waits")

    monkeypatch.setattr(BuildContext, "toolchain", property(lambda context: seen.append("toolchain")))
    monkeypatch.setattr(BuildContext, "emulator", property(lambda context: seen.append("emulator")))
    monkeypatch.setattr(BuildContext, "_runtime", lambda context: Runtime())
    monkeypatch.setattr(BuildContext, "_environment", lambda context: seen.append("environment"))
    monkeypatch.setattr(contexts, "verify", lambda *parts: seen.append("verified"))
    with offline_job(tmp_path) as job:
        assert job.context._verify()
    assert seen == ["toolchain", "emulator", "waits", "environment", "verified"]
