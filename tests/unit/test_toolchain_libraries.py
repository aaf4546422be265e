"""A C library is whole: what it needs is inside, nothing shared or private is left, and its licences are beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import ziglang

from crosswheel import targets
from crosswheel.debian import Debian
from crosswheel.errors import BuildFailed, RecipeError
from crosswheel.learning.facts import kinds
from crosswheel.process import Runner
from crosswheel.recipes.libraries import LibrarySpec
from crosswheel.settings import Settings
from crosswheel.toolchain.compilers.programs import Compilers, merge_archives
from crosswheel.toolchain.compilers.zig import zig_compilers
from crosswheel.toolchain.libraries.builds import Workshop, relocated
from crosswheel.toolchain.libraries.linking import (
    Library,
    known_libraries,
    library,
    link_environment,
    with_needs,
)
from crosswheel.toolchain.libraries.pkg_config import pkg_config_folder

OT2 = targets.load("ot2")
needs_binutils = pytest.mark.skipif(
    not (shutil.which("ar") and shutil.which("gcc")), reason="this machine has no gcc"
)


def workshop(tmp_path: Path, *needs: Path) -> Workshop:
    """Return a workshop with zig's archiver."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ar").write_text(f'#!/bin/sh\nexec {Path(ziglang.__file__).parent}/zig ar "$@"\n')
    (tools / "ar").chmod(0o755)
    settings = Settings(cache=tmp_path / "cache", github="", registry="")
    return Workshop(OT2, Compilers(tools, "gcc", {}, {}), Debian("armhf", settings, Runner()), needs)


def archive(path: Path, function: str) -> Path:
    """Make a static archive that defines one function."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = path.with_name(f"{function}.c")
    source.write_text(f"int {function}(void) {{ return 1; }}\n")
    made = source.with_suffix(".o")
    subprocess.run(["gcc", "-c", source, "-o", made], check=True)
    subprocess.run(["ar", "rcs", path, made], check=True)
    source.unlink()
    made.unlink()
    return path


def members(path: Path) -> list[str]:
    return sorted(
        subprocess.run(["ar", "t", path], check=True, capture_output=True, text=True).stdout.split()
    )


@needs_binutils
def test_what_a_library_needs_is_inside_its_archive(tmp_path: Path) -> None:
    archive(tmp_path / "needed/lib/libz.a", "inflate")
    (tmp_path / "needed/lib/libzed.a").symlink_to("libz.a")  # another name of the same
    own = archive(tmp_path / "own/lib/libpng.a", "png_read")
    archive(tmp_path / "own/lib/libpngport.a", "png_port")
    workshop(tmp_path, tmp_path / "needed").finish(
        tmp_path / "own",
        tmp_path / "own",
        LibrarySpec(source="demo", commands=(), merge={"libpng.a": ["libpngport.a"]}),
    )
    assert members(own) == ["inflate.o", "png_port.o", "png_read.o"]


@needs_binutils
@pytest.mark.parametrize("archiver", ["zig", "gnu"])
def test_archives_are_merged_by_any_archiver_and_lose_no_member(tmp_path: Path, archiver: str) -> None:
    compilers = workshop(tmp_path).compilers
    if archiver == "gnu":
        # As an SDK's may be: it knows no modifier L.
        gnu = f'#!/bin/sh\ncase $1 in -*) ;; *L*) exit 1 ;; esac\nexec {shutil.which("ar")} "$@"\n'
        (compilers.folder / "ar").write_text(gnu)
    one = archive(tmp_path / "one+two/lib own.a", "same")
    other = archive(tmp_path / "other/libother.a", "same")
    merge_archives([one, other], one, compilers, Runner())
    assert members(one) == ["same.o", "same.o"]
    assert [path.name for path in one.parent.iterdir()] == [one.name]


@needs_binutils
def test_nothing_that_is_shared_or_runs_only_there_is_left(tmp_path: Path) -> None:
    archive(tmp_path / "lib/libpq.a", "connect")
    (tmp_path / "bin").mkdir()
    for name, text in {
        "lib/libpq.so.5.15": "", "lib/libpq.so": "", "lib/libpq.la": "", "bin/psql": "\x7fELF",
        "bin/pq-config": "#!/bin/sh\n", "lib/pkgconfig/libpq.pc":
        "Requires: a\nRequires.private: libssl\nLibs: -lpq\nLibs.private: -lldap\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    spec = LibrarySpec(source="demo", commands=(), scripts={"pg_config": "echo {prefix}/lib"})
    workshop(tmp_path).finish(tmp_path, Path("/there"), spec)
    assert sorted(path.name for path in (tmp_path / "lib").iterdir()) == ["libpq.a", "pkgconfig"]
    assert sorted(path.name for path in (tmp_path / "bin").iterdir()) == ["pg_config", "pq-config"]
    assert (tmp_path / "lib/pkgconfig/libpq.pc").read_text() == "Requires: a\nLibs: -lpq\n"
    assert subprocess.check_output([tmp_path / "bin/pg_config"], text=True) == "/there/lib\n"


def test_libraries_come_with_what_they_need_each_once() -> None:
    zlib = Library("zlib", Path("zlib"), {}, {})
    png = Library("png", Path("png"), {}, {}, (zlib,))
    assert [
        item.name for item in with_needs([Library("freetype", Path("f"), {}, {}, (png, zlib)), zlib])
    ] == ["freetype", "zlib", "png"]


def test_what_is_written_in_c_is_linked_with_the_runtime_of_a_library_in_cxx(tmp_path: Path) -> None:
    compilers = zig_compilers(OT2, tmp_path)
    geos, zlib = Library("geos", Path("/geos"), {}, {}, (), "C++"), Library("zlib", Path("/zlib"), {}, {})
    assert "-lc++" not in link_environment([zlib], tmp_path, compilers)["LDFLAGS"]
    flags = link_environment([zlib, geos], tmp_path, compilers)["LDFLAGS"].split()
    assert flags == ["-L/zlib/lib", "-L/geos/lib", "-lc++"]
    assert {name for name, spec in known_libraries().items() if spec.language != "C"} == {"geos", "libzmq"}


def test_every_kind_of_machine_has_a_name_where_a_library_has_names_of_its_own() -> None:
    specs = [spec for known in known_libraries().values() for spec in (known, known.built) if spec]
    named = [spec.machines for spec in specs if spec.machines]
    assert named
    assert all(machines.keys() == {kind.names.machine for kind in kinds()} for machines in named)


def source_of(tmp_path: Path, **files: str) -> Path:
    tree = tmp_path / "demo-1.0"
    tree.mkdir()
    for name, text in files.items():
        (tree / name).write_text(text)
    made = shutil.make_archive(str(tmp_path / "demo_1.0.orig"), "gztar", tmp_path, "demo-1.0")
    shutil.rmtree(tree)
    return Path(made)


_COMMANDS = [["sh", "-c", "mkdir -p {stage}{prefix}/lib && echo $CC {multiarch} > {stage}{prefix}/lib/said"]]


def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Path:
    """Build a library from a source of the given files into a folder."""
    made = source_of(tmp_path, **files)
    monkeypatch.setattr(Debian, "source", lambda self, package, folder: made)
    folder = tmp_path / "folder"
    folder.mkdir()
    workshop(tmp_path).build(
        folder, tmp_path / "prefix", LibrarySpec(source="demo", commands=_COMMANDS), "demo"
    )
    return folder


def test_a_library_is_built_by_the_targets_compilers_and_brings_its_licences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(tmp_path, monkeypatch, COPYING="MIT", LICENSE="BSD", **{"license.c": "int x;"})
    assert sorted(path.name for path in folder.iterdir()) == [
        "copyright-demo-COPYING", "copyright-demo-LICENSE", "lib", "origins.json", "versions",
    ]  # fmt: skip
    assert (folder / "lib/said").read_text() == f"{tmp_path}/tools/cc arm-linux-gnueabihf\n"
    assert (folder / "versions").read_text() == "demo 1.0\n"


def test_a_library_without_a_licence_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BuildFailed, match="no licence"):
        build(tmp_path, monkeypatch, README="what it does")


def test_the_programs_and_variables_of_a_library_know_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_source = source_of(tmp_path, COPYING="MIT")
    monkeypatch.setattr(Debian, "source", lambda self, package, folder: made_source)
    commands = [["sh", "-c", "mkdir -p {stage}{prefix}/lib {stage}{prefix}/include"]]
    told = {
        "scripts": {"demo-config": "echo demo {version} at {prefix}"},
        "environment": {"DEMO": "{version}"},
    }
    spec = LibrarySpec(source="demo", commands=commands, **told)
    settings = Settings(cache=tmp_path / "cache", github="", registry="", sandbox="none")
    compilers = zig_compilers(OT2, tmp_path)
    made = library("demo", OT2, compilers, settings, Runner(), declared={"demo": spec})
    assert made.environment == {"DEMO": "1.0"}
    said = subprocess.check_output([made.prefix / "bin/demo-config"], text=True)
    assert said == f"demo 1.0 at {made.prefix}\n"


def test_debians_archives_are_not_taken_for_another_c_library_than_theirs(tmp_path: Path) -> None:
    ot2 = targets.load("ot2")
    musl = ot2.model_copy(update={"abi": ot2.abi.model_copy(update={"glibc": "", "musl": "1.2.3"})})
    settings, runner = Settings(cache=tmp_path, github="", registry=""), Runner()
    compilers = zig_compilers(musl, tmp_path)
    with pytest.raises(
        RecipeError, match="brotli is taken from Debian, whose archives are for glibc"
    ) as caught:
        library("brotli", musl, compilers, settings, runner)
    assert "musl 1.2.3" in str(caught.value)


def test_pkg_config_is_our_own_and_sees_only_what_it_is_told_to(tmp_path: Path) -> None:
    folder = pkg_config_folder(OT2, tmp_path)
    assert {path.name for path in folder.iterdir()} == {"pkg-config", "arm-linux-gnueabihf-pkg-config"}
    (tmp_path / "demo.pc").write_text(
        "Name: demo\nDescription: demo\nVersion: 1.5\nLibs: -L/there/lib -ldemo\n"
    )
    env = {"PATH": os.defpath, "PKG_CONFIG_LIBDIR": str(tmp_path)}
    said = subprocess.run(
        [folder / "pkg-config", "--list-all"], env=env, capture_output=True, text=True, check=True
    )
    known = {line.split()[0] for line in said.stdout.splitlines()}
    assert known - {"pkgconf", "pkg-config"} == {"demo"}  # it tells of itself
    libs = subprocess.check_output([folder / "pkg-config", "--libs", "demo"], env=env, text=True)
    assert libs.split() == ["-L/there/lib", "-ldemo"]
    asked = subprocess.run(
        [folder / "pkg-config", "--exists", "other"], env=env, stderr=subprocess.PIPE, text=True
    )
    assert (asked.returncode, "Package 'other' not found" in asked.stderr) == (1, True)


def test_what_tells_builds_where_a_library_lies_is_made_to() -> None:
    text = 'prefix=/usr\nlibdir=/usr/lib\nset(ROOT "/usr")\n#!/usr/bin/env sh\nconfig=/usr/local/etc\n'
    right = 'prefix=/x\nlibdir=/x/lib\nset(ROOT "/x")\n#!/usr/bin/env sh\nconfig=/usr/local/etc\n'
    assert relocated(text, Path("/x")) == right
