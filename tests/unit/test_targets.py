"""A target is data: read whole, refused with the key that is wrong, and asked for tags and markers."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from packaging.markers import Marker

from crosswheel import targets
from crosswheel.errors import TargetError

OT2 = (resources.files("crosswheel.targets") / "data" / "ot2.toml").read_text()


def write(folder: Path, old: str = "", new: str = "", name: str = "mine") -> Path:
    """Write the OT-2's file with one thing changed."""
    assert old in OT2
    file = folder / f"{name}.toml"
    file.write_text(OT2.replace(old, new, 1) if old else OT2)
    return file


def fault(file: Path) -> str:
    with pytest.raises(TargetError) as caught:
        targets.load(str(file))
    assert file.name in caught.value.message.splitlines()[0]
    assert caught.value.hint
    return caught.value.message


def test_the_ot2_is_described_as_it_is() -> None:
    ot2 = targets.load("ot2")
    assert (ot2.machine, ot2.platform_tag) == ("armv7l", "linux_armv7l")
    assert (ot2.python.version, ot2.python.short, ot2.python.numbers) == ("3.10.8", "3.10", (3, 10))
    assert ot2.extension_suffix == ".cpython-310-arm-linux-gnueabihf.so"
    assert (ot2.abi.bits, ot2.abi.float, ot2.abi.glibc) == (32, "hard", "2.25")
    assert {"libc.so.6", "libffi.so.8", "libssl.so.1.1"} <= set(ot2.image.libraries)
    assert not {"libopenblas.so.0", "libpq.so.5", "libyaml-0.so.2"} & set(ot2.image.libraries)
    assert ot2.image.packages["numpy"] == "1.21.6"


def test_a_new_robot_is_a_new_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'name = "ot2"', 'name = "mine"')
    assert targets.load(str(file)).name == "mine"
    assert targets.load("mine", tmp_path).name == "mine"
    assert targets.names(tmp_path) == sorted({*targets.names(), "mine"})


def test_a_file_of_ones_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, 'glibc = "2.25"', 'glibc = "2.31"', name="ot2")
    assert targets.load("ot2", tmp_path).abi.glibc == "2.31"
    assert targets.load("ot2").abi.glibc == "2.25"


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(TargetError, match="'flexx'") as caught:
        targets.load("flexx", tmp_path)
    assert "mine" in caught.value.hint
    assert "ot2" in caught.value.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"absent\.toml cannot be read: No such file"):
        targets.load(str(tmp_path / "absent.toml"))


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "binary.toml"
    file.write_bytes(b"\xff\xfe")
    assert "binary.toml" in fault(file)


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ('machine = "armv7l"', "", "machine", "this key is required"),
        ("[python.host]", "[other]", "python", "`target` and `headers` want `distribution` and `host`"),
        ("bits = 32", "bits = 31", "abi.bits", "Input should be 32 or 64, not 31"),
        ("bits = 32", 'bits = "many"', "abi.bits", "not 'many'"),
        ("bits = 32", "bitts = 32", "abi.bitts", "there is no such key"),
        ('float = "hard"', 'float = "firm"', "abi.float", "'hard', 'soft' or 'any', not 'firm'"),
        (
            'version = "3.10.8"',
            'version = "3.10"',
            "python.version",
            "a full version such as 3.10.8, not '3.10'",
        ),
        ('version = "3.10.8"', 'version = "ten"', "python.version", "not 'ten'"),
        ('glibc = "2.25"', 'glibc = "new"', "abi.glibc", "a version such as 2.25, not 'new'"),
        ('oldest_glibc = "2.17"', 'oldest_glibc = "2"', "abi.oldest_glibc", "such as 2.25, not '2'"),
        ('glibcxx = "3.4.24"', 'glibcxx = "3,4"', "abi.glibcxx", "not '3,4'"),
        ("58f7a5aa", "58F7", "python.target.sha256", "^[0-9a-f]{64}$"),
        ('"org.bytedeco:cpython:3.10.8-1.5.8"', '"cpython"', "python.distribution", "not 'cpython'"),
        ('pip = "22.3.1"', "pip = 22.3", "python.pip", "Input should be a valid string, not 22.3"),
        ('name = "ot2"', 'name = "Two Words"', "name", "not 'Two Words'"),
        ('glibc = "2.25"', "", "abi", "expected `glibc` and `oldest_glibc`, or `musl`"),
        ('glibc = "2.25"', 'glibc = "2.25"\nmusl = "1.2.3"', "abi", "`glibc` and `oldest_glibc`, or `musl`"),
        ('glibc = "2.25"', 'musl = "1.2"', "abi", "expected `glibc` and `oldest_glibc`, or `musl`"),
    ],
)
def test_a_wrong_key_is_named_with_what_was_expected(
    tmp_path: Path, old: str, new: str, key: str, expected: str
) -> None:
    lines = [line.strip() for line in fault(write(tmp_path, old, new)).splitlines()]
    assert [line for line in lines if line.startswith(f"{key}: ") and expected in line], lines


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, "bits = 32", "bits = 31")
    file.write_text(file.read_text().replace('float = "hard"', 'float = "firm"'))
    said = fault(file)
    assert "abi.bits" in said
    assert "abi.float" in said


def test_a_file_that_is_not_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    file = write(tmp_path, 'title = "Opentrons OT-2"', 'title = "Opentrons OT-2')
    assert "line 3" in fault(file)


def test_tags_are_those_of_the_pip_on_the_robot_in_its_order() -> None:
    tags = [str(tag) for tag in targets.load("ot2").tags]
    assert tags[0] == "cp310-cp310-manylinux_2_25_armv7l"
    assert tags[-1] == "py30-none-any"
    assert len(tags) == len(set(tags))
    wanted = [
        "cp310-cp310-manylinux_2_17_armv7l",
        "cp310-cp310-manylinux2014_armv7l",
        "cp310-cp310-linux_armv7l",
        "cp310-abi3-manylinux_2_25_armv7l",
        "cp310-none-linux_armv7l",
        "cp39-abi3-linux_armv7l",
        "cp32-abi3-linux_armv7l",
        "py310-none-linux_armv7l",
        "py3-none-linux_armv7l",
        "cp310-none-any",
        "py310-none-any",
        "py3-none-any",
        "py39-none-any",
    ]
    assert [tag for tag in tags if tag in wanted] == wanted


def with_musl(tmp_path: Path) -> targets.Target:
    file = write(tmp_path, 'glibc = "2.25"', 'musl = "1.2.3"')
    lines = (line for line in file.read_text().splitlines() if not line.startswith("oldest_glibc"))
    file.write_text("\n".join(lines))
    return targets.load(str(file))


def test_a_machine_with_musl_takes_the_tags_of_musllinux_and_none_of_manylinux(tmp_path: Path) -> None:
    tags = [str(tag) for tag in with_musl(tmp_path).tags if tag.abi == "cp310"]
    assert tags == [
        "cp310-cp310-musllinux_1_2_armv7l",
        "cp310-cp310-musllinux_1_1_armv7l",
        "cp310-cp310-musllinux_1_0_armv7l",
        "cp310-cp310-linux_armv7l",
    ]


def test_the_c_library_of_a_target_outlives_a_copy_and_glibcs_digests_know_nothing_of_musl(
    tmp_path: Path,
) -> None:
    musl, ot2 = with_musl(tmp_path), targets.load("ot2")
    assert (musl.abi.libc, ot2.abi.libc) == ("musl 1.2.3", "glibc 2.25")
    assert musl.with_python("3.13").abi == musl.abi
    assert "glibc" not in musl.model_dump()["abi"]
    assert "musl" not in ot2.model_dump()["abi"]


def test_what_the_robot_cannot_load_has_no_tag() -> None:
    tags = {str(tag) for tag in targets.load("ot2").tags}
    for tag in (
        "cp310-cp310-manylinux_2_26_armv7l",
        "cp310-cp310-manylinux_2_16_armv7l",
        "cp310-cp310-manylinux2010_armv7l",
        "cp310-cp310-musllinux_1_1_armv7l",
        "cp310-cp310-linux_armv6l",
        "cp310-cp310-linux_x86_64",
        "cp39-cp39-linux_armv7l",
        "cp311-abi3-linux_armv7l",
        "py2-none-any",
    ):
        assert tag not in tags


@pytest.mark.parametrize(
    ("marker", "answer"),
    [
        ("platform_machine == 'armv7l'", True),
        ("platform_machine == 'x86_64'", False),
        ("python_version < '3.11'", True),
        ("python_full_version >= '3.10.8' and python_full_version < '3.10.9'", True),
        ("sys_platform == 'linux' and os_name == 'posix' and platform_system == 'Linux'", True),
        ("implementation_name == 'cpython' and platform_python_implementation == 'CPython'", True),
        ("sys_platform == 'win32'", False),
    ],
)
def test_markers_are_answered_for_the_robot_not_for_this_machine(marker: str, answer: bool) -> None:
    assert Marker(marker).evaluate({**targets.load("ot2").marker_environment, "extra": ""}) is answer


def test_no_marker_is_left_to_this_machine() -> None:
    from packaging.markers import default_environment

    assert set(default_environment()) == set(targets.load("ot2").marker_environment)


def test_what_a_wheel_depends_on_is_in_the_fingerprint_and_the_title_is_not(tmp_path: Path) -> None:
    ot2 = targets.load("ot2")
    renamed = targets.load(str(write(tmp_path, 'title = "Opentrons OT-2"', 'title = "A robot"')))
    newer = targets.load(str(write(tmp_path, 'glibc = "2.25"', 'glibc = "2.31"')))
    assert renamed.fingerprint == ot2.fingerprint
    assert newer.fingerprint != ot2.fingerprint


def test_a_machine_of_other_bits_than_its_programs_is_refused_with_what_to_write(tmp_path: Path) -> None:
    said = fault(write(tmp_path, 'machine = "armv7l"', 'machine = "aarch64"'))
    assert "machine is aarch64, which has 64 bits, and abi.bits is 32: where only the kernel" in said
    assert 'write machine = "armv7l"' in said
