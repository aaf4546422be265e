"""What holds for all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start; a shell starts what runs in the background deaf to it, and so its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
