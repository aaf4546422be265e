"""Adding a package that nobody wrote a recipe for: its lock alone makes it a root."""

from __future__ import annotations

import datetime

from packaging.utils import canonicalize_name

from crosswheel import lock as locks
from crosswheel.errors import LockError
from crosswheel.job.context import Workplace
from crosswheel.job.locking import renew
from crosswheel.recipes.model import Recipe


def add_root(wanted: str, as_of: datetime.date | None, place: Workplace) -> Recipe:
    """Lock a package's closure below the folder of recipes, and return it as a root.

    Args:
        wanted: a requirement of one package; its version is that which the resolver chooses.
        as_of: the day; today, if not given.

    Raises:
        UsageError: ``wanted`` is not a requirement.
        LockError: no set of releases satisfies it.
    """
    requirement = locks.parsed(wanted)
    day = as_of or datetime.datetime.now(datetime.timezone.utc).date()
    made_for, resolved = locks.resolve(
        [wanted], place.target, day, interpreter=place.toolchain.interpreter, uv=place.uv
    )
    draft = locks.write(place.trees.build / "locks" / "added.txt", made_for, resolved)
    name = canonicalize_name(requirement.name)
    if name not in draft.pins:
        raise LockError(f"{wanted} does not apply to {place.target.name}", hint="look at its marker.")
    version = draft.pins[name].version
    known = place.recipes.root_of(name, version)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    root = Recipe(
        name=name,
        version=version,
        file=known.file if known else place.recipes.folder / name / version / "build.py",
        as_of=day,
        requirements=(f"{name}{extras}=={version}",),
    )
    renew(root, place)
    return root
