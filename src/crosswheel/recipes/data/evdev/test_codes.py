"""Codes have names, devices are listed (there are none here), and one that is not there cannot be opened."""

import evdev
from evdev import ecodes

assert ecodes.KEY_A == 30
assert ecodes.KEY[ecodes.KEY_ENTER] == "KEY_ENTER"
assert ecodes.EV[ecodes.EV_REL] == "EV_REL"
assert isinstance(evdev.list_devices(), list)
event = evdev.InputEvent(1, 2, ecodes.EV_KEY, ecodes.KEY_A, 1)
assert evdev.categorize(event).keycode == "KEY_A"
try:
    evdev.InputDevice("/dev/input/event99")
except FileNotFoundError:
    pass
else:
    raise AssertionError("a device that is not there was opened")
