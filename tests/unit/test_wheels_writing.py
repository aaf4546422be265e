"""Writing wheels: what is changed in one keeps it whole, and what is deflated already is taken only if it is right."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from uv import find_uv_bin

from crosswheel.wheels.deflated import deflated_in
from crosswheel.wheels.reading import WheelFile
from crosswheel.wheels.writing import Member, with_build_number, with_platform, write_wheel
from support.wheels import deflated_at, make_wheel

_DATA = b"".join(b"%d\n" % number**2 for number in range(5000))
# Added to any data, it leaves the CRC: the polynomial itself, with the lowest power last (ISO 3309).
_UNSEEN_BY_CRC = 0x1DB710641


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


def deflated(data: bytes, level: int = 1) -> bytes:
    deflater = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def written(folder: Path, *members: Member) -> Path:
    """Write a wheel of these members, which pip and uv can install."""
    about = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    own = [
        Member("demo-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"),
        Member("demo-1.0.dist-info/WHEEL", about),
    ]
    wheel = folder / "demo-1.0-py3-none-any.whl"
    write_wheel(wheel, [*members, *own], "demo-1.0.dist-info/RECORD")
    return wheel


def as_deflated(wheel: Path, data: bytes) -> bytes | None:
    with deflated_in(wheel) as find:
        return find(data)


def without_bytes(entry: zipfile.ZipInfo) -> Mapping[str, object]:
    """Return all that a zip archive says of a member but where its bytes lie and how many they are."""
    names = set(zipfile.ZipInfo.__slots__) - {"header_offset", "compress_size", "_end_offset"}
    return {name: getattr(entry, name) for name in names if hasattr(entry, name)}


@pytest.mark.parametrize("executable", [False, True])
@pytest.mark.parametrize("path", ["demo.py", "démo/Größe €.py"])
@pytest.mark.parametrize("data", [_DATA, b"", b"x"])
def test_deflated_data_is_taken_as_it_is_and_leaves_no_other_trace(
    tmp_path: Path, path: str, executable: bool, data: bytes
) -> None:
    copied = written(tmp_path / "copied", Member(path, data, executable, deflated(data)))
    usual = written(tmp_path / "usual", Member(path, data, executable))
    assert as_deflated(copied, data) == deflated(data)
    assert data != _DATA or as_deflated(usual, data) != deflated(data)
    with zipfile.ZipFile(copied) as archive, zipfile.ZipFile(usual) as same:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: same.read(name) for name in same.namelist()
        }
        assert list(map(without_bytes, archive.infolist())) == list(map(without_bytes, same.infolist()))
        entry = archive.getinfo(path)
        assert (entry.CRC, entry.file_size) == (zlib.crc32(data), len(data))
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.external_attr >> 16 == (0o100755 if executable else 0o100644)
    assert WheelFile.open(copied).importable_names == WheelFile.open(usual).importable_names


@pytest.mark.parametrize(
    "wrong",
    [
        *(b"", b"garbage", deflated(_DATA)[:-1], deflated(_DATA) + b"\0", deflated(_DATA[:-1])),
        *(
            deflated(_DATA + b"\0"),
            deflated(bytes(1 << 22)),
            deflated(_DATA[::-1]),
            zlib.compress(_DATA),
            _DATA,
        ),
    ],
    ids=["nothing", "garbage", "cut", "tail", "shorter", "longer", "huge", "other", "zlib", "plain"],
)
def test_what_does_not_inflate_to_the_data_is_not_taken(tmp_path: Path, wrong: bytes) -> None:
    asked = written(tmp_path / "asked", Member("demo.py", _DATA, deflated=wrong))
    assert asked.read_bytes() == written(tmp_path / "usual", Member("demo.py", _DATA)).read_bytes()


def test_deflated_data_of_another_content_with_the_same_crc_and_size_is_not_taken(tmp_path: Path) -> None:
    other = (int.from_bytes(_DATA, "little") ^ _UNSEEN_BY_CRC).to_bytes(len(_DATA), "little")
    assert other != _DATA
    assert zlib.crc32(other) == zlib.crc32(_DATA)
    source = deflated_at(1, make_wheel(tmp_path, "source", "1", {"source.py": other}))
    assert as_deflated(source, _DATA) == deflated(other)
    asked = written(tmp_path / "asked", Member("demo.py", _DATA, deflated=as_deflated(source, _DATA)))
    assert asked.read_bytes() == written(tmp_path / "usual", Member("demo.py", _DATA)).read_bytes()


def test_a_wheel_has_no_deflated_data_of_what_is_stored_encrypted_or_not_in_it(tmp_path: Path) -> None:
    wheel = deflated_at(1, make_wheel(tmp_path, "source", "1", {"source.py": _DATA}))
    assert as_deflated(wheel, _DATA) == deflated(_DATA)
    assert as_deflated(wheel, _DATA[::-1]) is None
    content = bytearray(wheel.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # the flag of encryption, in the first entry of the directory
    wheel.write_bytes(content)
    assert as_deflated(wheel, _DATA) is None
    stored = make_wheel(tmp_path, "stored", "1", {})
    with zipfile.ZipFile(stored, "a") as archive:
        archive.writestr("stored.py", _DATA)
    assert as_deflated(stored, _DATA) is None
    with zipfile.ZipFile(
        written(tmp_path, Member("demo.py", _DATA, deflated=as_deflated(stored, _DATA)))
    ) as new:
        assert new.getinfo("demo.py").compress_type == zipfile.ZIP_DEFLATED


def test_deflated_data_is_found_behind_an_extra_field_and_in_a_wheel_with_a_long_header(
    tmp_path: Path,
) -> None:
    wheel = make_wheel(tmp_path, "source", "1", {})
    entry = zipfile.ZipInfo("größe.py")
    entry.extra = b"\xfe\xca" + (300).to_bytes(2, "little") + bytes(300)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(entry, _DATA, zipfile.ZIP_DEFLATED, 1)
    wheel.write_bytes(b"#!/bin/sh\n" * 100 + wheel.read_bytes())
    assert as_deflated(wheel, _DATA) == deflated(_DATA)


def test_installers_and_archivers_read_a_wheel_with_deflated_data(tmp_path: Path) -> None:
    files = {"demo/__init__.py": _DATA, "demo/größe €.txt": b"text", "demo/empty.py": b""}
    members = [Member(path, data, True, deflated(data)) for path, data in files.items()]
    wheel = written(tmp_path, *members)
    digest = hashlib.sha256(wheel.read_bytes()).digest()
    assert hashlib.sha256(written(tmp_path, *members).read_bytes()).digest() == digest
    python, offline = sys.executable, ("--no-index", "--no-deps", "--target")
    pip = (python, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--no-compile")
    uv = (
        find_uv_bin(),
        "pip",
        "install",
        "--no-config",
        "--python",
        python,
        "--cache-dir",
        tmp_path / "cache",
    )
    for installer in (pip, uv):
        site = tmp_path / Path(installer[0]).name
        subprocess.run([*installer, *offline, site, wheel], check=True, capture_output=True)
        assert {path: (site / path).read_bytes() for path in files} == files
    subprocess.run([python, "-m", "zipfile", "-t", wheel], check=True, capture_output=True)
    if unzip := shutil.which("unzip"):
        subprocess.run([unzip, "-tq", wheel], check=True, capture_output=True)
