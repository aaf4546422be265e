"""A folder of recipes brings a C library of its own: what links it runs on the robot and needs nothing beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import projects
from support.command_line import CommandLine, command_line
from support.projects import write_tree

LIBRARY = """
[tiny]
archive = "{archive}"
sha256 = "{sha256}"
version = "{version}"
tools = ["make"]
commands = [["make", "CC={{tools}}/cc", "AR={{tools}}/ar"], ["make", "DESTDIR={{stage}}{{prefix}}", "install"]]
"""
MAKEFILE = """
libtiny.a: tiny.c
\t$(CC) $(CFLAGS) -c tiny.c -o tiny.o
\t$(AR) rcs $@ tiny.o
install:
\tmkdir -p $(DESTDIR)/lib $(DESTDIR)/include
\tcp libtiny.a $(DESTDIR)/lib/
\tcp tiny.h $(DESTDIR)/include/
"""
SOURCE = '#include "tiny.h"\n' + projects.C_SOURCE.replace("return a + b;", "return a + b + tiny();")
SETUP = projects.setup_py('Extension("_demo", ["demo.c"], libraries=["tiny"])')


@pytest.fixture
def crosswheel(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        line.offer_real("setuptools", "75.8.0")
        yield line


def offer_library(folder: Path, answer: int, version: str) -> None:
    """Put a library beside recipes whose one function gives an answer."""
    files = {
        "tiny.c": f'#include "tiny.h"\nint tiny(void) {{ return {answer}; }}\n',
        "tiny.h": "int tiny(void);\n",
        "Makefile": MAKEFILE,
        "LICENSE": "Free for all.\n",
    }
    tree = write_tree(folder.parent / f"tiny-{version}", files)
    archive = Path(shutil.make_archive(str(folder / tree.name), "gztar", folder.parent, tree.name))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    text = LIBRARY.format(archive=archive.name, sha256=sha256, version=version)
    (folder / "libraries.toml").write_text(text)


def test_a_package_links_a_library_that_its_folder_of_recipes_brings(crosswheel: CommandLine) -> None:
    crosswheel.offer_sdist({**projects.c_project(), "setup.py": SETUP, "demo.c": SOURCE})
    folder = crosswheel.folder / "packages"
    for answer, version in ((5, "1.0"), (7, "1.1")):
        test = f"import _demo\nassert _demo.add(40, 2) == {42 + answer}\n"
        said = 'as_of="2024-12-31", libraries=["tiny"], tests=["test_tiny.py"]'
        crosswheel.recipe(said, files={"test_tiny.py": test})
        offer_library(folder, answer, version)
        assert crosswheel.run("lock").returncode == 0
        done = crosswheel.run("build")
        assert done.returncode == 0, done.output
        (proof,) = (crosswheel.folder / "dist/demo/1.0").glob("*.proof.json")
        told = json.loads(proof.read_text())
        assert (told["tests"], told["toolchain"]["lib:tiny"]) == (["test_tiny"], version)
    again = crosswheel.run("build")
    assert "1 found" in again.output, again.output
    (folder / "tiny-1.1.tar.gz").write_bytes(b"other")
    shutil.rmtree(crosswheel.cache / "libraries")
    crosswheel.run("build").explains(2, "is not what libraries.toml says")


def test_a_library_that_one_machine_built_another_takes_from_what_the_team_shares(
    crosswheel: CommandLine, tmp_path: Path
) -> None:
    setup = SETUP.replace("name='demo'", "name='other'")
    assert setup != SETUP
    crosswheel.variables["CROSSWHEEL_KEYS"] = str(tmp_path / "keys")
    assert crosswheel.run("keys", "new").returncode == 0
    store = ("--shared-cache", str(tmp_path / "shared"))
    for name in ("demo", "other"):
        files = {**projects.c_project(name), "setup.py": SETUP if name == "demo" else setup, "demo.c": SOURCE}
        crosswheel.offer_sdist(files, name=name)
        crosswheel.recipe('libraries=["tiny"]', place=name)
    offer_library(crosswheel.folder / "packages", 5, "1.0")
    first = crosswheel.run("build", "demo==1.0", "--as-of", "2024-12-31", *store)
    assert first.returncode == 0, first.output
    assert "library 1" in crosswheel.run("cache", "show", *store).words
    shutil.rmtree(crosswheel.cache / "libraries")
    (crosswheel.folder / "packages/tiny-1.0.tar.gz").write_bytes(b"not to be built again")
    second = crosswheel.run("build", "other==1.0", "--as-of", "2024-12-31", *store)
    assert second.returncode == 0, second.output
    assert {path.name.split("-")[0] for path in crosswheel.folder.glob("dist/*/*/*.whl")} == {"demo", "other"}
