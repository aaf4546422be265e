"""A target whose Python cannot be had: its headers are made from another machine's, and wheels say that nothing ran."""

from __future__ import annotations

from pathlib import Path

from crosswheel import targets
from crosswheel.check.elf import audit
from crosswheel.check.suitability import suitability
from crosswheel.settings import Settings
from crosswheel.targets import Artifact
from crosswheel.toolchain.python.choosing import target_python
from crosswheel.toolchain.python.headers import headers_for
from crosswheel.wheels.reading import WheelFile
from support import projects
from support.crossing import crossing_for

DATA = "_sysconfigdata__linux_arm-linux-gnueabihf"
PUBLISHED = Artifact(
    classifier="linux-armhf", sha256="f3d7ac4e2e9707e28994fd215acb8fdea96264d246d8380bb52c1a1a12d873a6"
)


def test_headers_that_are_made_are_those_of_a_real_build(tmp_path: Path) -> None:
    """Of 3.11 there are both: one for 64-bit ARM, to make them from, and one for 32-bit ARM, to compare with."""
    settings, debian = Settings.from_environment(), targets.load("debian-armhf")
    published = debian.python.model_copy(
        update={"version": "3.11.3", "sysconfigdata": DATA, "packaged": False, "target": PUBLISHED}
    )
    real = debian.model_copy(update={"python": published})
    python = published.model_copy(update={"target": published.host["aarch64"]})
    other = target_python(real.model_copy(update={"python": python}), settings)
    made, own = headers_for(real, other, tmp_path), target_python(real, settings)
    assert (made.include / "pyconfig.h").read_text() == (own.include / "pyconfig.h").read_text()
    data = f"{real.python.sysconfigdata}.py"
    said: list[dict[str, object]] = []
    for tree in (made, own):
        namespace: dict[str, dict[str, object]] = {}
        exec((tree.stdlib / data).read_text(), namespace)
        said.append(namespace["build_time_vars"])
    sizes = [name for name in said[1] if name.startswith(("SIZEOF_", "ALIGNOF_", "HAVE_")) or name == "SOABI"]
    assert {name: said[0][name] for name in sizes} == {name: said[1][name] for name in sizes}


def test_wheels_are_built_and_audited_for_it(tmp_path: Path) -> None:
    crossing = crossing_for(tmp_path, "ot2-py312")
    assert not crossing.toolchain.python.runs
    wheel = crossing.build(projects.c_project())
    assert wheel.name == "demo-1.0-cp312-cp312-linux_armv7l.whl"
    opened = WheelFile.open(wheel)
    assert [*suitability(opened, crossing.target), *audit(opened, crossing.target, crossing.system)[1]] == []
