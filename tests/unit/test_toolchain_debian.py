"""Debian's packages without root, from a real archive by real apt: what a toolchain takes from them."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.debian import Debian
from crosswheel.debian.deb822 import unpack_deb
from crosswheel.errors import IntegrityError, MissingToolError, NetworkError, RecipeError, UsageError
from crosswheel.process import Runner
from crosswheel.recipes.libraries import LibrarySpec
from crosswheel.settings import Settings
from crosswheel.toolchain.compilers.rust import rust_for
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.host_programs import look_alike_fault, require_programs
from crosswheel.toolchain.libraries.library_materials import library_materials
from crosswheel.toolchain.libraries.linking import known_libraries, library, link_environment
from support.debian_archive import DebianArchive

OT2 = targets.load("ot2")
TOOLS = Path("/tools")

needs_dpkg = pytest.mark.skipif(
    not shutil.which("dpkg-deb"), reason="dpkg, which makes packages, is Debian's"
)


@pytest.fixture
def archive(tmp_path: Path) -> DebianArchive:
    folder = tmp_path / "archive"
    folder.mkdir()
    return DebianArchive(folder)


def settings(folder: Path, sources: Path) -> Settings:
    return Settings(cache=folder / "cache", github="", registry="", debian_sources=sources)


def an_hour_later(there: Debian) -> Debian:
    return dataclasses.replace(there, clock=lambda: 3600.0)


def lists_of(there: Debian) -> list[Path]:
    return sorted(there.settings.cache.glob(f"debian/{there.architecture}-*/*"))


def debian(archive: DebianArchive, architecture: str = "armhf") -> Debian:
    own = settings(archive.folder.parent, archive.sources)
    return Debian(architecture, own, Runner(), clock=lambda: 0.0)


@needs_dpkg
def test_packages_of_another_machine_are_unpacked_and_nothing_is_installed(
    tmp_path: Path, archive: DebianArchive
) -> None:
    archive.add("libdemo", "1:2.0-1", "armhf", {"usr/lib/demo": "arm"})
    archive.add("libdemo", "1:2.0-1", "amd64", {"usr/lib/demo": "intel"})
    found = debian(archive).unpack(["libdemo"], tmp_path / "root")
    assert found == {"libdemo": "1:2.0-1"}
    assert (tmp_path / "root/usr/lib/demo").read_text() == "arm"
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["usr"]


@needs_dpkg
def test_of_a_large_package_one_file_is_unpacked_and_no_more_is_read(
    tmp_path: Path, archive: DebianArchive
) -> None:
    files = {
        "usr/bin/alpha": "a",
        "usr/bin/arm": "b",
        "usr/bin/arm-more": "c",
        "usr/share/large": "d" * 100_000,
    }
    archive.add("emulators", "1.0", "armhf", files)
    debian(archive).unpack(["emulators"], tmp_path / "root", only=["usr/bin/arm"])
    assert [path.name for path in (tmp_path / "root").rglob("*") if path.is_file()] == ["arm"]
    assert os.access(tmp_path / "root/usr/bin/arm", os.X_OK)
    (deb,) = archive.folder.glob("*.deb")
    with pytest.raises(IntegrityError, match="it has no usr/bin/beta"):
        unpack_deb(deb, tmp_path / "none", only=["usr/bin/arm", "usr/bin/beta"])
    os.truncate(deb, deb.stat().st_size - 50_000)
    unpack_deb(deb, tmp_path / "half", only=["usr/bin/arm"])
    assert (tmp_path / "half/usr/bin/arm").read_text() == "b"
    with pytest.raises(IntegrityError, match="not a package that can be unpacked"):
        unpack_deb(deb, tmp_path / "whole")


@needs_dpkg
def test_a_version_can_be_chosen(tmp_path: Path, archive: DebianArchive) -> None:
    for version in ("1.0", "2.0"):
        archive.add("libdemo", version, "armhf", {"version": version})
    assert debian(archive).versions("libdemo") == ["2.0", "1.0"]
    assert debian(archive).unpack(["libdemo=1.0"], tmp_path / "root") == {"libdemo": "1.0"}
    assert debian(archive).versions("absent") == []


@needs_dpkg
def test_a_package_that_is_not_there_is_named(tmp_path: Path, archive: DebianArchive) -> None:
    with pytest.raises(NetworkError, match="absent:armhf could not be fetched") as caught:
        debian(archive).unpack(["absent"], tmp_path / "root")
    assert "CROSSWHEEL_DEBIAN_URL" in caught.value.hint


@needs_dpkg
def test_a_package_whose_bytes_are_not_those_of_the_index_is_refused(
    tmp_path: Path, archive: DebianArchive
) -> None:
    archive.add("libdemo", "1.0", "armhf", {"file": "right"})
    (deb,) = archive.folder.glob("*.deb")
    deb.write_bytes(deb.read_bytes().replace(b"right", b"wrong"))
    with pytest.raises(NetworkError, match="expected sha256"):
        debian(archive).unpack(["libdemo"], tmp_path / "root")


def original_sources(tmp_path: Path) -> Path:
    original = tmp_path / "demo.tar.gz"
    licence = tarfile.TarInfo("demo-1.0/LICENSE")
    licence.size = 4
    with tarfile.open(original, "w:gz") as tar:
        tar.addfile(licence, io.BytesIO(b"Free"))
    return original


@needs_dpkg
def test_original_sources_are_fetched(tmp_path: Path, archive: DebianArchive) -> None:
    original = original_sources(tmp_path)
    archive.add_source("demo", "1.0", original)
    found = debian(archive).source("demo", tmp_path / "sources")
    assert found.name == "demo_1.0.orig.tar.gz"
    assert found.read_bytes() == original.read_bytes()


@needs_dpkg
def test_sources_that_cannot_be_reached_are_a_network_problem(tmp_path: Path) -> None:
    file = tmp_path / "sources.list"
    file.write_text("deb [trusted=yes] http://127.0.0.1:9/ bookworm main\n")
    with pytest.raises(NetworkError, match="armhf packages could not be fetched") as caught:
        Debian("armhf", settings(tmp_path, file), Runner()).versions("libc6")
    assert "CROSSWHEEL_DEBIAN_URL" in caught.value.hint
    assert not list(tmp_path.glob("cache/debian/armhf-*/[0-9]*"))  # the next try asks again


@needs_dpkg
def test_those_that_begin_at_once_with_an_empty_cache_do_not_disturb_each_other(
    archive: DebianArchive,
) -> None:
    archive.add("libdemo", "1.0", "armhf", {"file": ""})
    there, at_once = debian(archive), threading.Barrier(4)

    def begin(number: int) -> list[str]:
        at_once.wait(60)
        return there.versions("libdemo")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(begin, range(4))) == [["1.0"]] * 4
    assert len(lists_of(there)) == 1


@needs_dpkg
def test_a_package_that_was_replaced_since_the_lists_were_fetched_is_found(
    tmp_path: Path, archive: DebianArchive
) -> None:
    for name in ("kept", "libdemo"):
        archive.add(name, "1.0", "armhf", {name: "1.0"})
    there = debian(archive)
    assert there.versions("libdemo") == ["1.0"]
    archive.remove_all()
    for name in ("kept", "libdemo"):
        archive.add(name, "2.0", "armhf", {name: "2.0"})
    with pytest.raises(NetworkError, match="libdemo:armhf could not be fetched"):
        there.unpack(["libdemo"], tmp_path / "at-once")  # lists that are new are not fetched again
    later = an_hour_later(there)
    offline = dataclasses.replace(later, settings=dataclasses.replace(later.settings, offline=True))
    with pytest.raises(NetworkError, match="libdemo:armhf could not be fetched"):
        offline.unpack(["libdemo"], tmp_path / "offline")
    found = later.unpack(["kept", "libdemo"], tmp_path / "later")
    assert found == {"kept": "2.0", "libdemo": "2.0"}
    assert (tmp_path / "later" / "kept").read_text() == "2.0"
    assert there.versions("libdemo") == ["2.0"]
    assert [path.name for path in lists_of(there)] == ["0", "1"]  # others may still use the old ones
    with pytest.raises(NetworkError, match="absent:armhf could not be fetched"):
        dataclasses.replace(there, clock=lambda: 7200.0).unpack(["absent"], tmp_path / "absent")
    assert [path.name for path in lists_of(there)] == ["1", "2"]


@needs_dpkg
def test_of_those_that_renew_lists_at_once_each_finds_the_package(
    tmp_path: Path, archive: DebianArchive
) -> None:
    archive.add("libdemo", "1.0", "armhf", {"file": ""})
    there, at_once = debian(archive), threading.Barrier(20)
    assert there.versions("libdemo") == ["1.0"]
    archive.remove_all()
    archive.add("libdemo", "2.0", "armhf", {"file": ""})
    later = an_hour_later(there)

    def unpack(number: int) -> Mapping[str, str]:
        at_once.wait(60)
        time.sleep(number / 25)
        return later.unpack(["libdemo"], tmp_path / f"root-{number}")

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(unpack, range(20))) == [{"libdemo": "2.0"}] * 20


@needs_dpkg
def test_old_lists_stay_where_new_ones_cannot_be_had(tmp_path: Path, archive: DebianArchive) -> None:
    archive.add("libdemo", "1.0", "armhf", {"file": ""})
    there = debian(archive)
    assert there.versions("libdemo") == ["1.0"]
    archive.remove_all()
    with pytest.raises(NetworkError, match="could not be fetched"):
        an_hour_later(there).unpack(["libdemo"], tmp_path / "root")
    assert there.versions("libdemo") == ["1.0"]


@needs_dpkg
def test_a_sources_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent"):
        Debian("armhf", settings(tmp_path, tmp_path / "absent"), Runner()).versions("libc6")


def test_a_missing_program_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="make and perl must be installed") as caught:
        require_programs(["make", "perl"], Runner())
    assert "apt-get install make perl" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs")
def test_those_that_miss_a_program_at_once_take_turns_with_apt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f"#!/bin/sh\nmkdir {tmp_path}/busy || exit 100\nsleep 0.1\nrmdir {tmp_path}/busy\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")
    at_once = threading.Barrier(4)

    def require(number: int) -> None:
        at_once.wait(60)
        require_programs([f"no-such-program-{number}"], Runner())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(require, range(4)))


def test_a_look_alike_is_refused_before_it_is_made_where_it_could_not_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """chroot is found where only root's PATH leads; what only others than root need is named for them."""
    for name in ("unshare", "mount", "ssh"):
        (tmp_path / name).symlink_to("/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    fault = look_alike_fault()
    assert fault is not None
    assert fault.message.startswith("ssh-keygen and newuidmap and newgidmap, which")
    assert fault.hint.endswith("apt-get install openssh-client uidmap")
    for name in ("ssh-keygen", "newuidmap", "newgidmap"):
        (tmp_path / name).symlink_to("/bin/false")
    fault = look_alike_fault()
    assert fault is not None
    assert "cannot be started by this user" in fault.message
    assert "/etc/subuid" in fault.hint


def test_programs_that_are_there_are_not_installed() -> None:
    require_programs(["sh", "env"], Runner())


def test_an_unknown_library_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'libnone'") as caught:
        library("libnone", OT2, TOOLS, settings(tmp_path, tmp_path), Runner())
    assert all(name in caught.value.hint for name in known_libraries())


_LIBRARIES = {
    **known_libraries(),
    **{f"{name}, built": spec.built for name, spec in known_libraries().items() if spec.built},
}


@pytest.mark.parametrize("name", sorted(_LIBRARIES))
def test_every_library_is_either_taken_or_built(name: str) -> None:
    spec = _LIBRARIES[name]
    said = spec.model_fields_set
    ways = {
        "packages": {"packages", "rename", "folders", "fortran", "only", "built"},
        "source": {
            "source",
            "prebuilt",
            "built",
            "tools",
            "machines",
            "licences",
            "commands",
            "configure",
            "cmake",
            "runs",
        },
    }
    (way,) = (way for way in ways if way in said)
    assert said <= ways[way] | {"environment", "needs", "merge", "scripts", "language", "licence"}
    assert way == "packages" or len(said & {"commands", "configure", "cmake"}) == 1
    assert set(spec.needs) <= set(known_libraries())
    assert spec.built is None or "source" in spec.built.model_fields_set


@needs_dpkg
def test_a_library_is_headers_and_static_archives_that_know_where_they_lie(
    tmp_path: Path, archive: DebianArchive
) -> None:
    lib = "usr/lib/arm-linux-gnueabihf"
    archive.add(
        "libyaml-dev",
        "0.2.5-1",
        "armhf",
        {
            "usr/include/yaml.h": "common",
            "usr/include/arm-linux-gnueabihf/yaml/config.h": "of this machine",
            f"{lib}/libyaml.a": "static",
            f"{lib}/libyaml.so": "shared",
            f"{lib}/pkgconfig/yaml-0.1.pc": "prefix=/usr\nlibdir=${prefix}/lib/arm-linux-gnueabihf\n",
            "usr/share/doc/libyaml-dev/copyright": "MIT",
        },
    )
    own = settings(tmp_path, archive.sources)
    found = library("libyaml", OT2, TOOLS, own, Runner())
    files = {str(path.relative_to(found.prefix)) for path in found.prefix.rglob("*") if path.is_file()}
    assert files == {
        "include/yaml.h",
        "include/yaml/config.h",
        "lib/libyaml.a",
        "lib/pkgconfig/yaml-0.1.pc",
        "copyright-libyaml-dev",
        "versions",
        "origins.json",
    }
    said = (found.prefix / "lib/pkgconfig/yaml-0.1.pc").read_text()
    assert said == f"prefix={found.prefix}\nlibdir=${{prefix}}/lib\n"
    assert found.versions == {"libyaml-dev": "0.2.5-1"}
    variables = link_environment([found], tmp_path / "compat.a", TOOLS)
    assert variables["CFLAGS"] == f"-I{found.prefix}/include"
    assert variables["LDFLAGS"] == f"-L{found.prefix}/lib"
    assert variables["PKG_CONFIG_LIBDIR"] == f"{found.prefix}/lib/pkgconfig"


@needs_dpkg
def test_what_is_compiled_beside_a_prebuilt_archive_is_of_the_same_version(
    tmp_path: Path, archive: DebianArchive
) -> None:
    archive.add("demo", "1.0-1", "armhf", {"usr/lib/libdemo.a": "Debian's"})
    for version in ("1.0", "1.1"):
        archive.add_source("demo", version, original_sources(tmp_path))
    installs = "mkdir -p {stage}{prefix}/include && cp LICENSE {stage}{prefix}/include/demo.h"
    command = f"{installs} && cp -r {{prebuilt}}/usr/lib {{stage}}{{prefix}}/"
    spec = LibrarySpec(source="demo", prebuilt=["demo"], commands=[["sh", "-c", command]])
    own = dataclasses.replace(settings(tmp_path, archive.sources), sandbox="none")
    found = library("demo", OT2, zig_compilers(OT2, own.cache), own, Runner(), declared={"demo": spec})
    assert (found.prefix / "lib/libdemo.a").read_text() == "Debian's"
    assert found.versions == {"demo": "1.0"}
    assert [part.purl for part in library_materials(found)] == [
        "pkg:generic/demo@1.0",
        "pkg:deb/debian/demo@1.0-1?arch=source&distro=bookworm",
    ]


@needs_dpkg
def test_a_library_links_what_it_needs_with_what_the_targets_c_library_lacks(
    tmp_path: Path, archive: DebianArchive
) -> None:
    source = original_sources(tmp_path)
    for name in ("base", "user"):
        archive.add_source(name, "1.0", source)
    make = "mkdir -p {stage}{prefix}/include {stage}{prefix}/lib && cp LICENSE {stage}{prefix}/include/"
    compiled = (
        "echo 'int fcntl64(int, int); int base(void) {{ return fcntl64(0, 1); }}' >a.c && {tools}/cc -c a.c"
    )
    base = f"{make} && {compiled} && {{tools}}/ar rcs {{stage}}{{prefix}}/lib/libbase.a a.o"
    linked = "echo 'int base(void); int main(void) {{ return base(); }}' >a.c && {tools}/cc a.c -o a $LDFLAGS -lbase"
    declared = {
        "base": LibrarySpec(source="base", commands=[["sh", "-c", base]]),
        "user": LibrarySpec(source="user", commands=[["sh", "-c", f"{make} && {linked}"]], needs=["base"]),
    }
    own = dataclasses.replace(settings(tmp_path, archive.sources), sandbox="none")
    found = library("user", OT2, zig_compilers(OT2, own.cache), own, Runner(), declared=declared)
    assert found.versions == {"user": "1.0"}


@needs_dpkg
def test_a_library_that_cannot_be_fetched_leaves_nothing(tmp_path: Path, archive: DebianArchive) -> None:
    with pytest.raises(NetworkError):
        library("libyaml", OT2, TOOLS, settings(tmp_path, archive.sources), Runner())
    assert list((tmp_path / "cache/libraries").iterdir()) == []


def add_rust(archive: DebianArchive, version: str, *architectures: str, depends: str = "") -> None:
    """Put the parts of a Rust into the archive, as Debian has them; its programs only tell their version."""
    short, program = version[:4], f"#!/bin/sh\necho rustc {version[:6]}\n"
    if "amd64" in architectures:
        driver = "usr/lib/x86_64-linux-gnu/librustc_driver-1.so"
        archive.add("rustc-web", version, "amd64", {"usr/bin/rustc": program})
        archive.add("cargo-web", version, "amd64", {"usr/bin/cargo": program}, depends=depends)
        archive.add(f"libstd-rust-web-{short}", version, "amd64", {driver: "driver"})
    triples = {"amd64": "x86_64-unknown-linux-gnu", "armhf": OT2.toolchain.rust}
    for architecture in architectures:
        std = f"usr/lib/rustlib/{triples[architecture]}/lib/libstd-1.rlib"
        archive.add("libstd-rust-web-dev", version, architecture, {std: "std"})


@pytest.fixture
def no_rust(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the user's own Rust, which would be taken."""
    monkeypatch.setenv("PATH", os.defpath)
    if shutil.which("rustc") or os.uname().machine != "x86_64":
        pytest.skip("this machine has a Rust of its system, or is not what the archive is for")


@needs_dpkg
@pytest.mark.usefixtures("no_rust")
def test_rust_is_the_newest_that_both_machines_have(tmp_path: Path, archive: DebianArchive) -> None:
    add_rust(archive, "1.84.0+dfsg1-1", "amd64", "armhf")
    add_rust(archive, "1.85.0+dfsg1-1", "amd64", "armhf")
    add_rust(archive, "1.90.0+dfsg1-1", "amd64")  # updates reach architectures at different times
    rust = rust_for(OT2, settings(tmp_path, archive.sources), Runner())
    assert rust.version == "rustc 1.85.0"
    rustlib = rust.bin.parent / "lib" / "rustlib"
    assert {path.name for path in rustlib.iterdir()} == {"x86_64-unknown-linux-gnu", OT2.toolchain.rust}
    variables = rust.environment(OT2, TOOLS, tmp_path)
    assert variables["CARGO_BUILD_TARGET"] == "armv7-unknown-linux-gnueabihf"
    assert variables["CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER"] == "/tools/cc"
    assert "RUSTFLAGS" not in variables  # it would be for build scripts as well


@needs_dpkg
@pytest.mark.usefixtures("no_rust")
def test_rust_comes_with_the_shared_libraries_of_its_programs(tmp_path: Path, archive: DebianArchive) -> None:
    needed = "libgit2, gcc | clang, libc6, libgit2-dev"
    add_rust(archive, "1.85.0+dfsg1-1", "amd64", "armhf", depends=needed)
    lib = "usr/lib/x86_64-linux-gnu"
    archive.add("libgit2", "1", "amd64", {f"{lib}/libgit2.so.1": ""}, depends="libssh2-1 (>= 1), libgit2")
    # Not a library that this machine's own Python may load: it runs with these in its search path.
    archive.add("libssh2-1", "1", "amd64", {"lib/x86_64-linux-gnu/libssh2.so.1": ""})
    for name in ("gcc", "clang", "libc6", "libgit2-dev"):
        archive.add(name, "1", "amd64", {f"{lib}/{name}": ""})
    rust = rust_for(OT2, settings(tmp_path, archive.sources), Runner())
    found = {path.name for folder in rust.libraries for path in folder.iterdir()}
    assert found == {"librustc_driver-1.so", "libgit2.so.1", "libssh2.so.1"}


@needs_dpkg
@pytest.mark.usefixtures("no_rust")
def test_what_is_damaged_in_the_cache_is_fetched_anew(tmp_path: Path, archive: DebianArchive) -> None:
    add_rust(archive, "1.85.0+dfsg1-1", "amd64", "armhf")
    own = settings(tmp_path, archive.sources)
    rust = rust_for(OT2, own, Runner())
    (rust.bin / "cargo").unlink()
    for lists in own.cache.glob("debian/*/*/lists"):
        shutil.rmtree(lists)
    assert (rust_for(OT2, own, Runner()).bin / "cargo").is_file()


@needs_dpkg
@pytest.mark.usefixtures("no_rust")
def test_without_any_rust_rustup_is_recommended(tmp_path: Path, archive: DebianArchive) -> None:
    add_rust(archive, "1.90.0+dfsg1-1", "amd64")
    with pytest.raises(
        MissingToolError, match="no Rust compiler for armv7-unknown-linux-gnueabihf"
    ) as caught:
        rust_for(OT2, settings(tmp_path, archive.sources), Runner())
    assert "rustup target add armv7-unknown-linux-gnueabihf" in caught.value.hint
