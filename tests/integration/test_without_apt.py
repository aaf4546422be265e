"""On a machine without apt and dpkg, all of Debian comes by plain download, and what is built with it is the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crosswheel.debian import Debian
from crosswheel.files import remove_tree, sha256_of
from crosswheel.process import Runner
from crosswheel.settings import Settings
from support.apt_mirror import AptMirror, path_without_apt
from support.command_line import command_line


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt fills the mirror of the test")
def test_a_wheel_that_is_built_and_proven_without_apt_is_the_same_to_the_byte(tmp_path: Path) -> None:
    addresses = Debian("armhf", Settings.from_environment(), Runner()).sources.addresses
    if not addresses:
        pytest.skip("this machine's sources name no mirror of Debian")
    path = path_without_apt(tmp_path / "bin")
    for name in ("machine", "mirror"):
        (tmp_path / name).mkdir()
    with (
        command_line(tmp_path / "machine") as line,
        AptMirror(tmp_path / "mirror", upstream=addresses[0]) as mirror,
    ):
        line.offer_real("setuptools", "75.8.0")
        line.offer_real("markupsafe", "3.0.2", "sdist")
        build = ("build", "markupsafe==3.0.2", "--from-source", "--build-type", "packages-only")
        with_apt = line.run(*build)
        assert with_apt.returncode == 0, with_apt.output
        (wheel,) = line.folder.glob("dist/markupsafe/3.0.2/*.whl")
        expected = sha256_of(wheel)
        shutil.rmtree(line.folder / "dist")
        for name in ("debian", "roots", "made", "proofs", "emulators"):
            remove_tree(line.cache / name)
        without = line.run(*build, PATH=path, CROSSWHEEL_DEBIAN_URL=mirror.url)
        assert without.returncode == 0, without.output
        assert "1 wheel run on the target" in without.words
        assert sha256_of(wheel) == expected
        assert any("/binary-armhf/" in asked for asked in mirror.requested)
        assert any("libc6" in asked for asked in mirror.requested)
