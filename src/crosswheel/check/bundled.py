"""Find out which of a wheel's bundled libraries the dynamic loader would find.

ld.so(8) describes the rules of DT_RPATH, DT_RUNPATH and $ORIGIN.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crosswheel.check.elf_objects import ElfObject
from crosswheel.wheels.reading import installed_path


@dataclass(frozen=True)
class Bundle:
    """All ELF objects of a wheel, their folders once installed, and the folders that each searches for the others.

    Attributes:
        folders: maps the file name of an object to the folders that contain an object of this name.
        searched: maps a member to the folders in which it searches for libraries.
        objects: maps a member to the ELF object read from it.
        loaded: maps a member to itself and its direct and indirect dependencies.
    """

    folders: Mapping[str, frozenset[str]]
    searched: Mapping[str, frozenset[str]]
    objects: Mapping[str, ElfObject]
    loaded: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, objects: Mapping[str, ElfObject]) -> Bundle:
        """Lay out the objects of a wheel; ``objects`` maps members to them."""
        folders: dict[str, set[str]] = {}
        for member in objects:
            folders.setdefault(posixpath.basename(member), set()).add(_folder(member))
        searched = _searched(objects)
        return cls(
            folders={name: frozenset(found_in) for name, found_in in folders.items()},
            searched=searched,
            objects=objects,
            loaded={member: frozenset(_loaded(member, objects, searched)) for member in objects},
        )

    def has(self, library: str) -> bool:
        """Return whether the wheel bundles a library of this name, in any folder."""
        return library in self.folders

    def finds(self, member: str, library: str) -> bool:
        """Return whether a member would find that library in the wheel."""
        return not self.searched[member].isdisjoint(self.folders.get(library, ()))

    def together(self, member: str) -> frozenset[str]:
        """Return every member that is loaded together with this one: its dependencies, its dependents, and theirs."""
        return frozenset().union(*(members for members in self.loaded.values() if member in members))

    def bundled(self, member: str, library: str) -> list[ElfObject]:
        """Return the wheel's objects that a member may load as that library."""
        return [self.objects[name] for name in _members_named(member, library, self.objects, self.searched)]


def below_origin(path: str) -> str | None:
    """Return what follows ``$ORIGIN`` in an entry of a library path; ``None`` if the entry does not begin with it."""
    for origin in ("$ORIGIN", "${ORIGIN}"):
        if path == origin or path.startswith(f"{origin}/"):
            return path[len(origin) :]
    return None


def _folder(member: str) -> str:
    return posixpath.dirname(installed_path(member) or member) or "."


def _folders(member: str, paths: Iterable[str]) -> frozenset[str]:
    below = [suffix for suffix in map(below_origin, paths) if suffix is not None]
    return frozenset(posixpath.normpath(_folder(member) + suffix) for suffix in below)


def _searched(objects: Mapping[str, ElfObject]) -> dict[str, frozenset[str]]:
    # With a DT_RUNPATH the loader ignores every DT_RPATH, the object's own and those of its loaders.
    return {
        member: _folders(member, objects[member].runpath) if objects[member].runpath else frozenset(folders)
        for member, folders in _by_rpath(objects).items()
    }


def _members_named(
    member: str, library: str, objects: Mapping[str, ElfObject], searched: Mapping[str, frozenset[str]]
) -> list[str]:
    """Return the members that a library's name may resolve to; all of that name, if the loader would find none."""
    named = [candidate for candidate in objects if posixpath.basename(candidate) == library]
    return [candidate for candidate in named if _folder(candidate) in searched[member]] or named


def _loaded(
    member: str, objects: Mapping[str, ElfObject], searched: Mapping[str, frozenset[str]]
) -> set[str]:
    reached, pending = {member}, [member]
    while pending:
        loader = pending.pop()
        for library in objects[loader].needed:
            new = set(_members_named(loader, library, objects, searched)) - reached
            reached |= new
            pending += new
    return reached


def _by_rpath(objects: Mapping[str, ElfObject]) -> dict[str, set[str]]:
    """Map each member to the folders that a DT_RPATH adds to its search.

    A DT_RPATH holds for all direct and indirect dependencies; a DT_RUNPATH holds for direct ones only. The order
    in which a wheel's objects are loaded is unknown, so one object whose DT_RPATH leads to a folder is enough.
    """
    reached = {
        member: set() if elf.runpath else set(_folders(member, elf.rpath)) for member, elf in objects.items()
    }
    members: dict[str, list[str]] = {}
    for member in objects:
        members.setdefault(posixpath.basename(member), []).append(member)
    pending = list(objects)
    while pending:
        loader = pending.pop()
        for library in (name for needed in objects[loader].needed for name in members.get(needed, ())):
            if not reached[loader] <= reached[library]:
                reached[library] |= reached[loader]
                pending.append(library)
    return reached
