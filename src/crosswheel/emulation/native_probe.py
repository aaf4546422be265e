"""Tell whether this machine's CPU runs a dynamic loader, and no emulator that the kernel knows (binfmt_misc).

Run as a script, in a sandbox, because the loader may be a stranger's: ``python -ISs native_probe.py LOADER``. It prints
``runs`` if so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_MOMENT = 0.2  # seconds in which a program has ended that the kernel or the sandbox does not let run


def main(loader: str) -> None:
    """Start the loader, and look what the kernel runs."""
    os.mkfifo("./held")  # nobody writes to it, so the loader waits there until it was looked at
    nothing = subprocess.DEVNULL
    try:
        child = subprocess.Popen([loader, "--list", "./held"], stdin=nothing, stdout=nothing, stderr=nothing)
    except OSError:  # it is for another CPU
        return
    try:
        is_itself = Path(f"/proc/{child.pid}/exe").samefile(loader)
        child.wait(_MOMENT)
    except subprocess.TimeoutExpired:
        if is_itself:
            print("runs")
    except OSError:  # it ended at once: what the kernel takes for a program does not run all the same
        pass
    finally:
        child.kill()
        child.wait()


if __name__ == "__main__":
    main(sys.argv[1])
