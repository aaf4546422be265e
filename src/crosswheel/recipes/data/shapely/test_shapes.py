"""Areas, overlaps and distances of shapes are right, one by one and in arrays."""

import numpy as np
import shapely
from shapely import wkt
from shapely.geometry import Point, box
from shapely.ops import unary_union

a, b = box(0, 0, 2, 2), box(1, 1, 3, 3)
assert a.intersection(b).area == 1
assert unary_union([a, b]).area == 7
assert abs(Point(0, 0).buffer(1, quad_segs=64).area - np.pi) < 1e-3
assert wkt.loads("POLYGON ((0 0, 4 0, 4 4, 0 0))").centroid.distance(Point(8 / 3, 4 / 3)) < 1e-12
points = shapely.points(np.arange(100.0), np.zeros(100))
assert shapely.distance(points, Point(0, 0)).sum() == 4950
tree = shapely.STRtree(points)
assert sorted(tree.query(box(9.5, -1, 12.5, 1))) == [10, 11, 12]
assert shapely.geos_version >= (3, 9, 0)
