"""What is stated of each kind of machine, to build systems and in headers, is what its compiler has."""

from __future__ import annotations

import configparser
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import ziglang

from crosswheel import targets
from crosswheel.learning.facts import Kind, kinds
from crosswheel.targets import Target
from crosswheel.toolchain.build_systems import description_folder
from crosswheel.toolchain.python.headers import headers_for
from crosswheel.toolchain.python.tree import PythonTree

# By the bits of its mantissa.
_LONG_DOUBLES = {"53": "IEEE_DOUBLE", "64": "INTEL_EXTENDED_{size}_BYTES", "113": "IEEE_QUAD"}
_ORDERS = {"__ORDER_LITTLE_ENDIAN__": "LE", "__ORDER_BIG_ENDIAN__": "BE"}
# https://mesonbuild.com/Reference-tables.html#cpu-families
_FAMILIES = {
    "EM_ARM": "arm", "EM_AARCH64": "aarch64", "EM_386": "x86", "EM_X86_64": "x86_64", "EM_PPC64": "ppc64",
    "EM_RISCV": "riscv64", "EM_S390": "s390x",
}  # fmt: skip
_ELSEWHERE = "# if defined __BIG_ENDIAN__\n#  define WORDS_BIGENDIAN 1\n# endif\n"
of_each_kind = pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.names.machine)


@cache
def macros(zig: str) -> Mapping[str, str]:
    """Return what the compiler defines by itself."""
    words = [Path(ziglang.__file__).parent / "zig", "cc", "-target", zig, "-E", "-dM", "-x", "c", os.devnull]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name: value for _, name, value in (line.split(" ", 2) for line in lines if line.count(" ") > 1)}


def target_of(kind: Kind) -> Target:
    """Return the OT-2, were it of another kind."""
    ot2 = targets.load("ot2")
    abi = {"bits": kind.elf.bits, "byte_order": kind.elf.byte_order}
    return ot2.model_copy(
        update={
            "machine": kind.names.machine,
            "multiarch": kind.names.multiarch,
            "abi": ot2.abi.model_copy(update={**abi, "long_double_bits": kind.names.long_double_bits}),
        }
    )


@of_each_kind
def test_meson_is_told_what_the_compiler_has(kind: Kind, tmp_path: Path) -> None:
    tree = PythonTree(tmp_path / "python", "3.10")
    folder = description_folder(target_of(kind), tree, tmp_path, None, [], [], tmp_path / "cache")
    told = configparser.ConfigParser()
    told.read(folder / "meson.ini")
    has = macros(kind.tools.zig)
    long_double = _LONG_DOUBLES[has["__LDBL_MANT_DIG__"]].format(size=has["__SIZEOF_LONG_DOUBLE__"])
    assert told["properties"]["longdouble_format"] == f"'{long_double}_{_ORDERS[has['__BYTE_ORDER__']]}'"
    assert told["host_machine"]["cpu_family"] == f"'{_FAMILIES[kind.elf.machine]}'"


@of_each_kind
def test_headers_that_are_made_state_what_the_compiler_has(kind: Kind, tmp_path: Path) -> None:
    donor, target = PythonTree(tmp_path / "donor", "3.10"), target_of(kind)
    donor.include.mkdir(parents=True)
    (donor.include / "pyconfig.h").write_text(
        "#define DOUBLE_IS_LITTLE_ENDIAN_IEEE754 1\n/* #undef DOUBLE_IS_BIG_ENDIAN_IEEE754 */\n"
        "#define SIZEOF_LONG 2\n#define SIZEOF_LONG_DOUBLE 2\n#define SIZEOF_VOID_P 2\n#define ALIGNOF_MAX_ALIGN_T 2\n"
        f"{_ELSEWHERE}# ifndef WORDS_BIGENDIAN\n/* #  undef WORDS_BIGENDIAN */\n# endif\n"
    )
    donor.stdlib.mkdir(parents=True)
    (donor.stdlib / "_sysconfigdata__linux_x86_64-linux-gnu.py").write_text("build_time_vars = {}\n")
    donor.library.write_bytes(b"\0")
    made = headers_for(target, donor, tmp_path / "cache").include / "pyconfig.h"
    has = macros(kind.tools.zig)
    lines = made.read_text().splitlines()
    assert _ELSEWHERE in made.read_text()
    is_big = _ORDERS[has["__BYTE_ORDER__"]] == "BE"
    assert ("#define WORDS_BIGENDIAN 1" in lines) == is_big
    assert ("#define DOUBLE_IS_BIG_ENDIAN_IEEE754 1" in lines) == is_big
    assert ("#define DOUBLE_IS_LITTLE_ENDIAN_IEEE754 1" in lines) == (not is_big)
    sizes = {"LONG": "LONG", "LONG_DOUBLE": "LONG_DOUBLE", "VOID_P": "POINTER"}
    assert all(f"#define SIZEOF_{ours} {has[f'__SIZEOF_{its}__']}" in lines for ours, its in sizes.items())
    (tmp_path / "aligned.c").write_text(
        f'#include "{made}"\n#include <stddef.h>\n_Static_assert(ALIGNOF_MAX_ALIGN_T == _Alignof(max_align_t), "");\n'
    )
    words = [
        Path(ziglang.__file__).parent / "zig",
        "cc",
        "-target",
        kind.tools.zig,
        "-c",
        "aligned.c",
        "-o",
        "a.o",
    ]
    subprocess.run(words, check=True, cwd=tmp_path)
