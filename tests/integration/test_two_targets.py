"""One command for two targets: a wheel that passes for both is used for both, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import projects
from support.command_line import CommandLine, command_line

# Extensions of the stable ABI have the same file name for every Python; what names the one that compiled them makes the
# bytes of two targets differ.
SETUP = projects.setup_py(
    'Extension("_demo", ["demo.c"], py_limited_api=True, define_macros=[("Py_LIMITED_API", "0x03060000"), '
    '("PYTHON", \'"%d.%d"\' % sys.version_info[:2]), (f"PYTHON_{sys.version_info[1]}", "1")])',
    more=", options={'bdist_wheel': {'py_limited_api': 'cp36'}}",
).replace("from setuptools", "import sys\nfrom setuptools", 1)
SOURCE = projects.C_SOURCE.replace(
    "#include <Python.h>", "#include <Python.h>\nconst char *made_by = PYTHON;"
)
WHEEL = "demo-1.0-cp36-abi3-linux_armv7l.whl"
# glibc 2.34 has it, and the OT-2 has 2.25.
LATER = SOURCE.replace(
    "return a + b;",
    """
#ifdef PYTHON_11
    extern void closefrom(int);
    if (a == -1) closefrom(1000);
#endif
    return a + b;
    """,
)
# It starts with the Python alone that it was compiled for.
CHOOSY = SOURCE.replace(
    "return PyModule_Create(&module);",
    """
    if (strncmp(Py_GetVersion(), PYTHON, 4) == 0) return PyModule_Create(&module);
    PyErr_SetString(PyExc_ImportError, "another Python");
    return NULL;
    """,
).replace("#include <Python.h>", "#include <Python.h>\n#include <string.h>")


@pytest.fixture
def crosswheel(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        line.offer_real("setuptools", "75.8.0")
        yield line


def build(crosswheel: CommandLine, *targets: str) -> dict[str, str]:
    """Build for targets; return for each of them the hash of the wheel that it was given."""
    words = [word for target in targets for word in ("--target", target)]
    done = crosswheel.run("build", "demo==1.0", "--as-of", "2024-12-31", *words)
    assert done.returncode == 0, done.output
    proofs = [json.loads(path.read_text()) for path in crosswheel.folder.glob("dist/**/*.proof.json")]
    return {proof["target"]: proof["sha256"] for proof in proofs}


def test_a_wheel_that_passes_for_both_targets_is_used_for_both(crosswheel: CommandLine) -> None:
    crosswheel.offer_sdist({**projects.c_project(), "setup.py": SETUP, "demo.c": SOURCE})
    apart = build(crosswheel, "debian-armhf")["debian-armhf"]
    hashes = build(crosswheel, "ot2", "debian-armhf")
    assert hashes == {"ot2": apart, "debian-armhf": apart}
    assert [path.name for path in crosswheel.folder.glob("dist/**/*.whl")] == [WHEEL]
    proof = json.loads((crosswheel.folder / f"dist/demo/1.0/{WHEEL}.ot2.proof.json").read_text())
    assert "the wheel that was built for debian-armhf passes" in proof["reason"]
    assert proof["imported"] == ["_demo"]


@pytest.mark.parametrize("source", [LATER, CHOOSY], ids=["a later glibc", "another Python"])
def test_a_wheel_that_fails_for_one_of_them_is_not_used_there(crosswheel: CommandLine, source: str) -> None:
    crosswheel.offer_sdist({**projects.c_project(), "setup.py": SETUP, "demo.c": source})
    hashes = build(crosswheel, "ot2", "debian-armhf")
    assert len(set(hashes.values())) == 2
    assert len([*crosswheel.folder.glob("dist/**/*.whl")]) == 2
    assert build(crosswheel, "ot2", "debian-armhf") == hashes
