"""Builds the Python that a target is sent, and tests it under emulation: modules, size, and CPython's own tests.

It is built from an empty cache of Pythons, so that the time is told; ``--kept`` takes the one that is there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from _emulated import why_alone, with_others
from _measure import machine, say, show, stop

from crosswheel import targets
from crosswheel.check.elf_objects import read_object
from crosswheel.emulation.emulator import Emulator, emulator_for
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.sources.archive import unpack
from crosswheel.targets import Target
from crosswheel.toolchain.python.built import built_host_python, linked_libraries
from crosswheel.toolchain.python.choosing import target_python
from crosswheel.toolchain.python.cpython_source import source_archive
from crosswheel.toolchain.python.tree import PythonTree

TESTS = (
    "test_ssl", "test_sqlite3", "test_ctypes", "test_asyncio", "test_bz2", "test_lzma", "test_zlib", "test_hashlib",
    "test_decimal", "test_struct", "test_json", "test_socket", "test_subprocess", "test_threading", "test_venv",
)  # fmt: skip
# It compiles a library with this machine's gcc, and opens it in a program of the target.
_IGNORED = ("test_null_dlsym",)
# After so many seconds a test is ended. Its steps may take a fortieth of it, which CPython has for slow machines: by
# default 30 s, in which a busy emulator does not make 25 TLS connections at once.
_LONGEST = 4800
# For other systems, for people at a screen, or jokes; and what a Python is built without.
_NOT_THERE = {
    "_aix_support", "_android_support", "_apple_support", "_gdbm", "_ios_support", "_msi", "_osx_support",
    "_overlapped", "_pyrepl", "_scproxy", "_tkinter", "_winapi", "_wmi", "antigravity", "_dbm", "idlelib", "msvcrt",
    "nt", "ntpath", "this", "tkinter", "turtle", "turtledemo", "winreg", "winsound",
}  # fmt: skip
_IMPORT = """
import importlib, json, sys
failed = {}
names = sorted(set(sys.stdlib_module_names) - set(json.loads(sys.argv[1])))
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = f"{type(error).__name__}: {error}"
print("answer " + json.dumps([len(names), failed]))
"""


def main() -> None:
    """Build, test, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", default="ot2-py313", help="a target that is sent a Python")
    parser.add_argument("--kept", action="store_true", help="test the one that was built before")
    parser.add_argument("--tests", nargs="*", default=TESTS, help="CPython's tests to run")
    given = parser.parse_args()
    target, settings, here = targets.load(given.target), Settings.from_environment(), machine()
    if target.python.source is None:
        stop(f"{target.name} has a Python that is not built from source")
    with tempfile.TemporaryDirectory(prefix="python.") as name:
        folder = Path(name)
        runner = Runner(log=folder / "log")
        rows = [] if given.kept else _built(target, settings, runner)
        python = target_python(target, settings, runner, say)
        rows += _measured(python, target, folder)
        emulator = emulator_for(target, replace(settings, native=False), runner)
        rows += _imported(emulator, runner)
        rows += _tested(
            emulator, target, given.tests, _tests_of(target, settings, runner, folder), runner, folder
        )
    show(f"Python {target.python.version} for {target.title} ({here})", ["what", "result"], rows, right=[])


def _built(target: Target, settings: Settings, runner: Runner) -> list[list[str]]:
    """Build the host's Python and the target's, each with the target's libraries there; return how long each took."""
    source = target.python.source
    assert source
    linked_libraries(target, settings, runner)
    with tempfile.TemporaryDirectory(prefix="cache.", dir=settings.cache) as name:
        for kept in settings.cache.iterdir():
            if kept.name not in ("python", Path(name).name):
                (Path(name) / kept.name).symlink_to(kept)
        apart = replace(settings, cache=Path(name))
        spent = []
        for build in (
            partial(built_host_python, source, apart, runner, say),
            partial(target_python, target, apart, runner, say),
        ):
            begun, before = time.monotonic(), _processor_seconds()
            build()
            used = _processor_seconds() - before
            spent.append(f"{time.monotonic() - begun:.0f} s, {used:.0f} s of processors")
    return [["built for the host", spent[0]], ["built for the target", spent[1]]]


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _measured(python: PythonTree, target: Target, folder: Path) -> list[list[str]]:
    archive = folder / "python.tar"
    subprocess.run(["tar", "-C", python.root, "-cf", archive, "."], check=True)
    plain = archive.stat().st_size
    sizes = []
    for words, suffix in ((["gzip", "-k6"], "gz"), (["xz", "-kT0"], "xz")):
        subprocess.run([*words, archive], check=True)
        sizes.append(f"{archive.with_suffix(f'.tar.{suffix}').stat().st_size / 1e6:.1f} MB as .tar.{suffix}")
    exported = [
        name
        for name in read_object(python.executable.read_bytes()).exports.symbols
        if not name.startswith(("Py", "_Py"))
    ]
    return [
        ["size", f"{plain / 1e6:.1f} MB, {', '.join(sizes)}"],
        ["exports beside Python's own", ", ".join(sorted(exported)) or "none"],
    ]


def _imported(emulator: Emulator, runner: Runner) -> list[list[str]]:
    answer = emulator.run(runner, ["-I", "-c", _IMPORT, json.dumps(sorted(_NOT_THERE))])
    told = next(line for line in answer.lines if line.startswith("answer "))
    count, failed = json.loads(told[len("answer ") :])
    rows = [["standard library", f"{count - len(failed)} of {count} modules import"]]
    return rows + [[f"  {name}", why] for name, why in failed.items()]


def _tests_of(target: Target, settings: Settings, runner: Runner, folder: Path) -> Path:
    """Return a folder with CPython's own tests, from its source."""
    assert target.python.source
    archive = source_archive(target.python.source, settings, runner)
    tree = unpack(
        archive,
        folder / "source",
        is_selected=lambda name: "/Lib/test/" in f"{name}/" or name.endswith("/Lib"),
    )
    (folder / "tests").mkdir()
    shutil.move(tree / "Lib" / "test", folder / "tests" / "test")
    return folder / "tests"


def _tested(
    emulator: Emulator, target: Target, tests: Sequence[str], folder: Path, runner: Runner, work: Path
) -> list[list[str]]:
    alone = why_alone()
    rows = [["programs that start each other", alone or "yes"]]
    for test in tests:
        say(f"running {test}")
        begun = time.monotonic()
        scratch = work / "scratch" / test
        scratch.mkdir(parents=True)
        words = ["-m", "test", "--timeout", str(_LONGEST), "--verbose3", test]
        words += [word for name in _IGNORED for word in ("--ignore", name)]
        environment = {"PYTHONPATH": str(folder), "HOME": str(scratch)}
        command = emulator.command(*words, environment=environment)
        if not alone:
            command = with_others(emulator, target, *words, environment=environment)
        variables = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(scratch)}
        answer = runner.run(command, cwd=scratch, env=variables, timeout=2 * _LONGEST, check=False)
        ending = [line for line in answer.lines if line.startswith(("Total tests:", "Result:"))]
        rows.append([test, f"{'; '.join(ending) or answer.lines[-1]} ({time.monotonic() - begun:.0f} s)"])
        failed = [line for line in answer.lines if line.startswith(("FAIL:", "ERROR:"))]
        rows += [["", line] for line in failed[:12]]
    return rows


if __name__ == "__main__":
    main()
