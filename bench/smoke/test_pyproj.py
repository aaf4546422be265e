"""Places on the earth are told in metres and back, with the data that came in the wheel, and distances are known."""

from pyproj import CRS, Geod, Transformer

zone = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True)
east, north = zone.transform(9.0, 48.0)
assert abs(east - 500_000) < 0.001
assert abs(north - 5_316_300) < 100
back = zone.transform(east, north, direction="INVERSE")
assert abs(back[0] - 9.0) < 1e-9
assert abs(back[1] - 48.0) < 1e-9
assert CRS.from_epsg(25832).name == "ETRS89 / UTM zone 32N"
_, _, metres = Geod(ellps="WGS84").inv(8.55, 47.37, 13.40, 52.52)
assert 660_000 < metres < 680_000
