"""A file that is written is noticed."""

import threading
import time
from pathlib import Path

import watchfiles

folder = Path("watched")
folder.mkdir(exist_ok=True)
stop = threading.Event()


def write():
    for number in range(100):
        if stop.wait(0.1):
            return
        (folder / "protocol.py").write_text(f"steps = {number}\n")


writer = threading.Thread(target=write)
writer.start()
# By looking again and again: the emulator does not pass on every notice of the kernel.
for changes in watchfiles.watch(folder, force_polling=True, poll_delay_ms=50, debounce=100, step=20):
    assert {Path(path).name for _, path in changes} == {"protocol.py"}
    break
stop.set()
writer.join()
assert time.monotonic() > 0
