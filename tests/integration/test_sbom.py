"""The SBOM in a wheel tells what is really linked in: not what was offered, and nothing less."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from crosswheel.wheels.reading import WheelFile
from support import projects
from support.crossing import Crossing, crossing_for

# zlib's function is called. The code of libyaml is linked as well, and nothing of it is called.
USES_ZLIB = "#include <zlib.h>\n" + projects.C_SOURCE.replace(
    "return a + b;", "return a + b + !zlibVersion()[0];"
)

# What maturin and auditwheel do, in short.
WRITES_AN_SBOM = """\
import base64, hashlib, zipfile
from pathlib import Path
from setuptools import build_meta
from setuptools.build_meta import *

def build_wheel(folder, *more):
    path = Path(folder, build_meta.build_wheel(folder, *more))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"{}").digest()).rstrip(b"=").decode()
    members["demo-1.0.dist-info/sboms/tool.cdx.json"] = b"{}"
    members["demo-1.0.dist-info/RECORD"] += f"demo-1.0.dist-info/sboms/tool.cdx.json,sha256={digest},2\\n".encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path.name
"""


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    return crossing_for(tmp_path_factory.mktemp("crossing"))


def sbom_of(wheel: Path) -> dict[str, Any]:
    """Return the SBOM of a wheel, which is sound and, for CycloneDX, valid."""
    opened = WheelFile.open(wheel)
    (member,) = (name for name in opened.members if name.endswith(".dist-info/sboms/crosswheel.cdx.json"))
    text = opened.read(member).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document: dict[str, Any] = json.loads(text)
    return document


def parts(document: dict[str, Any], role: str) -> dict[str, dict[str, Any]]:
    wanted = {"name": "crosswheel:role", "value": role}
    return {part["name"]: part for part in document["components"] if wanted in part["properties"]}


def test_a_library_that_is_offered_and_not_used_is_not_in_the_sbom(
    crossing: Crossing, tmp_path: Path
) -> None:
    extension = 'Extension("_demo", ["demo.c"], libraries=["yaml", "z"])'
    files = {**projects.c_project(), "demo.c": USES_ZLIB, "setup.py": projects.setup_py(extension)}
    wheel = crossing.in_folder(tmp_path).build(files, said={"libraries": ["zlib", "libyaml"]})
    document = sbom_of(wheel)
    (zlib,) = parts(document, "library").values()
    assert zlib["purl"].startswith("pkg:deb/debian/zlib@1:1.2.13")
    assert zlib["licenses"] == [{"expression": "Zlib"}]
    assert len(zlib["hashes"]) == 1
    member = "_demo.cpython-310-arm-linux-gnueabihf.so"
    assert [where["location"] for where in zlib["evidence"]["occurrences"]] == [member]
    required = parts(document, "requirement")
    assert required["setuptools"]["version"] == "75.8.0"
    assert (
        len(required["setuptools"]["hashes"]) == 1
    )  # of its wheel, though the lock allows its sdist as well
    assert {part["scope"] for part in required.values()} == {"excluded"}
    assert not document.get("properties")  # nothing is unknown
    again = crossing.in_folder(tmp_path / "again").build(files, said={"libraries": ["zlib", "libyaml"]})
    assert again.read_bytes() == wheel.read_bytes()


def test_the_crates_that_were_compiled_are_in_the_sbom(crossing: Crossing, tmp_path: Path) -> None:
    document = sbom_of(crossing.in_folder(tmp_path).build(projects.vendored_project()))
    (crate,) = parts(document, "crate").values()
    assert crate["purl"] == "pkg:cargo/helper@1.0.0"
    assert "rust-std" in parts(document, "runtime")


def test_what_no_compiler_of_ours_linked_is_told_to_be_unknown(crossing: Crossing, tmp_path: Path) -> None:
    setup = (
        "from pathlib import Path\nfrom setuptools import setup\nPath('demo').mkdir(exist_ok=True)\n"
        "Path('demo/__init__.py').touch()\nPath('demo/blob.so').write_bytes(b'\\x7fELF' + bytes(60))\n"
        "setup(name='demo', version='1.0', packages=['demo'], package_data={'demo': ['blob.so']})\n"
    )
    files = {"pyproject.toml": projects.pyproject(projects.SETUPTOOLS), "setup.py": setup}
    document = sbom_of(crossing.in_folder(tmp_path).build(files))
    assert document["properties"] == [{"name": "crosswheel:unknown", "value": "demo/blob.so"}]
    assert not parts(document, "library")


def test_the_sboms_that_a_build_wrote_are_kept_and_named(crossing: Crossing, tmp_path: Path) -> None:
    files = {**projects.pure_project("demo"), "backend.py": WRITES_AN_SBOM}
    project = projects.pyproject(projects.SETUPTOOLS, backend="backend")
    files["pyproject.toml"] = project.replace("[build-system]\n", '[build-system]\nbackend-path = ["."]\n')
    wheel = crossing.in_folder(tmp_path).build(files)
    subject = sbom_of(wheel)["metadata"]["component"]
    (reference,) = subject["externalReferences"]
    assert (reference["type"], reference["url"]) == ("bom", "tool.cdx.json")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("demo-1.0.dist-info/sboms/tool.cdx.json") == b"{}"
