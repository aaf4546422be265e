"""Colours are packed; a strip's settings reach the part that is C."""

import _rpi_ws281x
from rpi_ws281x import Color

assert Color(1, 2, 3, 4) == 0x04010203
strip = _rpi_ws281x.new_ws2811_t()
channel = _rpi_ws281x.ws2811_channel_get(strip, 0)
_rpi_ws281x.ws2811_channel_t_count_set(channel, 8)
_rpi_ws281x.ws2811_channel_t_gpionum_set(channel, 18)
assert _rpi_ws281x.ws2811_channel_t_count_get(channel) == 8
assert _rpi_ws281x.ws2811_channel_t_gpionum_get(channel) == 18
_rpi_ws281x.delete_ws2811_t(strip)
