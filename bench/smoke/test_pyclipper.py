"""Two squares overlap in a third; one grows by an edge."""

import pyclipper

clipper = pyclipper.Pyclipper()
clipper.AddPath([(0, 0), (10, 0), (10, 10), (0, 10)], pyclipper.PT_CLIP, True)
clipper.AddPath([(5, 5), (15, 5), (15, 15), (5, 15)], pyclipper.PT_SUBJECT, True)
(common,) = clipper.Execute(pyclipper.CT_INTERSECTION)
assert pyclipper.Area(common) == 25
offset = pyclipper.PyclipperOffset()
offset.AddPath([(0, 0), (10, 0), (10, 10), (0, 10)], pyclipper.JT_MITER, pyclipper.ET_CLOSEDPOLYGON)
(grown,) = offset.Execute(1)
assert pyclipper.Area(grown) == 144
try:
    clipper.AddPath([], pyclipper.PT_CLIP, True)
except pyclipper.ClipperException:
    pass
else:
    raise AssertionError("an empty path was taken")
