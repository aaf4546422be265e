"""Where Debian's packages come from with apt and without, and that nothing forged is taken."""

from __future__ import annotations

import lzma
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crosswheel.debian import Debian, mirrors
from crosswheel.debian.mirrors import Sources, debootstrap_mirror, sources_of
from crosswheel.errors import CrosswheelError, MissingToolError, NetworkError
from crosswheel.files import sha256_of
from crosswheel.process import Runner
from crosswheel.settings import Settings
from support.debian_archive import DebianArchive
from support.servers import FolderServer

CLOSED = "http://127.0.0.1:9"  # nothing listens there
Machine = Callable[..., None]

pytestmark = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="apt and dpkg are Debian's"
)


@pytest.fixture
def archive(tmp_path: Path) -> DebianArchive:
    folder = tmp_path / "archive"
    folder.mkdir()
    archive = DebianArchive(folder)
    archive.add("libdemo", "1.0", "armhf", {"usr/lib/demo": "arm"})
    return archive


@pytest.fixture
def no_apt(tmp_path: Path, archive: DebianArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this machine one of a distribution without apt and debootstrap."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(mirrors, "INSTALLED_DEBOOTSTRAP", tmp_path / "none")


@pytest.fixture
def trusting(archive: DebianArchive, monkeypatch: pytest.MonkeyPatch) -> DebianArchive:
    """Let the archive of the test be Debian's, by its key."""
    monkeypatch.setattr(mirrors, "_KEY", archive.key)
    return archive


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
        monkeypatch.setattr(mirrors, "os_release", lambda: {"ID": system, "VERSION_CODENAME": codename})
        monkeypatch.setattr(mirrors, "INSTALLED_DEBOOTSTRAP", tmp_path / "none")

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
    first, second = found(settings).offers("deb", settings, Runner())
    assert first.title == "this machine's mirror of Debian"
    (suite,) = first.suites()
    assert (suite.address, suite.name, suite.components) == (f"{CLOSED}/debian/", "bookworm", ("main",))
    assert suite.keys == (mirrors._KEY.read_bytes(),)
    assert second.title == "the mirror of Debian that debootstrap names"


def test_another_system_has_none_unless_its_sources_name_the_suite(
    machine: Machine, settings: Settings
) -> None:
    ubuntu = [f"deb {CLOSED}/ubuntu noble main universe", f"deb {CLOSED}/ubuntu noble-updates main"]
    machine(*ubuntu, f"deb {CLOSED}/tool stable main", system="ubuntu", codename="noble")
    assert found(settings).addresses == ()
    assert [offer.title for offer in found(settings).offers("deb", settings, Runner())] == [
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
    archive = DebianArchive(folder, "noble")
    program = f'#!/bin/sh\n# text\nDEF_MIRROR="{CLOSED}/debian"\nDEF_HTTPS_MIRROR="{CLOSED}/other"\n'
    archive.add("debootstrap", "1.0", "all", {"usr/sbin/debootstrap": program})
    machine(*archive.sources.read_text().splitlines(), system="ubuntu", codename="noble")
    assert debootstrap_mirror(settings, Runner()) == f"{CLOSED}/debian"
    shutil.rmtree(folder)
    assert debootstrap_mirror(settings, Runner()) == f"{CLOSED}/debian"
    assert [path.name for path in (settings.cache / "debian/debootstrap").iterdir()] == ["usr"]
    (offer,) = found(settings).offers("deb", settings, Runner())
    assert [suite.address for suite in offer.suites()] == [f"{CLOSED}/debian/"]


def test_where_no_mirror_can_be_had_each_that_was_tried_is_told_with_what_to_do(
    machine: Machine, settings: Settings
) -> None:
    machine(f"deb {CLOSED}/debian trixie main", system="debian", codename="trixie")
    with pytest.raises(NetworkError) as caught:
        Debian("armhf", settings, Runner()).versions("libc6")
    for words in ("this machine's mirror of Debian: ", "that debootstrap names: debootstrap, which knows"):
        assert words in caught.value.message
    assert "CROSSWHEEL_DEBIAN_URL" in caught.value.hint
    with pytest.raises(MissingToolError, match="debootstrap") as refused:
        debootstrap_mirror(settings, Runner())
    assert "apt-get download debootstrap" in refused.value.hint


def unpacked(settings: Settings, folder: Path) -> str:
    Debian("armhf", settings, Runner()).unpack(["libdemo"], folder)
    return (folder / "usr/lib/demo").read_text()


@pytest.mark.usefixtures("no_apt")
def test_without_apt_nothing_but_the_address_of_a_mirror_is_needed(
    tmp_path: Path, trusting: DebianArchive, settings: Settings
) -> None:
    with FolderServer(trusting.folder) as server:
        own = replace(settings, debian=f"{server.url}/")
        assert unpacked(own, tmp_path / "root") == "arm"
    assert Debian("armhf", own, Runner()).sources.title == "the mirror in CROSSWHEEL_DEBIAN_URL"


def test_with_apt_its_downloader_is_used_and_the_bytes_are_the_same(
    tmp_path: Path, trusting: DebianArchive, settings: Settings
) -> None:
    with FolderServer(trusting.folder) as server:
        own = replace(settings, debian=server.url)
        assert unpacked(own, tmp_path / "root") == "arm"


@pytest.mark.usefixtures("no_apt")
def test_without_apt_and_a_mirror_it_is_told_what_to_set(settings: Settings) -> None:
    debian = Debian("armhf", settings, Runner())
    assert not debian.is_usable
    with pytest.raises(MissingToolError, match="no mirror of Debian is known") as caught:
        debian.versions("libc6")
    assert "CROSSWHEEL_DEBIAN_URL" in caught.value.hint
    assert "install debootstrap" in caught.value.hint


@pytest.mark.usefixtures("no_apt")
def test_without_apt_an_installed_debootstrap_names_the_mirror(
    tmp_path: Path, trusting: DebianArchive, settings: Settings
) -> None:
    with FolderServer(trusting.folder) as server:
        (tmp_path / "none").write_text(f'DEF_MIRROR="{server.url}"\n')
        assert unpacked(settings, tmp_path / "root") == "arm"


def forge_signed_text(archive: DebianArchive) -> None:
    signed = archive.suite / "InRelease"
    signed.write_text(signed.read_text().replace("Origin: Demo", "Origin: Dome"))


def forge_signer(archive: DebianArchive) -> None:
    own = archive.key.read_bytes()
    archive.publish()  # with a new key
    archive.key.write_bytes(own)


def drop_signature(archive: DebianArchive) -> None:
    (archive.suite / "InRelease").write_bytes((archive.suite / "Release").read_bytes())


def forge_suite(archive: DebianArchive) -> None:
    archive.publish(Suite="stable", Codename="trixie")


def forge_index(archive: DebianArchive) -> None:
    packages = archive.suite / "main/binary-armhf/Packages.xz"
    packages.write_bytes(lzma.compress(lzma.decompress(packages.read_bytes()).replace(b"1.0", b"1.1")))


def forge_package(archive: DebianArchive) -> None:
    (deb,) = archive.folder.glob("*.deb")
    deb.write_bytes(deb.read_bytes().replace(b"arm", b"mra"))


def spoil_package(archive: DebianArchive) -> None:
    """Sign a package that is none."""
    (deb,) = archive.folder.glob("*.deb")
    packages = archive.suite / "main/binary-armhf/Packages"
    real = sha256_of(deb)
    deb.write_bytes(b"!<arch>\nno member")
    packages.write_text(packages.read_text().replace(real, sha256_of(deb)))
    archive.publish()


@pytest.mark.usefixtures("no_apt")
@pytest.mark.parametrize(
    ("forge", "why"),
    [
        (forge_signed_text, "not signed by Debian's archive"),
        (forge_signer, "not signed by Debian's archive"),
        (drop_signature, "not signed by Debian's archive"),
        (forge_suite, "the release file of trixie"),
        (forge_index, "expected sha256"),
        (forge_package, "expected sha256"),
        (spoil_package, "not a package that can be unpacked"),
    ],
)
def test_what_the_archive_did_not_sign_is_refused(
    tmp_path: Path,
    trusting: DebianArchive,
    settings: Settings,
    forge: Callable[[DebianArchive], None],
    why: str,
) -> None:
    forge(trusting)
    with FolderServer(trusting.folder) as server, pytest.raises(CrosswheelError, match=why):
        unpacked(replace(settings, debian=server.url), tmp_path / "root")
    assert not list(tmp_path.glob("root/usr"))


def test_a_file_of_sources_names_the_key_of_an_archive_of_ones_own(
    tmp_path: Path, archive: DebianArchive, settings: Settings
) -> None:
    file = tmp_path / "own.list"
    own = replace(settings, debian_sources=file)
    file.write_text(f"# ours\ndeb [arch=armhf] file:{archive.folder} bookworm main contrib # a comment\n")
    with pytest.raises(NetworkError, match="not signed by Debian's archive"):
        unpacked(own, tmp_path / "root")
    file.write_text(f"deb [arch=amd64,armhf signed-by={archive.key}] file:{archive.folder}/ bookworm main\n")
    assert unpacked(own, tmp_path / "root") == "arm"
    for line, why in (
        (f"deb-src file:{archive.folder} bookworm main", "have no deb line for armhf"),
        (f"deb [arch=amd64] file:{archive.folder} bookworm main", "have no deb line for armhf"),
        (f"deb [trusted=yes] file:{archive.folder} ./", "without a component"),
        (f"deb [signed-by=/none.asc] file:{archive.folder} bookworm main", "/none.asc .* cannot be read"),
    ):
        file.write_text(f"{line}\n")
        with pytest.raises(NetworkError, match=why):
            unpacked(own, tmp_path / "root")


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
