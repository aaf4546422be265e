"""The sky of a day is as the almanacs say."""

import ephem

assert str(ephem.next_full_moon("2025/1/1")).startswith("2025/1/13 22:2")
assert ephem.constellation(ephem.Jupiter("2025/1/1"))[1] == "Taurus"
berlin = ephem.city("Berlin")
berlin.date = "2025/6/21"
assert str(berlin.next_rising(ephem.Sun())).startswith("2025/6/21 02:4")
