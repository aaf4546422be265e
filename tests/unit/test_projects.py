"""The user's own projects: how they are asked for, what is packed of them, and which others they lead to."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from crosswheel.errors import NetworkError, UsageError
from crosswheel.process import Runner
from crosswheel.projects.addresses import Archive, ProjectRequest, project_request
from crosswheel.projects.pyproject import ProjectFolder, projects_in
from crosswheel.projects.snapshot import Snapshot, take_snapshot
from crosswheel.recipes.model import GitSource
from crosswheel.settings import Settings
from crosswheel.sources.git import commit_of
from support.projects import own_project, write_tree

ARCHIVE = Archive("https://host/lab-1.0.tar.gz", "a" * 64)
GIT = GitSource(url="https://host/lab.git", ref="v1")


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def committed(folder: Path) -> Path:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def snapshot(folder: Path) -> Snapshot:
    return take_snapshot(folder, folder.parent / "packed.tar", Runner())


def names(taken: Snapshot) -> list[str]:
    with tarfile.open(taken.archive) as archive:
        return archive.getnames()


@pytest.mark.parametrize(
    ("text", "location", "name", "extras"),
    [
        ("./lab[vision,  Extra_2]", "lab", None, {"vision", "extra-2"}),
        ("libs/lab", "libs/lab", None, set()),
        (".", ".", None, set()),
        ("lab @ git+https://host/lab.git@v1", GIT, "lab", set()),
        ("git+https://host/lab.git@v1#subdirectory=a", GIT.model_copy(update={"path": "a"}), None, set()),
        ("lab[x] @ git+https://host/lab.git", GIT.model_copy(update={"ref": "HEAD"}), "lab", {"x"}),
        (f"lab @ {ARCHIVE.url}#sha256={ARCHIVE.sha256}", ARCHIVE, "lab", set()),
    ],
)  # fmt: skip
def test_a_folder_a_commit_and_an_archive_are_known_by_how_they_are_written(
    tmp_path: Path, text: str, location: object, name: str | None, extras: set[str]
) -> None:
    expected = (tmp_path / location).resolve() if isinstance(location, str) else location
    assert project_request(text, tmp_path) == ProjectRequest(expected, name, frozenset(extras))  # type: ignore[arg-type]


def test_a_folder_is_found_by_a_file_url_and_its_marker_is_kept(tmp_path: Path) -> None:
    request = project_request(f"lab @ {tmp_path.as_uri()} ; python_version > '3'", tmp_path)
    assert request is not None
    assert request.location == tmp_path
    assert request.satisfied_by("lab==1.0") == 'lab==1.0 ; python_version > "3"'


@pytest.mark.parametrize(
    "text", ["numpy", "numpy==1.26.4", "a[b]>=1; python_version>'3'", "not = a requirement"]
)
def test_what_a_registry_has_is_no_project(tmp_path: Path, text: str) -> None:
    assert project_request(text, tmp_path) is None


@pytest.mark.parametrize(
    "url", ["git+https://me:secret@host/lab.git", "https://me:secret@host/lab-1.0.tar.gz"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="has a name or a password") as caught:
        project_request(f"lab @ {url}", tmp_path)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_a_snapshot_has_the_same_bytes_wherever_it_is_taken(tmp_path: Path) -> None:
    one = committed(write_tree(tmp_path / "a" / "lab", own_project("lab")))
    two = write_tree(tmp_path / "b" / "elsewhere", own_project("lab"))
    os.utime(two / "lab.py", (1, 1))
    two.joinpath("lab.py").chmod(0o600)
    assert snapshot(one).sha256 == snapshot(two).sha256
    two.joinpath("lab.py").chmod(0o700)
    assert snapshot(one).sha256 != snapshot(two).sha256


def test_what_git_ignores_and_what_tools_leave_is_not_packed(tmp_path: Path) -> None:
    files = {
        ".gitignore": "secret.env\n",
        "secret.env": "",
        "a.py": "",
        "new.py": "",
        "lab.egg-info/PKG-INFO": "",
    }
    left = {"__pycache__/a.pyc": "", ".venv/x": "", "sub/.gitignore": "*.o\n", "sub/b.o": "", "sub/c.c": ""}
    folder = write_tree(tmp_path / "lab", {**files, **left})
    expected = sorted(
        f"source/{name}" for name in (".gitignore", "a.py", "new.py", "sub/.gitignore", "sub/c.c")
    )
    assert names(snapshot(folder)) == expected  # in no repository
    committed(folder)
    (folder / "later.py").touch()
    (folder / "a.py").unlink()
    assert names(snapshot(folder)) == sorted({*expected, "source/later.py"} - {"source/a.py"})


def test_a_folder_that_its_repository_ignores_is_packed_all_the_same(tmp_path: Path) -> None:
    write_tree(tmp_path, {".gitignore": "/lab/\n", "lab/a.py": ""})
    git(tmp_path, "init", "--quiet")
    assert names(snapshot(tmp_path / "lab")) == ["source/a.py"]


def test_a_clean_tree_is_named_by_git_and_a_dirty_one_is_told(tmp_path: Path) -> None:
    folder = committed(write_tree(tmp_path / "lab", {"a.py": ""}))
    clean = snapshot(folder)
    assert (clean.dirty, clean.origin) == (False, f"git tree {git(folder, 'rev-parse', 'HEAD^{tree}')}")
    (folder / "a.py").write_text("x = 1\n")
    dirty = snapshot(folder)
    assert dirty.dirty
    assert f"changed since {clean.state}" in dirty.origin
    assert dirty.sha256 != clean.sha256


def test_a_repository_cannot_have_its_program_started(tmp_path: Path) -> None:
    """A repository's own settings may name programs that git starts, such as core.fsmonitor."""
    folder = committed(write_tree(tmp_path / "lab", {"a.py": ""}))
    program = write_tree(tmp_path, {"program": f"#!/bin/sh\ntouch {tmp_path}/started\n"}) / "program"
    program.chmod(0o755)
    git(folder, "config", "core.fsmonitor", str(program))
    snapshot(folder)
    assert not (tmp_path / "started").exists()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    with pytest.raises(UsageError, match="has no files"):
        snapshot(tmp_path / "lab")


def test_the_neighbours_of_a_project_are_those_that_uv_would_use(tmp_path: Path) -> None:
    workspace = "[tool.uv.workspace]\nmembers = ['libs/*']\nexclude = ['libs/old']\n"
    workspace += "[tool.uv.sources]\ncore = {workspace = true}\n"
    sources = "b = {path = '../../b'}\nc = {git = 'https://host/c.git', tag = 'v2'}\nd = {index = 'lab'}\n"
    write_tree(tmp_path, {"pyproject.toml": workspace})
    app = write_tree(tmp_path / "libs/app", own_project("app", tool__uv__sources=sources))
    core = write_tree(tmp_path / "libs/the-core", own_project("core"))
    write_tree(tmp_path / "libs/old", own_project("core"))
    assert ProjectFolder(app).neighbours() == {
        "core": core,
        "b": tmp_path / "b",
        "c": GitSource(url="https://host/c.git", ref="v2"),
    }
    assert [project.name for project in projects_in(tmp_path)] == ["app", "core"]


def test_a_plain_folder_of_projects_stands_for_all_of_them(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_tree(tmp_path / name, own_project(name))
    write_tree(tmp_path / "notes", {"readme.txt": ""})
    assert [project.name for project in projects_in(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"readme.txt": ""}, "holds no Python project"),
        ({"pyproject.toml": "[tool.ruff]\n"}, "states neither a build system nor a project"),
        ({"pyproject.toml": "[project\n"}, "pyproject.toml cannot be read"),
    ],
)
def test_a_folder_that_nothing_can_be_built_of_is_refused(
    tmp_path: Path, files: dict[str, str], reason: str
) -> None:
    write_tree(tmp_path / "lab", files)
    with pytest.raises(UsageError, match=reason):
        projects_in(tmp_path / "lab")


def test_dependency_groups_are_read_with_those_that_they_include(tmp_path: Path) -> None:
    groups = "robot = ['six', {include-group = 'more'}]\nmore = ['idna']\nbad = [{include-group = 'none'}]\n"
    folder = ProjectFolder(write_tree(tmp_path / "lab", own_project("lab", dependency_groups=groups)))
    text = (folder.folder / "pyproject.toml").read_text().replace("dependency_groups", "dependency-groups")
    (folder.folder / "pyproject.toml").write_text(text)
    assert folder.group("robot") == ("six", "idna")
    with pytest.raises(UsageError, match="has no dependency group nosuch"):
        folder.group("nosuch")
    with pytest.raises(UsageError, match=r"the dependency group bad .* is wrong"):
        folder.group("bad")


def test_the_commit_of_a_tag_is_asked_for_and_a_tag_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = committed(write_tree(tmp_path / "lab", {"a.py": ""}))
    git(folder, "tag", "--annotate", "v1", "--message", "one")
    head, settings = git(folder, "rev-parse", "HEAD"), Settings(cache=tmp_path, github="")
    for ref in ("v1", "main", "HEAD", head):
        source = GitSource(url=folder.as_uri(), ref=ref)
        assert commit_of(source, Runner(), settings) == head
    with pytest.raises(NetworkError, match="has no tag or branch v9") as caught:
        commit_of(GitSource(url=folder.as_uri(), ref="v9"), Runner(), settings)
    assert "v1" in caught.value.hint
