"""Compares versions that are spelled by different sources: a folder, a registry, a lock, an image."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version


def same_version(first: str, second: str) -> bool:
    """Tell whether two texts are equal versions (PEP 440), such as ``1.0`` and ``1.0.0``, or at least equal texts."""
    try:
        return Version(first) == Version(second)
    except InvalidVersion:
        return first == second
