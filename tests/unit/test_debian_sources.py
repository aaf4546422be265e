"""Where Debian's packages come from on this machine and that, as real apt reads its sources."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crosswheel.debian import Debian, apt_sources
from crosswheel.debian.apt_sources import Sources, debootstrap_mirror, sources_of
from crosswheel.errors import MissingToolError, NetworkError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from support.debian_archive import DebianArchive

CLOSED = "http://127.0.0.1:9"  # nothing listens there
Machine = Callable[..., None]

pytestmark = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="apt and dpkg are Debian's"
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give a function that makes this machine one of some system, whose apt has some sources and no lists yet."""

    def be(*lines: str, system: str, codename: str) -> None:
        folder = tmp_path / "own apt"
        for place in ("etc", "state/lists/partial", "cache/archives/partial"):
            (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / "etc" / "sources.list").write_text("".join(f"{line}\n" for line in lines))
        places = {"Etc::sourcelist": "etc/sources.list", "State": "state", "Cache": "cache"}
        text = "".join(f'Dir::{key} "{folder / place}";\n' for key, place in places.items())
        (folder / "conf").write_text(f'{text}Dir::Etc::sourceparts "-";\nAPT::Sandbox::User "";\n')
        monkeypatch.setenv("APT_CONFIG", str(folder / "conf"))
        monkeypatch.setattr(apt_sources, "os_release", lambda: {"ID": system, "VERSION_CODENAME": codename})
        monkeypatch.setattr(apt_sources, "INSTALLED_DEBOOTSTRAP", tmp_path / "none")

    return be


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "the cache", github="")


def found(settings: Settings) -> Sources:
    return sources_of("armhf", settings, Runner())


@pytest.mark.parametrize("codename", ["bookworm", "trixie"])
@pytest.mark.parametrize("named", ["by its name", "stable"])
def test_a_debian_has_every_suite_at_its_own_mirror(
    machine: Machine, settings: Settings, codename: str, named: str
) -> None:
    suite = codename if named == "by its name" else named
    machine(
        f"deb {CLOSED}/debian {suite} main contrib",
        f"deb {CLOSED}/debian {codename}-updates main",
        f"deb {CLOSED}/debian-security {codename}-security main",
        f"deb {CLOSED}/tool nodistro main",
        "deb cdrom:[Debian]/ bookworm main",
        system="debian",
        codename=codename,
    )
    assert found(settings).addresses == (f"{CLOSED}/debian/",)
    first, second = found(settings).offers(settings, Runner())
    assert first.title == "this machine's mirror of Debian"
    deb, deb_src = first.lines().splitlines()
    assert deb.startswith("deb [arch=armhf signed-by=")
    assert deb.endswith(f"archive-key.asc] {CLOSED}/debian/ bookworm main")
    assert deb_src.startswith("deb-src [signed-by=")
    assert second.title == "the mirror of Debian that debootstrap names"


def test_another_system_has_none_unless_its_sources_name_the_suite(
    machine: Machine, settings: Settings
) -> None:
    ubuntu = [f"deb {CLOSED}/ubuntu noble main universe", f"deb {CLOSED}/ubuntu noble-updates main"]
    machine(*ubuntu, f"deb {CLOSED}/tool stable main", system="ubuntu", codename="noble")
    assert found(settings).addresses == ()
    assert [offer.title for offer in found(settings).offers(settings, Runner())] == [
        "the mirror of Debian that debootstrap names"
    ]
    machine(*ubuntu, f"deb {CLOSED}/debian bookworm main", system="ubuntu", codename="noble")
    assert found(settings).addresses == (f"{CLOSED}/debian/",)


def test_the_mirror_is_debootstraps_which_the_machines_own_archive_has(
    tmp_path: Path, machine: Machine, settings: Settings
) -> None:
    """It is unpacked, without root, and also where the machine's lists of packages were never fetched."""
    folder = tmp_path / "archive"
    folder.mkdir()
    archive = DebianArchive(folder)
    program = f'#!/bin/sh\n# text\nDEF_MIRROR="{CLOSED}/debian"\nDEF_HTTPS_MIRROR="{CLOSED}/other"\n'
    archive.add("debootstrap", "1.0", "all", {"usr/sbin/debootstrap": program})
    machine(*archive.sources.read_text().splitlines(), system="ubuntu", codename="noble")
    assert debootstrap_mirror(settings, Runner()) == f"{CLOSED}/debian"
    shutil.rmtree(folder)
    assert debootstrap_mirror(settings, Runner()) == f"{CLOSED}/debian"
    assert [path.name for path in (settings.cache / "debian/debootstrap").iterdir()] == ["usr"]
    (offer,) = found(settings).offers(settings, Runner())
    assert f"] {CLOSED}/debian bookworm main\n" in offer.lines()


def test_where_no_mirror_can_be_had_each_that_was_tried_is_told_with_what_to_do(
    machine: Machine, settings: Settings
) -> None:
    machine(f"deb {CLOSED}/debian trixie main", system="debian", codename="trixie")
    with pytest.raises(NetworkError) as caught:
        Debian("armhf", settings, Runner()).versions("libc6")
    for words in ("this machine's mirror of Debian: ", "that debootstrap names: debootstrap, which knows"):
        assert words in caught.value.message
    assert "CROSSWHEEL_DEBIAN_SOURCES" in caught.value.hint
    with pytest.raises(MissingToolError, match="debootstrap") as refused:
        debootstrap_mirror(settings, Runner())
    assert "apt-get download debootstrap" in refused.value.hint


def test_packages_that_debian_did_not_sign_are_refused(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "dists" / "bookworm"
    folder.mkdir(parents=True)
    (folder / "InRelease").write_text(
        "Origin: Debian\nSuite: bookworm\nCodename: bookworm\nComponents: main\n"
    )
    offered = Sources("armhf", None, (f"file:{tmp_path}",)).offers(settings, Runner())[0].lines()
    (tmp_path / "sources.list").write_text(offered)
    stated = Settings(cache=settings.cache, github="", debian_sources=tmp_path / "sources.list")
    with pytest.raises(NetworkError, match=r"not signed|isn't valid|signature"):
        Debian("armhf", stated, Runner()).versions("libc6")


def test_other_sources_do_not_meet_the_lists_of_the_last_ones(tmp_path: Path, settings: Settings) -> None:
    versions = {}
    for name in ("one", "two", "one"):
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            DebianArchive(folder).add("libdemo", f"1.{name}", "armhf", {"file": name})
        stated = Settings(cache=settings.cache, github="", debian_sources=DebianArchive(folder).sources)
        versions[name] = Debian("armhf", stated, Runner()).versions("libdemo")
    assert versions == {"one": ["1.one"], "two": ["1.two"]}
