"""Verify the cross view before anything is built with it.

Compile a probe extension with the view's ``sysconfig`` answers, load it in the emulated Python, and ask it for its
compile-time facts. This finds a view that describes the wrong machine here, rather than in sixty wheels.
"""

from __future__ import annotations

import json
from pathlib import Path

from crosswheel.cached import cached_folder
from crosswheel.emulation.emulator import Emulator
from crosswheel.errors import CrosswheelError, ToolchainError
from crosswheel.files import write_text
from crosswheel.process import Runner
from crosswheel.targets import Target
from crosswheel.toolchain.environment import CrossEnvironment, Toolchain

# Python's configuration against the compiler's values: a module compiled with a wrong one loads nevertheless.
_CHECKS = r"""
#include <Python.h>
#include <float.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define CHECK(stated, type) _Static_assert(stated == sizeof(type), #stated " is not the size of " #type)
CHECK(SIZEOF_LONG, long);
CHECK(SIZEOF_LONG_LONG, long long);
CHECK(SIZEOF_LONG_DOUBLE, long double);
CHECK(SIZEOF_VOID_P, void *);
CHECK(SIZEOF_SIZE_T, size_t);
CHECK(SIZEOF_UINTPTR_T, uintptr_t);
CHECK(SIZEOF_WCHAR_T, wchar_t);
CHECK(SIZEOF_TIME_T, time_t);
CHECK(SIZEOF_OFF_T, off_t);
CHECK(SIZEOF_PTHREAD_T, pthread_t);
_Static_assert(ALIGNOF_LONG == _Alignof(long), "ALIGNOF_LONG is not the alignment of long");
_Static_assert(PY_BIG_ENDIAN == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__), "PY_BIG_ENDIAN is not the byte order");
"""
_PROBE = (
    _CHECKS
    + r"""
static PyObject *answers(PyObject *self, PyObject *none)
{
    return Py_BuildValue("{s:i,s:i,s:i,s:s}", "pointer", 8 * (int) sizeof(void *), "long", 8 * (int) SIZEOF_LONG,
                         "long double mantissa", LDBL_MANT_DIG, "python", PY_VERSION);
}

static PyMethodDef methods[] = {{"answers", answers, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "probe", "", -1, methods};
PyMODINIT_FUNC PyInit_probe(void) { return PyModule_Create(&module); }
"""
)
# The same answers from a program that needs no Python.
_PROGRAM = (
    _CHECKS
    + r"""
#include <stdio.h>

int main(void)
{
    printf("answers {\"pointer\": %d, \"long\": %d, \"long double mantissa\": %d, \"python\": \"%s\"}\n",
           8 * (int) sizeof(void *), 8 * (int) SIZEOF_LONG, LDBL_MANT_DIG, PY_VERSION);
    return 0;
}
"""
)
# What a backend would read, from the interpreter that poses as the target.
_COMPILE = """
import json, shlex, subprocess, sys, sysconfig
ask = sysconfig.get_config_var
output = "probe" + ask("EXT_SUFFIX")
command = [*shlex.split(ask("LDSHARED")), *shlex.split(ask("CFLAGS")), "-I", sysconfig.get_path("include")]
subprocess.run([*command, "probe.c", "-o", output], check=True)
answers = {"platform": sysconfig.get_platform(), "soabi": ask("SOABI"), "maxsize": sys.maxsize}
print("answers " + json.dumps(answers))
"""
_LOAD = "import json, probe; print('answers ' + json.dumps(probe.answers()))"
# Bits of precision of a long double, by its size: IEEE double, x87 extended, IEEE quadruple.
_MANTISSA = {64: 53, 80: 64, 128: 113}


def verify(toolchain: Toolchain, environment: CrossEnvironment, emulator: Emulator, runner: Runner) -> None:
    """Verify that the toolchain makes extension modules that the target loads; once for each toolchain.

    Raises:
        ToolchainError: an answer differs from the target's; the message names it.
    """
    inputs = {
        "probe": _PROBE,
        "program": _PROGRAM,
        "compile": _COMPILE,
        "identity": toolchain.identity,
        "compilers": toolchain.compilers.identity,
    }

    def fill(temporary: Path) -> None:
        try:
            answers = _probed(toolchain, environment, emulator, runner, temporary)
        except CrosswheelError as error:
            raise _refused(toolchain, str(error)) from error
        for name, expected in _expected(toolchain).items():
            if not _agrees(name, answers.get(name), expected, toolchain.target):
                raise _refused(toolchain, f"{name} is {answers.get(name)!r}, not {expected!r}")
        write_text(temporary / "answers.json", json.dumps(answers))

    cached_folder(toolchain.settings.cache, "verified", inputs, fill, ["answers.json"])


def _probed(
    toolchain: Toolchain, environment: CrossEnvironment, emulator: Emulator, runner: Runner, folder: Path
) -> dict[str, object]:
    """Compile the probe in a folder, run it, and return the answers of both."""
    (folder / "probe.c").write_text(_PROBE)
    (folder / "program.c").write_text(_PROGRAM)
    env = environment.for_hook(toolchain.host.root, folder, {})
    compiled = runner.run([toolchain.host.executable, "-c", _COMPILE], cwd=folder, env=env)
    if emulator.python.runs:
        loaded = emulator.run(runner, ["-c", _LOAD], environment={"PYTHONPATH": str(folder)}, cwd=folder)
    else:
        cc, include = toolchain.compilers.folder / "cc", f"-I{toolchain.python.include}"
        runner.run([cc, include, "program.c", "-o", "program"], cwd=folder, env=env)
        loaded = runner.run([*emulator.prefix, folder / "program"], cwd=folder)
    return {**_answers(compiled.lines), **_answers(loaded.lines)}


def _expected(toolchain: Toolchain) -> dict[str, object]:
    target = toolchain.target
    return {
        "platform": f"linux-{target.machine}",
        "soabi": target.python.soabi,
        "maxsize": 2 ** (target.abi.bits - 1) - 1,
        "pointer": target.abi.bits,
        "long": target.abi.bits,
        "long double mantissa": _MANTISSA[target.abi.long_double_bits],
        "python": target.python.compiled_for,
    }


def _agrees(name: str, answer: object, expected: object, target: Target) -> bool:
    """Return whether an answer matches the target; the headers of any patch release fit a machine's own Python."""
    if name == "python" and target.userland:
        return str(answer).rpartition(".")[0] == target.python.short
    return answer == expected


def _answers(lines: list[str]) -> dict[str, object]:
    answers: dict[str, object] = {}
    for line in lines:
        if line.startswith("answers "):
            answers.update(json.loads(line[len("answers ") :]))
    return answers


def _refused(toolchain: Toolchain, reason: str) -> ToolchainError:
    return ToolchainError(
        f"the cross view of {toolchain.target.name} is wrong: {reason}",
        hint=f"check the target's file; or remove {Path(toolchain.settings.cache)} to have the toolchain made anew.",
    )
