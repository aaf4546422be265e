"""A satellite is where its elements say, by the part that is C++."""

from sgp4 import api

first = "1 25544U 98067A   19343.69339541  .00001764  00000-0  38792-4 0  9991"
second = "2 25544  51.6439 211.2001 0007417  17.6667  85.6398 15.50103472202482"
satellite = api.Satrec.twoline2rv(first, second)
error, position, velocity = satellite.sgp4(2458826.5, 0.8625)
assert api.accelerated
assert error == 0
assert [round(part) for part in position] == [-6089, -936, -2866]
assert [round(part, 3) for part in velocity] == [-1.526, -5.538, 5.068]
