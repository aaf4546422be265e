from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Optional

import pytest
from packaging.version import Version
from pypi_simple import ProjectPage

from crosswheel.errors import IntegrityError, UsageError
from crosswheel.index import write_site


def make_wheel(
    dist: Path, name: str, version: str, *, requires_python: Optional[str] = None, body: bytes = b""
) -> Path:
    spelled = name.replace("-", "_")
    folder = dist / name / version
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{spelled}-{version}-py3-none-any.whl"
    info = f"{spelled}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: <b>It</b> helps\n"
    if requires_python:
        metadata += f"Requires-Python: {requires_python}\n"
    wheel_file = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        f"{spelled}.py": body,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": wheel_file,
    }
    record = "".join(f"{file},{_record_hash(data)},{len(data)}\n" for file, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in files.items():
            archive.writestr(zipfile.ZipInfo(file), data)
    return path


def _record_hash(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def tree(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def html_page(site: Path, name: str) -> ProjectPage:
    return ProjectPage.from_html(name, (site / "simple" / name / "index.html").read_text())


def json_page(site: Path, name: str) -> ProjectPage:
    return ProjectPage.from_json_data(json.loads((site / "simple" / name / "index.json").read_text()))


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return tmp_path / "dist"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "index"


def test_both_forms_of_a_page_say_what_is_in_the_wheel(dist: Path, site: Path) -> None:
    wheel = make_wheel(dist, "Ruamel.Yaml-clib", "0.2", requires_python=">=3.9,<4")
    write_site(dist, site)
    for page in (html_page(site, "ruamel-yaml-clib"), json_page(site, "ruamel-yaml-clib")):
        (package,) = page.packages
        assert package.filename == wheel.name
        assert package.digests == {"sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}
        assert package.requires_python == ">=3.9,<4"
        metadata = (site / "simple/ruamel-yaml-clib" / f"{wheel.name}.metadata").read_bytes()
        assert package.metadata_digests == {"sha256": hashlib.sha256(metadata).hexdigest()}
    assert json_page(site, "ruamel-yaml-clib").packages[0].size == wheel.stat().st_size


def test_versions_are_listed_in_their_order(dist: Path, site: Path) -> None:
    for version in ("1.10", "1.9", "1.9rc1"):
        make_wheel(dist, "a", version)
    write_site(dist, site)
    assert json_page(site, "a").versions == ["1.9rc1", "1.9", "1.10"]
    listed = [Version(package.version or "") for package in html_page(site, "a").packages]
    assert listed == sorted(listed)


def test_a_yanked_wheel_is_marked_even_without_a_reason(dist: Path, site: Path) -> None:
    for version, reason in (("1", "breaks <all>"), ("2", "")):
        wheel = make_wheel(dist, "a", version)
        wheel.with_name(f"{wheel.name}.yanked").write_text(reason)
    make_wheel(dist, "a", "3")
    write_site(dist, site)
    for page in (html_page(site, "a"), json_page(site, "a")):
        assert [package.is_yanked for package in page.packages] == [True, True, False]
        assert page.packages[0].yanked_reason == "breaks <all>"


def test_links_are_relative_unless_a_root_url_is_given(dist: Path, site: Path) -> None:
    wheel = make_wheel(dist, "a", "1+local.2")
    write_site(dist, site)
    page = (site / "simple/a/index.html").read_text()
    assert f'href="{wheel.name.replace("+", "%2B")}#sha256=' in page
    write_site(dist, site, root_url="https://robots.example/lab/")
    url = "https://robots.example/lab/simple/a/" + wheel.name.replace("+", "%2B")
    assert json_page(site, "a").packages[0].url == url
    assert html_page(site, "a").packages[0].url.partition("#")[0] == url
    assert "https://robots.example/lab/simple/a/" in (site / "simple/index.html").read_text()


def test_a_wheel_that_vanished_from_dist_vanishes_from_the_site(dist: Path, site: Path) -> None:
    make_wheel(dist, "a", "1")
    gone = make_wheel(dist, "a", "2")
    alone = make_wheel(dist, "b", "1")
    write_site(dist, site)
    gone.unlink()
    alone.unlink()
    write_site(dist, site)
    assert not [file for file in tree(site) if "a-2" in file or "simple/b" in file]
    assert not (site / "simple/b").exists()
    assert "a-2" not in (site / "simple/a/index.html").read_text()


def test_files_that_no_index_wrote_are_left_alone(dist: Path, site: Path) -> None:
    make_wheel(dist, "a", "1")
    (site / "simple/a").mkdir(parents=True)
    (site / "simple/a/notes.txt").write_text("mine")
    (site / "CNAME").write_text("mine")
    write_site(dist, site)
    assert (site / "simple/a/notes.txt").read_text() == (site / "CNAME").read_text() == "mine"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda wheel: wheel.write_bytes(b"<html>404</html>"), id="not a zip"),
        pytest.param(lambda wheel: wheel.write_bytes(wheel.read_bytes()[:-40]), id="truncated"),
        pytest.param(lambda wheel: wheel.rename(wheel.with_name("a-3-py3-none-any.whl")), id="other version"),
        pytest.param(lambda wheel: wheel.rename(wheel.with_name("a.whl")), id="no wheel's name"),
    ],
)
def test_a_bad_wheel_is_named_and_the_site_stays_as_it_was(dist: Path, site: Path, damage) -> None:  # type: ignore[no-untyped-def]
    make_wheel(dist, "a", "1")
    write_site(dist, site)
    before = tree(site)
    wheel = make_wheel(dist, "a", "2")
    damage(wheel)
    with pytest.raises(IntegrityError) as caught:
        write_site(dist, site)
    assert str(wheel.parent) in caught.value.message
    assert tree(site) == before


def test_two_wheels_of_one_name_must_have_the_same_bytes(dist: Path, site: Path) -> None:
    first = make_wheel(dist / "x", "a", "1")
    make_wheel(dist / "y", "a", "1")
    write_site(dist, site)
    before = tree(site)
    make_wheel(dist / "y", "a", "1", body=b"different = True")
    with pytest.raises(IntegrityError) as caught:
        write_site(dist, site)
    assert str(first) in caught.value.message
    assert tree(site) == before


def test_a_missing_folder_is_explained(dist: Path, site: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        write_site(dist, site)
    assert not site.exists()


def test_an_empty_dist_gives_an_empty_index(dist: Path, site: Path) -> None:
    dist.mkdir()
    assert write_site(dist, site).projects == 0
    assert json.loads((site / "simple/index.json").read_text())["projects"] == []
