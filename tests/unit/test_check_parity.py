from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.check.parity import choose_official, compare
from crosswheel.wheels.reading import WheelFile
from support.wheels import make_wheel

OT2 = targets.load("ot2")
ARM, X86 = ".cpython-310-arm-linux-gnueabihf.so", ".cpython-310-x86_64-linux-gnu.so"
PACKAGE = {"pkg/__init__.py": b""}


def built(folder: Path, files: Mapping[str, bytes], version: str = "1.0") -> WheelFile:
    tag = "cp310-cp310-linux_armv7l"
    return WheelFile.open(make_wheel(folder, "pkg", version, {**PACKAGE, **files}, tag=tag))


def official(
    folder: Path, files: Mapping[str, bytes], tag: str = "cp310-cp310-manylinux_2_17_x86_64"
) -> WheelFile:
    return WheelFile.open(make_wheel(folder, "pkg", "1.0", {**PACKAGE, **files}, tag=tag))


@pytest.mark.parametrize(
    ("file", "tag"),
    [
        (f"pkg/_fast{X86}", "cp310-cp310-manylinux_2_17_x86_64"),
        ("pkg/_fast.abi3.so", "cp37-abi3-manylinux_2_17_aarch64"),
        ("pkg/_fast.cpython-310-darwin.so", "cp310-cp310-macosx_11_0_arm64"),
        ("pkg/_fast.cp310-win_amd64.pyd", "cp310-cp310-win_amd64"),
        ("pkg/_fast.pyd", "cp37-abi3-win_amd64"),
    ],
)
def test_a_wheel_that_differs_in_suffixes_alone_is_on_a_par(tmp_path: Path, file: str, tag: str) -> None:
    theirs = official(tmp_path, {file: b"PyInit__fast\0", "pkg.libs/libz-1234.so": b""}, tag)
    assert compare(built(tmp_path, {f"pkg/_fast{ARM}": b""}), theirs, OT2) == []


def test_a_missing_extension_module_is_named(tmp_path: Path) -> None:
    theirs = official(tmp_path, {f"pkg/_fast{X86}": b"", f"pkg/_yaml{X86}": b""})
    [fault] = compare(built(tmp_path, {f"pkg/_fast{ARM}": b""}), theirs, OT2)
    assert "pkg._yaml is missing" in fault.message
    assert theirs.path.name in fault.message


def test_a_module_that_the_recipe_does_not_want_may_be_missing_and_no_other(tmp_path: Path) -> None:
    theirs = official(tmp_path, {f"pkg/_fast{X86}": b"", f"pkg/_avif{X86}": b"", f"pkg/_yaml{X86}": b""})
    ours = built(tmp_path, {f"pkg/_fast{ARM}": b""})
    [fault] = compare(ours, theirs, OT2, {"pkg._avif": "its library is too old"})
    assert "pkg._yaml is missing" in fault.message


def test_a_module_with_the_building_machines_suffix_is_missing(tmp_path: Path) -> None:
    theirs = official(tmp_path, {f"pkg/_fast{X86}": b""})
    [fault] = compare(built(tmp_path, {f"pkg/_fast{X86}": b""}), theirs, OT2)
    assert "pkg._fast is missing" in fault.message


def test_a_wheel_may_have_more_modules_than_the_official_one(tmp_path: Path) -> None:
    ours = built(tmp_path, {f"pkg/_fast{ARM}": b"", f"pkg/_more{ARM}": b""})
    assert compare(ours, official(tmp_path, {f"pkg/_fast{X86}": b""}), OT2) == []


def test_names_that_do_not_belong_into_site_packages_are_faulted(tmp_path: Path) -> None:
    ours = built(
        tmp_path, {"tests/test_a.py": b"", "Cargo.toml": b"", "pkg.libs/x.so.1": b"", f"_native{ARM}": b""}
    )
    theirs = official(tmp_path, {f"_native{X86}": b""})
    assert [fault.message.split()[3] for fault in compare(ours, theirs, OT2)] == ["Cargo.toml", "tests"]


def test_another_version_is_the_only_fault_of_a_wheel_that_has_it(tmp_path: Path) -> None:
    ours = built(tmp_path, {"tests/test_a.py": b""}, version="0.0.0")
    [fault] = compare(ours, official(tmp_path, {f"pkg/_fast{X86}": b""}), OT2)
    assert "pkg 0.0.0" in fault.message
    assert "pkg 1.0" in fault.message


PREFERENCE = [
    "pkg-1.0-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "pkg-1.0-cp37-abi3-manylinux_2_17_x86_64.whl",
    "pkg-1.0-py3-none-manylinux_2_17_x86_64.whl",
    "pkg-1.0-cp310-cp310-manylinux_2_28_aarch64.whl",
    "pkg-1.0-cp310-cp310-manylinux_2_17_ppc64le.whl",
    "pkg-1.0-cp310-cp310-musllinux_1_2_x86_64.whl",
    "pkg-1.0-cp310-cp310-macosx_11_0_arm64.whl",
    "pkg-1.0-cp310-cp310-win_amd64.whl",
]
USELESS = [
    "pkg-1.0-py3-none-any.whl",
    "pkg-1.0-cp310-cp310-manylinux_2_28_armv7l.whl",
    "pkg-1.0-cp310-cp310-musllinux_1_2_armv7l.whl",
    "pkg-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
    "pkg-1.0-cp311-abi3-manylinux_2_17_x86_64.whl",
    "pkg-1.0-pp310-pypy310_pp73-manylinux_2_17_x86_64.whl",
    "pkg-1.0.tar.gz",
    "not a wheel.whl",
]


def test_the_nearest_relative_is_chosen_to_compare_with() -> None:
    candidates = [*USELESS, *reversed(PREFERENCE)]
    while PREFERENCE[-1] in candidates:
        chosen = choose_official(candidates, OT2)
        assert chosen == PREFERENCE[len(USELESS) + len(PREFERENCE) - len(candidates)]
        candidates.remove(chosen)


def test_a_release_without_a_native_wheel_for_this_python_has_nothing_to_compare_with() -> None:
    assert choose_official(USELESS, OT2) is None
    assert choose_official([], OT2) is None
