"""Waves and pulses are put together; no daemon is told so, without an end."""

import pigpio

pulse = pigpio.pulse(1 << 4, 0, 100)
assert (pulse.gpio_on, pulse.delay) == (16, 100)
assert pigpio.u2i(0xFFFFFFFF) == -1
assert pigpio.error_text(pigpio.PI_BAD_GPIO).startswith("GPIO not")
daemon = pigpio.pi("127.0.0.1", 8)
assert not daemon.connected
