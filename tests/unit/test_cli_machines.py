from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crosswheel.cli import app

WIDE = {"COLUMNS": "200"}


def test_all_targets_are_listed_those_of_this_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = (resources.files("crosswheel.targets") / "data" / "ot2.toml").read_text()
    (tmp_path / "targets").mkdir()
    own = shipped.replace('name = "ot2"', 'name = "ours"').replace("Opentrons OT-2", "Our robot")
    (tmp_path / "targets" / "ours.toml").write_text(own)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["target", "list"], env=WIDE)
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.output.splitlines() if line}
    assert {"debian-armhf", "flex", "ot2", "ours"} <= rows.keys()
    for known in ("Our robot", "CPython 3.10.8", "glibc 2.25", "armv7l"):
        assert known in rows["ours"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "ot2",
            [
                "32-bit, little-endian, hard-float",
                "glibc 2.25",
                "emulated, as CPython 3.10.8",
                "libusb-1.0.so.0",
            ],
        ),
        ("ot2-py312", ["CPython 3.12.1", "not run: only its headers can be had"]),
        ("debian-armhf", ["glibc 2.36", "none in its image"]),
    ],
)
def test_what_a_machine_can_take_is_on_one_screen(target: str, expected: list[str]) -> None:
    result = CliRunner().invoke(app, ["target", "show", target], env=WIDE)
    assert result.exit_code == 0
    for known in expected:
        assert known in result.output
    assert len(result.output.splitlines()) <= 24
