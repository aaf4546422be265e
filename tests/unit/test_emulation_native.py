"""What this machine's CPU runs itself is told by trying, and sees the target's kernel all the same."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crosswheel.check.elf_objects import read_object
from crosswheel.emulation import native_probe
from crosswheel.emulation.native import runs_here
from crosswheel.errors import MissingToolError
from crosswheel.process import Runner
from crosswheel.sandbox import as_kernel
from crosswheel.sandbox.levels import Sandbox, find_sandbox
from support.objects import Compiler

MACHINE = os.uname().machine
# The narrow code that a machine may run: zig's name for it, the call with its number, and its older calls by version.
NARROW = {
    "x86_64": ("x86-linux", "int $0x80", ("eax", "ebx"), {383: "4.11", 385: "4.18", 403: "5.1", 436: "5.9"}),
    "aarch64": ("arm-linux", "svc #0", ("r7", "r0"), {397: "4.11", 398: "4.18", 403: "5.1", 436: "5.9"}),
}
# Ends with the error that a call without arguments gives.
ASK = """
static long call(long number, long first) {
    register long called __asm__("%(number)s") = number;
    register long given __asm__("%(first)s") = first;
    __asm__ volatile("%(call)s" : "+r"(called), "+r"(given) : : "memory");
    return %(answer)s;
}
void _start(void) { long answer = call(CALL, -1); call(1, -answer & 127); }
"""
HOLDS = """
void _start(void) { for (;;) { } }
"""
# By machine: makes a folder, and goes on for ever.
MAKES = {
    "x86_64": """
void _start(void) {
    long number = 83;
    __asm__ volatile("syscall" : "+a"(number) : "D"("PATH"), "S"(0700) : "rcx", "r11", "memory");
    for (;;) { }
}
""",
    "aarch64": """
void _start(void) {
    register long number __asm__("x8") = 34, folder __asm__("x0") = -100, mode __asm__("x2") = 0700;
    register const char *path __asm__("x1") = "PATH";
    __asm__ volatile("svc #0" : "+r"(folder) : "r"(number), "r"(path), "r"(mode) : "memory");
    for (;;) { }
}
""",
}
OPEN = Sandbox("none")


@pytest.fixture(scope="module")
def loader() -> Path:
    """This machine's own dynamic loader."""
    named = read_object(Path(sys.executable).read_bytes()).interpreter
    assert named
    return Path(named)


def of_another_cpu(loader: Path, folder: Path) -> Path:
    """Return a copy of a program that says it is for a CPU of 1980."""
    program = bytearray(loader.read_bytes())
    program[18:20] = b"\x02\x00"  # EM_SPARC
    path = folder / "foreign.so"
    path.write_bytes(program)
    path.chmod(0o755)
    return path


def test_the_machines_own_loader_runs_and_that_of_another_cpu_does_not(loader: Path, tmp_path: Path) -> None:
    assert runs_here(loader, OPEN, Runner())
    assert not runs_here(of_another_cpu(loader, tmp_path), OPEN, Runner())


def test_a_program_that_ends_at_once_runs_nothing() -> None:
    assert not runs_here(Path("/bin/false"), OPEN, Runner())


@pytest.mark.parametrize("level", ["none", "namespaces", "landlock"])
def test_a_strangers_loader_is_tried_in_the_sandbox(level: str, loader: Path, tmp_path: Path) -> None:
    if MACHINE not in MAKES:
        pytest.skip(f"what a hostile program would call is not written down for {MACHINE}")
    try:
        sandbox = find_sandbox(level)
    except MissingToolError as error:
        pytest.skip(str(error))
    assert runs_here(loader, sandbox, Runner())
    made = tmp_path / "made"
    source = MAKES[MACHINE].replace("PATH", str(made))
    Compiler(tmp_path).linked(source, "-e", "_start", target=f"{MACHINE}-linux", name="hostile")
    (tmp_path / "hostile").chmod(0o755)
    # It is ended a moment after it began, which may be too short on a busy machine.
    often = 100 if level == "none" else 2
    tries = (runs_here(tmp_path / "hostile", sandbox, Runner()) and made.exists() for _ in range(often))
    assert any(tries) == (level == "none")


def test_an_emulator_that_the_kernel_knows_is_not_taken_for_the_cpu(loader: Path, tmp_path: Path) -> None:
    foreign, emulator = of_another_cpu(loader, tmp_path), tmp_path / "emulator"
    probe = native_probe.__file__
    Compiler(tmp_path).linked(HOLDS, "-e", "_start", target=f"{MACHINE}-linux", name="emulator")
    emulator.chmod(0o755)
    ask = f"import subprocess; print(subprocess.Popen([{str(foreign)!r}]).kill())"
    words = f"""
mount -t binfmt_misc binfmt /proc/sys/fs/binfmt_misc || exit 77
printf ':foreign:M:18:\\\\x02\\\\x00::{emulator}:F' > /proc/sys/fs/binfmt_misc/register || exit 77
cd {tmp_path} && {sys.executable} -ISs {probe} {foreign}
exec {sys.executable} -c "$0"
"""
    namespaces = ["unshare", "--user", "--map-root-user", "--mount"]
    done = subprocess.run([*namespaces, "sh", "-c", words, ask], capture_output=True, text=True, check=False)
    if done.returncode in (1, 77):
        pytest.skip(f"a user namespace cannot have emulators of its own here: {done.stderr}")
    assert done.stdout == "None\n", done.stderr


@pytest.mark.skipif(MACHINE not in NARROW, reason=f"no 32-bit code is known that {MACHINE} may run")
def test_programs_of_32_bits_see_the_targets_kernel(tmp_path: Path) -> None:
    target, call, (number, first), since = NARROW[MACHINE]
    answer = {"eax": "called", "r7": "given"}[number]
    source = ASK % {"call": call, "number": number, "first": first, "answer": answer}
    for asked, version in since.items():
        name = f"ask-{asked}"
        Compiler(tmp_path).linked(f"#define CALL {asked}\n{source}", "-e", "_start", target=target, name=name)
        (tmp_path / name).chmod(0o755)
        if not runs_here_at_all(tmp_path / name):
            pytest.skip(f"this CPU, or its kernel, runs no 32-bit code of {target}")
        major, minor = map(int, version.split("."))
        before = f"{major}.{minor - 1}" if minor else f"{major - 1}.20"
        assert errno_under(before, tmp_path / name) == errno.ENOSYS
        assert errno_under(version, tmp_path / name) != errno.ENOSYS


def runs_here_at_all(program: Path) -> bool:
    try:
        return subprocess.run([program], check=False).returncode >= 0
    except OSError:
        return False


def errno_under(release: str, program: Path) -> int:
    words = [sys.executable, "-ISs", as_kernel.__file__, release, "0", "--", program]
    return subprocess.run(words, check=False).returncode
