"""Make headers of a Python that was never built for the target, from another machine's with the target's sizes.

``pyconfig.h`` and the sysconfig data state the sizes of C types and the byte order of the machine they were made for.
Between 64-bit and 32-bit ARM they differ in nothing else. Before anything is built, what is stated is compared with the
compiler's (:mod:`crosswheel.emulation.verification`).
"""

from __future__ import annotations

import pprint
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from crosswheel.cached import CachedFolder, cached_path
from crosswheel.targets import Target
from crosswheel.toolchain.python.tree import PythonTree

# What is defined under a condition, for another system, has an indent.
_LINE = re.compile(r"^(?:#define (\w+) .*|/\* # *undef (\w+) \*/)$", re.MULTILINE)
_OF_A_WORD = (
    "SIZEOF_LONG", "SIZEOF_PTHREAD_T", "SIZEOF_SIZE_T", "SIZEOF_TIME_T", "SIZEOF_UINTPTR_T", "SIZEOF_VOID_P",
    "ALIGNOF_LONG", "ALIGNOF_SIZE_T",
)  # fmt: skip


def headers_for(target: Target, donor: PythonTree, cache: Path) -> PythonTree:
    """Return a tree with headers and sysconfig data for the target, made from another machine's Python.

    It runs nowhere. The shared library in it is the other machine's, and serves only for its list of names.
    """
    facts = _facts(target)
    inputs = {"other": donor.root, "facts": facts, "multiarch": target.multiarch}
    folder = cached_path(cache, "python-headers", inputs)
    tree = PythonTree(folder, donor.short)
    data = tree.stdlib / f"{target.python.sysconfigdata}.py"

    def fill(temporary: Path) -> None:
        filled = PythonTree(temporary, donor.short)
        shutil.copytree(donor.include, filled.include)
        config = filled.include / "pyconfig.h"
        config.write_text(_LINE.sub(lambda line: _macro_line(line, facts), config.read_text()))
        filled.stdlib.mkdir(parents=True)
        variables = pprint.pformat(_variables(donor, target, facts))
        (filled.stdlib / data.name).write_text(f"build_time_vars = {variables}\n")
        filled.names.parent.mkdir(parents=True)
        shutil.copyfile(donor.library, filled.names)

    files = (tree.include / "pyconfig.h", data, tree.names)
    CachedFolder(folder, [str(path.relative_to(folder)) for path in files], is_sealed=True).make(fill)
    return tree


def _facts(target: Target) -> Mapping[str, int | None]:
    """Return the values that a target's ABI determines, by macro; ``None`` for an undefined one."""
    word = target.abi.bits // 8
    facts: dict[str, int | None] = dict.fromkeys(_OF_A_WORD, word)
    is_extended, is_big = target.abi.long_double_bits == 80, target.abi.byte_order == "big"
    facts["SIZEOF_LONG_DOUBLE"] = 8 + word if is_extended else target.abi.long_double_bits // 8
    facts["ALIGNOF_MAX_ALIGN_T"] = 8 if target.machine == "s390x" else 2 * word  # its long double has no more
    facts["WORDS_BIGENDIAN"] = facts["DOUBLE_IS_BIG_ENDIAN_IEEE754"] = 1 if is_big else None
    facts["DOUBLE_IS_LITTLE_ENDIAN_IEEE754"] = None if is_big else 1
    facts["HAVE_GCC_UINT128_T"] = 1 if word == 8 else None
    facts["HAVE_LARGEFILE_SUPPORT"] = 1 if word == 4 else None  # files may be larger than a long can express
    facts["PY_SUPPORT_TIER"] = 0
    return facts


def _macro_line(line: re.Match[str], facts: Mapping[str, int | None]) -> str:
    name = line[1] or line[2]
    if name not in facts:
        return line[0]
    value = facts[name]
    if value is None:
        return f"/* #undef {name} */" if line[1] else line[0]
    return f"#define {name} {value}"


def _variables(donor: PythonTree, target: Target, facts: Mapping[str, int | None]) -> Mapping[str, str | int]:
    multiarch = donor.sysconfig_data.stem.rpartition("_linux_")[2]
    variables = {
        name: value.replace(multiarch, target.multiarch) if isinstance(value, str) else value
        for name, value in donor.build_variables.items()
    }
    return {**variables, **{name: value or 0 for name, value in facts.items() if name in variables}}
