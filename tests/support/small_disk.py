"""A file system that is soon full: a small one in memory, seen by one program and its children only."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest


def run_on_small_disk(
    command: Sequence[str],
    disk: Path,
    kilobytes: int,
    *,
    read_only: bool = False,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command for which ``disk`` is a small file system; ``disk`` has afterwards what is on it.

    Skips the test where the kernel does not let this user mount, unless this is CI.
    """
    mounting = unshare()
    options = f"size={kilobytes}k"
    seen, place = shlex.quote(f"{disk}.seen"), shlex.quote(str(disk))
    # Of this mount alone: in a user's namespace the file system itself may not be changed.
    remount = f"mount -o remount,bind,ro {place} || exit 125;" if read_only else ""
    # The file system ends with the namespace, so what it holds is copied; the outer folder is kept in view as `seen`.
    script = (
        f"mkdir -p {place} {seen} && mount --bind {place} {seen} &&"
        f" mount -t tmpfs -o {options} tmpfs {place} || exit 125\n"
        f'{remount}"$@"; code=$?; cp -a {place}/. {seen}/; exit $code'
    )
    words = [*mounting, "sh", "-c", script, "sh", *command]
    result = subprocess.run(words, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode != 125, result.stderr
    return result


def unshare() -> list[str]:
    """Return the words that run a program which may mount, unseen by others; skips the test where none may."""
    words = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    probe = [*words, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    if shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return words
    reason = "the kernel does not let this user make a small file system, so no disk can be filled"
    return pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
