"""A source becomes a verified tree; only one that cannot be had is replaced by its fallback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from crosswheel.errors import IntegrityError, MissingToolError, NetworkError, PlanError, RecipeError
from crosswheel.process import Runner
from crosswheel.recipes.model import GithubSource, GitSource, PypiSource, Source, UrlSource
from crosswheel.registry import Registry
from crosswheel.settings import Settings
from crosswheel.sources import SourceTree, obtain
from support.servers import FolderServer

FILES = {"pyproject.toml": b"[project]\n", "python/setup.py": b"# below\n"}
ARCHIVE_PATH = "/org/demo/archive/refs/tags/v1.0.zip"
GITHUB = GithubSource(org="org", repo="demo", tag="v1.0")
SDIST = PypiSource(name="demo", version="1.0")


def github_archive() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"demo-1.0/{name}", content)
    return written.getvalue()


def sdist() -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, content in {**FILES, "PKG-INFO": b"Name: demo\n"}.items():
            info = tarfile.TarInfo(f"demo-1.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return written.getvalue()


# Made once: the time is in them.
ARCHIVE, SDIST_BYTES = github_archive(), sdist()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Bench:
    """A place to obtain sources in, with the server that has them."""

    server: FolderServer
    settings: Settings
    folder: Path
    warnings: list[str] = field(default_factory=list)

    def obtain(self, source: Source, fallback: Source | None = None) -> SourceTree:
        with Registry(self.settings) as registry:
            return obtain(
                source,
                fallback,
                folder=self.folder,
                settings=self.settings,
                registry=registry,
                runner=Runner(),
                warn=self.warnings.append,
            )

    def downloaded(self) -> list[str]:
        downloads = self.folder / "download"
        return sorted(path.name for path in downloads.iterdir()) if downloads.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    served = tmp_path / "served"
    archives = {ARCHIVE_PATH: ARCHIVE, "/org/demo/releases/download/v1.0/demo-1.0.tar.gz": SDIST_BYTES}
    for path, content in {**archives, "/files/demo-1.0.tar.gz": SDIST_BYTES}.items():
        (served / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (served / path[1:]).write_bytes(content)
    (served / "simple" / "demo").mkdir(parents=True)
    listed = {
        "filename": "demo-1.0.tar.gz",
        "url": "/files/demo-1.0.tar.gz",
        "hashes": {"sha256": sha256(SDIST_BYTES)},
    }
    page = {"meta": {"api-version": "1.0"}, "name": "demo", "files": [listed]}
    (served / "simple" / "demo" / "index.json").write_text(json.dumps(page))
    with FolderServer(served) as server:
        settings = Settings.from_environment(
            {
                "CROSSWHEEL_CACHE": str(tmp_path / "cache"),
                "CROSSWHEEL_GITHUB_URL": server.url,
                "UV_DEFAULT_INDEX": f"{server.url}/simple",
            }
        )
        yield Bench(server, settings, tmp_path / "build")


def test_a_tag_of_github_becomes_a_tree(bench: Bench) -> None:
    tree = bench.obtain(GITHUB, SDIST)
    assert tree == SourceTree(
        path=bench.folder / "unpack" / "demo-1.0",
        origin="GitHub org/demo v1.0",
        digest=f"sha256:{sha256(ARCHIVE)}",
        used_fallback=False,
    )
    assert (tree.path / "pyproject.toml").read_bytes() == b"[project]\n"
    assert bench.warnings == []


def test_a_release_file_of_github_becomes_a_tree(bench: Bench) -> None:
    tree = bench.obtain(GITHUB.model_copy(update={"sdist_archive": "demo-1.0.tar.gz"}))
    assert (tree.path / "PKG-INFO").is_file()


def test_an_address_becomes_a_tree(bench: Bench) -> None:
    source = UrlSource(url=f"{bench.server.url}/files/demo-1.0.tar.gz", sha256=sha256(SDIST_BYTES))
    assert bench.obtain(source).digest == f"sha256:{sha256(SDIST_BYTES)}"


def test_an_sdist_of_the_registry_becomes_a_tree(bench: Bench) -> None:
    tree = bench.obtain(SDIST.model_copy(update={"sha256": sha256(SDIST_BYTES)}))
    assert tree.origin == "the sdist of demo 1.0"
    assert (tree.path / "PKG-INFO").is_file()


def test_the_tree_is_the_folder_that_the_recipe_names(bench: Bench) -> None:
    tree = bench.obtain(GITHUB.model_copy(update={"path": "python"}))
    assert (tree.path / "setup.py").is_file()


@pytest.mark.parametrize("path", ["ruby", "..", "python/../..", "/", "pyproject.toml"])
def test_a_folder_that_is_not_in_the_source_is_refused_with_those_that_are(bench: Bench, path: str) -> None:
    with pytest.raises(RecipeError, match="has no folder") as refused:
        bench.obtain(GITHUB.model_copy(update={"path": path}))
    assert "python" in refused.value.hint


def test_again_the_download_is_found_and_the_tree_is_as_new(bench: Bench) -> None:
    tree = bench.obtain(GITHUB)
    (tree.path / "pyproject.toml").write_text("patched")
    (tree.path / "build").mkdir()
    again = replace(bench, settings=replace(bench.settings, offline=True)).obtain(GITHUB)
    assert again == tree
    assert (again.path / "pyproject.toml").read_bytes() == b"[project]\n"
    assert not (again.path / "build").exists()
    assert bench.server.requested[ARCHIVE_PATH] == 1


def test_another_tag_is_another_download(bench: Bench) -> None:
    bench.obtain(GITHUB)
    with pytest.raises(NetworkError, match="404"):
        bench.obtain(GITHUB.model_copy(update={"tag": "v2.0"}))


def test_when_github_refuses_the_fallback_is_used_with_one_warning(bench: Bench) -> None:
    unreachable = replace(bench, settings=replace(bench.settings, github="http://127.0.0.1:1"))
    tree = unreachable.obtain(GITHUB, SDIST)
    assert tree.used_fallback
    assert tree.origin == "the sdist of demo 1.0"
    assert tree.digest == f"sha256:{sha256(SDIST_BYTES)}"
    (warning,) = bench.warnings
    assert "GitHub org/demo v1.0 cannot be had, so the sdist of demo 1.0 is used instead" in warning
    assert "\n" not in warning


def test_without_a_fallback_a_refusal_is_an_error(bench: Bench) -> None:
    (bench.server.folder / ARCHIVE_PATH[1:]).unlink()
    with pytest.raises(NetworkError):
        bench.obtain(GITHUB)


def test_a_wrong_hash_does_not_fall_back_and_leaves_no_file(bench: Bench) -> None:
    bench.server.bodies[ARCHIVE_PATH] = b"evil"
    with pytest.raises(IntegrityError):
        bench.obtain(GITHUB.model_copy(update={"sha256": sha256(ARCHIVE)}), SDIST)
    assert bench.warnings == []
    assert bench.downloaded() == []
    assert not (bench.folder / "unpack").exists()


def test_a_damaged_archive_without_a_hash_is_not_found_the_next_time(bench: Bench) -> None:
    bench.server.bodies[ARCHIVE_PATH] = ARCHIVE[:-30]
    with pytest.raises(IntegrityError):
        bench.obtain(GITHUB, SDIST)
    assert bench.downloaded() == []
    del bench.server.bodies[ARCHIVE_PATH]
    assert bench.obtain(GITHUB).path.is_dir()


def test_an_sdist_with_another_hash_than_the_recipe_says_is_refused(bench: Bench) -> None:
    with pytest.raises(IntegrityError, match="as the recipe says"):
        bench.obtain(SDIST.model_copy(update={"sha256": "0" * 64}))


def test_a_release_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(PlanError, match=r"no release 2\.0 of demo"):
        bench.obtain(PypiSource(name="demo", version="2.0"))


# ---- git


def git(folder: Path, *words: str) -> str:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    return subprocess.run(
        ["git", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose tag v1.0 holds FILES, and whose branch has gone on."""
    folder = tmp_path / "repository"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "uploadpack.allowReachableSHA1InWant", "true")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=one")
    git(folder, "tag", "v1.0")
    (folder / "later.txt").write_text("later")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=two")
    return folder


def test_a_github_archive_is_held_against_the_tag_s_tree(bench: Bench, repository: Path) -> None:
    tree_id = git(repository, "rev-parse", "v1.0^{tree}")
    tree = bench.obtain(GITHUB.model_copy(update={"git_tree": tree_id}))
    assert tree.digest == f"git-tree:{tree_id}"


def test_an_archive_of_another_tree_is_refused_and_not_kept(bench: Bench, repository: Path) -> None:
    tree_id = git(repository, "rev-parse", "main^{tree}")
    with pytest.raises(IntegrityError, match=tree_id):
        bench.obtain(GITHUB.model_copy(update={"git_tree": tree_id}), SDIST)
    assert bench.downloaded() == []


@pytest.mark.parametrize("by", ["tag", "commit"])
def test_a_commit_of_a_git_repository_becomes_a_tree(bench: Bench, repository: Path, by: str) -> None:
    commit = git(repository, "rev-parse", "v1.0")
    source = GitSource(
        url=repository.as_uri(), ref="v1.0" if by == "tag" else commit, commit=commit, path="python"
    )
    tree = bench.obtain(source)
    assert tree.digest == f"git-commit:{commit}"
    assert (tree.path / "setup.py").is_file()
    assert not (tree.path.parent / "later.txt").exists()
    (tree.path / "setup.py").write_text("patched")
    repository.rename(repository.with_name("gone"))
    assert (bench.obtain(source).path / "setup.py").read_bytes() == b"# below\n"


def test_a_clone_is_not_led_elsewhere_by_git_s_own_variables(
    bench: Bench, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert (bench.obtain(GitSource(url=repository.as_uri(), ref="v1.0")).path / "pyproject.toml").is_file()


def test_a_tag_that_was_moved_is_refused(bench: Bench, repository: Path) -> None:
    moved = GitSource(url=repository.as_uri(), ref="main", commit=git(repository, "rev-parse", "v1.0"))
    with pytest.raises(IntegrityError, match="as the recipe says"):
        bench.obtain(moved, SDIST)
    assert bench.downloaded() == []


def test_a_repository_that_cannot_be_had_falls_back(bench: Bench, tmp_path: Path) -> None:
    gone = GitSource(url=(tmp_path / "none").as_uri(), ref="v1.0")
    assert bench.obtain(gone, SDIST).used_fallback
    with pytest.raises(NetworkError, match="could not be cloned"):
        bench.obtain(gone)


def test_a_missing_git_is_named(
    bench: Bench, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="git is not installed"):
        bench.obtain(GitSource(url=repository.as_uri(), ref="v1.0"))
