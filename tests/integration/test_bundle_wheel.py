"""The main job itself makes what plain pip needs on a robot whose image would be in its way."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command_line import CommandLine, command_line
from support.wheels import make_wheel

BUNDLE = "greeter-1.0+ot2-cp310-cp310-linux_armv7l.whl"
GREETER = b"import pydantic\ndef main():\n    print('hello from pydantic', pydantic.VERSION)\n"


@pytest.fixture
def crosswheel(tmp_path: Path) -> Iterator[CommandLine]:
    with command_line(tmp_path) as line:
        # The image of the OT-2 has pydantic 1.10.12.
        line.offer_wheel("pydantic", "2.9.9", files={"pydantic.py": b"VERSION = '2.9.9'\n"})
        line.offer_wheel("sniffio", "1.3.0", files={"sniffio.py": b""})
        yield line


def offer(line: CommandLine, name: str, command: str, requires: str) -> None:
    """Offer a package with a command, and lock it."""
    (line.folder / "packages").mkdir(exist_ok=True)
    points = {"entry_points.txt": f"[console_scripts]\n{command} = {name}:main\n".encode()}
    files = {f"{name}.py": GREETER if requires == "pydantic" else b""}
    line.registry.add(
        make_wheel(line.folder / "offered", name, "1.0", files, requires=[requires], dist_info=points)
    )
    added = line.run("add", f"{name}==1.0", "--as-of", "2024-12-31")
    assert added.returncode == 0, added.output


def test_a_program_that_clashes_with_the_image_gets_a_wheel_for_plain_pip(crosswheel: CommandLine) -> None:
    offer(crosswheel, "greeter", "greeter", "pydantic")
    assert BUNDLE in crosswheel.wheels()
    wheel = crosswheel.folder / f"dist/greeter/1.0+ot2/{BUNDLE}"
    proof = json.loads(wheel.with_name(f"{BUNDLE}.ot2.proof.json").read_text())
    assert (proof["imported"], "qemu-arm" in proof["emulator"]) == (["greeter"], True)
    assert proof["sandbox"] in ("namespaces", "landlock")
    with zipfile.ZipFile(wheel) as archive:
        assert "Requires-Dist" not in archive.read("greeter-1.0+ot2.dist-info/METADATA").decode()
        bill = json.loads(archive.read("greeter-1.0+ot2.dist-info/sboms/crosswheel.cdx.json"))
    assert bill["metadata"]["component"]["name"] == "greeter"
    assert [part["name"] for part in bill["components"]] == ["pydantic"]
    # An index for every machine: elsewhere the ordinary wheel is the one.
    index = f"file://{crosswheel.folder}/index/simple"
    words = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--index-url", index]
    done = subprocess.run(
        [*words, "-d", crosswheel.folder / "got", "greeter==1.0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (crosswheel.folder / "got").iterdir()] == ["greeter-1.0-py3-none-any.whl"]
    # A second run finds it.
    made = wheel.stat().st_ino
    again = crosswheel.run("build")
    assert again.returncode == 0, again.output
    assert "for plain pip" not in again.output
    assert wheel.stat().st_ino == made


def test_what_plain_pip_can_install_as_it_is_gets_none(crosswheel: CommandLine) -> None:
    offer(crosswheel, "modest", "modest", "sniffio")  # the image's own version will do
    offer(crosswheel, "library", "tool-of-it", "pydantic")  # to be imported, which a bundle would not allow
    assert [name for name in crosswheel.wheels() if "+ot2" in name] == []
