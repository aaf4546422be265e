"""Decide whether an advisory in OSV's format (schema 1.x) affects a version, in the ecosystem's version order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from packaging.version import InvalidVersion, Version
from univers.versions import DebianVersion, SemverVersion
from univers.versions import InvalidVersion as NoVersion

CRATES = ".".join(("crates", "io"))
"""OSV's name of the ecosystem of Rust."""
Parse = Callable[[str], Any]
_EVENTS = ("introduced", "fixed", "last_affected", "limit")


def parse_for(ecosystem: str, kind: str) -> Parse | None:
    """Return the parser of an ecosystem's versions; ``None`` if its order is unknown here."""
    if kind == "SEMVER" or ecosystem == CRATES:
        return SemverVersion
    return {"PyPI": Version, "Debian": DebianVersion}.get(ecosystem) if kind == "ECOSYSTEM" else None


def is_affected(version: str, affected: Mapping[str, Any], ecosystem: str) -> bool:
    """Return whether an element of an advisory affects a version.

    Args:
        affected: an element of the advisory's ``affected``.
        ecosystem: its ecosystem, without the suffix after a colon.

    Raises:
        ValueError: the advisory, or the version, cannot be understood.
    """
    listed = affected.get("versions") or []
    if not isinstance(listed, list):
        raise ValueError("`versions` is not a list")
    if version in listed:
        return True
    ranges = affected.get("ranges") or []
    if not isinstance(ranges, list):
        raise ValueError("`ranges` is not a list")
    return any(_is_in(version, item, ecosystem) for item in ranges)


def _is_in(version: str, stated: object, ecosystem: str) -> bool:
    if not isinstance(stated, dict) or not isinstance(stated.get("events"), list):
        raise ValueError("a range has no events")
    parse = parse_for(ecosystem, str(stated.get("type")))
    if parse is None:
        return False  # such as GIT ranges, which come with a list of versions
    events = [event for event in map(_event, stated["events"]) if event]
    events.sort(key=lambda event: _order(event[0], event[1], parse))
    return _is_between(_parsed(version, parse), events, parse)


def _order(kind: str, text: str, parse: Parse) -> tuple[bool, Any, bool]:
    """Return the sort key of an event: 0 precedes everything; of two at one version, the introduction comes last."""
    return text != "0", _parsed(text, parse) if text != "0" else 0, kind == "introduced"


def _is_between(version: Any, events: Sequence[tuple[str, str]], parse: Parse) -> bool:
    inside = False
    for kind, text in events:
        begins = text == "0" or _parsed(text, parse) <= version
        if kind == "introduced" and begins:
            inside = True
        elif (kind in ("fixed", "limit") and begins) or (
            kind == "last_affected" and text != "0" and _parsed(text, parse) < version
        ):
            inside = False
    return inside


def _event(stated: object) -> tuple[str, str] | None:
    if not isinstance(stated, dict):
        raise ValueError("an event is not an object")
    for kind in _EVENTS:
        value = stated.get(kind)
        if isinstance(value, str):
            return None if (kind, value) == ("limit", "*") else (kind, value)
    raise ValueError("an event is of no known kind")


@lru_cache(maxsize=4096)
def _parsed(text: str, parse: Parse) -> Any:
    try:
        return parse(text)
    except (InvalidVersion, NoVersion, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{text!r} is no version that can be compared") from error
