"""What holds for all tests."""

from __future__ import annotations

import os
import signal


def pytest_configure() -> None:
    """Use no key of whoever runs the tests, and let Ctrl-C reach what tests start.

    A shell starts what runs in the background deaf to it, and so its children.
    """
    os.environ["CROSSWHEEL_KEYS"] = f"{os.devnull}/no-keys"
    os.environ.pop("CROSSWHEEL_SIGNING_KEY", None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
