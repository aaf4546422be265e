"""Describe the target to build systems that cannot probe it: Meson, CMake, autotools.

A folder has a file with the same facts for each of them. Environment variables point CMake and autotools to their
files, and a config setting points meson-python to its own (see :mod:`crosswheel.build`). Programs that a build
compiles for the target and then runs are run under emulation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from crosswheel.cached import cached_path, cached_texts
from crosswheel.targets import Target
from crosswheel.toolchain.compilers.fortran import Fortran
from crosswheel.toolchain.compilers.programs import script
from crosswheel.toolchain.python.tree import PythonTree

QEMU_ENVIRONMENT = {"G_SLICE": "always-malloc"}
"""The variables with which qemu is started. In older ones, such as Debian 12's 7.2, a program with several threads that
starts another one may wait for ever, for a lock of GLib's own allocator that another thread had: it is switched off.
This concerns programs of the target and, where the host itself is emulated, all that a build starts."""

# Meson's names that differ from the kernel's (https://mesonbuild.com/Reference-tables.html#cpu-families).
_CPU_FAMILIES = {"armv5tel": "arm", "armv6l": "arm", "armv7l": "arm", "i686": "x86", "ppc64le": "ppc64"}
# NumPy's names of what a long double is, by its bits; its size in memory and the byte order go with them.
_LONG_DOUBLES = {64: "IEEE_DOUBLE", 80: "INTEL_EXTENDED_{size}_BYTES", 128: "IEEE_QUAD"}

_MESON = """\
[binaries]
c = '{tools}/cc'
cpp = '{tools}/c++'
{meson_fortran}ar = '{tools}/ar'
ranlib = '{tools}/ranlib'
objcopy = '{tools}/objcopy'
pkg-config = 'pkg-config'
cmake = 'cmake'
# Programs of Python packages that Meson would not look for when it builds for another machine.
numpy-config = 'numpy-config'
pybind11-config = 'pybind11-config'
exe_wrapper = '{emulator}'

[properties]
needs_exe_wrapper = true
longdouble_format = '{long_double}'

[host_machine]
system = 'linux'
cpu_family = '{family}'
cpu = '{machine}'
endian = '{byte_order}'
"""

_CMAKE = """\
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR {machine})
set(CMAKE_C_COMPILER {tools}/cc)
set(CMAKE_CXX_COMPILER {tools}/c++)
set(CMAKE_ASM_COMPILER {tools}/cc)
{cmake_fortran}set(CMAKE_AR {tools}/ar CACHE FILEPATH "")
set(CMAKE_RANLIB {tools}/ranlib CACHE FILEPATH "")
set(CMAKE_CROSSCOMPILING_EMULATOR {emulator})
set(CMAKE_FIND_ROOT_PATH {prefixes})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
# Linked as it is installed: the compiler leaves out folders of this machine, which CMake would miss as it installs.
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON CACHE BOOL "")
# It lies in no prefix of the target, where alone CMake looks for headers.
file(GLOB numpy_include $ENV{{VIRTUAL_ENV}}/lib/python*/site-packages/numpy/*core/include)
foreach(name Python Python3 PYTHON)
    set(${{name}}_EXECUTABLE $ENV{{VIRTUAL_ENV}}/bin/python CACHE FILEPATH "")
    set(${{name}}_INCLUDE_DIR {include} CACHE PATH "")
    set(${{name}}_LIBRARY {library} CACHE FILEPATH "")
    # FindPython does not ask an interpreter for the suffix of modules when it is another machine's; it asks this.
    set(_${{name}}_CONFIG @folder@/python-config CACHE INTERNAL "")
    set(_${{name}}_CONFIG_LAUNCHER @folder@/python-config CACHE INTERNAL "")
    if(numpy_include)
        set(${{name}}_NumPy_INCLUDE_DIR ${{numpy_include}} CACHE PATH "")
    endif()
endforeach()
set(PYTHON_MODULE_EXTENSION {suffix} CACHE STRING "")
"""

_PYTHON_CONFIG = """\
#!/bin/sh
for word; do
    case $word in
        --extension-suffix) echo {suffix} ;;
        --includes | --cflags) echo -I{include} ;;
        --abiflags | --libs | --ldflags) echo ;;
        *) exit 1 ;;
    esac
done
"""

# The target's Python, for a program of the build that imports what was built for the target.
_TARGET_PYTHON = """\
#!/bin/sh
unset _PYTHON_HOST_PLATFORM _PYTHON_SYSCONFIGDATA_NAME
PYTHONPATH=$(echo "$VIRTUAL_ENV"/lib/python*/site-packages)
LD_LIBRARY_PATH={libraries}
export PYTHONPATH LD_LIBRARY_PATH
exec @folder@/run-on-target {python} "$@"
"""

# Every configure script reads this file first, even one deep inside a build whose caller does not pass
# --host.
_AUTOTOOLS = """\
if test -z "$host_alias"; then
    build_alias={build}
    host_alias={multiarch}
    ac_tool_prefix={multiarch}-
fi
# It runs a probe, and finds that it can: the compiler sees to that.
cross_compiling=maybe
CROSSWHEEL_EMULATOR={emulator}
export CROSSWHEEL_EMULATOR
"""


def description_folder(
    target: Target,
    python: PythonTree,
    tools: Path,
    fortran: Fortran | None,
    emulator: Sequence[str],
    prefixes: Sequence[Path],
    cache: Path,
) -> Path:
    """Return a folder with a file for each build system, ``run-on-target``, ``target-python`` and ``python-config``.

    There is no ``target-python`` where the target's Python cannot run here.

    Args:
        emulator: the command prefix that runs a program of the target here.
        prefixes: the folders of the C libraries that the build may find.
    """
    files = _files(target, python, tools, fortran, prefixes)
    wrapper = script(emulator)
    folder = cached_path(cache, "build-systems", {"files": files, "wrapper": wrapper})
    texts = {name: text.replace("@folder@", str(folder)) for name, text in files.items()}
    return cached_texts(
        folder, {**texts, "run-on-target": wrapper}, ("run-on-target", "target-python", "python-config")
    )


def build_system_environment(folder: Path) -> Mapping[str, str]:
    """Return the variables that point build systems to their descriptions of the target."""
    return {
        "CMAKE_TOOLCHAIN_FILE": str(folder / "toolchain.cmake"),
        "CONFIG_SITE": str(folder / "config.site"),
        "CROSSWHEEL_MESON_CROSS_FILE": str(folder / "meson.ini"),
        "CROSSWHEEL_TARGET_PYTHON": str(folder / "target-python"),
    }


def _long_double(target: Target) -> str:
    kind = _LONG_DOUBLES[target.abi.long_double_bits]
    order = {"little": "LE", "big": "BE"}[target.abi.byte_order]
    return f"{kind.format(size=8 + target.abi.bits // 8)}_{order}"


def _files(
    target: Target, python: PythonTree, tools: Path, fortran: Fortran | None, prefixes: Sequence[Path]
) -> Mapping[str, str]:
    words = {
        "tools": tools,
        "meson_fortran": f"fortran = '{fortran.program}'\n" if fortran else "",
        "cmake_fortran": f"set(CMAKE_Fortran_COMPILER {fortran.program})\n" if fortran else "",
        "emulator": "@folder@/run-on-target",
        "machine": target.machine,
        "family": _CPU_FAMILIES.get(target.machine, target.machine),
        "byte_order": target.abi.byte_order,
        "long_double": _long_double(target),
        "multiarch": target.multiarch,
        "build": f"{os.uname().machine}-pc-linux-gnu",
        # Never an empty list, because CMake would then search this machine's folders.
        "prefixes": " ".join(map(str, [*prefixes, "@folder@"])),
        "include": python.include,
        "library": python.library,
        "libraries": python.root,
        "python": python.executable,
        "suffix": target.extension_suffix,
    }
    templates = {
        "meson.ini": _MESON,
        "toolchain.cmake": _CMAKE,
        "config.site": _AUTOTOOLS,
        "python-config": _PYTHON_CONFIG,
        **({"target-python": _TARGET_PYTHON} if python.runs else {}),
    }
    return {name: template.format(**words) for name, template in templates.items()}
