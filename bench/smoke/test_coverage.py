"""Lines that ran are told from those that did not, by the part that is C."""

import sys
from pathlib import Path

import coverage
from coverage import tracer

assert tracer.__file__.endswith(".so")
Path("shown.py").write_text("def run(n):\n    if n:\n        return 1\n    return 2\n")
watch = coverage.Coverage(data_file=None, include=["shown.py"])
sys.path.insert(0, "")
watch.start()
import shown  # noqa: E402

assert shown.run(1) == 1
watch.stop()
_, lines, _, missing, _ = watch.analysis2(shown.__file__)
assert (lines, missing) == ([1, 2, 3, 4], [4])
