from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.check.parity import Parity, compare, official_wheels
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


def compared(ours: WheelFile, *theirs: WheelFile, without: Mapping[str, str] | None = None) -> Parity:
    parity = compare(ours, iter(theirs), OT2, without or {})
    assert parity is not None
    assert parity.official == theirs[0].path.name
    return parity


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
    assert compared(built(tmp_path, {f"pkg/_fast{ARM}": b""}), theirs) == Parity(theirs.path.name)


def test_a_missing_extension_module_is_named(tmp_path: Path) -> None:
    theirs = official(tmp_path, {f"pkg/_fast{X86}": b"", f"pkg/_yaml{X86}": b""})
    [fault] = compared(built(tmp_path, {f"pkg/_fast{ARM}": b""}), theirs).faults
    assert "pkg._yaml is missing" in fault.message
    assert theirs.path.name in fault.message


def test_a_module_that_the_recipe_does_not_want_may_be_missing_and_no_other(tmp_path: Path) -> None:
    theirs = official(tmp_path, {f"pkg/_fast{X86}": b"", f"pkg/_avif{X86}": b"", f"pkg/_yaml{X86}": b""})
    ours = built(tmp_path, {f"pkg/_fast{ARM}": b""})
    [fault] = compared(ours, theirs, without={"pkg._avif": "its library is too old"}).faults
    assert "pkg._yaml is missing" in fault.message


def test_a_module_with_the_building_machines_suffix_is_missing(tmp_path: Path) -> None:
    theirs = official(tmp_path, {f"pkg/_fast{X86}": b""})
    [fault] = compared(built(tmp_path, {f"pkg/_fast{X86}": b""}), theirs).faults
    assert "pkg._fast is missing" in fault.message


def test_a_wheel_may_have_more_modules_than_the_official_one(tmp_path: Path) -> None:
    ours = built(tmp_path, {f"pkg/_fast{ARM}": b"", f"pkg/_more{ARM}": b""})
    assert compared(ours, official(tmp_path, {f"pkg/_fast{X86}": b""})).faults == ()


def test_names_that_do_not_belong_into_site_packages_are_faulted(tmp_path: Path) -> None:
    ours = built(
        tmp_path, {"tests/test_a.py": b"", "Cargo.toml": b"", "pkg.libs/x.so.1": b"", f"_native{ARM}": b""}
    )
    theirs = official(tmp_path, {f"_native{X86}": b""})
    faults = compared(ours, theirs).faults
    assert [fault.message.split()[3] for fault in faults] == ["Cargo.toml", "tests"]


def test_another_version_is_the_only_fault_of_a_wheel_that_has_it(tmp_path: Path) -> None:
    ours = built(tmp_path, {"tests/test_a.py": b""}, version="0.0.0")
    [fault] = compared(ours, official(tmp_path, {f"pkg/_fast{X86}": b""})).faults
    assert "pkg 0.0.0" in fault.message
    assert "pkg 1.0" in fault.message


def test_where_nothing_is_published_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    assert compare(built(tmp_path, {}), iter(()), OT2) is None


AARCH64, I686 = "cp37-abi3-manylinux_2_17_aarch64", "cp37-abi3-manylinux_2_17_i686"


def test_what_is_for_another_kind_of_cpu_alone_is_no_fault(tmp_path: Path) -> None:
    """As pycryptodome's modules for AES-NI: not all published wheels have them, which is said."""
    ours = built(tmp_path, {f"pkg/_fast{ARM}": b""})
    intel = official(tmp_path, {"pkg/_fast.abi3.so": b"", "pkg/_aesni.abi3.so": b"", "pkg_intel.py": b""})
    arm = official(tmp_path, {"pkg/_fast.abi3.so": b""}, AARCH64)
    parity = compared(ours, intel, arm)
    assert parity.faults == ()
    [note] = parity.notes
    assert f"it has no extension module pkg._aesni, where {intel.path.name} has" in note
    assert compared(ours, arm, intel) == Parity(arm.path.name)
    assert [fault.message.split()[3] for fault in compared(ours, intel, intel).faults] == ["pkg._aesni"]


def test_what_all_have_and_what_none_has_is_a_fault_whatever_else_they_have(tmp_path: Path) -> None:
    ours = built(tmp_path, {"tests/test_a.py": b"", "pkg_arm.py": b""})
    theirs = [
        official(
            tmp_path, {"pkg/_fast.abi3.so": b"", f"pkg/_{name}.abi3.so": b"", f"pkg_{name}.py": b""}, tag
        )
        for name, tag in (("x", I686), ("arm", AARCH64))
    ]
    parity = compared(ours, *theirs)
    assert [" ".join(fault.message.split()[:4]) for fault in parity.faults] == [
        "the extension module pkg._fast",
        "it would put tests",
    ]
    assert ["pkg._x" in parity.notes[0], "pkg_arm" in parity.notes[1]] == [True, True]


def test_the_others_are_asked_for_only_if_there_is_a_difference(tmp_path: Path) -> None:
    def theirs() -> Iterator[WheelFile]:
        yield official(tmp_path, {f"pkg/_fast{X86}": b""})
        raise AssertionError("it was asked for")

    assert compare(built(tmp_path, {f"pkg/_fast{ARM}": b""}), theirs(), OT2)


PREFERENCE = [
    "pkg-1.0-cp310-cp310-manylinux_2_28_armv7l.whl",
    "pkg-1.0-cp310-cp310-musllinux_1_2_armv7l.whl",
    "pkg-1.0-cp310-cp310-linux_armv6l.whl",
    "pkg-1.0-cp310-cp310-manylinux_2_28_aarch64.whl",
    "pkg-1.0-cp310-cp310-manylinux1_i686.whl",
    "pkg-1.0-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "pkg-1.0-cp310-cp310-musllinux_1_2_x86_64.whl",
    "pkg-1.0-cp310-cp310-manylinux_2_17_ppc64le.whl",
    "pkg-1.0-cp310-cp310-manylinux_2_17_s390x.whl",
]
OTHER_SYSTEMS = ["pkg-1.0-cp310-cp310-macosx_11_0_arm64.whl", "pkg-1.0-cp310-cp310-macosx_11_0_x86_64.whl"]
WINDOWS = [
    "pkg-1.0-cp310-cp310-win_arm64.whl",
    "pkg-1.0-cp310-cp310-win32.whl",
    "pkg-1.0-cp310-cp310-win_amd64.whl",
]
FARTHER = ["pkg-1.0-cp37-abi3-manylinux_2_17_x86_64.whl", "pkg-1.0-py3-none-manylinux_2_17_x86_64.whl"]
USELESS = [
    "pkg-1.0-py3-none-any.whl",
    "pkg-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
    "pkg-1.0-cp311-abi3-manylinux_2_17_x86_64.whl",
    "pkg-1.0-pp310-pypy310_pp73-manylinux_2_17_x86_64.whl",
    "pkg-1.0.tar.gz",
    "not a wheel.whl",
]


def test_the_nearest_relatives_of_one_system_are_chosen_to_compare_with() -> None:
    """The same machine, family of CPUs, size of words; of each the one for this Python; another system if need be."""
    others = [*USELESS, *WINDOWS, *OTHER_SYSTEMS, *FARTHER]
    assert official_wheels([*reversed(PREFERENCE), *others], OT2) == PREFERENCE
    assert official_wheels([*USELESS, *reversed(FARTHER)], OT2) == FARTHER[:1]
    assert official_wheels([*USELESS, *WINDOWS, *reversed(OTHER_SYSTEMS)], OT2) == OTHER_SYSTEMS
    assert official_wheels([*USELESS, *reversed(WINDOWS)], OT2) == WINDOWS


def test_a_release_without_a_native_wheel_for_this_python_has_nothing_to_compare_with() -> None:
    assert official_wheels(USELESS, OT2) == []
    assert official_wheels([], OT2) == []
