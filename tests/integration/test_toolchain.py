"""The cross view: whoever asks is answered as on the robot, and a view that is wrong is found before it is used."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crosswheel import targets
from crosswheel.emulation.emulator import emulator_for, qemu_program, userland
from crosswheel.emulation.verification import verify
from crosswheel.errors import IntegrityError, NetworkError, TargetError, ToolchainError
from crosswheel.process import Runner
from crosswheel.registry import Registry
from crosswheel.sandbox.levels import find_sandbox
from crosswheel.sandbox.view import View, cache_paths
from crosswheel.settings import Settings
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.environment import cross_environment, toolchain_for
from crosswheel.toolchain.libraries.linking import compat_archive
from crosswheel.toolchain.python.choosing import host_python, target_python
from crosswheel.toolchain.python.cpython import state_triplet
from crosswheel.uv import Uv, site_of
from support.crossing import Crossing, crossing_for, musl_here, warm_cache
from support.servers import FolderServer
from support.wheels import make_wheel

OT2 = targets.load("ot2")
# Everything that build backends are known to ask, by what they ask.
QUESTIONS = """
import json, os, platform, struct, sys, sysconfig
import distutils.sysconfig, distutils.util
answers = {
    "os.uname": [os.uname().sysname, os.uname().machine, os.uname().release],
    "platform": [platform.machine(), platform.system(), platform.libc_ver(), platform.architecture()[0]],
    "platform.uname": platform.uname().machine,
    "platform.platform": platform.platform(),
    "confstr": os.confstr("CS_GNU_LIBC_VERSION"),
    "get_platform": [sysconfig.get_platform(), distutils.util.get_platform()],
    "soabi": sysconfig.get_config_var("SOABI"),
    "suffix": [sysconfig.get_config_var("EXT_SUFFIX"), distutils.sysconfig.get_config_var("EXT_SUFFIX")],
    "multiarch": [sysconfig.get_config_var("MULTIARCH"), sys.implementation._multiarch],
    "pointer": [sys.maxsize, struct.calcsize("P"), sysconfig.get_config_var("SIZEOF_VOID_P")],
    "include": [sysconfig.get_path("include"), sysconfig.get_paths()["platinclude"]],
    "compilers": [sysconfig.get_config_var(name) for name in ("CC", "CXX", "AR", "LDSHARED")],
    "version": [sys.version_info[:3], sysconfig.get_python_version()],
    "flags": [sysconfig.get_config_var(name) for name in ("CFLAGS", "LDFLAGS", "OPT", "PY_CFLAGS")],
}
try:
    import packaging.tags
    answers["tags"] = [str(tag) for tag in packaging.tags.sys_tags()]
    import setuptools
    from setuptools.command.bdist_wheel import get_platform
    answers["wheel"] = get_platform(None)
except ImportError:
    pass
print(json.dumps(answers))
"""

# Each operation in each size that a compiler leaves to a library where a CPU has no instruction; exits with a line's
# number if one is wrong, or changes what lies beside.
ATOMIC = """
#define CHECK(what) if (!(what)) leave(__LINE__)
static void leave(int code)
{
    register int status __asm__("r0") = code, call __asm__("r7") = 1;
    __asm__ volatile("svc 0" : : "r"(status), "r"(call));
}
static unsigned char bytes[4] = {1, 2, 3, 250};
static short halves[2] = {-2, 7};
static int word = 40;
static _Atomic int counter;
/* As GCC asks for them, which compiled Debian's archives; Clang asks for others, and reckons. */
extern int add_and_fetch(volatile void *, int) __asm__("__sync_add_and_fetch_4");
extern int sub_and_fetch(volatile void *, int) __asm__("__sync_sub_and_fetch_4");
extern unsigned char nand_and_fetch(volatile void *, unsigned char) __asm__("__sync_nand_and_fetch_1");
extern int swapped(volatile void *, short, short) __asm__("__sync_bool_compare_and_swap_2");
extern void release(volatile void *) __asm__("__sync_lock_release_1");
extern int is_lock_free(unsigned long, const volatile void *) __asm__("__atomic_is_lock_free");
void _start(void)
{
    CHECK(__sync_fetch_and_add(&bytes[3], 10) == 250 && bytes[3] == 4);
    CHECK(__sync_lock_test_and_set(&bytes[1], 9) == 2 && bytes[1] == 9);
    CHECK(__sync_val_compare_and_swap(&bytes[0], 1, 5) == 1 && __sync_val_compare_and_swap(&bytes[0], 1, 6) == 5);
    CHECK(bytes[0] == 5 && bytes[2] == 3);
    CHECK(__atomic_fetch_max(&halves[0], -1, 5) == -2 && halves[0] == -1 && halves[1] == 7);
    CHECK(__atomic_fetch_min(&halves[1], -9, 5) == 7 && halves[0] == -1 && halves[1] == -9);
    CHECK(__sync_fetch_and_sub(&word, 41) == 40 && word == -1);
    CHECK(__sync_fetch_and_and(&word, 12) == -1 && __sync_fetch_and_or(&word, 3) == 12);
    CHECK(__sync_fetch_and_xor(&word, 5) == 15 && __sync_fetch_and_nand(&word, 2) == 10 && word == -3);
    CHECK(__sync_bool_compare_and_swap(&word, -3, 1) && !__sync_bool_compare_and_swap(&word, -3, 2) && word == 1);
    __sync_synchronize();
    CHECK(++counter == 1 && counter-- == 1 && counter == 0);
    CHECK(add_and_fetch(&word, 7) == 8 && sub_and_fetch(&word, 9) == -1 && word == -1);
    CHECK(nand_and_fetch(&bytes[2], 2) == 253 && bytes[2] == 253 && bytes[1] == 9 && bytes[3] == 4);
    CHECK(swapped(&halves[0], -1, 5) && !swapped(&halves[0], -1, 6) && halves[0] == 5 && halves[1] == -9);
    release(&bytes[3]);
    CHECK(bytes[3] == 0 && bytes[2] == 253);
    CHECK(is_lock_free(4, &word) && is_lock_free(1, &bytes[1]) && !is_lock_free(4, &bytes[1]));
    CHECK(!is_lock_free(8, 0) && !is_lock_free(0, 0));
    leave(0);
}
"""

# Threads that change the same words at once, by different operations: something is lost if one is not atomic.
THREADS = """
#include <pthread.h>
#include <sched.h>
enum { THREADS = 4, ROUNDS = 20000 };
static unsigned char bytes[4];
static unsigned short halves[2];
static unsigned int word, taken, guarded, swapped;
static void *work(void *unused)
{
    for (int round = 0; round < ROUNDS; round++) {
        __sync_fetch_and_add(&bytes[0], 1);
        __sync_fetch_and_sub(&bytes[1], 1);
        __sync_fetch_and_xor(&bytes[3], 1 + round % 255);
        __sync_fetch_and_add(&halves[0], 1);
        __sync_fetch_and_sub(&halves[1], 1);
        __sync_fetch_and_add(&word, 3);
        unsigned int old;
        do
            old = *(volatile unsigned int *) &swapped;
        while (!__sync_bool_compare_and_swap(&swapped, old, old + 1));
        for (int waited = 0; __sync_lock_test_and_set(&taken, 1); sched_yield())
            if (++waited == 1 << 20)
                return &taken; /* it was given back, and that was lost */
        guarded++;
        __sync_synchronize();
        *(volatile unsigned int *) &taken = 0;
    }
    return unused;
}
int main(void)
{
    pthread_t threads[THREADS];
    enum { ALL = THREADS * ROUNDS };
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], 0, work, 0))
            return 99;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], 0);
    int lost = bytes[0] != (unsigned char) ALL || bytes[1] != (unsigned char) -ALL || bytes[2] || bytes[3];
    lost |= (halves[0] != (unsigned short) ALL || halves[1] != (unsigned short) -ALL) << 1;
    return lost | (word != 3 * ALL) << 2 | (swapped != ALL) << 3 | (guarded != ALL) << 4;
}
"""

# Functions that came to glibc after 2.17: each does what it is for.
LATER = """
long getrandom(void *, unsigned long, unsigned int);
int memfd_create(const char *, unsigned int), fcntl64(int, int, ...);
int main(void)
{
    char bytes[16];
    int file = memfd_create("file", 1 /* MFD_CLOEXEC */);
    return !(getrandom(bytes, sizeof bytes, 0) == sizeof bytes && file >= 0 && fcntl64(file, 1 /* F_GETFD */) == 1);
}
"""

# Functions that came to musl with 1.2.5.
LATER_OF_MUSL = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
int main(int count, char **words)
{
    char text[] = "ab", read[2];
    struct iovec written = {text, 2}, into = {read, 2};
    struct statx found;
    int file = open(words[1], O_RDWR | O_CREAT, 0600);
    return pwritev2(file, &written, 1, 3, 0) != 2 || preadv2(file, &into, 1, 3, 0) != 2 || memcmp(text, read, 2)
        || statx(file, "", AT_EMPTY_PATH, STATX_SIZE, &found) || found.stx_size != 5;
}
"""


@pytest.fixture(scope="module")
def ot2(tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    return crossing_for(tmp_path_factory.mktemp("crossing"))


@pytest.fixture(scope="module")
def site(ot2: Crossing) -> Path:
    """A folder with the packages that ask, as a build environment has them."""
    folder = ot2.folder / "asking"
    wanted = {"packaging": "24.2", "setuptools": "75.8.0"}
    with Registry(ot2.settings) as registry:
        for name, version in wanted.items():
            file = next(f for f in registry.release_files(name, version) if f.kind == "wheel")
            wheel = registry.fetch(file)
            Uv(ot2.settings, ot2.runner).install_wheel(wheel, folder, python=ot2.toolchain.host.executable)
    return site_of(folder)


def ask(ot2: Crossing, site: Path, *, as_target: bool) -> dict[str, Any]:
    """Ask the interpreter of a build hook, or the same one outside of hooks."""
    python, env = ot2.toolchain.host, dict[str, str]()
    if as_target:
        env = ot2.environment().for_hook(python.root, ot2.folder, {})
    path = f"{env.get('PYTHONPATH', '')}:{site}".strip(":")
    command = [python.executable, "-W", "ignore", "-c", QUESTIONS]
    result = ot2.runner.run(command, env={**env, "PYTHONPATH": path, "SETUPTOOLS_USE_DISTUTILS": "local"})
    answers: dict[str, Any] = json.loads(result.lines[-1])
    return answers


def test_a_build_hook_is_answered_as_on_the_robot(ot2: Crossing, site: Path) -> None:
    answers = ask(ot2, site, as_target=True)
    python, tools = ot2.toolchain.python, ot2.toolchain.compilers.folder
    assert answers["os.uname"] == ["Linux", "armv7l", "4.14.98"]
    assert answers["platform"] == ["armv7l", "Linux", ["glibc", "2.25"], "32bit"]
    assert answers["platform.uname"] == "armv7l"
    assert "armv7l" in answers["platform.platform"]
    assert answers["confstr"] == "glibc 2.25"
    assert answers["get_platform"] == ["linux-armv7l", "linux-armv7l"]
    assert answers["soabi"] == "cpython-310-arm-linux-gnueabihf"
    assert answers["suffix"] == [".cpython-310-arm-linux-gnueabihf.so"] * 2
    assert answers["multiarch"] == ["arm-linux-gnueabihf"] * 2
    assert answers["pointer"] == [2**31 - 1, 4, 4]
    assert answers["include"] == [str(python.include)] * 2
    assert answers["compilers"] == [
        str(tools / "cc"),
        str(tools / "c++"),
        str(tools / "ar"),
        f"{tools / 'cc'} -shared",
    ]
    assert answers["version"] == [[3, 10, 8], "3.10"]
    assert "-fwrapv" in answers["flags"][0]
    assert not any(re.search(r"-march|-mcpu|-std|-g\b|-I|-L", flag or "") for flag in answers["flags"])
    assert answers["wheel"] == "linux_armv7l"
    assert "cp310-cp310-linux_armv7l" in answers["tags"]
    assert set(answers["tags"]) <= set(map(str, OT2.tags))


def test_what_a_build_imports_may_use_ctypes(ot2: Crossing) -> None:
    """As numpy does, whose headers many ask for; it compares the sizes of the interpreter that runs."""
    env = ot2.environment().for_hook(ot2.toolchain.host.root, ot2.folder, {})
    program = "import struct, ctypes; print(struct.calcsize('P'), ctypes.sizeof(ctypes.c_void_p))"
    asked = ot2.runner.run([ot2.toolchain.host.executable, "-c", program], env=env)
    assert asked.lines == ["4 8"]


def test_outside_of_hooks_the_same_interpreter_is_this_machines(ot2: Crossing, site: Path) -> None:
    answers = ask(ot2, site, as_target=False)
    assert answers["os.uname"][1] == os.uname().machine
    assert answers["pointer"] == [2**63 - 1, 8, 8]
    assert answers["soabi"] != "cpython-310-arm-linux-gnueabihf"


def test_the_interpreter_that_uv_asks_answers_the_same(ot2: Crossing) -> None:
    """uv runs it isolated, so that no variable reaches it."""
    result = ot2.runner.run([ot2.toolchain.interpreter, "-I", "-W", "ignore", "-c", QUESTIONS], env={})
    answers = json.loads(result.lines[-1])
    assert answers["platform"] == ["armv7l", "Linux", ["glibc", "2.25"], "32bit"]
    assert answers["get_platform"][0] == "linux-armv7l"
    assert answers["pointer"][:2] == [2**31 - 1, 4]


def test_the_robots_answers_are_those_of_its_own_python(ot2: Crossing) -> None:
    """What is compared here is the target's file and the view, with what the emulated interpreter says itself."""
    program = (
        "import json, struct, sys, sysconfig, os; ask = sysconfig.get_config_var; print(json.dumps(["
        "os.uname().machine, ask('SOABI'), ask('EXT_SUFFIX'), sys.maxsize, struct.calcsize('P'), "
        "ask('SIZEOF_LONG'), sys.version_info[:3]]))"
    )
    said = json.loads(ot2.run(program).lines[-1])
    assert said == ["armv7l", OT2.python.soabi, OT2.extension_suffix, 2**31 - 1, 4, 4, [3, 10, 8]]


def test_tags_are_those_of_the_robots_own_pip(ot2: Crossing, tmp_path: Path) -> None:
    with Registry(ot2.settings) as registry:
        file = next(f for f in registry.release_files("pip", OT2.python.pip) if f.kind == "wheel")
        wheel = registry.fetch(file)
    uv = Uv(ot2.settings, ot2.runner)
    image = uv.install_wheel(wheel, tmp_path / "image", python=ot2.toolchain.host.executable)
    # The emulated C library is newer than the robot's (PEP 600 has this module for such cases).
    limit = "def manylinux_compatible(major, minor, arch):\n    return (major, minor) <= (2, 25)\n"
    (image / "_manylinux.py").write_text(limit)
    program = "from pip._internal.utils import compatibility_tags as asked; print(*asked.get_supported(), sep='\\n')"
    said = ot2.emulator.run(ot2.runner, ["-c", program], environment={"PYTHONPATH": str(image)}, cwd=tmp_path)
    assert said.lines == [str(tag) for tag in OT2.tags]


def changed(**changes: dict[str, object]) -> Target:
    """Return the OT-2 with tables changed."""
    said = OT2.model_dump()
    for table, values in changes.items():
        said[table] = {**said[table], **values}
    return Target.model_validate(said)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (changed(abi={"bits": 64}), "pointer is 32, not 64|maxsize"),
        (changed(abi={"long_double_bits": 128}), "long double mantissa is 53, not 113"),
        (changed(python={"soabi": "cpython-310-arm-linux-gnueabi"}), "No module named 'probe'"),
        (changed(toolchain={"cpu": "cortex_a99"}), "cortex_a99"),
        (changed(toolchain={"zig": "x86_64-linux-gnu"}), "wrong"),
    ],
    ids=["bits", "long double", "SOABI", "CPU", "triple"],
)
def test_a_view_that_is_wrong_is_refused_and_told(
    ot2: Crossing, tmp_path: Path, target: Target, reason: str
) -> None:
    settings = dataclasses.replace(ot2.settings, cache=warm_cache(tmp_path / "cache"))
    toolchain = toolchain_for(target, settings)
    environment = cross_environment(toolchain, ot2.emulator.prefix, Runner())
    with pytest.raises(ToolchainError, match="the cross view of ot2 is wrong") as caught:
        verify(toolchain, environment, ot2.emulator, Runner(log=tmp_path / "log"))
    assert re.search(reason, caught.value.message)
    assert "target's file" in caught.value.hint
    assert list((settings.cache / "verified").iterdir()) == []


def test_a_right_view_is_verified_once(ot2: Crossing, tmp_path: Path) -> None:
    log = tmp_path / "log"
    verify(ot2.toolchain, ot2.environment(), ot2.emulator, Runner(log=log))
    assert not log.exists()


def test_a_python_of_another_patch_release_than_the_target_says_is_named(ot2: Crossing) -> None:
    with pytest.raises(
        TargetError, match=r"says Python 3\.10\.12, and what it names .* is 3\.10\.8"
    ) as caught:
        emulator_for(changed(python={"version": "3.10.12"}), ot2.settings, Runner())
    assert 'version = "3.10.8"' in caught.value.hint


def test_the_emulated_python_has_the_standard_library_that_the_robot_has(ot2: Crossing) -> None:
    program = """
import bz2, ctypes, lzma, sqlite3, ssl
base = sqlite3.connect("runs.db")
base.execute("CREATE TABLE runs (name TEXT PRIMARY KEY, size INT)")
base.executemany("INSERT INTO runs VALUES (?, ?)", [("a", 2**40), ("b", None)])
base.commit()
print(sqlite3.connect("runs.db").execute("SELECT * FROM runs ORDER BY name").fetchall())
try:
    base.execute("INSERT INTO runs VALUES ('a', 1)")
except sqlite3.IntegrityError as error:
    print(type(error).__module__, error)
for module in (bz2, lzma):
    print(module.decompress(module.compress(b"ABC" * 3)).decode())
"""
    Path(ot2.folder / "runs.db").unlink(missing_ok=True)
    assert ot2.run(program).lines == [
        "[('a', 1099511627776), ('b', None)]",
        "sqlite3 UNIQUE constraint failed: runs.name",
        *["ABC" * 3] * 2,
    ]


def test_no_module_of_the_standard_library_is_compiled_under_emulation(ot2: Crossing) -> None:
    told = ot2.emulator.run(Runner(), ["-v", "-c", "import asyncio, json, sqlite3, unittest.mock"]).output
    assert "mock.cpython-310.pyc" in told
    assert re.findall(r"code object from '?[^'\n]+\.py'?$", told, re.MULTILINE) == []


def test_no_build_hook_compiles_a_module_of_the_standard_library(ot2: Crossing, tmp_path: Path) -> None:
    host = host_python(ot2.target, ot2.settings)
    view = View((*cache_paths(ot2.settings.cache),), (tmp_path,))
    words = [host.executable, "-v", "-c", "import asyncio, json, unittest.mock"]
    told = find_sandbox().run(Runner(), words, view, cwd=tmp_path, env={"PATH": os.defpath}).output
    assert "mock.cpython-310.pyc" in told
    assert re.findall(r"code object from '?[^'\n]+\.py'?$", told, re.MULTILINE) == []


def test_a_cpu_without_atomic_instructions_has_the_operations(ot2: Crossing, tmp_path: Path) -> None:
    """GCC's own library has them, by the kernel's help; zig's has not, and the C++ library asks for them."""
    target = targets.load("debian-armel")
    compilers = zig_compilers(target, ot2.settings.cache)
    toolchain = dataclasses.replace(ot2.toolchain, target=target, compilers=compilers)
    compat = cross_environment(toolchain, [], ot2.runner).variables[
        "CROSSWHEEL_COMPAT"
    ]  # without any library
    (tmp_path / "atomic.c").write_text(ATOMIC)
    bare = (
        "-nostdlib",
        "-static",
        "-fno-stack-protector",
        "-fno-unwind-tables",
        "-fno-asynchronous-unwind-tables",
    )
    compilers.run(["cc", *bare, "atomic.c", compat, "-o", "atomic"], ot2.runner, cwd=tmp_path)
    qemu = qemu_program(target.toolchain.qemu, ot2.settings, ot2.runner)
    done = ot2.runner.run([qemu, "-cpu", target.toolchain.qemu_cpu or "", tmp_path / "atomic"], check=False)
    assert done.returncode == 0
    assert "CROSSWHEEL_COMPAT" not in cross_environment(ot2.toolchain, [], ot2.runner).variables


def test_operations_of_such_a_cpu_lose_nothing_among_threads(ot2: Crossing, tmp_path: Path) -> None:
    target = targets.load("debian-armel")
    compilers = zig_compilers(target, ot2.settings.cache)
    compat = compat_archive(target, compilers, ot2.settings.cache, ot2.runner)
    (tmp_path / "threads.c").write_text(THREADS)
    compilers.run(["cc", "threads.c", compat, "-pthread", "-o", "threads"], ot2.runner, cwd=tmp_path)
    emulator = emulator_for(target, ot2.settings, ot2.runner)
    for _ in range(3):
        assert ot2.runner.run([*emulator.prefix, tmp_path / "threads"], check=False).returncode == 0


def test_what_an_old_c_library_lacks_is_stood_in_for(ot2: Crossing, tmp_path: Path) -> None:
    """A Python for glibc 2.17 could not be linked: Debian's libuuid asks for getrandom, of glibc 2.25."""
    target = targets.load(f"linux-{os.uname().machine.replace('_', '-')}")
    assert target.linked_glibc == "2.17"
    compilers = zig_compilers(target, ot2.settings.cache)
    compat = compat_archive(target, compilers, ot2.settings.cache, ot2.runner)
    (tmp_path / "asks.c").write_text(LATER)
    compilers.run(["cc", "asks.c", compat, "-o", "asks"], ot2.runner, cwd=tmp_path)
    assert ot2.runner.run([tmp_path / "asks"], check=False).returncode == 0


def test_what_an_older_musl_than_the_compilers_lacks_is_stood_in_for(ot2: Crossing, tmp_path: Path) -> None:
    """A Python for musl 1.2.3 did not start there: the compiler's musl has preadv2."""
    target = musl_here()
    compilers = zig_compilers(target, ot2.settings.cache)
    compat = compat_archive(target, compilers, ot2.settings.cache, ot2.runner)
    (tmp_path / "asks.c").write_text(LATER_OF_MUSL)
    compilers.run(["cc", "asks.c", compat, "-o", "asks"], ot2.runner, cwd=tmp_path)
    root = userland(target, ot2.settings, ot2.runner)
    loader = root / "lib" / f"ld-musl-{target.machine}.so.1"
    answer = ot2.runner.run([loader, tmp_path / "asks", tmp_path / "file"], check=False)
    assert (answer.returncode, answer.lines) == (0, [])


@pytest.mark.parametrize("multiarch", ["aarch64-linux-musl", "arm-linux-musleabihf", "x86_64-linux-musl"])
def test_a_pythons_configure_learns_the_triplet_of_musl_from_the_preprocessor(
    ot2: Crossing, tmp_path: Path, multiarch: str
) -> None:
    """Its own way asks a macro of musl's stdarg.h, which Clang's hides: extension modules then had no triplet."""
    (tmp_path / "Misc").mkdir()
    state_triplet(tmp_path, multiarch)
    words = ["cc", "-E", "Misc/platform_triplet.c", "-o", "told"]
    ot2.toolchain.compilers.run(words, ot2.runner, cwd=tmp_path)
    told = [line.replace(" ", "") for line in (tmp_path / "told").read_text().splitlines()]
    assert f"PLATFORM_TRIPLET={multiarch}" in told


def test_qemu_does_without_an_allocator_whose_lock_a_started_program_may_wait_for(
    ot2: Crossing, tmp_path: Path
) -> None:
    ask = ot2.emulator.command(
        "-c", "import os; print(os.environ['G_SLICE'])"
    )  # as whoever starts such programs
    told = ot2.runner.run(ask, env={"PATH": os.defpath})
    hook = ot2.environment().for_hook(tmp_path / "venv", tmp_path, {})
    assert (told.output.strip(), hook["G_SLICE"]) == ("always-malloc", "always-malloc")


def test_bytecode_of_an_installed_wheel_counts_whatever_the_times_of_its_files(
    ot2: Crossing, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "pure", "1.0", {"pure.py": b""})
    uv = Uv(ot2.settings, ot2.runner)
    site = uv.install_wheel(wheel, tmp_path / "prefix", python=ot2.toolchain.interpreter)
    (bytecode,) = site.glob("__pycache__/pure.*.pyc")
    assert bytecode.read_bytes()[4:8] == b"\1\0\0\0"  # by a hash that is not compared (PEP 552)


def test_what_completes_the_emulated_python_is_made_once_and_no_wheel_is_compiled_with_it(
    ot2: Crossing, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    again = emulator_for(OT2, dataclasses.replace(ot2.settings, offline=True), Runner(log=log))
    assert again.python == ot2.emulator.python
    assert "-shared" not in log.read_text()  # nothing was compiled
    assert target_python(OT2, ot2.settings) == ot2.toolchain.python
    assert not list(ot2.toolchain.python.stdlib.glob("lib-dynload/_sqlite3*"))


def test_an_emulated_python_that_cannot_be_completed_goes_without_and_is_completed_later(
    ot2: Crossing, tmp_path: Path
) -> None:
    cache = warm_cache(tmp_path / "cache")
    pythons = (cache / "python").resolve()
    (cache / "python").unlink()
    for kept in pythons.iterdir():
        if not kept.name.endswith(("-_sqlite3", "-completed")):
            (cache / "python").mkdir(exist_ok=True)
            (cache / "python" / kept.name).symlink_to(kept)
    settings = dataclasses.replace(ot2.settings, cache=cache)
    empty = dataclasses.replace(settings, offline=True)
    without = emulator_for(OT2, empty, Runner())
    (warning,) = without.warnings
    assert re.match(
        "_sqlite3, which Opentrons OT-2's Python has, could not be made for the emulated one", warning
    )
    answer = without.run(Runner(), ["-c", "import lzma; print('lzma'); import sqlite3"], check=False)
    assert "lzma" in answer.output
    assert "No module named '_sqlite3'" in answer.output
    whole = emulator_for(OT2, settings, Runner())
    assert whole.warnings == ()
    assert whole.run(Runner(), ["-c", "import lzma, sqlite3; print('both')"]).lines == ["both"]


def test_a_machine_that_the_target_names_no_python_for_is_told(ot2: Crossing) -> None:
    elsewhere = {"another": next(iter(OT2.model_dump()["python"]["host"].values()))}
    with pytest.raises(TargetError, match=r"names no host Python 3\.10\.8 for"):
        host_python(changed(python={"host": elsewhere}), ot2.settings)


def test_a_python_that_cannot_be_downloaded_is_a_network_problem(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path, github="", registry="", maven="http://127.0.0.1:9/maven")
    with pytest.raises(
        NetworkError, match=r"Python org\.bytedeco:cpython.* could not be downloaded"
    ) as caught:
        target_python(OT2, settings)
    assert "CROSSWHEEL_MAVEN_URL" in caught.value.hint
    assert not list(tmp_path.glob("python/*"))


def test_a_repository_without_such_a_python_is_told_from_a_network_that_fails(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with FolderServer(tmp_path / "empty") as server:
        settings = Settings(cache=tmp_path / "cache", github="", registry="", maven=server.url)
        with pytest.raises(NetworkError, match="the Maven repository has no cpython-") as caught:
            target_python(OT2, settings)
    assert caught.value.hint.startswith("correct distribution and classifier in the target file")


def offer_python(folder: Path, archive: bytes) -> None:
    """Lay an archive into a Maven repository, as the OT-2's Python."""
    group, name, version = OT2.python.distribution.split(":")
    place = folder / group.replace(".", "/") / name / version
    place.mkdir(parents=True)
    (place / f"{name}-{version}-{OT2.python.target.classifier}.jar").write_bytes(archive)
    (place / f"{name}-{version}.pom").write_text(
        f"<project><modelVersion>4.0.0</modelVersion><groupId>{group}</groupId><artifactId>{name}</artifactId>"
        f"<version>{version}</version></project>"
    )


def test_a_python_with_the_wrong_hash_is_refused_and_not_kept(tmp_path: Path) -> None:
    offer_python(tmp_path / "served", b"PK something else")
    with FolderServer(tmp_path / "served") as server:
        settings = Settings(cache=tmp_path / "cache", github="", registry="", maven=server.url)
        with pytest.raises(IntegrityError, match="wrong hash") as caught:
            target_python(OT2, settings)
    assert OT2.python.target.sha256 in caught.value.message
    assert "sha256 in the target file" in caught.value.hint
    assert not list(tmp_path.glob("cache/python/*"))
    assert not list(tmp_path.glob("cache/**/*.jar"))


def test_those_that_begin_at_once_with_an_empty_cache_do_not_disturb_each_other(tmp_path: Path) -> None:
    archive, artifact = io.BytesIO(), OT2.python.target
    with zipfile.ZipFile(archive, "w") as contents:
        for name in ("bin/python3.10", "include/python3.10/pyconfig.h"):
            contents.writestr(f"org/bytedeco/cpython/{artifact.classifier}/{name}", b"content")
        contents.writestr("much", bytes(50_000_000))
    offer_python(tmp_path / "served", archive.getvalue())
    digest = hashlib.sha256(archive.getvalue()).hexdigest()
    target = changed(python={"target": {"classifier": artifact.classifier, "sha256": digest}})
    at_once = threading.Barrier(3)

    def begin(settings: Settings) -> Path:
        at_once.wait(60)
        return target_python(target, settings).executable

    with FolderServer(tmp_path / "served") as server, ThreadPoolExecutor(3) as pool:
        settings = Settings(cache=tmp_path / "cache", github="", registry="", maven=server.url)
        found = set(pool.map(begin, [settings] * 3))
    (executable,) = found
    assert executable.is_file()
    assert len(list(tmp_path.glob("cache/python/[!.]*"))) == 1
    assert not list(tmp_path.glob("cache/**/*.jar"))
