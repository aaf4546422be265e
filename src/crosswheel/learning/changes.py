"""Report how a machine has changed since it was learned, and which proofs this invalidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from crosswheel.targets import Target
from crosswheel.userlands import Userland, UserlandStore
from crosswheel.wheels.proof import SUFFIX, Proof

_MOST_SHOWN = 6


def changes(before: Target, after: Target, store: UserlandStore) -> list[str]:
    """Return the differences between two descriptions of a machine, one line each."""
    lines = [
        f"{key}: {old or 'nothing'} → {new or 'nothing'}"
        for key, old, new in _differences(before.model_dump(mode="json"), after.model_dump(mode="json"))
        if key not in ("title", "userland.digest")
    ]
    digests = [target.userland.digest if target.userland else "" for target in (before, after)]
    if digests[0] != digests[1]:
        lines.append(_of_userlands(*(store.kept(digest) if digest else None for digest in digests)))
    return lines


def no_longer_proven(target: Target, dist: Path) -> list[str]:
    """Return the wheels of a tree whose proofs for a target name another userland than its present one."""
    digest = target.userland.digest if target.userland else None
    proofs = (Proof.read(path) for path in sorted(dist.rglob(f"*.{target.name}{SUFFIX}")))
    return [proof.wheel for proof in proofs if proof and proof.userland != digest]


def _differences(
    before: Mapping[str, object], after: Mapping[str, object], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    for name in (*before, *(name for name in after if name not in before)):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{name}.")
        elif isinstance(old, list) and isinstance(new, list):
            gone, added = [x for x in old if x not in new], [x for x in new if x not in old]
            if gone or added:
                yield f"{prefix}{name}", _listed(gone), _listed(added)
        elif old != new:
            yield f"{prefix}{name}", _value(old), _value(new)


def _listed(names: list[object]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(map(str, names[:_MOST_SHOWN])) + more


def _value(value: object) -> str:
    return "" if value in (None, "", {}, []) else str(value)


def _of_userlands(before: Userland | None, after: Userland | None) -> str:
    if before is None or after is None:
        return "its userland: " + ("not kept before" if after else "not kept any more")
    old, new = before.entries, after.entries
    changed = sorted(path for path in new if path in old and old[path] != new[path])
    added, gone = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    parts = [
        f"{len(paths)} files {word} ({_listed(list(paths))})"
        for word, paths in (("changed", changed), ("new", added), ("gone", gone))
        if paths
    ]
    return f"its userland: {'; '.join(parts)}"
