"""Resolving: files are read as uv reads them, days are asked for where one was stated, and no release's code is run."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.errors import LockError, UsageError
from crosswheel.process import Runner
from crosswheel.resolver import Request, Resolution, Resolver
from crosswheel.settings import Settings
from crosswheel.uv import ReleaseMetadata, Uv
from support.projects import make_sdist
from support.registries import LocalRegistry, local_registry
from support.wheels import make_wheel

OT2 = targets.load("ot2")
DAY = datetime.date(2025, 4, 25)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    with local_registry(tmp_path / "registry") as served:
        for name, version in (("alpha", "1.0"), ("alpha", "2.0"), ("beta", "1.0")):
            served.add(make_wheel(tmp_path / "wheels", name, version, {}))
        yield served


def resolver(registry: LocalRegistry, folder: Path, asked: list[str] | None = None) -> Resolver:
    """Return a resolver for this interpreter; releases whose metadata it asks for are added to ``asked``."""

    def describe(name: str, version: str) -> ReleaseMetadata:
        assert asked is not None, f"{name} {version} tells its metadata itself"
        asked.append(f"{name} {version}")
        return ReleaseMetadata(name=name, version=version, requires_dist=("beta; extra == 'x'", "alpha<2"))

    uv = Uv(Settings(cache=folder / "cache", github="", registry=registry.url), Runner())
    return Resolver(OT2, Path(sys.executable), uv, describe)


def of_file(registry: LocalRegistry, folder: Path, content: str | bytes, **others: str) -> Resolution:
    file = folder / "requirements.txt"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    for name, text in others.items():
        (folder / f"{name}.txt").write_text(text)
    return resolver(registry, folder).resolve(Request(files=(file,)), None)


def versions(found: Resolution) -> list[str]:
    return [str(pin) for pin in found.pins]


def test_a_release_whose_metadata_only_its_code_tells_is_asked_about_and_its_code_not_run(
    tmp_path: Path, registry: LocalRegistry
) -> None:
    ran = tmp_path / "ran"
    for version in ("1.0", "1.1"):
        setup = f"open({str(ran)!r}, 'w')\n"
        registry.add(make_sdist(tmp_path / version, {"setup.py": setup}, version=version, static=False))
    asked: list[str] = []
    found = resolver(registry, tmp_path, asked).resolve(Request(("demo[x]",)), None)
    assert versions(found) == ["alpha==1.0", "beta==1.0", "demo==1.1"]
    assert asked == ["demo 1.1"]
    assert not ran.exists()


def test_what_was_kept_by_another_way_to_ask_is_not_believed(tmp_path: Path, registry: LocalRegistry) -> None:
    """uv's cache may have metadata that was asked for on this machine, as that of a build requirement is."""
    backend = (
        "import os\n"
        "def prepare_metadata_for_build_wheel(folder, settings=None):\n"
        "    os.mkdir(f'{folder}/demo-1.0.dist-info')\n"
        "    with open(f'{folder}/demo-1.0.dist-info/METADATA', 'w') as file:\n"
        "        file.write('Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n')\n"
        "    return 'demo-1.0.dist-info'\n"
    )
    pyproject = "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n"
    files = {"pyproject.toml": pyproject, "own.py": backend}
    registry.add(make_sdist(tmp_path / "sdists", files, static=False))
    wanted = tmp_path / "in.txt"
    wanted.write_text("demo\n")
    asked: list[str] = []
    asking = resolver(registry, tmp_path, asked)
    result = asking.uv.compile([wanted], tmp_path / "out.txt", python=asking.interpreter, as_of=None)
    assert result.returncode == 0, result.output
    assert versions(asking.resolve(Request(("demo",)), None)) == ["alpha==1.0", "demo==1.0"]
    assert asked == ["demo 1.0"]


@pytest.mark.parametrize(
    "content",
    [
        "alpha\t# a tab before a comment\n-c limits.txt\n-r more.txt\n",
        "alpha ; python_version > '3'\n-c limits.txt\n-r more.txt\n".encode("utf-16"),
        "alpha\r\n-c limits.txt\r\n-r more.txt\r\n".encode("utf-8-sig"),
    ],
)
def test_files_are_read_as_pip_reads_them(
    tmp_path: Path, registry: LocalRegistry, content: str | bytes
) -> None:
    found = of_file(registry, tmp_path, content, limits="alpha<2\nunused==9\n", more="beta>=1  # too\n")
    assert versions(found) == ["alpha==1.0", "beta==1.0"]
    assert found.roots == ("alpha==1.0", "beta==1.0")


def test_what_a_file_asks_for_itself_are_the_roots_with_their_extras(
    tmp_path: Path, registry: LocalRegistry
) -> None:
    requires = ["beta; extra == 'x'", "alpha<2"]
    wheel = make_wheel(tmp_path, "gamma", "1.0", {}, requires=requires, dist_info={}, requires_python=">=3")
    registry.add(wheel)
    found = of_file(registry, tmp_path, "gamma[x]\n")
    assert (found.roots, versions(found)) == (("gamma[x]==1.0",), ["alpha==1.0", "beta==1.0", "gamma==1.0"])


def test_hashes_that_a_file_states_are_those_that_are_locked(tmp_path: Path, registry: LocalRegistry) -> None:
    taken = make_wheel(tmp_path / "more", "alpha", "2.0", {}, tag="py3-none-linux_armv7l")
    stated = registry.add(taken)
    (pin,) = of_file(registry, tmp_path, f"alpha==2.0 \\\n    --hash=sha256:{stated}\n").pins
    assert pin.sha256 == {stated}
    with pytest.raises(UsageError, match=r"none of them is of a file of alpha==2\.0"):
        of_file(registry, tmp_path, f"alpha==2.0 --hash=sha256:{'0' * 64}\n")


@pytest.mark.parametrize(
    "line", ["-e ./here", "--editable=here", "../here", "file:///here", "here @ file:///here"]
)
def test_what_an_index_cannot_offer_is_named_with_its_file_and_line(
    tmp_path: Path, registry: LocalRegistry, line: str
) -> None:
    with pytest.raises(
        UsageError, match=rf"requirements\.txt, line 2: {re.escape(repr(line))} is a folder or"
    ):
        of_file(registry, tmp_path, f"alpha\n{line}\n")


@pytest.mark.parametrize(
    "line", ["--index-url http://127.0.0.1:9", "-i http://127.0.0.1:9", "--find-links ."]
)
def test_another_registry_in_a_file_is_refused(tmp_path: Path, registry: LocalRegistry, line: str) -> None:
    with pytest.raises(UsageError, match=r"requirements\.txt, line 1: .* names another registry"):
        of_file(registry, tmp_path, f"{line}\nalpha\n")
    with pytest.raises(UsageError, match=r"more\.txt, line 1: .* names another registry"):
        of_file(registry, tmp_path, "-r more.txt\n", more=f"{line}\nalpha\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"alpha # r\xf4bot\n", "UTF-8"),
        (b"alpha == = 1\n", "requirements.txt"),
        (b"-r absent.txt\n", "absent.txt"),
        (b"# nothing\n", "asks for nothing on ot2"),
        (b"alpha; sys_platform == 'none'\n", "asks for nothing on ot2"),
    ],
)
def test_a_file_that_cannot_be_read_or_asks_for_nothing_is_a_mistake_of_who_asks(
    tmp_path: Path, registry: LocalRegistry, content: bytes, reason: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        of_file(registry, tmp_path, content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path, registry: LocalRegistry) -> None:
    with pytest.raises(UsageError, match=r"absent\.txt cannot be read: No such file"):
        resolver(registry, tmp_path).resolve(Request(files=(tmp_path / "absent.txt",)), None)


def test_a_registry_that_tells_no_upload_times_is_used_where_no_day_is_stated(
    tmp_path: Path, registry: LocalRegistry
) -> None:
    for page in registry.server.folder.rglob("index.json"):
        page.write_text(re.sub(r'"upload-time": "[^"]*", ', "", page.read_text()))
    asking = resolver(registry, tmp_path)
    assert versions(asking.resolve(Request(("alpha",)), None)) == ["alpha==2.0"]
    with pytest.raises(LockError, match="the registry does not tell when files came to it") as caught:
        asking.resolve(Request(("alpha",)), DAY)
    assert "leave the day out" in caught.value.hint


def test_what_is_passed_over_for_want_of_an_upload_time_is_told(
    tmp_path: Path, registry: LocalRegistry
) -> None:
    page = registry.server.folder / "simple/alpha/index.json"
    before, newest = page.read_text().split("alpha-2.0", 1)
    page.write_text(f"{before}alpha-2.0" + re.sub(r'"upload-time": "[^"]*", ', "", newest))
    found = resolver(registry, tmp_path).resolve(Request(("alpha",)), DAY)
    assert versions(found) == ["alpha==1.0"]
    assert found.warnings == ("1 files were passed over, as the registry does not tell when they came to it",)


def test_an_extra_that_a_release_does_not_have_is_warned_of(tmp_path: Path, registry: LocalRegistry) -> None:
    found = resolver(registry, tmp_path).resolve(Request(("alpha[nosuch]",)), None)
    assert versions(found) == ["alpha==2.0"]
    assert "does not have an extra named `nosuch`" in found.warnings[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UV_RESOLUTION", "lowest"),
        ("UV_CONSTRAINT", "limits.txt"),
        ("UV_EXTRA_INDEX_URL", "http://127.0.0.1:9/simple"),
        ("UV_EXCLUDE_NEWER", "2001-01-01"),
        ("UV_PRERELEASE", "allow"),
        ("PYTHONPATH", "/nowhere"),
    ],
)
def test_what_is_resolved_does_not_depend_on_variables_that_no_lock_tells(
    tmp_path: Path, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    registry.add(make_wheel(tmp_path / "wheels", "alpha", "3.0rc1", {}))
    (tmp_path / "limits.txt").write_text("alpha<2\n")
    monkeypatch.setenv(name, str(tmp_path / value) if value.endswith(".txt") else value)
    assert versions(resolver(registry, tmp_path).resolve(Request(("alpha",)), None)) == ["alpha==2.0"]
