"""Many words are found in one pass, also after the automaton was kept in a file."""

import pickle

import ahocorasick

words = ahocorasick.Automaton()
for number, word in enumerate(("tip", "tips", "ps ä")):
    words.add_word(word, (number, word))
words.make_automaton()
found = [(end, word) for end, (_, word) in words.iter("12 tips ä")]
assert found == [(5, "tip"), (6, "tips"), (8, "ps ä")]
again = pickle.loads(pickle.dumps(words))
assert [word for _, (_, word) in again.iter("tips")] == ["tip", "tips"]
