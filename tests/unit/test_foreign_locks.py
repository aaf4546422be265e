"""Locks of other tools: of each the releases that apply to the target, and what is for another Python refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.errors import LockError, UsageError
from crosswheel.projects.foreign_locks import ForeignLock, is_foreign_lock, read_foreign_lock

OT2 = targets.load("ot2")  # CPython 3.10.8, armv7l
A, B = "a" * 64, "b" * 64


def read(folder: Path, name: str, text: str, *groups: str) -> ForeignLock:
    (folder / name).write_text(text)
    return read_foreign_lock(folder / name, OT2, groups)


def lines(lock: ForeignLock) -> list[str]:
    return [pin.line for pin in lock.pins]


PYLOCK = f"""
lock-version = "1.0"
created-by = "test"
requires-python = ">=3.9"
dependency-groups = ["robot"]
[[packages]]
name = "idna"
version = "3.4"
marker = "python_version < '3.10'"
sdist = {{ url = "https://host/idna-3.4.tar.gz", hashes = {{ sha256 = "{A}" }} }}
[[packages]]
name = "idna"
version = "3.10"
marker = "python_version >= '3.10'"
sdist = {{ url = "https://host/idna-3.10.tar.gz", hashes = {{ sha256 = "{A}" }} }}
wheels = [{{ url = "https://host/idna-3.10-py3-none-any.whl", hashes = {{ sha256 = "{B}" }} }}]
[[packages]]
name = "six"
version = "1.17.0"
marker = "'robot' in dependency_groups"
sdist = {{ url = "https://host/six-1.17.0.tar.gz", hashes = {{ sha256 = "{A}" }} }}
[[packages]]
name = "core"
directory = {{ path = "libs/core", editable = true }}
[[packages]]
name = "shared"
vcs = {{ type = "git", url = "https://host/shared.git", commit-id = "{"c" * 40}", subdirectory = "py" }}
"""

POETRY = f"""
[[package]]
name = "Idna"
version = "3.10"
optional = false
python-versions = ">=3.6"
groups = ["main"]
files = [{{file = "idna-3.10.tar.gz", hash = "sha256:{A}"}}]
[[package]]
name = "colorama"
version = "0.4.6"
optional = false
python-versions = "*"
groups = ["main"]
markers = "sys_platform == 'win32'"
files = []
[[package]]
name = "six"
version = "1.17.0"
optional = false
python-versions = "*"
groups = ["robot"]
files = []
[[package]]
name = "core"
version = "1"
optional = false
python-versions = "*"
groups = ["main"]
files = []
[package.source]
type = "directory"
url = "../core"
[metadata]
lock-version = "2.1"
python-versions = ">=3.9,<4"
content-hash = ""
"""

PDM = f"""
[metadata]
groups = ["default", "robot"]
lock_version = "4.5.0"
[[metadata.targets]]
requires_python = ">=3.9"
[[package]]
name = "idna"
version = "3.10"
requires_python = ">=3.6"
groups = ["default"]
files = [{{file = "idna-3.10.tar.gz", hash = "sha256:{A}"}}]
[[package]]
name = "tzdata"
version = "2025.1"
groups = ["default"]
marker = "sys_platform == 'win32'"
files = []
[[package]]
name = "six"
version = "1.17.0"
groups = ["robot"]
files = []
"""

PIPFILE = json.dumps({
    "_meta": {"requires": {"python_version": "3.10"}},
    "default": {
        "idna": {"version": "==3.10", "hashes": [f"sha256:{A}"], "markers": "python_version >= '3.6'"},
        "pywin": {"version": "==1", "markers": "sys_platform == 'win32'"},
        "shared": {"git": "https://host/shared.git", "ref": "c" * 40},
    },
    "robot": {"six": {"version": "==1.17.0"}},
})  # fmt: skip


def test_a_pylock_gives_what_applies_to_the_target_and_to_the_groups(tmp_path: Path) -> None:
    lock = read(tmp_path, "pylock.toml", PYLOCK)
    assert lines(lock) == [f"idna==3.10 --hash=sha256:{B} --hash=sha256:{A}"]
    assert lock.projects == (
        "./libs/core",
        f"shared @ git+https://host/shared.git@{'c' * 40}#subdirectory=py",
    )
    assert f"six==1.17.0 --hash=sha256:{A}" in lines(read(tmp_path, "pylock.lab.toml", PYLOCK, "robot"))


@pytest.mark.parametrize(
    ("name", "text", "projects"),
    [
        ("poetry.lock", POETRY, ("../core",)),
        ("pdm.lock", PDM, ()),
        ("Pipfile.lock", PIPFILE, (f"shared @ git+https://host/shared.git@{'c' * 40}",)),
    ],
)
def test_the_locks_of_poetry_pdm_and_pipenv_give_what_applies(
    tmp_path: Path, name: str, text: str, projects: tuple[str, ...]
) -> None:
    lock = read(tmp_path, name, text)
    assert (lines(lock), lock.projects, lock.is_partial) == (
        [f"idna==3.10 --hash=sha256:{A}"],
        projects,
        False,
    )
    assert lines(read(tmp_path, name, text, "robot"))[-1] == "six==1.17.0"


def test_a_lock_of_poetry_that_tells_no_groups_only_limits_its_project(tmp_path: Path) -> None:
    text = "".join(line for line in POETRY.splitlines(keepends=True) if not line.startswith("groups"))
    assert read(tmp_path, "poetry.lock", text).is_partial


def test_a_lock_of_pdm_that_tells_no_groups_only_limits_its_project(tmp_path: Path) -> None:
    text = "".join(
        line
        for line in PDM.splitlines(keepends=True)
        if not re.match(r'groups = \["(default|robot)"\]', line)
    )
    lock = read(tmp_path, "pdm.lock", text)
    assert lock.is_partial
    assert [pin.name for pin in lock.pins] == ["idna", "six"]


@pytest.mark.parametrize(
    ("name", "text", "key"), [("poetry.lock", POETRY, "Idna"), ("pdm.lock", PDM, '"idna 3.10"')]
)
def test_the_hashes_of_an_older_lock_lie_apart(tmp_path: Path, name: str, text: str, key: str) -> None:
    files = f'files = [{{file = "idna-3.10.tar.gz", hash = "sha256:{A}"}}]\n'
    apart = f'[metadata.files]\n{key} = [{{url = "https://host/idna-3.10.tar.gz", hash = "sha256:{A}"}}]\n'
    assert lines(read(tmp_path, name, text.replace(files, ""))) == ["idna==3.10"]
    assert lines(read(tmp_path, name, text.replace(files, "") + apart)) == [f"idna==3.10 --hash=sha256:{A}"]


@pytest.mark.parametrize(
    ("name", "text", "old", "new"),
    [
        ("pylock.toml", PYLOCK, 'requires-python = ">=3.9"', 'requires-python = ">=3.12"'),
        ("poetry.lock", POETRY, 'python-versions = ">=3.9,<4"', 'python-versions = ">=3.12"'),
        ("pdm.lock", PDM, 'requires_python = ">=3.9"', 'requires_python = ">=3.12"'),
        ("Pipfile.lock", PIPFILE, '"python_version": "3.10"', '"python_version": "3.12"'),
    ],
)
def test_a_lock_for_another_python_is_refused(
    tmp_path: Path, name: str, text: str, old: str, new: str
) -> None:
    with pytest.raises(LockError, match=r"the lock is for Python .*3\.12.*, and Opentrons OT-2 has 3\.10\.8"):
        read(tmp_path, name, text.replace(old, new, 1))


@pytest.mark.parametrize("text", ["[[package", "{", "[package]\nname = 1\n", "[[package]]\nname = 'x'\n", ""])
@pytest.mark.parametrize("name", ["pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock"])
def test_a_lock_that_cannot_be_read_is_named(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UsageError, match=rf"{name} cannot be read"):
        read(tmp_path, name, text)


def test_a_lock_is_known_by_its_name() -> None:
    names = ["uv.lock", "pylock.toml", "pylock.robot.toml", "poetry.lock", "pdm.lock", "Pipfile.lock"]
    assert all(is_foreign_lock(Path(name)) for name in names)
    assert not any(is_foreign_lock(Path(name)) for name in ("requirements.txt", "ot2.lock", "pylock.txt"))
