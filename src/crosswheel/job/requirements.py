"""Which wheels lead to which others, as pip on the target would follow them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosswheel.job.made import Made
from crosswheel.targets import Target

_Node = tuple[str, str]
"""A release's name, and one extra of it or an empty string."""


class Requirements:
    """The requirements of the releases of a lock, each read once, however often it is followed.

    Args:
        locked: the names of all releases of the lock; what is not among them is not followed.
        target: answers the markers (PEP 508).
    """

    def __init__(self, locked: frozenset[str], target: Target) -> None:
        self._locked = locked
        self._environment = target.marker_environment
        self._direct: dict[_Node, tuple[_Node, ...]] = {}

    def follow(self, names: Iterable[str], made: Mapping[str, Made]) -> tuple[set[str], set[str]]:
        """Follow the requirements of wheels through those that they lead to.

        Returns:
            The names of all wheels that were reached, these included; and those that are not made yet, whose
            own requirements are therefore unknown.
        """
        reached: set[str] = set()
        missing: set[str] = set()
        seen: set[_Node] = set()
        todo: list[_Node] = [(name, "") for name in names]
        while todo:
            node = todo.pop()
            if node in seen or node[0] not in self._locked:
                continue
            seen.add(node)
            if node[0] in made:
                reached.add(node[0])
                todo += self._of(node, made[node[0]])
            else:
                missing.add(node[0])
        return reached, missing

    def absent(self, names: Iterable[str], made: Mapping[str, Made]) -> list[str]:
        """Return what wheels need that is not in the lock: a recipe without a day locks its package alone."""
        reached, _ = self.follow(names, made)
        needed = {wanted for name in reached for wanted, _ in self._of((name, ""), made[name])}
        return sorted(needed - self._locked)

    def _of(self, node: _Node, wheel: Made) -> tuple[_Node, ...]:
        if node not in self._direct:
            self._direct[node] = tuple(self._read(wheel.requires, node[1]))
        return self._direct[node]

    def _read(self, requires: Iterable[str], extra: str) -> Iterable[_Node]:
        for text in requires:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate(
                {**self._environment, "extra": extra}
            ):
                needed = canonicalize_name(requirement.name)
                yield needed, ""
                yield from ((needed, wanted) for wanted in requirement.extras)
