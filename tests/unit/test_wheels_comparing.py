"""What tells two wheels apart is named: the member, and the section or the line in it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from crosswheel.wheels.comparing import differences
from support.objects import Compiler

_EPOCH = (1980, 1, 1, 0, 0, 0)


def wheel(
    path: Path, members: dict[str, bytes], time: tuple[int, ...] = _EPOCH, mode: int = 0o644, level: int = 6
) -> Path:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, time)  # type: ignore[arg-type]
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data, compresslevel=level)
    return path


def between(folder: Path, first: dict[str, bytes], second: dict[str, bytes]) -> list[str]:
    return list(differences(wheel(folder / "a.whl", first), wheel(folder / "b.whl", second)))


def test_wheels_of_the_same_bytes_do_not_differ(tmp_path: Path) -> None:
    assert between(tmp_path, {"a.py": b"a = 1\n"}, {"a.py": b"a = 1\n"}) == []


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"a.py": b"a = 1\nb = 2\n"}, {"a.py": b"a = 1\nb = 3\n"}, "a.py: line 2 is 'b = 2', and 'b = 3'"),
        ({"a.py": b"a = 1\n"}, {"a.py": b"a = 1\nb = 3\n"}, "a.py: 1 and 2 lines"),
        ({"a": b"\xff\x00\x01"}, {"a": b"\xff\x01\x01"}, "a: 3 and 3 bytes, which differ from byte 1 on"),
        ({"a": b"", "b": b""}, {"a": b""}, "b: only the former one has it"),
        ({"a": b""}, {"a": b"", "b": b""}, "b: only the new one has it"),
        ({"a": b"", "b": b""}, {"b": b"", "a": b""}, "the members have another order"),
    ],
)
def test_what_differs_is_named(
    tmp_path: Path, first: dict[str, bytes], second: dict[str, bytes], told: str
) -> None:
    assert told in between(tmp_path, first, second)


def test_times_permissions_and_packing_are_told(tmp_path: Path) -> None:
    members = {"a.py": "".join(f"a{number} = {number}\n" for number in range(500)).encode()}
    plain = wheel(tmp_path / "a.whl", members)
    for options, told in (
        ({"time": (2001, 1, 1, 0, 0, 0)}, "its time is"),
        ({"mode": 0o755}, "its permissions are 644, and 755"),
        ({"level": 1}, "packed in another way"),
    ):
        (sentence,) = differences(plain, wheel(tmp_path / "b.whl", members, **options))  # type: ignore[arg-type]
        assert told in sentence


def test_of_shared_objects_the_section_is_named(tmp_path: Path) -> None:
    compiler = Compiler(tmp_path)
    first = compiler.shared('const char *where(void) { return "built in /one"; }')
    second = compiler.shared('const char *where(void) { return "built in /two"; }')
    (sentence,) = between(tmp_path, {"m.so": first}, {"m.so": second})
    assert "m.so: section .rodata" in sentence
    assert "'built in /one', and 'built in /two'" in sentence
