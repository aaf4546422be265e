"""Packs what workers need to know of a run: values whose paths mean the same on another machine, and its recipes."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from crosswheel.job.context import BuildContext, PackageLimits
from crosswheel.private_index import PrivateIndex
from crosswheel.projects.local_release import LocalRelease
from crosswheel.recipes.libraries import FILE_NAME, read_libraries
from crosswheel.recipes.loader import Recipes
from crosswheel.recipes.model import Prefer
from crosswheel.sources.archive import unpack
from crosswheel.targets import Target
from crosswheel.wheels.proof import SandboxLevel

Roots = Mapping[str, Path]
"""Folders that each machine has somewhere else, by name."""
_FACTS, _RECIPES = "run.pickle", "recipes"


@dataclass(frozen=True)
class Run:
    """What all steps of a run for one target share."""

    target: Target
    recipes: Recipes
    projects: tuple[LocalRelease, ...]
    prefer: Prefer
    no_binary: frozenset[str]
    only_binary: frozenset[str]
    limits: PackageLimits
    sandbox: SandboxLevel
    indexes: tuple[PrivateIndex, ...]

    @classmethod
    def of(cls, context: BuildContext) -> Run:
        """Return the run that a context describes."""
        return cls(
            context.target,
            context.recipes,
            context.projects,
            context.prefer,
            context.no_binary,
            context.only_binary,
            context.limits,
            context.sandbox,
            context.settings.indexes,
        )


def roots_of(recipes: Path, build: Path) -> Roots:
    """Return the folders whose files have other paths on other machines."""
    return {"recipes": recipes, "build": build, "crosswheel": Path(str(resources.files("crosswheel")))}


def packed(value: object, roots: Roots) -> bytes:
    """Pickle a value; paths below a root are kept relative to it."""
    stream = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, part: Any) -> tuple[str, str] | None:
            if not isinstance(part, Path):
                return None
            below = (name for name, root in roots.items() if part.is_relative_to(root))
            name = next(below, None)
            return (name, str(part.relative_to(roots[name]))) if name else None

    Pickler(stream, protocol=5).dump(value)
    return stream.getvalue()


def unpacked(data: bytes, roots: Roots) -> Any:
    """Return a value that :func:`packed` pickled on another machine, with this machine's paths."""

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, parts: tuple[str, str]) -> Path:
            return roots[parts[0]] / parts[1]

    return Unpickler(io.BytesIO(data)).load()


def pack_run(context: BuildContext, archive: Path) -> Path:
    """Write the run of a context into an archive, with the files of its recipes."""
    stream = io.BytesIO()
    recipes = context.recipes
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        facts = packed(Run.of(context), roots_of(recipes.folder, context.trees.build))
        tar.addfile(_entry(_FACTS, len(facts)), io.BytesIO(facts))
        for file in sorted(set(_recipe_files(recipes))):
            data = file.read_bytes()
            name = f"{_RECIPES}/{file.relative_to(recipes.folder).as_posix()}"
            tar.addfile(_entry(name, len(data)), io.BytesIO(data))
        tar.addfile(_entry(f"{_RECIPES}/.packed", 0), io.BytesIO())  # so that the folder is there
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(gzip.compress(stream.getvalue(), mtime=0))
    return archive


def unpack_run(archive: Path, folder: Path, build: Path) -> Run:
    """Unpack the archive of a run into a folder, unless it is there, and return the run with this machine's paths."""
    unpack(archive, folder)
    recipes = folder / _RECIPES
    run: Run = unpacked((folder / _FACTS).read_bytes(), roots_of(recipes, build))
    if run.recipes.libraries:
        return replace(run, recipes=replace(run.recipes, libraries=read_libraries(recipes)))
    return run


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry


def _recipe_files(recipes: Recipes) -> Iterator[Path]:
    """Yield the files beside recipes and locks: what else lies in the folder of recipes is none of theirs."""
    top = recipes.folder
    folders = {recipe.folder for recipe in (*recipes.roots, *recipes.helpers.values())}
    folders |= {lock.parent for lock in top.glob("*/*/*.lock")}
    for folder in folders:
        if folder.is_relative_to(top) and folder != top:
            yield from (path for path in folder.rglob("*") if path.is_file())
    if recipes.libraries:
        yield top / FILE_NAME
        archives = (Path(spec.archive) for spec in recipes.libraries.values() if spec.archive)
        yield from (path for path in archives if path.is_relative_to(top) and path.is_file())
