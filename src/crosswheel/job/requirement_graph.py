"""Follows the requirements of wheels as pip on the target would, and finds those that are not satisfied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosswheel.check.fault import Fault
from crosswheel.job.record import WheelRecord
from crosswheel.targets import Target

_Node = tuple[str, str]
"""A release's name, and one extra of it or an empty string."""


class Requirements:
    """The requirements of a lock's releases; each is parsed once, however often it is followed.

    Args:
        locked: the versions of the lock's releases, by name; requirements of other packages are not followed.
        target: the target whose environment decides the markers (PEP 508).
        roots: the requested requirements, which may have extras.
    """

    def __init__(self, locked: Mapping[str, str], target: Target, roots: Iterable[str] = ()) -> None:
        self._locked = locked
        self._environment = target.marker_environment
        self._roots = [node for text in roots for node in _nodes(Requirement(text))]
        self._direct: dict[_Node, tuple[Requirement, ...]] = {}

    @property
    def roots(self) -> frozenset[str]:
        """The normalised names of the requested packages."""
        return frozenset(name for name, _ in self._roots)

    def follow(self, names: Iterable[str], records: Mapping[str, WheelRecord]) -> tuple[set[str], set[str]]:
        """Follow the requirements of wheels, and of the wheels that these require, to the end.

        Returns:
            The names of all wheels that were reached, with the given ones; and those of them that have no record
            yet, so that their requirements are unknown.
        """
        reached: set[str] = set()
        missing: set[str] = set()
        visited: set[_Node] = set()
        todo = [node for name in names for node in self._start_nodes(name)]
        while todo:
            node = todo.pop()
            if node in visited or node[0] not in self._locked:
                continue
            visited.add(node)
            if node[0] in records:
                reached.add(node[0])
                todo += [
                    reached_node
                    for needed in self._requirements_of(node, records[node[0]])
                    for reached_node in _nodes(needed)
                ]
            else:
                missing.add(node[0])
        return reached, missing

    def absent(self, names: Iterable[str], records: Mapping[str, WheelRecord]) -> list[str]:
        """Return the required packages that the lock lacks: a recipe without a day locks its package alone."""
        reached, _ = self.follow(names, records)
        needed = {
            _nodes(requirement)[0][0]
            for name in reached
            for requirement in self._requirements_of((name, ""), records[name])
        }
        return sorted(needed - self._locked.keys())

    def unsatisfied(self, name: str, records: Mapping[str, WheelRecord]) -> list[Fault]:
        """Return a fault for each requirement of a wheel, and of its requested extras, that the lock does not satisfy.

        Args:
            records: the records of the wheels that :meth:`follow` reaches from it.
        """
        faults: list[Fault] = []
        visited: set[_Node] = set()
        todo = self._start_nodes(name)
        while todo:
            node = todo.pop()
            if node in visited or node[0] not in records:
                continue
            visited.add(node)
            for needed in self._requirements_of(node, records[node[0]]):
                faults += self._missing(node, needed, records[name].wheel.name)
                # Requirements of other wheels without an extra are reported for those wheels.
                todo += _nodes(needed)[1:]
        return faults

    def _missing(self, node: _Node, needed: Requirement, wheel: str) -> list[Fault]:
        version = self._locked.get(canonicalize_name(needed.name))
        if version and not needed.url and needed.specifier.contains(version, prereleases=True):
            return []
        available = f"{needed.name} {version}" if version else f"no {needed.name}"
        constraint = f"{needed.name}{needed.specifier}"
        return [
            Fault(
                wheel,
                f"{_words(node)} requires {needed}, and its closure has {available}",
                f"lock it anew with `crosswheel lock`, or name {constraint} beside it among what is asked for",
            )
        ]

    def _start_nodes(self, name: str) -> list[_Node]:
        return [(name, ""), *(node for node in self._roots if node[0] == name and node[1])]

    def _requirements_of(self, node: _Node, wheel: WheelRecord) -> tuple[Requirement, ...]:
        if node not in self._direct:
            self._direct[node] = tuple(self._read(wheel.requires, node[1]))
        return self._direct[node]

    def _read(self, requires: Iterable[str], extra: str) -> Iterable[Requirement]:
        environment = {**self._environment, "extra": extra}
        for requirement in map(Requirement, requires):
            if requirement.marker is None or requirement.marker.evaluate(environment):
                yield requirement


def _nodes(requirement: Requirement) -> list[_Node]:
    """Return the nodes that a requirement leads to: the release itself, then its extras."""
    name = canonicalize_name(requirement.name)
    return [(name, ""), *((name, extra) for extra in sorted(requirement.extras))]


def _words(node: _Node) -> str:
    return f"{node[0]}[{node[1]}]" if node[1] else node[0]
