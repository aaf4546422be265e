"""Found on ``PYTHONPATH`` by the interpreter of a build hook: see crosswheel_view."""

import crosswheel_view  # type: ignore[import-not-found]  # noqa: F401
