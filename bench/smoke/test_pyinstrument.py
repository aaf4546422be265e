"""Where a program's time goes is seen, by the part that is C."""

import time

from pyinstrument import Profiler


def wait_for_the_robot() -> None:
    end = time.perf_counter() + 0.5
    while time.perf_counter() < end:
        sum(range(1000))


with Profiler(interval=0.01) as profiler:
    wait_for_the_robot()
assert "wait_for_the_robot" in profiler.output_text()
