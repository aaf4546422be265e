from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from packaging.tags import Tag
from packaging.version import Version

from crosswheel import targets
from crosswheel.check.suitability import suitability
from crosswheel.errors import IntegrityError
from crosswheel.wheels.reading import WheelFile
from support.wheels import make_wheel

OT2 = targets.load("ot2")
NATIVE = "cp310-cp310-manylinux_2_17_armv7l"
SUFFIX = ".cpython-310-arm-linux-gnueabihf.so"
FILES = {"pkg/__init__.py": b"", "pkg/data.txt": b"some text" * 100}


def test_a_whole_wheel_says_what_it_is(tmp_path: Path) -> None:
    path = make_wheel(
        tmp_path,
        "My.Package",
        "1.2",
        {"pkg/a.so": b"\x7fELF...", **FILES},
        requires=["click>=8"],
        requires_python=">=3.9",
    )
    wheel = WheelFile.open(path)
    assert (wheel.name, wheel.version) == ("my-package", Version("1.2"))
    assert wheel.tags == {Tag("py3", "none", "any")}
    assert wheel.is_pure
    assert "pkg/data.txt" in wheel.members
    assert wheel.elf_members == ("pkg/a.so",)
    assert wheel.read("pkg/data.txt") == FILES["pkg/data.txt"]
    assert str(wheel.requires_python) == ">=3.9"
    assert [str(requirement) for requirement in wheel.requires_dist] == ["click>=8"]


@pytest.mark.parametrize(
    ("instead", "named"),
    [
        ({"pkg/data.txt": b"other text"}, "pkg/data.txt does not have the hash"),
        ({"pkg/extra.py": b""}, "pkg/extra.py is not listed in RECORD"),
        ({"pkg/data.txt": None}, "pkg/data.txt is listed in RECORD and not in it"),
        ({"../outside.py": b""}, "'../outside.py' is not a path below"),
        ({"/etc/passwd": b""}, "'/etc/passwd' is not a path below"),
        ({"pkg/../../outside.py": b""}, "outside.py' is not a path below"),
        ({"C:/outside.py": b""}, "'C:/outside.py' is not a path below"),
        ({"RECORD": None}, "RECORD"),
        ({"RECORD": b"pkg/__init__.py\n"}, "line 1 of RECORD"),
        ({"RECORD": b"\xff\xfe,,\n"}, "RECORD cannot be read"),
        ({"other-2.dist-info/METADATA": b""}, "2 dist-info folders"),
        ({"pkg-1.data/purelib/other-2.dist-info/METADATA": b""}, "into a dist-info folder"),
        ({"pkg-1.data/purelib/pkg/data.txt": b""}, "pkg/data.txt is in it twice"),
        ({"pkg-1.data/scripts": b""}, "has no place where it is installed"),
        ({"pkg/data.txt/below": b""}, "pkg/data.txt is a file in it, and the folder of pkg/data.txt/below"),
        ({"pkg/" + "ü" * 128: b""}, "is longer than a file's name may be"),
    ],
)
def test_a_wheel_that_is_not_what_it_says_is_refused(
    tmp_path: Path, instead: dict[str, bytes | None], named: str
) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES, instead=instead)
    with pytest.raises(IntegrityError) as caught:
        WheelFile.open(path)
    assert path.name in caught.value.message
    assert named in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("member", "text", "named"),
    [
        ("METADATA", b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", "that of other 1.0"),
        ("METADATA", b"Metadata-Version: 2.1\nName: pkg\nVersion: 0.0.0\n", "that of pkg 0.0.0"),
        ("METADATA", b"nothing", "METADATA is wrong"),
        ("WHEEL", b"Wheel-Version: 2.0\nTag: py3-none-any\n", "wheel version 2.0"),
    ],
)
def test_metadata_that_contradicts_the_file_name_is_refused(
    tmp_path: Path, member: str, text: bytes, named: str
) -> None:
    folder = tmp_path / "made"
    path = make_wheel(folder, "pkg", "1.0", FILES, dist_info={member: text})
    with pytest.raises(IntegrityError, match=r"pkg-1\.0-py3-none-any\.whl") as caught:
        WheelFile.open(path)
    assert named in caught.value.message


def test_what_pip_installs_all_the_same_is_told_and_not_refused(tmp_path: Path) -> None:
    metadata = (
        b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\nRequires-Python: >=3.6.*\n"
        b"Requires-Dist: PyYAML (>=5.1.*)\nRequires-Dist: six\n"
    )
    said = {"METADATA": metadata, "WHEEL": b"Wheel-Version: 1.0\nTag: cp310-cp310-linux_x86_64\n"}
    wheel = WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", FILES, dist_info=said))
    assert [str(requirement) for requirement in wheel.requires_dist] == ["PyYAML>=5.1", "six"]
    assert str(wheel.requires_python) == ">=3.6"
    assert wheel.oddities == (
        "its METADATA has 'PyYAML (>=5.1.*)', which is read as 'PyYAML (>=5.1)'",
        "its METADATA has '>=3.6.*', which is read as '>=3.6'",
        "its WHEEL has other tags than its name: cp310-cp310-linux_x86_64",
    )
    assert WheelFile.open(make_wheel(tmp_path, "pkg", "2.0", FILES)).oddities == ()


@pytest.mark.parametrize("row", ["pkg/__init__.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,0", "pkg/__init__.py,,0"])
def test_a_record_without_a_strong_hash_is_refused(tmp_path: Path, row: str) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES)
    record = WheelFile.open(path).read("pkg-1.0.dist-info/RECORD").decode().splitlines()
    weak = "\n".join(row if line.startswith("pkg/__init__.py,") else line for line in record)
    path = make_wheel(tmp_path, "pkg", "1.0", FILES, instead={"RECORD": weak.encode()})
    with pytest.raises(IntegrityError, match="SHA-256 or better"):
        WheelFile.open(path)


def test_a_record_with_a_wrong_size_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES)
    record = WheelFile.open(path).read("pkg-1.0.dist-info/RECORD").replace(b",900\n", b",901\n")
    path = make_wheel(tmp_path, "pkg", "1.0", FILES, instead={"RECORD": record})
    with pytest.raises(IntegrityError, match=r"pkg/data.txt has 900 bytes, and RECORD says 901"):
        WheelFile.open(path)


def test_a_truncated_wheel_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(IntegrityError, match="the archive cannot be read"):
        WheelFile.open(path)


def test_what_is_not_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pkg-1.0-py3-none-any.whl"
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(IntegrityError, match="the archive cannot be read"):
        WheelFile.open(path)


def test_a_member_whose_bytes_are_damaged_is_named(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("pkg/data.txt").header_offset
    data = bytearray(path.read_bytes())
    data[start + 30 + len("pkg/data.txt") + 3] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"pkg/data.txt"):
        WheelFile.open(path)


@pytest.mark.parametrize(("before", "after"), [(b"#!/bin/sh\n", b""), (b"", b"PK"), (b"", bytes(22))])
def test_what_lies_before_or_after_the_archive_is_refused(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    path = make_wheel(tmp_path, "pkg", "1", FILES)
    path.write_bytes(before + path.read_bytes() + after)
    with pytest.raises(IntegrityError, match=f"something lies {'before' if before else 'after'} its archive"):
        WheelFile.open(path)


def test_an_archive_may_have_a_comment(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "pkg", "1", FILES)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"made by hand"
    assert WheelFile.open(path).members


@pytest.mark.parametrize("name", ["../../../evil", "/evil", "..", "a/b", "x" * 256, r"a\b"])
def test_a_command_that_would_lie_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    text = f"[other]\na/b = pkg:main\n[gui_scripts]\nRight = pkg:main [x]\n{name} = pkg:main\n"
    path = make_wheel(tmp_path, "pkg", "1", FILES, dist_info={"entry_points.txt": text.encode()})
    with pytest.raises(IntegrityError, match=r"in entry_points\.txt is not a command's name"):
        WheelFile.open(path)


def test_files_that_would_fill_the_disk_together_are_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "pkg", "1", {f"pkg/{number}": b"" for number in range(6)})
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist()[:6]:  # in the central directory, which is believed
            place = data.rindex(entry.filename.encode()) - 46 + 24
            data = data[:place] + (1 << 30).to_bytes(4, "little") + data[place + 4 :]
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"would be 61.. MiB large together"):
        WheelFile.open(path)


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("pkg/__init__.py", "import os")
    with pytest.raises(IntegrityError, match=r"pkg/__init__.py is in it twice"):
        WheelFile.open(path)


def test_a_member_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES)
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("pkg/data.txt").file_size
    claimed = (1 << 31).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size.to_bytes(4, "little"), claimed))
    with pytest.raises(IntegrityError, match=r"pkg/data.txt would be 2048 MiB"):
        WheelFile.open(path)


def test_a_file_that_is_not_named_as_a_wheel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pkg.whl"
    path.write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"pkg\.whl is not the name of a wheel"):
        WheelFile.open(path)


@pytest.mark.parametrize("name", ["other-1.0-py3-none-any.whl", "pkg-2.0-py3-none-any.whl"])
def test_a_renamed_wheel_is_refused(tmp_path: Path, name: str) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES).rename(tmp_path / name)
    with pytest.raises(IntegrityError, match=r"pkg-1\.0\.dist-info is not the dist-info folder of"):
        WheelFile.open(path)


def test_extension_modules_are_those_that_the_target_imports(tmp_path: Path) -> None:
    files = {
        f"pkg/fast{SUFFIX}": b"",
        "pkg/stable.abi3.so": b"",
        "pkg/plain.so": b"..PyInit_plain\0..",
        "pkg/libused_by_ctypes.so": b"..",
        "pkg/foreign.cpython-310-x86_64-linux-gnu.so": b"",
        f"pkg/sub/__init__{SUFFIX}": b"",
        f"both{SUFFIX}": b"",
        "both.abi3.so": b"",
        f"0123abc__mypyc{SUFFIX}": b"",
        "pkg.libs/libz-1.so": b"PyInit_libz-1\0",
        f"pkg-1.0.data/platlib/pkg/far{SUFFIX}": b"",
        f"pkg-1.0.data/purelib/pkg/near{SUFFIX}": b"",
        f"pkg-1.0.data/scripts/tool{SUFFIX}": b"",
        "pkg/libversioned.so.1": b"",
    }
    wheel = WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", files, tag=NATIVE))
    assert wheel.extension_modules(OT2) == {
        "0123abc__mypyc": f"0123abc__mypyc{SUFFIX}",
        "both": f"both{SUFFIX}",
        "pkg.far": f"pkg-1.0.data/platlib/pkg/far{SUFFIX}",
        "pkg.fast": f"pkg/fast{SUFFIX}",
        "pkg.near": f"pkg-1.0.data/purelib/pkg/near{SUFFIX}",
        "pkg.plain": "pkg/plain.so",
        "pkg.stable": "pkg/stable.abi3.so",
        "pkg.sub": f"pkg/sub/__init__{SUFFIX}",
    }
    assert wheel.extension_names == {*wheel.extension_modules(OT2), "pkg.foreign"}


def test_a_wheel_tells_what_its_extras_bring(tmp_path: Path) -> None:
    requires = ["My.Cffi; extra == 'cffi'", "cffi; python_version > '3'", "six"]
    wheel = WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", {"pkg.py": b""}, requires=requires))
    assert wheel.modules(OT2).optional == ("my-cffi",)


def test_a_library_that_is_named_as_a_module_is_told_from_one(tmp_path: Path) -> None:
    """As those of pycryptodome, which are loaded by ctypes."""
    files = {
        "pkg/_strxor.abi3.so": b"..",
        f"pkg/fast{SUFFIX}": b"..PyInit_fast\0..",
        f"pkg/sub/__init__{SUFFIX}": b"PyInit_sub\0",
        f"pkg/na\xefve{SUFFIX}": b"PyInitU_nave_6ya\0",
    }
    wheel = WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", files, tag=NATIVE))
    reason = "a library for ctypes, and no module: it does not define PyInit__strxor"
    assert wheel.not_importable(OT2) == {"pkg._strxor": reason}


@pytest.mark.parametrize(
    "file", ["a/b.cp310-win_amd64.pyd", "a/b.cpython-310-darwin.so", "a/b.pypy310-pp73-x86_64-linux-gnu.so"]
)
def test_extension_names_are_known_for_every_platform(tmp_path: Path, file: str) -> None:
    assert WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", {file: b""})).extension_names == {"a.b"}


def test_top_level_names_are_what_ends_up_in_site_packages(tmp_path: Path) -> None:
    files = {
        **FILES,
        "single.py": b"",
        f"_native{SUFFIX}": b"",
        "Cargo.toml": b"",
        "pkg.libs/libz.so.1": b"",
        "pkg-1.0.data/platlib/far/__init__.py": b"",
        "pkg-1.0.data/scripts/tool": b"",
        "pkg-1.0.data/headers/pkg.h": b"",
    }
    wheel = WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", files))
    assert wheel.top_level_names == {"pkg", "single", "_native", "Cargo.toml", "far"}


@pytest.mark.parametrize(
    "tag", ["py3-none-any", NATIVE, "cp37-abi3-manylinux2014_armv7l", "py3-none-linux_armv7l"]
)
def test_a_wheel_that_the_target_installs_has_no_fault(tmp_path: Path, tag: str) -> None:
    files = {f"fast{SUFFIX}": b"", **FILES}
    path = make_wheel(tmp_path, "pkg", "1.0", files, tag=tag, requires_python=">=3.9,<3.11")
    assert suitability(WheelFile.open(path), OT2) == []


@pytest.mark.parametrize(
    "tag",
    ["cp311-cp311-manylinux_2_17_armv7l", "cp310-cp310-manylinux_2_28_armv7l", "cp310-cp310-linux_armv6l"],
)
def test_a_wheel_with_tags_that_the_target_does_not_accept_is_faulted(tmp_path: Path, tag: str) -> None:
    [fault] = suitability(WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", FILES, tag=tag)), OT2)
    assert tag in fault.message
    assert fault.remedy


def test_a_wheel_for_another_python_is_faulted(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES, requires_python=">=3.11")
    [fault] = suitability(WheelFile.open(path), OT2)
    assert ">=3.11" in fault.message
    assert "3.10.8" in fault.message


def test_a_module_named_for_the_building_machine_is_faulted(tmp_path: Path) -> None:
    files = {"pkg/fast.cpython-310-x86_64-linux-gnu.so": b"", f"pkg/good{SUFFIX}": b""}
    [fault] = suitability(WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", files, tag=NATIVE)), OT2)
    assert fault.file == "pkg/fast.cpython-310-x86_64-linux-gnu.so"
    assert "pkg.fast" in fault.message


def test_a_wheel_for_all_platforms_may_carry_modules_for_others(tmp_path: Path) -> None:
    files = {"pkg/fast.cpython-310-x86_64-linux-gnu.so": b""}
    assert suitability(WheelFile.open(make_wheel(tmp_path, "pkg", "1.0", files)), OT2) == []


def test_requirements_that_cannot_be_read_are_explained(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "pkg", "1.0", FILES, requires_python="about 3", requires=["-- no --"])
    wheel = WheelFile.open(path)
    with pytest.raises(IntegrityError, match="METADATA is wrong"):
        _ = wheel.requires_dist
    with pytest.raises(IntegrityError, match="METADATA is wrong"):
        suitability(wheel, OT2)


@pytest.mark.parametrize(
    ("members", "names"),
    [
        (["pkg/__init__.py", "pkg/sub/__init__.py", "pkg/a.py", "single.py"], ["pkg", "single"]),
        (["ns/one/__init__.py", "ns/one/sub/__init__.py", "ns/deep/two/__init__.py"], ["ns.deep.two", "ns.one"]),
        (["space/module.py", "space/data.json"], ["space.module"]),
        (["pkg-1.0.data/purelib/pkg/__init__.py", "pkg-1.0.data/platlib/single.py"], ["pkg", "single"]),
        (["pkg-1.0.data/scripts/run.py", "pkg-1.0.data/data/share/x.py"], []),
        (["pkg/__init__.pyc"], ["pkg"]),
        (["pkg/__init__.py", "tests/__init__.py", "docs/conf.py", "setup.py", "examples/a.py"], ["pkg"]),
        (["tests/__init__.py"], ["tests"]),
        (["__init__.py", "__main__.py", "not-a-name.py", "pkg-stubs/__init__.pyi", "pkg/__init__.py"], ["pkg"]),
    ],
)  # fmt: skip
def test_what_can_be_imported_is_found_in_any_layout(
    tmp_path: Path, members: list[str], names: list[str]
) -> None:
    wheel = make_wheel(tmp_path, "pkg", "1.0", dict.fromkeys(members, b""))
    assert list(WheelFile.open(wheel).importable_names) == names
