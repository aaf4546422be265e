"""Rectangles are found by where they lie, also after the index was written to a file."""

from rtree import index

boxes = [(x, y, x + 0.5, y + 0.5) for x in range(20) for y in range(20)]
tree = index.Index((number, box, None) for number, box in enumerate(boxes))
assert sorted(tree.intersection((2.1, 3.1, 3.2, 3.3))) == [43, 63]
assert next(tree.nearest((7.1, 7.1, 7.2, 7.2), 1)) == 147
kept = index.Index("plates")
kept.insert(7, (0, 0, 1, 1), obj={"well": "A1"})
kept.close()
(found,) = index.Index("plates").intersection((0.5, 0.5, 0.6, 0.6), objects=True)
assert found.object == {"well": "A1"}
