"""What a build needs: read from its tree, locked as of a day, and never silently something else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel.build import requirements as build_requirements
from crosswheel.build.requirements import BuildSystem, LockedRequirements, RequirementsStore, build_system
from crosswheel.errors import BuildFailed, LockError, NetworkError
from crosswheel.process import Runner
from crosswheel.recipes.model import Recipe
from crosswheel.settings import Settings
from crosswheel.uv import Uv
from support.projects import make_sdist, pyproject
from support.registries import LocalRegistry, local_registry
from support.wheels import make_wheel

PYTHON = Path(sys.executable)
SHORT = f"{sys.version_info.major}.{sys.version_info.minor}"
OWN_BACKEND = """
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/source-1.0-py3-none-any.whl", "w") as wheel:
        info = "source-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: source\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", f"{info}/METADATA,,\\n{info}/WHEEL,,\\n{info}/RECORD,,\\n")
    return "source-1.0-py3-none-any.whl"
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    """A registry with a backend that needs a plugin."""
    with local_registry(tmp_path / "registry") as served:
        served.add(make_wheel(tmp_path, "backend", "1.0", {}, requires=["plugin; sys_platform == 'win32'"]))
        served.add(make_wheel(tmp_path, "backend", "2.0", {}, requires=["other"]))
        for name in ("plugin", "other", "hatchling"):
            served.add(make_wheel(tmp_path, name, "1.0", {}))
        yield served


def uv_for(url: str, folder: Path) -> Uv:
    return Uv(Settings(cache=folder / "cache", github="", registry=url), Runner())


def tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_toml", ".toml").replace("_py", ".py")).write_text(text)
    return folder


def recipe(**said: object) -> Recipe:
    return Recipe.model_validate({"name": "demo", "file": Path("build.py"), **said})


def test_a_project_says_what_builds_it(tmp_path: Path) -> None:
    text = "[build-system]\nrequires = ['b>=1']\nbuild-backend = 'b.api'\nbackend-path = ['own']"
    assert build_system(tree(tmp_path, pyproject_toml=text), None) == BuildSystem(
        ("b>=1",), "b.api", ("own",)
    )


@pytest.mark.parametrize("files", [{"setup_py": ""}, {"pyproject_toml": "[tool.x]\n", "setup_py": ""}])
def test_a_project_that_names_no_backend_is_built_by_setuptools(
    tmp_path: Path, files: dict[str, str]
) -> None:
    system = build_system(tree(tmp_path, **files), None)
    assert system.backend == "setuptools.build_meta:__legacy__"
    assert [requirement.split(">")[0] for requirement in system.requires] == ["setuptools", "wheel"]


def test_a_recipe_adds_to_what_the_project_says(tmp_path: Path) -> None:
    text = "[build-system]\nrequires = ['b', 'c']\nbuild-backend = 'b'"
    system = build_system(tree(tmp_path, pyproject_toml=text), recipe(build_dependencies=("c", "d<2")))
    assert system.requires == ("b", "c", "d<2")


def test_a_recipe_for_setup_py_brings_setuptools(tmp_path: Path) -> None:
    text = "[build-system]\nrequires = ['cython']\nbuild-backend = 'b'"
    system = build_system(tree(tmp_path, pyproject_toml=text), recipe(setup_py_commands=("bdist_wheel",)))
    assert system.requires == ("cython", "setuptools<82", "wheel")


def test_who_runs_setup_py_names_all_that_it_wants(tmp_path: Path) -> None:
    """As in the original tool: what is pinned there contradicts what pandas' own project states, for instance."""
    text = "[build-system]\nrequires = ['oldest-supported-numpy']\nbuild-backend = 'b'"
    said = recipe(setup_py_commands=("build_ext", "bdist_wheel"), build_dependencies=("numpy==1.21.6",))
    system = build_system(tree(tmp_path, pyproject_toml=text), said)
    assert system.requires == ("setuptools<82", "wheel", "numpy==1.21.6")


def test_a_folder_that_is_no_project_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"neither pyproject\.toml nor setup\.py") as caught:
        build_system(tmp_path, None)
    assert "`path`" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["[build-system", "[build-system]\nrequires = 'b'", "[build-system]\nrequires = [1]", "build-system = 1"],
)
def test_a_pyproject_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(BuildFailed, match=r"pyproject\.toml"):
        build_system(tree(tmp_path, pyproject_toml=text), None)


def test_requirements_are_locked_for_every_machine_that_builds(
    tmp_path: Path, registry: LocalRegistry
) -> None:
    file = tmp_path / "new" / "demo.txt"
    uv = uv_for(registry.url, tmp_path)
    locked = build_requirements.resolve(["backend<2", "hatchling"], file, python=PYTHON, as_of=None, uv=uv)
    assert locked == build_requirements.read(file)
    assert locked.requirements == {"backend<2", "hatchling"}
    assert locked.pinned == ("backend==1.0", "hatchling==1.0", "plugin==1.0")
    assert "127.0.0.1" not in file.read_text()
    assert file.read_text().count("--hash=sha256:") == 3


def test_what_is_locked_covers_what_it_was_resolved_for(tmp_path: Path) -> None:
    locked = LockedRequirements(tmp_path / "demo.txt", frozenset({"a", "b>=1"}))
    locked.require(["b>=1"])
    with pytest.raises(LockError, match=r"demo\.txt was resolved without b>=2, c") as caught:
        locked.require(["a", "c", "b>=2"])
    assert "crosswheel lock" in caught.value.hint


def test_committed_requirements_are_never_renewed_by_a_build(tmp_path: Path, registry: LocalRegistry) -> None:
    uv = uv_for(registry.url, tmp_path)
    store = RequirementsStore(tmp_path / "committed", None, frozen=True)
    with pytest.raises(LockError, match="demo are not locked"):
        store.obtain("demo", ["backend"], python=PYTHON, uv=uv)
    RequirementsStore(store.folder, None, frozen=False).obtain("demo", ["backend<2"], python=PYTHON, uv=uv)
    before = (store.folder / "demo.txt").read_bytes()
    assert "backend==1.0" in store.obtain("demo", ["backend<2"], python=PYTHON, uv=uv).pinned
    with pytest.raises(LockError, match="resolved without hatchling"):
        store.obtain("demo", ["backend<2", "hatchling"], python=PYTHON, uv=uv)
    assert (store.folder / "demo.txt").read_bytes() == before


def test_what_is_not_committed_is_resolved_once_and_again_only_for_more(
    tmp_path: Path, registry: LocalRegistry
) -> None:
    uv, store = uv_for(registry.url, tmp_path), RequirementsStore(tmp_path / "own", None, frozen=False)
    assert store.read("demo") is None
    store.obtain("demo", ["backend<2"], python=PYTHON, uv=uv)
    before = (store.folder / "demo.txt").stat().st_ino
    store.obtain("demo", ["backend<2"], python=PYTHON, uv=uv)
    assert (store.folder / "demo.txt").stat().st_ino == before
    wider = store.obtain("demo", ["backend<2", "hatchling"], python=PYTHON, uv=uv)
    assert wider.requirements == {"backend<2", "hatchling"}


def test_requirements_without_a_solution_are_told_and_nothing_is_written(
    tmp_path: Path, registry: LocalRegistry
) -> None:
    file, uv = tmp_path / "demo.txt", uv_for(registry.url, tmp_path)
    with pytest.raises(LockError, match="the build requirements backend>2") as caught:
        build_requirements.resolve(["backend>2"], file, python=PYTHON, as_of=None, uv=uv)
    assert "build_dependencies" in caught.value.hint
    assert not file.exists()


def test_requirements_that_need_each_other_to_be_built_are_named(
    tmp_path: Path, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_LOCK_TIMEOUT", "1")
    for name, other in (("first", "second"), ("second", "first")):
        files = {"pyproject.toml": pyproject(other, backend="own"), "own.py": ""}
        registry.add(make_sdist(tmp_path, files, name=name, static=False))
    uv = uv_for(registry.url, tmp_path)
    with pytest.raises(LockError) as caught:
        build_requirements.resolve(["first"], tmp_path / "demo.txt", python=PYTHON, as_of=None, uv=uv)
    assert "first==1.0 needs second==1.0 needs first==1.0" in caught.value.message
    assert "wheel" in caught.value.hint


def test_an_unreachable_registry_is_a_network_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    uv = uv_for("http://127.0.0.1:9/simple", tmp_path)
    with pytest.raises(NetworkError, match="the build requirements backend"):
        build_requirements.resolve(["backend"], tmp_path / "demo.txt", python=PYTHON, as_of=None, uv=uv)


@pytest.mark.parametrize(
    ("requirements", "answer"),
    [
        ({"maturin>=1,<2"}, True),
        ({"setuptools", "Setuptools_Rust"}, True),
        ({"setuptools-rust[x] ; python_version > '3'"}, True),
        ({"maturin-plugin", "setuptools"}, False),
    ],
)
def test_backends_that_compile_rust_are_known(tmp_path: Path, requirements: set[str], answer: bool) -> None:
    assert LockedRequirements(tmp_path, frozenset(requirements)).needs_rust is answer


def of_a_release(tmp_path: Path, registry: LocalRegistry) -> dict[str, str]:
    """Offer several files of a release, of which two fit this host; return their hashes by their tags."""
    platform = f"linux_{os.uname().machine}"
    abi = f"cp{sys.version_info.major}{sys.version_info.minor}"
    tags = {"any": "py3-none-any", "own": f"{abi}-{abi}-{platform}", "other": f"{abi}-{abi}-win32"}
    return {
        kind: registry.add(make_wheel(tmp_path, "several", "1.0", {"several.py": kind.encode()}, tag=tag))
        for kind, tag in tags.items()
    }


def locked_to(folder: Path, *hashes: str) -> Path:
    """Write the lock of that release, which allows files with these hashes."""
    lock = folder / "lock.txt"
    lines = ["several==1.0", *(f"    --hash=sha256:{sha256}" for sha256 in hashes)]
    lock.write_text("# for: several\n" + " \\\n".join(lines) + "\n")
    return lock


@pytest.fixture
def environment(tmp_path: Path, registry: LocalRegistry) -> Path:
    """An empty environment; returns its interpreter."""
    uv_for(registry.url, tmp_path).venv(tmp_path / "venv", python=PYTHON)
    return tmp_path / "venv" / "bin" / "python"


@pytest.mark.parametrize("kinds", [("any", "own", "other"), ("other", "any")])
def test_of_several_files_of_a_release_the_installed_one_is_known(
    tmp_path: Path, registry: LocalRegistry, environment: Path, kinds: tuple[str, ...]
) -> None:
    hashes = of_a_release(tmp_path, registry)
    lock = locked_to(tmp_path, *(hashes[kind] for kind in kinds))
    with lock.open("a") as stream:
        stream.write(f"windows-only==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:{'0' * 64}\n")
    locked, uv = build_requirements.read(lock), uv_for(registry.url, tmp_path)
    assert locked is not None
    installed = build_requirements.install(
        locked, tmp_path / "requirements.txt", python=environment, short=SHORT, uv=uv
    )
    best = "own" if "own" in kinds else "any"
    name, digests = installed.material("Several", "1.0")
    assert digests == (hashes[best],)
    assert name is not None
    assert name.endswith("-any.whl") == (best == "any")
    (module,) = environment.parents[1].glob("lib/*/site-packages/several.py")
    assert module.read_text() == best  # uv installed that one
    assert list(installed.files) == [("several", "1.0")]


def test_a_sdist_is_known_as_the_file_that_a_requirement_was_built_from(
    tmp_path: Path, registry: LocalRegistry, environment: Path
) -> None:
    registry.add(make_wheel(tmp_path, "source", "1.0", {}, tag="cp39-cp39-win32"))
    project = pyproject(backend="own").replace("[build-system]\n", '[build-system]\nbackend-path = ["."]\n')
    files = {"pyproject.toml": project, "own.py": OWN_BACKEND}
    sha256 = registry.add(make_sdist(tmp_path / "sdists", files, name="source"))
    uv = uv_for(registry.url, tmp_path)
    locked = build_requirements.resolve(
        ["source==1.0"], tmp_path / "lock.txt", python=PYTHON, as_of=None, uv=uv
    )
    assert len(locked.sha256) == 2
    installed = build_requirements.install(
        locked, tmp_path / "requirements.txt", python=environment, short=SHORT, uv=uv
    )
    assert installed.material("source", "1.0") == ("source-1.0.tar.gz", (sha256,))
    assert locked.material("source", "1.0") == (None, tuple(sorted(locked.sha256)))


def test_a_file_that_the_lock_does_not_allow_is_not_installed(
    tmp_path: Path, registry: LocalRegistry, environment: Path
) -> None:
    of_a_release(tmp_path, registry)
    lock = locked_to(tmp_path, "0" * 64)
    locked = build_requirements.read(lock)
    assert locked is not None
    with pytest.raises(BuildFailed, match=r"[Hh]ash mismatch"):
        build_requirements.install(
            locked,
            tmp_path / "requirements.txt",
            python=environment,
            short=SHORT,
            uv=uv_for(registry.url, tmp_path),
        )
