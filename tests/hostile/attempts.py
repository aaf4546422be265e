"""What hostile code may try: programs that print ``ESCAPED`` where they reach what they should not.

Each has these variables: ``SECRET`` is a file outside of the view, ``FOLDER`` the folder that it is in, ``PARENT``
the number of a process of the same user with a secret in its environment, ``PORT`` a port that something listens on,
``SOCKET`` the path of a unix socket, ``OWN`` the folder that the program may write to, ``LEVEL`` the sandbox's level.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_BEGIN = """
import ctypes, os, socket, struct, subprocess, sys
secret, folder, parent, own = os.environ["SECRET"], os.environ["FOLDER"], int(os.environ["PARENT"]), os.environ["OWN"]
libc = ctypes.CDLL(None, use_errno=True)
def escaped(): print("ESCAPED", flush=True)
"""
_LISTED = tomllib.loads(Path(__file__).with_name("attempts.toml").read_text())

ATTEMPTS = {name: _BEGIN + attempt["program"] for name, attempt in _LISTED.items()}
"""The programs, by what they try."""
