"""The user's own projects on the real command line: built with all they need, locked, rebuilt where they changed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel.files import sha256_of
from support.command_line import CommandLine, command_line
from support.projects import make_sdist, own_project, write_tree
from support.wheels import make_wheel

LAB = "lab-1.0-py3-none-any.whl"
CORE_SOURCE = "core = {path = '../core', editable = true}\n"


@pytest.fixture
def crosswheel(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        yield line


def lab(crosswheel: CommandLine) -> Path:
    """Write two projects, of which one needs the other and a release of the registry; ``core`` states no metadata."""
    crosswheel.offer_wheel("six", files={"six.py": b""})
    crosswheel.offer_wheel("core", "9.0", files={"bad.py": b""})  # somebody else's, of the same name
    write_tree(crosswheel.folder / "core", own_project("core", requires=("six",), stated=False))
    extra = {"project__optional_dependencies": "vision = ['eyes']\n"}
    files = own_project("lab", requires=("core>=1",), tool__uv__sources=CORE_SOURCE, **extra)
    text = files["pyproject.toml"].replace("optional_dependencies", "optional-dependencies")
    return write_tree(crosswheel.folder / "lab", {**files, "pyproject.toml": text})


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_a_project_is_built_with_its_neighbours_and_only_what_changed_is_built_again(
    crosswheel: CommandLine,
) -> None:
    folder = lab(crosswheel)
    built = crosswheel.run("build", "./lab")
    assert built.returncode == 0, built.output
    assert "1 taken, 2 built, 0 failed" in built.output
    assert crosswheel.wheels() == ["core-1.0-py3-none-any.whl", LAB, "six-1.0-py3-none-any.whl"]
    assert "no registry is asked for a core" in built.words
    proof = json.loads((crosswheel.folder / f"dist/lab/1.0/{LAB}.ot2.proof.json").read_text())
    assert proof["source"].startswith("the project lab, files sha256:")
    assert str(crosswheel.folder) not in json.dumps(proof)
    crosswheel.offer_wheel("six", "2.0", files={"six.py": b""})
    again = crosswheel.run("build", "./lab")
    assert "3 found" in again.output  # also of what came to the registry meanwhile, until that is asked for
    (folder / "lab.py").write_text("def main(): pass\n")
    changed = crosswheel.run("build", "./lab")
    assert "1 built, 2 found" in changed.output
    assert "six 2.0" in crosswheel.run("build", "./lab", "--upgrade").words


def test_a_project_in_a_file_of_requirements_is_built_and_not_installed_from_its_folder(
    crosswheel: CommandLine,
) -> None:
    lab(crosswheel)
    (crosswheel.folder / "limits.txt").write_text("six<2\n")
    crosswheel.offer_wheel("six", "2.0", files={"six.py": b""})
    (crosswheel.folder / "requirements.txt").write_text("-c limits.txt\n-e ./lab\n")
    built = crosswheel.run("build", "-r", "requirements.txt")
    assert built.returncode == 0, built.output
    assert crosswheel.wheels() == ["core-1.0-py3-none-any.whl", LAB, "six-1.0-py3-none-any.whl"]


def test_an_archive_in_a_file_of_requirements_has_to_have_the_hash_that_is_stated(
    crosswheel: CommandLine,
) -> None:
    sdist = make_sdist(crosswheel.folder, own_project("src"), name="src")
    file = crosswheel.folder / "requirements.txt"
    file.write_text(f"./{sdist.name} --hash=sha256:{sha256_of(sdist)}\n")
    assert "src 1.0 build" in crosswheel.run("plan", "-r", file.name).words
    file.write_text(f"./{sdist.name} --hash=sha256:{'0' * 64}\n")
    crosswheel.run("plan", "-r", file.name).explains(
        2, "requirements.txt, line 1: the archive src-1.0.tar.gz has sha256", "find out who changed it"
    )


UV_LOCK = """
version = 1
requires-python = ">=3.8"
[[package]]
name = "lab"
version = "1.0"
source = {{ editable = "." }}
dependencies = [{{ name = "six" }}, {{ name = "core" }}]
[[package]]
name = "core"
version = "1.0"
source = {{ directory = "../core" }}
[[package]]
name = "six"
version = "1.0"
source = {{ registry = "https://host/simple" }}
wheels = [{{ url = "https://host/six-1.0-py3-none-any.whl", hash = "sha256:{sha256}" }}]
"""


def test_the_lock_of_a_uv_project_in_another_folder_is_read_as_it_is(crosswheel: CommandLine) -> None:
    folder = lab(crosswheel)
    crosswheel.offer_wheel("six", "2.0", files={"six.py": b""})
    wheel = crosswheel.offer_wheel("six", files={"six.py": b""})
    (folder / "uv.lock").write_text(UV_LOCK.format(sha256=sha256_of(wheel)))
    planned = crosswheel.run("plan", "-r", "lab/uv.lock")
    assert planned.returncode == 0, planned.output
    for row in ("lab 1.0 build", "core 1.0 build", "six 1.0 take"):
        assert row in planned.words


def test_a_requirement_may_go_on_in_the_next_line_wherever_it_likes(crosswheel: CommandLine) -> None:
    crosswheel.offer_wheel("six", files={"six.py": b""})
    (crosswheel.folder / "requirements.txt").write_text(
        "six \\\n  ==1.0 \\\n  ; python_version \\\n  > '3'\n"
    )
    assert "six 1.0 take" in crosswheel.run("plan", "-r", "requirements.txt").words


def test_a_lock_without_groups_only_limits_the_project_beside_it(crosswheel: CommandLine) -> None:
    lab(crosswheel)
    wheel = crosswheel.offer_wheel("six", "0.9", files={"six.py": b""})
    lock = crosswheel.folder / "core/pdm.lock"
    text = '[metadata]\nlock_version = "4.2"\n[[package]]\nname = "six"\nversion = "0.9"\n'
    apart = f'[metadata.files]\n"six 0.9" = [{{url = "x", hash = "sha256:{sha256_of(wheel)}"}}]\n'
    development = '[[package]]\nname = "linter"\nversion = "1.0"\n'
    lock.write_text(f"{text}{development}{apart}")
    planned = crosswheel.run("plan", "-r", "core/pdm.lock")
    assert "six 0.9 take" in planned.words
    assert "linter" not in planned.words
    lock.write_text(text.replace("six", "seven") + apart.replace("six", "seven"))
    crosswheel.run("plan", "-r", "core/pdm.lock").explains(
        2, "core/pdm.lock does not name six, which is needed as well", "renew it with its tool"
    )
    crosswheel.run("plan", "-r", "core/pdm.lock", "--group", "dev").explains(
        2, "core/pdm.lock does not tell which of its packages are of dev", "inherit_metadata"
    )


def test_an_added_project_is_offered_to_all_and_its_lock_tells_when_it_changed(
    crosswheel: CommandLine,
) -> None:
    folder = lab(crosswheel)
    crosswheel.offer_wheel("eyes", files={"eyes.py": b""})
    added = crosswheel.run("add", "./lab[vision]", "--as-of", "2024-12-31")
    assert added.returncode == 0, added.output
    recipe = crosswheel.folder / "packages/lab/1.0"
    committed = "".join(
        path.read_text() for path in (crosswheel.folder / "packages").rglob("*") if path.is_file()
    )
    assert str(crosswheel.folder.parent) not in committed
    assert 'folder_source(path="../../../lab")' in (recipe / "build.py").read_text()
    assert "eyes==1.0" in (recipe / "ot2.lock").read_text()
    again = crosswheel.run("build")
    assert "0 built, 4 found" in again.output
    (folder / "lab.py").write_text("def main(): pass\n")
    assert "lab 1.0 build it is the project lab" in crosswheel.run("plan", "lab==1.0").words
    crosswheel.run("build").explains(2, "your project lab==1.0 is no longer what was locked")
    assert "lab: 1.0, other files" in crosswheel.run("lock").words
    assert "1 built, 3 found" in crosswheel.run("build").output


def test_a_tag_of_a_repository_is_built_and_a_recipe_of_it_has_a_day(crosswheel: CommandLine) -> None:
    folder = write_tree(crosswheel.folder / "origin", own_project("labshared"))
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "one")
    git(folder, "tag", "v1")
    url = folder.as_uri()
    built = crosswheel.run("build", f"labshared @ git+{url}@v1")
    assert built.returncode == 0, built.output
    source = f'package_build.git_source(url="{url}", ref="v1")'
    crosswheel.recipe(f'source={source}, as_of="2024-12-31"', place="labshared/1.0")
    locked = crosswheel.run("lock")
    assert locked.returncode == 0, locked.output
    assert "labshared: new -> 1.0" in locked.output
    again = crosswheel.run("build")
    assert again.returncode == 0, again.output
    crosswheel.run("build", f"other @ git+{url}@v1").explains(2, "the project there is called labshared")
    crosswheel.run("build", f"labshared @ git+{url}@v7").explains(2, "has no tag or branch v7")


def test_an_archive_at_an_address_is_built_and_offered_from_then_on(crosswheel: CommandLine) -> None:
    crosswheel.offer_wheel("six", files={"six.py": b""})
    files = own_project("my-lab", "1.0.dev3+g12ab", requires=("six",))
    sdist = make_sdist(crosswheel.folder, files, name="my_lab", version="1.0.dev3+g12ab", requires="six")
    server = crosswheel.registry.server
    server.bodies["/x/my_lab-1.0.dev3+g12ab.tar.gz"] = sdist.read_bytes()
    address = f"my-lab @ {server.url}/x/my_lab-1.0.dev3%2Bg12ab.tar.gz#sha256="
    crosswheel.run("build", address + "0" * 64).explains(2, "is not what was expected")
    added = crosswheel.run("add", address + sha256_of(sdist))
    assert added.returncode == 0, added.output
    lock = (crosswheel.folder / "packages/my-lab/1.0.dev3+g12ab/ot2.lock").read_text()
    assert re.search(r"^# as-of: \d{4}-\d\d-\d\d$", lock, re.MULTILINE)
    assert f"--hash=sha256:{sha256_of(sdist)}" in lock
    assert "0 built, 2 found" in crosswheel.run("build").output
    assert "my-lab" not in {path.split("/")[2] for path in server.requested if path.startswith("/simple/")}


def test_projects_that_need_each_other_and_a_folder_of_them(crosswheel: CommandLine) -> None:
    libs = crosswheel.folder / "libs"
    for name, needed in (("one", "two"), ("two", "one")):
        sources = f"{needed} = {{path = '../{needed}'}}\n"
        write_tree(libs / name, own_project(name, requires=(needed,), tool__uv__sources=sources))
    for words in (["./libs/one"], ["./libs"]):
        done = crosswheel.run("build", *words)
        assert done.returncode == 0, done.output
        assert crosswheel.wheels() == ["one-1.0-py3-none-any.whl", "two-1.0-py3-none-any.whl"]


VERSIONING_BACKEND = """
import pathlib
def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder, "lab-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: lab\\nVersion: 1.0\\n")
    return info.name
"""


def test_a_version_that_only_the_backend_has_is_asked_for(crosswheel: CommandLine) -> None:
    project = {"pyproject.toml": f"{BUILD_SYSTEM}[project]\nname = 'lab'\n", "backend.py": VERSIONING_BACKEND}
    write_tree(crosswheel.folder / "lab", project)
    assert "lab 1.0 build" in crosswheel.run("plan", "./lab").words


def test_a_project_is_asked_with_the_c_library_that_it_did_not_find(crosswheel: CommandLine) -> None:
    asks = "import subprocess\nsubprocess.run(['pkg-config', '--print-errors', 'yaml-0.1'], check=True)\n"
    project = {
        "pyproject.toml": f"{BUILD_SYSTEM}[project]\nname = 'lab'\n",
        "backend.py": asks + VERSIONING_BACKEND,
    }
    write_tree(crosswheel.folder / "lab", project)
    done = crosswheel.run("plan", "./lab")
    assert "lab 1.0 build" in done.words
    assert "is built once more, with the C library libyaml" in done.words


def test_a_version_of_setuptools_scm_that_nothing_requires_is_explained(crosswheel: CommandLine) -> None:
    files = {**own_project("lab", "0.0.0", stated=False), "setup.py": "setup(use_scm_version=True)\n"}
    write_tree(crosswheel.folder / "lab", files)
    crosswheel.run("plan", "./lab").explains(2, "has no version", "setuptools_scm is required")


BUILD_SYSTEM = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"


@pytest.mark.parametrize(
    ("files", "code", "reason"),
    [
        ({"pyproject.toml": f"{BUILD_SYSTEM}[project]\nname = 'lab'\n"}, 2, "has no version"),
        (own_project("lab", "0.0.0", stated=False), 2, "has no version"),
        (own_project("lab", "one", stated=False), 2, "its version is 'one'"),
        (own_project("lab", requires=("nosuch",)), 2, "no set of releases satisfies lab==1.0"),
        (own_project("lab", requires=("x @ file:///x",)), 2, "requires x at an address"),
        (own_project("lab", stated=False) | {"backend.py": "raise SystemExit('broken')"}, 1, "broken"),
    ],
    ids=["no version", "version 0", "bad version", "unknown", "address", "broken backend"],
)  # fmt: skip
def test_a_project_that_cannot_be_built_is_told_with_the_reason(
    crosswheel: CommandLine, files: dict[str, str], code: int, reason: str
) -> None:
    write_tree(crosswheel.folder / "lab", files)
    done = crosswheel.run("build", "./lab")
    done.explains(code, reason)


def test_a_name_is_the_registrys_and_a_path_is_the_folders(crosswheel: CommandLine) -> None:
    lab(crosswheel)
    crosswheel.offer_wheel("lab", "3.0", files={"lab.py": b""})
    done = crosswheel.run("build", "lab")
    assert "the folder of that name is ./lab" in done.words
    assert "lab 3.0" in done.words
    crosswheel.run("build", "./nosuch").explains(2, "there is no folder")
    crosswheel.run("build", "six", "--group", "robot").explains(2, "--group robot is of a project")


PYLOCK = """
lock-version = "1.0"
created-by = "test"
[[packages]]
name = "six"
version = "{version}"
wheels = [{{ name = "six-{version}-py3-none-any.whl", url = "https://host/six", hashes = {{ sha256 = "{sha256}" }} }}]
[[packages]]
name = "core"
directory = {{ path = "core" }}
"""


def test_a_lock_of_another_tool_gives_those_very_releases_and_tells_which_do_not_fit(
    crosswheel: CommandLine,
) -> None:
    lab(crosswheel)
    crosswheel.offer_wheel("six", "3.0", files={"six.py": b""})
    wheel = crosswheel.offer_wheel("six", "2.0", files={"six.py": b"two = 2\n"})
    lock = crosswheel.folder / "pylock.toml"
    lock.write_text(PYLOCK.format(version="2.0", sha256=sha256_of(wheel)))
    planned = crosswheel.run("plan", "-r", "pylock.toml")
    assert planned.returncode == 0, planned.output
    assert "six 2.0 take" in planned.words
    assert "core 1.0 build it is the project core" in planned.words
    lock.write_text(PYLOCK.format(version="2.0", sha256="0" * 64))
    crosswheel.run("plan", "-r", "pylock.toml").explains(2, "none of them is of a file of six==2.0")
    lock.write_text(PYLOCK.format(version="9.0", sha256="0" * 64))
    refused = crosswheel.run("plan", "-r", "pylock.toml")
    refused.explains(
        2, "1 of 1 releases do not fit Opentrons OT-2", "six 9.0: the registry has no release 9.0 of six"
    )
    assert "another Python" not in refused.words  # which would not help


def test_a_release_for_a_newer_python_is_told_with_the_newest_that_fits(crosswheel: CommandLine) -> None:
    for version, python in (("1.0", ">=3.8"), ("1.5", ">=3.10"), ("2.0", ">=3.12")):
        wheel = make_wheel(crosswheel.folder / "w", "tool", version, {"tool.py": b""}, requires_python=python)
        crosswheel.registry.add(wheel, requires_python=python)
    crosswheel.run("plan", "tool==2.0").explains(
        2,
        "tool 2.0 needs Python >=3.12, and there it is 3.10.8; the newest that fits is 1.5",
        "another Python",
    )


def test_constraints_and_what_is_only_to_be_taken(crosswheel: CommandLine) -> None:
    lab(crosswheel)
    crosswheel.offer_wheel("six", "2.0", files={"six.py": b""})
    crosswheel.offer_sdist(own_project("src"), name="src")
    (crosswheel.folder / "limits.txt").write_text("six<2\n")
    assert "six 1.0 take" in crosswheel.run("plan", "./lab", "-c", "limits.txt").words
    (crosswheel.folder / "requirements.txt").write_text("--only-binary src\nsrc\n")
    crosswheel.run("plan", "-r", "requirements.txt").explains(
        2, "src==1.0 would be built", "--only-binary says"
    )
