"""Where this machine's CPU runs the target's code, the target's own loader starts it, and no emulator."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crosswheel import targets
from crosswheel.emulation.emulator import START, Emulator, emulator_for
from crosswheel.emulation.trials import Importable, Imports, Trial, import_modules
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import Target

SETTINGS = Settings.from_environment()
# What an x86-64 machine runs itself; an aarch64 one has its own targets.
X86 = {
    "amd64": ("x86_64", "x86_64-linux-gnu", 64, "EM_X86_64", "ld-linux-x86-64.so.2", "x86_64"),
    "i386": ("i686", "i386-linux-gnu", 32, "EM_386", "ld-linux.so.2", "i386"),
}
ARM = {"arm64": "debian-arm64", "armhf": "debian-armhf"}
NAMES = {"x86_64": tuple(X86), "aarch64": tuple(ARM)}.get(os.uname().machine, ())
# Of 2017, as the target is said to be: close_range came in 2020.
KERNEL = "4.14.98"
ASK = """
import ctypes, errno, os, platform, sys, zlib
print(*os.uname()[2:5:2], platform.machine(), sys.maxsize.bit_length() + 1)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(436, 1000, 1001, 0)
print(errno.errorcode[ctypes.get_errno()])
for line in open("/proc/self/maps"):
    if ".so" in line and "crosswheel." not in line:
        print("loaded", line.split()[-1])
"""


def target_of(name: str) -> Target:
    """Return a Debian 12 with its Python, on an old kernel."""
    if name in ARM:
        return targets.load(ARM[name]).model_copy(update={"kernel": KERNEL})
    machine, multiarch, bits, elf, loader, qemu = X86[name]
    tables: dict[str, Any] = targets.load("debian-armhf").model_dump(mode="json", exclude_none=True)
    tables.update(name=f"debian-{name}", machine=machine, multiarch=multiarch, kernel=KERNEL)
    tables["python"].update(soabi=f"cpython-311-{multiarch}", sysconfigdata=f"_sysconfigdata__{multiarch}")
    tables["abi"].update(elf_machine=elf, bits=bits, float="any", long_double_bits=80)
    tables["toolchain"].update(debian=name, qemu=qemu, qemu_cpu="")
    libraries = [soname for soname in tables["image"]["libraries"] if not soname.startswith("ld-")]
    tables["image"].update(libraries=[loader, *libraries])
    return Target.model_validate(tables)


@pytest.fixture(params=NAMES or ["none"])
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "none":
        pytest.skip(f"no target is known whose code {os.uname().machine} runs")
    return target_of(request.param)


def emulator_of(target: Target, settings: Settings, runner: Runner) -> Emulator:
    emulator = emulator_for(target, settings, runner)
    if emulator.native is None and target.abi.bits == 32:
        pytest.skip("this CPU, its kernel or the sandbox refuses 32-bit code")
    return emulator


def test_no_emulator_is_needed_for_what_this_cpu_runs(target: Target, tmp_path: Path) -> None:
    runner = Runner(log=tmp_path / "log")
    emulator = emulator_of(target, SETTINGS, runner)
    assert emulator.qemu is None
    host = os.uname()
    assert emulator.version.startswith(f"no emulator (a CPU of {host.machine} under Linux {host.release[0]}")
    site = tmp_path / "lib" / "site-packages"
    site.mkdir(parents=True)
    told = Trial(emulator, [site], tmp_path / "scratch", runner).run("-c", ASK).lines
    assert told[0] == f"{KERNEL} {target.machine} {target.machine} {target.abi.bits}"
    assert told[1] == ("ENOSYS" if emulator.kernel else told[1])
    loaded = [line.split()[1] for line in told if line.startswith("loaded ")]
    assert len(loaded) > 3
    assert not [path for path in loaded if not Path(path).is_relative_to(SETTINGS.cache)]


def test_whoever_wants_the_targets_cpu_has_it_emulated(target: Target, tmp_path: Path) -> None:
    emulator = emulator_for(target, replace(SETTINGS, native=False), Runner(log=tmp_path / "log"))
    assert emulator.native is None
    assert re.match(rf"qemu-{target.toolchain.qemu} [\d.]+ ", emulator.version)


def test_a_trial_reads_the_data_files_that_wheels_have_for_the_prefix(tmp_path: Path) -> None:
    """As the templates of Jupyter's nbconvert are; code that is not ours sees no other folder."""
    site = tmp_path / "installed" / "lib" / "python3.10" / "site-packages"
    data = tmp_path / "installed" / "share" / "data.txt"
    for folder in (site, data.parent):
        folder.mkdir(parents=True)
    data.write_text("found")
    runner = Runner(log=tmp_path / "log")
    emulator = emulator_for(targets.load("ot2"), SETTINGS, runner)
    ask = "import sys; print(open(sys.prefix + '/share/data.txt').read())"
    assert Trial(emulator, [site], tmp_path / "scratch", runner).run("-c", ask).lines[-1] == "found"


def test_the_targets_python_compiles_once_what_every_trial_starts_with(tmp_path: Path) -> None:
    """Otherwise the emulator would translate CPython's compiler at each start; a wheel sees the same."""
    site = tmp_path / "installed" / "lib" / "python3.10" / "site-packages"
    site.mkdir(parents=True)
    (site / "seen.py").write_text(
        "import sys\nprint('seen', sorted(sys.modules), sys.path, sys.flags)\nprint('program', sys.argv)"
    )
    emulator = emulator_for(targets.load("ot2"), SETTINGS, Runner())
    assert emulator.start.is_relative_to(SETTINGS.cache)
    seen = []
    for start in START, emulator.start:
        log = tmp_path / f"{len(seen)}.log"
        trial = Trial(replace(emulator, start=start), [site], tmp_path / "scratch", Runner(log=log))
        assert import_modules(Importable("seen-1.whl", (), ["seen"]), trial) == Imports(("seen",))
        text = log.read_text().replace(str(start), "START")
        seen.append(re.findall(r"^(?:seen|program) .*", text, re.MULTILINE))
    as_source, compiled = seen
    assert as_source[1] == "program ['START/import_all.py']"
    assert compiled == [as_source[0], "program ['START/import_all.pyc']"]
    made = emulator.start.stat().st_mtime_ns
    assert emulator_for(targets.load("ot2"), SETTINGS, Runner()).start.stat().st_mtime_ns == made
