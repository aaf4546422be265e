"""What a wheel says of the licences of C libraries that it holds."""

from __future__ import annotations

import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from crosswheel.build import finish, traces
from crosswheel.process import Runner
from crosswheel.toolchain.libraries.linking import Library
from crosswheel.wheels.reading import WheelFile
from support.wheels import make_wheel

HEADERS = b"Name: demo\nVersion: 1.0\nLicense-File: LICENSE\n"


def finished(folder: Path, metadata: bytes) -> WheelFile:
    """Complete a wheel that was linked with a static library; return it, opened and found sound."""
    prefix = folder / "prefix"
    (prefix / "lib").mkdir(parents=True)
    (prefix / "copyright-libdemo-dev").write_text("You may use it.\n")
    files = {"demo.so": b"\x7fELF"}
    wheel = make_wheel(
        folder, "demo", "1.0", files, dist_info={"METADATA": metadata, "licenses/LICENSE": b""}
    )
    finish(wheel, [Library("libdemo", prefix, {}, {})], Runner())
    return WheelFile.open(wheel)


@pytest.mark.parametrize("description", [b"", b"\n# Demo\n\nLicense-File: no header\n"])
def test_the_licences_are_named_where_metadata_has_a_field_for_them(
    tmp_path: Path, description: bytes
) -> None:
    wheel = finished(tmp_path, b"Metadata-Version: 2.4\n" + HEADERS + description)
    message = message_from_bytes(wheel.read("demo-1.0.dist-info/METADATA"))
    named = message.get_all("License-File", [])
    assert named == ["LICENSE", "libdemo/copyright-libdemo-dev"]
    assert {f"demo-1.0.dist-info/licenses/{name}" for name in named} <= set(wheel.members)
    assert message.get_payload() == description.decode().removeprefix("\n")


def test_older_metadata_stays_as_it_was(tmp_path: Path) -> None:
    metadata = b"Metadata-Version: 2.1\n" + HEADERS
    wheel = finished(tmp_path, metadata)
    assert wheel.read("demo-1.0.dist-info/METADATA") == metadata
    assert "demo-1.0.dist-info/licenses/libdemo/copyright-libdemo-dev" in wheel.members


@pytest.mark.parametrize("objects", [{"demo.so": b"\x7fELF"}, {}])
def test_texts_tell_what_a_wheel_was_built_with_as_the_target_would(
    tmp_path: Path, objects: dict[str, bytes]
) -> None:
    prefix, venv = tmp_path / "libraries" / "blas-0123", tmp_path / "venv"
    text = f"lib = '{prefix}/lib'\npython = '{venv}/bin/python'\n".encode()
    binary = f"\0{venv}".encode()  # its lengths are counted somewhere
    files = {**objects, "config.py": text, "other.py": b"", "config.pyc": binary}
    wheel = make_wheel(tmp_path, "demo", "1.0", files)
    finish(wheel, [Library("blas", prefix, {}, {})], Runner(), {venv: "/usr"})
    opened = WheelFile.open(wheel)
    assert opened.read("config.py") == b"lib = '/usr/lib'\npython = '/usr/bin/python'\n"
    assert opened.read("config.pyc") == binary


def test_a_wheel_is_the_same_whatever_order_modes_times_and_compression_it_was_packed_with(
    tmp_path: Path,
) -> None:
    made = []
    for umask, year, compression, turned in ((0o077, 1999, 0, False), (0o002, 2024, 8, True)):
        folder = tmp_path / str(year)
        folder.mkdir()
        wheel = make_wheel(
            folder, "demo", "1.0", {"demo/__init__.py": b"", "demo/run.sh": b"#!/bin/sh\n", "a.py": b""}
        )
        with zipfile.ZipFile(wheel) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        with zipfile.ZipFile(wheel, "w", compression) as archive:
            archive.writestr(zipfile.ZipInfo("demo/"), b"")
            for name, data in sorted(members, reverse=turned):
                entry = zipfile.ZipInfo(name, (year, 2, 3, 4, 5, 6))
                entry.external_attr = ((0o777 if name.endswith(".sh") else 0o666) & ~umask | 0o100000) << 16
                archive.writestr(entry, data)
        finish(wheel, [], Runner())
        made.append(wheel.read_bytes())
        with zipfile.ZipFile(wheel) as archive:
            modes = {name: archive.getinfo(name).external_attr >> 16 for name in archive.namelist()}
        assert (modes["demo/run.sh"], modes["a.py"]) == (0o100755, 0o100644)
    assert made[0] == made[1]


def test_files_that_name_the_building_machines_folders_are_counted(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    files = {"demo.so": f"\x7fELF{cache}/crates/a.rs\0{cache}/b.rs".encode(), "other.so": b"\x7fELF/usr/lib"}
    wheel = make_wheel(tmp_path, "demo", "1.0", files)
    assert traces(wheel, [cache, tmp_path / "tree"]) == {"demo.so": 2}


@pytest.mark.parametrize("files", [{"demo.so": b"\x7fELF"}, {}])
def test_what_python_compiled_during_the_build_is_left_out(tmp_path: Path, files: dict[str, bytes]) -> None:
    sources = {"demo/tools.py": b"", "demo/alone.pyc": b"\0"}  # the other one may have no source
    compiled = {"demo/__pycache__/tools.cpython-310.pyc": b"\0/build/demo/tools.py"}
    wheel = make_wheel(tmp_path, "demo", "1.0", {**files, **sources, **compiled})
    finish(wheel, [], Runner())
    members = WheelFile.open(wheel).members
    assert {*files, *sources} <= set(members)
    assert not compiled.keys() & set(members)
