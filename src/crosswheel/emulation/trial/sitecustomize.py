"""Found on ``PYTHONPATH`` by the target's Python: makes site folders of those that wheels are installed in.

So they come after the standard library, and what their ``.pth`` files say is done, as it is on the target.
"""

import os
import site
import sys

# As in an environment (PEP 405): the standard library lies elsewhere.
sys.prefix = sys.exec_prefix = os.environ["CROSSWHEEL_PREFIX"]
if os.environ.get("CROSSWHEEL_EXECUTABLE"):  # what starts it again, where the kernel cannot
    sys.executable = os.environ["CROSSWHEEL_EXECUTABLE"]
if os.environ.get("CROSSWHEEL_UNAME"):  # no emulator tells of the target's kernel and machine
    _here, (_release, _machine) = os.uname(), os.environ["CROSSWHEEL_UNAME"].split()
    _there = os.uname_result((_here.sysname, _here.nodename, _release, _here.version, _machine))
    os.uname = lambda: _there
if os.environ["CROSSWHEEL_HIDES_IMAGE"]:
    sys.path[:] = [_path for _path in sys.path if not _path.endswith(("/site-packages", "/dist-packages"))]
for _folder in os.environ["CROSSWHEEL_SITES"].split(os.pathsep):
    site.addsitedir(_folder)
