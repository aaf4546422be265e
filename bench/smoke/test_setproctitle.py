"""A process says what it is; the kernel tells the same."""

from pathlib import Path

import setproctitle

setproctitle.setproctitle("robot run 7")
assert setproctitle.getproctitle() == "robot run 7"
setproctitle.setthreadtitle("pipette")
assert Path("/proc/thread-self/comm").read_text().strip() == "pipette"
