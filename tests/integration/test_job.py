"""The whole way on the real command line: from a recipe to proven wheels, and what a second run does not do."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel.recipes.loader import shipped_helpers
from support import projects
from support.command_line import CLOSED, CommandLine, command_line
from support.registries import LONG_AGO
from support.wheels import make_wheel

DEMO = "demo-1.0-cp310-cp310-linux_armv7l.whl"
PURE = "pure-1.0-py3-none-any.whl"
GITHUB = 'source=package_build.github_source(org="org", repo="demo", tag="1.0")'
TEST = "import _demo\nassert _demo.add(40, 2) == 42\nassert _demo.bits() == 32\n"


@pytest.fixture
def crosswheel(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        line.offer_real("setuptools", "75.8.0")
        yield line


def offer_demo(crosswheel: CommandLine) -> None:
    """Offer a package with a C extension, which requires a pure one, and a recipe with a test."""
    crosswheel.offer_wheel("pure", files={"pure.py": b""})
    crosswheel.offer_sdist(projects.c_project(), requires="pure")
    crosswheel.recipe('as_of="2024-12-31", tests=["test_add.py"]', files={"test_add.py": TEST})


def test_a_recipe_becomes_a_lock_a_plan_proven_wheels_and_an_index(crosswheel: CommandLine) -> None:
    offer_demo(crosswheel)
    locked = crosswheel.run("lock")
    assert locked.returncode == 0, locked.output
    assert "demo: new -> 1.0" in locked.output
    assert "pure: new -> 1.0" in locked.output
    recipe = crosswheel.folder / "packages/demo/1.0"
    committed = "".join(path.read_text() for path in (recipe / "ot2.lock", recipe / "ot2.build/demo.txt"))
    assert "127.0.0.1" not in committed
    assert str(crosswheel.folder.parent) not in committed
    assert "setuptools==75.8.0" in committed

    planned = crosswheel.run("plan")
    assert planned.returncode == 0, planned.output
    assert "demo 1.0 build it has no wheel at all" in planned.words
    assert "pure 1.0 take pure Python" in planned.words

    built = crosswheel.run("build")
    assert built.returncode == 0, built.output
    assert "1 taken, 1 built, 0 failed" in built.output
    assert crosswheel.wheels() == [DEMO, PURE]
    proof = json.loads((crosswheel.folder / f"dist/demo/1.0/{DEMO}.ot2.proof.json").read_text())
    assert (proof["imported"], proof["tests"], proof["origin"]) == (["_demo"], ["test_add"], "built")
    assert "qemu-arm" in proof["emulator"]
    for name in ("demo", "pure"):
        assert f"{name}-1.0-" in (crosswheel.folder / f"index/simple/{name}/index.html").read_text()


def test_the_recipe_of_a_release_is_used_however_its_folder_spells_the_version(
    crosswheel: CommandLine,
) -> None:
    crosswheel.offer_wheel("de.mo", "2024.8.30", files={"demo.py": b"answer = 42\n"})
    arguments, files = 'as_of="2024-12-31", tests=["test_answer.py"]', {"test_answer.py": "import demo\n"}
    crosswheel.recipe(arguments, place="De_Mo/2024.08.30", files=files)
    crosswheel.run("lock")
    done = crosswheel.run("build")
    assert done.returncode == 0, done.output
    assert "pure Python; packages/De_Mo/2024.08.30/build.py" in done.words
    # Where the original tool put it, and build_package said it would be.
    (proof,) = (crosswheel.folder / "dist/De_Mo/2024.08.30").glob("*.whl.ot2.proof.json")
    said = json.loads(proof.read_text())
    assert (said["tests"], said["recipe"]) == (["test_answer"], "packages/De_Mo/2024.08.30/build.py")


def test_a_corrected_build_of_one_version_takes_the_place_of_the_one_before(crosswheel: CommandLine) -> None:
    crosswheel.offer_sdist(projects.pure_project("demo"))
    day = ("--as-of", "2024-12-31")
    for words in (("demo", *day), ("demo==1.0", "--rebuild"), ("demo==1.0", "--rebuild")):
        done = crosswheel.run("add", *words)
        assert done.returncode == 0, done.output
    assert "demo==1.0 gets the build number 2" in done.words
    assert crosswheel.wheels() == ["demo-1.0-2-py3-none-any.whl"]
    shutil.rmtree(crosswheel.folder / "dist")
    crosswheel.offer_wheel("demo", files={"demo.py": b"bad = 1\n"})  # which would be taken otherwise
    assert crosswheel.run("build").returncode == 0
    assert crosswheel.wheels() == ["demo-1.0-2-py3-none-any.whl"]
    crosswheel.run("add", "demo==1.0", "--as-of", "2024-06-01").explains(2, "says as_of 2024-12-31")


def test_what_was_never_locked_can_be_planned(crosswheel: CommandLine) -> None:
    crosswheel.offer_sdist(projects.pure_project("pure"), name="pure")
    crosswheel.offer_wheel("pure", files={"pure.py": b""})
    (crosswheel.folder / "requirements.txt").write_text("pure\n")
    for title, *words in (["pure", "pure"], ["pure==1.0", "-r", "requirements.txt"]):
        planned = crosswheel.run("plan", *words, "--as-of", "2024-12-31")
        assert planned.returncode == 0, planned.output
        assert f"{title}, for Opentrons OT-2" in planned.words
        assert "pure 1.0 take pure Python" in planned.words
    planned = crosswheel.run("plan", "pure", "--as-of", "2024-12-31", "--from-source")
    assert "pure 1.0 build sources are preferred" in planned.words
    assert not crosswheel.wheels()


def test_a_second_run_starts_no_compiler_and_needs_no_network(crosswheel: CommandLine) -> None:
    offer_demo(crosswheel)
    crosswheel.run("lock")
    assert crosswheel.run("build").returncode == 0
    before = _files(crosswheel)
    again = crosswheel.run("build", CROSSWHEEL_OFFLINE="1", UV_DEFAULT_INDEX=crosswheel.registry.url)
    assert again.returncode == 0, again.output
    assert "2 found" in again.output
    after = _files(crosswheel)
    assert {path for path in before | after if before.get(path) != after.get(path)} == set()
    assert crosswheel.wheels() == [DEMO, PURE]


def _files(crosswheel: CommandLine) -> dict[Path, tuple[int, int]]:
    """Return each file of the logs, of ``dist/`` and of the index, with what changes when it is written again."""
    found = {
        path: path.stat()
        for tree in ("build/demo/1.0", "dist", "index")
        for path in (crosswheel.folder / tree).rglob("*")
        if path.is_file() and "trial" not in path.parts
    }
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in found.items()}


def test_requirements_need_no_recipe_and_are_not_built_twice(crosswheel: CommandLine) -> None:
    offer_demo(crosswheel)
    shutil.rmtree(crosswheel.folder / "packages")
    words = ("build", "demo", "--as-of", "2024-12-31", "--build-type", "packages-only")
    first = crosswheel.run(*words)
    assert first.returncode == 0, first.output
    assert crosswheel.wheels() == [DEMO, PURE]
    assert not (crosswheel.folder / "index").exists()
    again = crosswheel.run(*words)
    assert "2 found" in again.output, again.output


@pytest.mark.parametrize(
    ("choice", "origins"),
    [
        (["--from-source"], {"demo": "built", "pure": "built"}),
        (["--prefer", "published"], {"demo": "taken", "pure": "taken"}),
        ([], {"demo": "built", "pure": "taken"}),
    ],
)
def test_what_a_file_of_requirements_names_is_built_or_taken_as_was_chosen(
    crosswheel: CommandLine, choice: list[str], origins: dict[str, str]
) -> None:
    """The wheel of the one is the slow fallback of what is native elsewhere, that of the other is all there is."""
    crosswheel.recipe(place="demo")
    crosswheel.offer_sdist(projects.c_project())
    crosswheel.offer_wheel("demo", files={"demo.py": b""})
    native = {"demo.py": b"", "_demo.cpython-310-x86_64-linux-gnu.so": b"\x7fELF"}
    crosswheel.offer_wheel("demo", files=native, tag="cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64")
    crosswheel.offer_sdist(projects.pure_project("pure"), name="pure")
    crosswheel.offer_wheel("pure", files={"pure.py": b""})
    (crosswheel.folder / "requirements.txt").write_text("demo  # native\npure==1.0\n")
    done = crosswheel.run("build", "-r", "requirements.txt", "--as-of", "2024-12-31", *choice)
    assert done.returncode == 0, done.output
    proofs = [json.loads(path.read_text()) for path in crosswheel.folder.glob("dist/*/*/*.proof.json")]
    assert {proof["wheel"].partition("-")[0]: proof["origin"] for proof in proofs} == origins


def test_what_a_test_needs_is_there_also_where_nothing_but_a_requirement_was_given(
    crosswheel: CommandLine,
) -> None:
    crosswheel.offer_wheel("pure", files={"pure.py": b"ANSWER = 42"})
    crosswheel.offer_sdist(projects.c_project())  # does not require it
    test = "import _demo, pure\nassert _demo.add(40, 2) == pure.ANSWER\n"
    crosswheel.recipe(
        'tests=["test_add.py"], test_requires=["pure"]', place="demo", files={"test_add.py": test}
    )
    done = crosswheel.run("build", "demo==1.0", "--as-of", "2024-12-31", "--build-type", "packages-only")
    assert done.returncode == 0, done.output
    assert crosswheel.wheels() == [DEMO, PURE]
    proof = json.loads((crosswheel.folder / f"dist/demo/1.0/{DEMO}.ot2.proof.json").read_text())
    assert proof["tests"] == ["test_add"]


@pytest.mark.parametrize(
    ("failing", "told", "advice"),
    [
        (
            'PyImport_ImportModule("elsewhere")',
            "No module named 'elsewhere'",
            "brings elsewhere: name what does",
        ),
        ('PyErr_Format(PyExc_ImportError, "too old")', "ImportError: too old", "name it with skip_imports"),
    ],
)
def test_an_extension_module_that_cannot_be_imported_is_refused_unless_its_recipe_names_it(
    crosswheel: CommandLine, failing: str, told: str, advice: str
) -> None:
    source = projects.C_SOURCE.replace("return PyModule", f"if (!{failing}) return 0; return PyModule")
    crosswheel.offer_sdist({**projects.c_project(), "demo.c": source})
    crosswheel.recipe(place="demo")
    words = ("build", "demo==1.0", "--as-of", "2024-12-31", "--build-type", "packages-only")
    crosswheel.run(*words).explains(1, "module _demo does not load on the target", told, advice)
    crosswheel.recipe('skip_imports={"_demo": "it wants a part of the robot"}', place="demo")
    done = crosswheel.run(*words)
    assert done.returncode == 0, done.output
    assert "demo 1.0 all of it it wants a part of the robot" in done.words
    assert "0 wheels run on the target, 0 modules imported; 1 not run" in done.words
    proof = json.loads((crosswheel.folder / f"dist/demo/1.0/{DEMO}.ot2.proof.json").read_text())
    assert (proof["emulator"], proof["imported"]) == (None, [])
    assert proof["skipped"] == {"_demo": "it wants a part of the robot"}


def test_a_module_that_cannot_work_with_the_robots_python_is_refused_unless_its_recipe_names_it(
    crosswheel: CommandLine,
) -> None:
    crosswheel.offer_wheel("pure", files={"pure/__init__.py": b"", "pure/later.py": b"type X = int"})
    words = ("build", "pure==1.0", "--as-of", "2024-12-31", "--build-type", "packages-only")
    crosswheel.recipe(place="other")
    crosswheel.run(*words).explains(
        1, "module pure.later cannot work with Python 3.10: line 1", "skip_imports"
    )
    crosswheel.recipe('skip_imports={"pure.later": "it is for later"}', place="pure")
    done = crosswheel.run(*words)
    assert done.returncode == 0, done.output
    assert "pure 1.0 pure.later it is for later" in done.words
    proof = json.loads((crosswheel.folder / f"dist/pure/1.0/{PURE}.ot2.proof.json").read_text())
    assert (proof["compiled"], proof["compiled_by"]) == (2, "CPython 3.10.8 of the build machine")


def test_an_old_recipe_builds_its_package_alone_and_not_twice(crosswheel: CommandLine) -> None:
    """As the original tool did: no day, no lock, no dependencies."""
    crosswheel.offer_on_github(projects.cxx_project())
    crosswheel.offer_real("wheel", "0.45.1")
    crosswheel.recipe(f'{GITHUB}, setup_py_commands=["bdist_wheel"]')
    first = crosswheel.run("build", "--verbose", "--build-type", "both", "--container-tag", "main")
    assert first.returncode == 0, first.output
    assert "No container is used" in first.output
    assert "running bdist_wheel" in first.output
    assert crosswheel.wheels() == [DEMO]
    again = crosswheel.run("build")
    assert "1 found" in again.output, again.output


PANDAS_LIKE = """source=package_build.github_source(
        org='org', repo='demo', tag='v1.0', sdist_archive='demo-1.0.tar.gz'),
    setup_py_commands=['build_ext', 'bdist_wheel'],
    build_dependencies=['cython==3.0.12']"""


def test_the_original_tools_recipe_of_a_package_like_pandas_works_unchanged(crosswheel: CommandLine) -> None:
    """A release's sdist, built by setup.py with what the recipe pins, although the project itself states otherwise;
    what it requires when it runs is not locked, so it is not there to be imported."""
    del crosswheel.variables["UV_DEFAULT_INDEX"]  # Cython is real
    files = {
        **projects.cython_project(),
        "pyproject.toml": projects.pyproject("cython<3", "no-such-project-anywhere"),
        "setup.py": "import pkg_resources, ctypes\n"
        + projects.setup_py(
            'Extension("demo._demo", ["demo.pyx"])',
            more=", packages=['demo'], install_requires=['numpy>=1.21']",
        ),
        "demo/__init__.py": "try:\n    import numpy\nexcept ImportError:\n    raise ImportError('numpy is required')\n",
    }
    sdist = projects.make_sdist(crosswheel.folder / "made", files)
    crosswheel.github.bodies["/org/demo/releases/download/v1.0/demo-1.0.tar.gz"] = sdist.read_bytes()
    crosswheel.recipe(PANDAS_LIKE)
    done = crosswheel.run("build")
    assert done.returncode == 0, done.output
    assert crosswheel.wheels() == [DEMO]
    proof = json.loads((crosswheel.folder / f"dist/demo/1.0/{DEMO}.ot2.proof.json").read_text())
    assert "numpy is required" in proof["skipped"]["demo._demo"]
    assert (proof["imported"], proof["emulator"]) == ([], None)
    assert (
        "1 of its modules were not imported, because it requires what its recipe does not bring (numpy)"
        in done.words
    )


def test_where_no_python_of_the_target_can_be_had_the_index_says_that_nothing_ran(
    crosswheel: CommandLine,
) -> None:
    """Several targets in one call, each with a lock of its own."""
    del crosswheel.variables["CROSSWHEEL_MAVEN_URL"]  # another Python than the other tests'
    crosswheel.offer_real("pysqlite3", "0.5.4", "sdist")  # which completes that Python
    crosswheel.offer_sdist(projects.c_project())
    recipes = crosswheel.folder / "packages"
    words = ("--target", "ot2", "--target", "ot2-py312", "--target", "flex", "--as-of", "2024-12-31")
    done = crosswheel.run("add", "demo", *words)
    assert done.returncode == 0, done.output
    locks = sorted(path.name for path in (recipes / "demo/1.0").glob("*.lock"))
    assert locks == ["flex.lock", "ot2-py312.lock", "ot2.lock"]
    folder = crosswheel.folder / "dist/demo/1.0"
    proofs = [json.loads(path.read_text()) for path in sorted(folder.glob("*.proof.json"))]
    ran = {proof["target"]: bool(proof["emulator"]) for proof in proofs}
    assert ran == {"ot2": True, "ot2-py312": False, "flex": True}
    (unrun,) = (proof for proof in proofs if proof["target"] == "ot2-py312")
    assert "no Python 3.12 for armv7l" in unrun["skipped"]["_demo"]
    assert "demo 1.0 all of it no Python 3.12 for armv7l can be had here" in done.words
    assert "ot2-py312: not run" in (crosswheel.folder / "index/project/demo.html").read_text()


def test_what_changes_is_built_again_and_takes_the_place_of_the_old(crosswheel: CommandLine) -> None:
    offer_demo(crosswheel)
    crosswheel.run("lock")
    assert crosswheel.run("build").returncode == 0
    crosswheel.recipe('as_of="2024-12-31", tests=["test_add.py"], optimize="s"')
    changed = crosswheel.run("build")
    assert "1 built" in changed.output, changed.output
    assert crosswheel.wheels() == [DEMO, PURE]


def test_a_wheel_that_requires_what_its_closure_lacks_is_refused(crosswheel: CommandLine) -> None:
    """Here, since the registry tells other metadata (PEP 658) than is in the wheel."""
    wheel = crosswheel.offer_wheel("demo", requires="absent>=2")
    told = crosswheel.folder.parent / f"registry/simple/demo/{wheel.name}.metadata"
    told.write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    done = crosswheel.run("build", "demo==1.0", "--as-of", "2024-12-31", "--build-type", "packages-only")
    done.explains(1, "demo requires absent>=2, and its closure has no absent", "name absent>=2 beside it")
    assert crosswheel.wheels() == []


ASKING = """
import platform, sys
from setuptools import setup
assert sys.maxsize < 2**32
setup(name="demo", version="1.0", install_requires=["arm" if platform.machine() == "armv7l" else "intel"])
"""


def test_what_only_a_build_backend_tells_is_what_it_tells_of_the_robot(crosswheel: CommandLine) -> None:
    """Also where a published wheel of another machine says something else, or a patch adds to it."""
    for name in ("arm", "intel", "more"):
        crosswheel.offer_wheel(name)
    pyproject = projects.pyproject(projects.SETUPTOOLS)
    crosswheel.offer_sdist({"setup.py": ASKING, "pyproject.toml": pyproject}, static=False)
    words = ("build", "demo", "--as-of", "2024-12-31", "--build-type", "packages-only")
    done = crosswheel.run(*words)
    assert done.returncode == 0, done.output
    assert crosswheel.wheels() == ["arm-1.0-py3-none-any.whl", "demo-1.0-py3-none-any.whl"]

    crosswheel.offer_wheel("demo", tag="cp310-cp310-manylinux_2_17_x86_64", requires="intel")
    old = ASKING.splitlines()[-1]
    new = old.replace('install_requires=["', 'install_requires=["more", "')
    patch = f"--- a/setup.py\n+++ b/setup.py\n@@ -5 +5 @@\n-{old}\n+{new}\n"
    crosswheel.recipe('patches=["more.patch"]', place="demo", files={"more.patch": patch})
    shutil.rmtree(crosswheel.folder / "dist")
    shutil.rmtree(crosswheel.folder / "build")
    again = crosswheel.run(*words)
    assert again.returncode == 0, again.output
    assert [name.partition("-")[0] for name in crosswheel.wheels()] == ["arm", "demo", "more"]


def test_a_source_that_wants_native_code_to_tell_what_it_requires_is_asked_on_this_machine(
    crosswheel: CommandLine,
) -> None:
    """As PCA9685-driver does, whose setup.py wants cffi: of this machine's kind, and there is none of the robot's."""
    crosswheel.offer_wheel("pure")
    native = {"native.py": b"import sys\nassert sys.platform == 'linux'\n"}
    crosswheel.offer_wheel("native", files=native, tag="py3-none-manylinux_2_17_x86_64")
    setup = "import native\n" + projects.setup_py("", more=", install_requires=['pure']")
    crosswheel.offer_sdist(
        {"setup.py": setup, "pyproject.toml": projects.pyproject(projects.SETUPTOOLS, "native")}, static=False
    )
    done = crosswheel.run("add", "demo", "--as-of", "2024-12-31")
    assert done.returncode == 0, done.output
    assert crosswheel.wheels() == ["demo-1.0-py3-none-any.whl", PURE]
    locked = (crosswheel.folder / "packages/demo/1.0/ot2.lock").read_text()
    assert "127.0.0.1" not in locked
    assert "native" not in locked


def test_where_a_native_build_fails_the_pure_wheel_is_suggested(crosswheel: CommandLine) -> None:
    crosswheel.offer_sdist({**projects.c_project(), "demo.c": "#error no such thing\n"})
    crosswheel.offer_wheel("demo", files={"demo.py": b""})
    crosswheel.offer_wheel("demo", tag="cp310-cp310-manylinux_2_17_x86_64")
    words = ("build", "demo", "--build-type", "packages-only")
    crosswheel.run(*words).explains(
        1, "no such thing", "or take its pure wheel, which is slower: --prefer published"
    )
    assert crosswheel.run(*words, "--prefer", "published").returncode == 0


def test_a_yanked_release_is_used_and_told_with_the_reason(crosswheel: CommandLine) -> None:
    crosswheel.offer_wheel("pure")
    page = crosswheel.registry.server.folder / "simple/pure/index.json"
    page.write_text(page.read_text().replace('"size"', '"yanked": "it eats samples", "size"'))
    planned = crosswheel.run("plan", "pure==1.0")
    assert planned.returncode == 0, planned.output
    assert "pure==1.0 was yanked: its publisher withdrew it: it eats samples" in planned.words


def test_a_registry_that_tells_no_upload_times_can_be_locked_without_a_day(crosswheel: CommandLine) -> None:
    """As plain folders of wheels, which PEP 503 describes."""
    crosswheel.offer_wheel("pure")
    for page in crosswheel.registry.server.folder.rglob("index.json"):
        page.write_text(page.read_text().replace('"upload-time"', '"unused"'))
    added = crosswheel.run("add", "pure")
    assert added.returncode == 0, added.output
    assert "so the lock is as of no day" in added.words
    assert "# as-of: today" in (crosswheel.folder / "packages/pure/1.0/ot2.lock").read_text()
    assert crosswheel.run("build").returncode == 0
    assert "pure 1.0: nothing changed" in crosswheel.run("lock").words
    stated = crosswheel.run("plan", "pure", "--as-of", "2024-12-31")
    stated.explains(2, "the registry does not tell when files came to it", "leave the day out")


def test_a_source_that_does_not_tell_what_it_requires_is_named_with_the_reason(
    crosswheel: CommandLine,
) -> None:
    files = {**projects.pure_project("demo"), "setup.py": "raise RuntimeError('no such board')\n"}
    crosswheel.offer_sdist(files, static=False)
    done = crosswheel.run("plan", "demo", "--as-of", "2024-12-31")
    done.explains(1, "what demo==1.0 requires could not be learned from its source", "no such board")


def test_one_failure_does_not_stop_the_others(crosswheel: CommandLine) -> None:
    """Nor is what needs it offered; the summary tells each, and what to do."""
    crosswheel.offer_sdist({**projects.c_project("bad"), "demo.c": "#error no such thing\n"}, name="bad")
    crosswheel.offer_sdist(projects.c_project())
    crosswheel.offer_wheel("needy", requires="bad")
    crosswheel.offer_wheel("pure")
    crosswheel.recipe('as_of="2024-12-31", requirements=["demo", "needy", "pure"]')
    assert crosswheel.run("lock").returncode == 0
    done = crosswheel.run("build")
    done.explains(
        1, "failed: bad 1.0: ", "no such thing", "build.log", "needs bad, which failed", "1 blocked"
    )
    assert crosswheel.wheels() == [DEMO, PURE]


def test_a_wheel_whose_test_fails_on_the_robot_is_refused(crosswheel: CommandLine) -> None:
    offer_demo(crosswheel)
    crosswheel.recipe(
        'as_of="2024-12-31", tests=["test_add.py"]',
        files={"test_add.py": "import _demo\nassert _demo.bits() == 64, 'not a robot'\n"},
    )
    crosswheel.run("lock")
    done = crosswheel.run("build")
    done.explains(1, f"{DEMO} was refused", "test test_add.py fails on the target", "not a robot")
    assert crosswheel.wheels() == [PURE]
    assert crosswheel.run("build").returncode == 1  # nor is it accepted the second time
    assert crosswheel.wheels() == [PURE]


def test_a_wheel_that_crashes_on_the_robot_is_refused(crosswheel: CommandLine) -> None:
    crash = "__attribute__((constructor)) static void crash(void) { *(volatile int *) 1 = 0; }\n"
    crosswheel.offer_sdist({**projects.c_project(), "demo.c": crash + projects.C_SOURCE})
    crosswheel.recipe('as_of="2024-12-31"')
    crosswheel.run("lock")
    done = crosswheel.run("build")
    done.explains(1, "module _demo does not load on the target", "segmentation fault", 'optimize="s"')
    assert crosswheel.wheels() == []


def test_a_wheel_that_silently_lost_its_extension_is_refused(crosswheel: CommandLine) -> None:
    """As PyYAML does without libyaml: only the official wheel of another platform tells."""
    setup = (
        "import os\nfrom setuptools import setup\nsetup(name='demo', version='1.0', py_modules=['demo'])\n"
    )
    crosswheel.offer_sdist({**projects.c_project(), "setup.py": setup, "demo.py": ""})
    official = {"demo.py": b"", "_demo.cpython-310-x86_64-linux-gnu.so": b"\x7fELF"}
    tag = "cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64"
    crosswheel.offer_wheel("demo", files=official, tag=tag)
    crosswheel.recipe('as_of="2024-12-31"')
    crosswheel.run("lock")
    done = crosswheel.run("build")
    done.explains(1, "the extension module _demo is missing")
    assert crosswheel.wheels() == []


def test_a_published_wheel_that_the_robot_cannot_load_is_refused(crosswheel: CommandLine) -> None:
    crosswheel.offer_wheel(
        "demo",
        files={"_demo.cpython-310-arm-linux-gnueabihf.so": b"\x7fELF junk"},
        tag="cp310-cp310-linux_armv7l",
    )
    crosswheel.recipe('as_of="2024-12-31"')
    crosswheel.run("lock")
    done = crosswheel.run("build")
    done.explains(1, "demo-1.0-cp310-cp310-linux_armv7l.whl was refused", "_demo.cpython-310")
    assert crosswheel.wheels() == []


def test_where_the_robot_cannot_load_the_published_wheel_its_source_is_built_instead(
    crosswheel: CommandLine,
) -> None:
    crosswheel.offer_wheel(
        "demo",
        files={"_demo.cpython-310-arm-linux-gnueabihf.so": b"\x7fELF junk"},
        tag="cp310-cp310-linux_armv7l",
    )
    crosswheel.offer_sdist(projects.c_project())
    crosswheel.recipe('as_of="2024-12-31"')
    locked = crosswheel.run("lock")
    assert locked.returncode == 0, locked.output
    built = crosswheel.run("build")
    assert built.returncode == 0, built.output
    assert (
        "demo==1.0 is built from its source, as demo-1.0-cp310-cp310-linux_armv7l.whl was refused"
        in built.words
    )
    assert "0 taken, 1 built, 0 failed" in built.output
    proof = json.loads((crosswheel.folder / f"dist/demo/1.0/{DEMO}.ot2.proof.json").read_text())
    assert (proof["origin"], proof["reason"]) == ("built", "its published wheel was refused")


VERSIONLESS = {
    "pyproject.toml": projects.pyproject(
        "hatchling==1.27.0",
        "versioningit==3.1.2",
        backend="hatchling.build",
        project='name = "demo"\ndynamic = ["version"]',
        tool__hatch__version='source = "versioningit"',
        tool__versioningit__write='file = "demo/_version.py"\ntemplate = "version = \'{version}\'"',
    ),
    "demo/__init__.py": "from demo._version import version\n",
}


def test_an_archive_from_github_without_history_knows_its_version(crosswheel: CommandLine) -> None:
    """As Prefect's: versioningit would ask git, and find the repository around the checkout, or none."""
    del crosswheel.variables["UV_DEFAULT_INDEX"]  # the backend and its plugin are real
    crosswheel.offer_on_github(VERSIONLESS)
    crosswheel.recipe(
        f'{GITHUB}, tests=["test_version.py"]',
        files={"test_version.py": "import demo\nassert demo.version == '1.0'\n"},
    )
    done = crosswheel.run("build")
    assert done.returncode == 0, done.output
    assert crosswheel.wheels() == ["demo-1.0-py2.py3-none-any.whl"]


def test_a_github_that_cannot_be_reached_is_replaced_by_the_fallback_aloud(crosswheel: CommandLine) -> None:
    crosswheel.offer_sdist(projects.c_project())
    crosswheel.recipe(f'{GITHUB}, fallback=package_build.pypi_source(name="demo", version="1.0")')
    done = crosswheel.run("build", CROSSWHEEL_GITHUB_URL=CLOSED)
    assert done.returncode == 0, done.output
    assert "GitHub org/demo 1.0 cannot be had, so the sdist of demo 1.0 is used instead" in done.words
    assert crosswheel.wheels() == [DEMO]
    again = crosswheel.run("build", CROSSWHEEL_GITHUB_URL=CLOSED)
    assert "is used instead" in again.words  # what was found in the cache has the same flaw


def test_greenlet_without_its_recipes_optimisation_is_refused(crosswheel: CommandLine) -> None:
    """It loads, and crashes on the first switch: the real package, by its own test, shows that the check sees it."""
    del crosswheel.variables["UV_DEFAULT_INDEX"]
    switch = shipped_helpers()["greenlet"].folder / "test_switch.py"
    crosswheel.recipe(
        'tests=["test_switch.py"]', place="greenlet", files={"test_switch.py": switch.read_text()}
    )
    done = crosswheel.run("build", "greenlet==3.2.1", "--as-of", "2025-04-25")
    done.explains(
        1, "test test_switch.py fails on the target (segmentation fault)", "another optimisation level"
    )
    assert crosswheel.wheels() == []


def test_many_lines_are_built_each_on_its_own_and_limits_end_what_takes_too_much(
    crosswheel: CommandLine,
) -> None:
    crosswheel.offer_wheel("pure", files={"pure.py": b""})
    crosswheel.offer_sdist(projects.c_project(), requires="pure")
    for name, setup, limit in (
        ("endless", "while True: pass\n", 'time_limit="3s"'),
        ("greedy", "b'x' * 10**9\n", 'memory_limit="500M"'),
    ):
        files = {"pyproject.toml": projects.pyproject(projects.SETUPTOOLS), "setup.py": setup}
        crosswheel.offer_sdist(files, name=name, static=False)
        crosswheel.recipe(limit, place=name)
    (crosswheel.folder / "names.txt").write_text("demo\nendless\ngreedy\npure\nnobody-has-it\n")
    words = ("build", "--each", "-r", "names.txt", "--as-of", "2024-12-31", "--time-limit", "30m")
    done = crosswheel.run(*words)
    done.explains(
        2, "5 lines: 1 taken, 1 built, 0 found, 3 failed", "the time limit of 3 s for the package is over"
    )
    assert "more memory than it may have" in done.words
    assert "no set of releases satisfies nobody-has-it" in done.words
    assert crosswheel.wheels() == [DEMO, PURE]
    page = (crosswheel.folder / "index/status.html").read_text()
    assert "1 failed: it exceeded its time limit" in page

    again = crosswheel.run(*words, CROSSWHEEL_OFFLINE="1", UV_DEFAULT_INDEX=crosswheel.registry.url)
    again.explains(2, "5 lines: 0 taken, 0 built, 2 found, 3 failed", "--retry-failed tries them again")
    crosswheel.run("build", "--each").explains(2, "--each has nothing to build")
    crosswheel.run("build", "pure", "--retry-failed").explains(2, "--retry-failed needs --each")
    crosswheel.run("build", "pure", "--time-limit", "soon").explains(
        2, "--time-limit soon: that is no amount"
    )


def test_what_todays_build_requirements_do_not_build_is_built_with_those_of_its_own_day(
    crosswheel: CommandLine,
) -> None:
    refusal = "raise SystemExit('error: brew() was called without water')"
    for version, uploaded, body in (("1.0", LONG_AGO, "pass"), ("2.0", "2024-06-01T00:00:00Z", refusal)):
        files = {"brewer.py": f"def brew(): {body}\n".encode()}
        wheel = make_wheel(crosswheel.folder / "offered", "brewer", version, files)
        crosswheel.registry.add(wheel, uploaded=uploaded)
    project = projects.pure_project("demo")
    setup = f"import brewer\nbrewer.brew()\n{project['setup.py']}"
    table = projects.pyproject(projects.SETUPTOOLS, "brewer")
    crosswheel.offer_sdist({**project, "pyproject.toml": table, "setup.py": setup})
    done = crosswheel.run("build", "demo==1.0", "--as-of", "2024-12-31")
    assert done.returncode == 0, done.output
    assert "demo==1.0 is built once more, with build requirements as of its release, 2020-01-01" in done.words
    (proof,) = (crosswheel.folder / "dist").rglob("*.proof.json")
    assert "brewer==1.0" in json.loads(proof.read_text())["build_requirements"]
    locked = [path.read_text() for path in (crosswheel.folder / "build/locks").glob("*/build/demo.txt")]
    assert ["brewer==1.0" in text for text in locked] == [True]

    crosswheel.recipe('as_of="2024-12-31"')  # its committed lock stays as it is
    assert crosswheel.run("lock").returncode != 0


def test_a_c_library_that_a_build_asks_for_is_linked_without_a_recipe(crosswheel: CommandLine) -> None:
    crosswheel.offer_sdist(projects.yaml_project())
    words, once_more = ("build", "demo==1.0", "--as-of", "2024-12-31"), "demo==1.0 is built once more"
    done = crosswheel.run(*words)
    assert done.returncode == 0, done.output
    assert f"{once_more}, with the C library libyaml: the build ended with exit code 1" in done.words
    (wheel,) = (crosswheel.folder / "dist").rglob(DEMO)
    first = wheel.read_bytes()
    assert "demo-1.0.dist-info/licenses/libyaml/copyright-libyaml-dev" in zipfile.ZipFile(wheel).namelist()

    again = crosswheel.run(*words)
    assert (again.returncode, once_more in again.words) == (0, False)
    for folder in (crosswheel.cache / "made", crosswheel.folder / "dist"):
        shutil.rmtree(folder)
    built = crosswheel.run(*words)  # it is known by now
    assert (built.returncode, once_more in built.words) == (0, False)
    assert wheel.read_bytes() == first


def test_a_program_that_a_build_calls_and_does_not_require_is_installed_without_a_recipe(
    crosswheel: CommandLine,
) -> None:
    program = b"#!/bin/sh\necho SWIG Version 9.9 | tee drawn.txt\n"
    files = {"swig.py": b"", "swig-9.9.data/scripts/swig": program}
    crosswheel.registry.add(
        make_wheel(crosswheel.folder / "offered", "swig", "9.9", files), uploaded=LONG_AGO
    )
    project = projects.c_project()
    calls = "import subprocess\nsubprocess.run(['swig', '-version'], check=True)\n"
    crosswheel.offer_sdist({**project, "setup.py": calls + project["setup.py"]})
    words, once_more = ("build", "demo==1.0", "--as-of", "2024-12-31"), "demo==1.0 is built once more"
    done = crosswheel.run(*words)
    assert done.returncode == 0, done.output
    assert f"{once_more}, with the program swig: the build ended with exit code 1" in done.words
    (proof,) = (crosswheel.folder / "dist").rglob("*.proof.json")
    said = json.loads(proof.read_text())
    assert "swig==9.9" in said["build_requirements"]
    assert said["reason"].endswith("; its build asked for swig")
    (path,) = (crosswheel.folder / "dist").rglob("*.provenance.json")
    definition = json.loads(path.read_text())["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["recipe"]["build_dependencies"] == ["swig"]


def test_a_c_library_that_a_build_does_without_is_linked_where_official_wheels_have_what_it_left_out(
    crosswheel: CommandLine,
) -> None:
    """As PyYAML does without libyaml: its build ends well, and only the comparison tells."""
    crosswheel.offer_sdist(projects.yaml_project(optional=True))
    tag = "cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64"
    official = {"_demo.cpython-310-x86_64-linux-gnu.so": b"\x7fELF"}
    crosswheel.offer_wheel("demo", files=official, tag=tag)
    done = crosswheel.run("build", "demo==1.0", "--as-of", "2024-12-31")
    assert done.returncode == 0, done.output
    assert "built once more, with the C library libyaml: demo-1.0-" in done.words
    assert "the extension module _demo is missing" in done.words
    assert crosswheel.wheels() == [DEMO]


def test_a_c_library_that_is_asked_for_before_a_build_tells_what_it_requires_is_linked_without_a_recipe(
    crosswheel: CommandLine,
) -> None:
    project = projects.yaml_project()
    asks = "import subprocess\nsubprocess.run(['pkg-config', '--print-errors', 'yaml-0.1'], check=True)\n"
    crosswheel.offer_sdist({**project, "setup.py": asks + project["setup.py"]}, static=False)
    done = crosswheel.run("build", "demo==1.0", "--as-of", "2024-12-31")
    assert done.returncode == 0, done.output
    assert crosswheel.wheels() == [DEMO]


def test_a_build_that_a_library_does_not_help_is_tried_once_more_and_not_for_ever(
    crosswheel: CommandLine,
) -> None:
    crosswheel.offer_sdist(projects.yaml_project(header="yaml/none.h"))
    done = crosswheel.run("build", "demo==1.0", "--as-of", "2024-12-31")
    done.explains(1, "the header yaml/none.h was not found")
    assert done.words.count("with the C library libyaml") == 1
    assert not list((crosswheel.cache / "asked-for").glob("*"))
