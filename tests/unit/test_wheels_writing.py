"""Writing wheels: what is changed in one keeps it whole."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from crosswheel.wheels.reading import WheelFile
from crosswheel.wheels.writing import with_build_number, with_platform
from support.wheels import make_wheel


@pytest.mark.parametrize("before", [None, 3])
def test_a_build_number_is_in_the_name_and_in_the_wheel_and_replaces_any(
    tmp_path: Path, before: int | None
) -> None:
    wheel = make_wheel(tmp_path, "de-mo", "1.0", {"demo.py": b"answer = 42\n"}, tag="py2.py3-none-any")
    if before is not None:
        wheel = with_build_number(wheel, before)
    numbered = with_build_number(wheel, 12)
    assert [path.name for path in tmp_path.glob("*.whl")] == [numbered.name]
    assert numbered.name == "de_mo-1.0-12-py2.py3-none-any.whl"
    assert WheelFile.open(numbered).importable_names
    with zipfile.ZipFile(numbered) as archive:
        about = archive.read("de_mo-1.0.dist-info/WHEEL").decode()
    assert [line for line in about.splitlines() if line.startswith("Build")] == ["Build: 12"]


def test_another_platform_is_in_the_name_and_in_every_tag_of_the_wheel(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "de-mo", "1.0", {"demo.py": b""}, tag="cp310.cp311-abi3-linux_armv7l")
    renamed = with_platform(with_build_number(wheel, 2), "manylinux_2_17_armv7l")
    assert [path.name for path in tmp_path.glob("*.whl")] == [renamed.name]
    assert renamed.name == "de_mo-1.0-2-cp310.cp311-abi3-manylinux_2_17_armv7l.whl"
    assert WheelFile.open(renamed).oddities == ()
    with zipfile.ZipFile(renamed) as archive:
        lines = archive.read("de_mo-1.0.dist-info/WHEEL").decode().splitlines()
    assert [line for line in lines if line.startswith("Tag")] == [
        "Tag: cp310-abi3-manylinux_2_17_armv7l",
        "Tag: cp311-abi3-manylinux_2_17_armv7l",
    ]
