"""What the kernel says of this process is read and makes sense."""

import os

import psutil

own = psutil.Process()
assert own.pid == os.getpid()
assert own.memory_info().rss > 1_000_000
assert own.cpu_times().user >= 0
assert psutil.virtual_memory().total > 1_000_000
assert psutil.pid_exists(own.pid)
assert any(part.mountpoint == "/" for part in psutil.disk_partitions(all=True))
