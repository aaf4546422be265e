"""A real Chromium to look at pages with: the one that is installed, or Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from crosswheel.toolchain.host_programs import turn_of_apt


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; skips the test where there is none and none can be installed, unless this is CI."""
    program = _find() or _install()
    if program is None:
        reason = "there is no Chromium on PATH, and only root on Debian can have one installed by this test"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs a user who is not root.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


def _find() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def _install() -> str | None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    with turn_of_apt():
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=True)
    return _find()
