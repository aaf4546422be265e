"""What a machine lacks is told beforehand, with what to do about it."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from crosswheel import targets
from crosswheel.debian import Debian, mirrors
from crosswheel.doctor import Finding, examine
from crosswheel.errors import MissingToolError, UsageError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.toolchain.environment import cross_environment

OT2 = targets.load("ot2")


def findings(cache: Path) -> dict[str, Finding]:
    settings = Settings(cache=cache, github="")
    return {finding.name: finding for finding in examine(OT2, settings, Runner())}


def test_what_builds_go_without_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings(tmp_path)
    assert found["robot-sim"].state == "without"
    assert "apt-get install" in found["robot-sim"].remedy


@pytest.mark.parametrize("level", ["namespaces", "landlock", "none"])
def test_it_is_told_how_builds_are_kept_from_all_else(tmp_path: Path, level: str) -> None:
    settings = Settings(cache=tmp_path, github="", sandbox=level)
    (found,) = (finding for finding in examine(OT2, settings, Runner()) if finding.name == "sandbox")
    if level == "none":
        assert (found.state, "all your rights" in found.detail) == ("without", True)
    elif found.state == "missing":  # this machine does not allow it
        assert "--sandbox none" in found.remedy
    else:
        assert found.state == "ok"


def test_where_nothing_can_be_tried_in_a_sandbox_the_rest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("crosswheel.doctor", "crosswheel.emulation.emulator"):
        monkeypatch.setattr(
            f"{module}.find_sandbox", Mock(side_effect=MissingToolError("refused", hint="none"))
        )
    root = tmp_path / "roots" / f"{OT2.toolchain.debian}-any" / "usr" / "lib" / OT2.multiarch
    root.mkdir(parents=True)
    monkeypatch.setattr("crosswheel.emulation.emulator._root", lambda *_: Mock(is_whole=True, path=root))
    found = findings(tmp_path)
    assert found["sandbox"].state == "missing"
    assert "emulator" in found


def test_a_cache_that_is_only_half_there_is_not_called_ok(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mirrors, "INSTALLED_DEBOOTSTRAP", tmp_path / "none")
    own = OT2.python.target
    assert own is not None
    for name in ("qemu-user/arm", f"roots/{OT2.toolchain.debian}-any", f"python/{own.sha256[:20]}"):
        (tmp_path / name).mkdir(parents=True)
    found = findings(tmp_path)
    states = [found[name].state for name in ("emulator", "libraries of armhf", "Python 3.10.8 of ot2")]
    assert states == ["missing", "missing", "later"]


def test_a_cache_with_a_blank_in_its_path_is_told(tmp_path: Path) -> None:
    blank = findings(tmp_path / "my cache")["cache folder"]
    assert (blank.state, "has a blank in its path" in blank.detail) == ("missing", True)
    assert "CROSSWHEEL_CACHE" in blank.remedy
    toolchain = Mock(settings=Settings(cache=tmp_path / "my cache", github=""))
    with pytest.raises(UsageError, match="has a blank in its path"):
        cross_environment(toolchain, [], Runner())


def test_without_apt_the_hint_names_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mirrors, "INSTALLED_DEBOOTSTRAP", tmp_path / "none")
    with pytest.raises(MissingToolError) as caught:
        Debian("armhf", Settings(cache=tmp_path, github=""), Runner()).versions("libc6")
    for hint in (caught.value.hint, findings(tmp_path)["libraries of armhf"].remedy):
        assert "set CROSSWHEEL_DEBIAN_URL" in hint
