"""A property is computed once, by the part that was compiled."""

from propcache import _helpers_c
from propcache.api import cached_property, under_cached_property

assert _helpers_c.__file__.endswith(".so")


class Deck:
    counted = 0

    def __init__(self):
        self._cache = {}

    @cached_property
    def slots(self):
        self.counted += 1
        return 11

    @under_cached_property
    def name(self):
        self.counted += 1
        return "deck"


deck = Deck()
assert (deck.slots, deck.slots, deck.name, deck.name, deck.counted) == (11, 11, "deck", "deck", 2)
assert deck._cache == {"name": "deck"}
