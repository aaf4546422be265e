"""Comparing versions that come from different places: a folder's name, a registry, a lock, an image."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version


def same_version(first: str, second: str) -> bool:
    """Tell whether two texts name one version (PEP 440), as ``1.0`` and ``1.0.0`` do; what is none is itself alone."""
    try:
        return Version(first) == Version(second)
    except InvalidVersion:
        return first == second
