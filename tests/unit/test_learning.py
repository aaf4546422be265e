"""What is taken of a machine's root file system: enough of it, nothing out of it, and all of it or nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from crosswheel import targets
from crosswheel.errors import IntegrityError, NetworkError, TargetError, UsageError
from crosswheel.learning.changes import changes, no_longer_proven
from crosswheel.learning.description import Known, Learned, description
from crosswheel.learning.facts import Kind, LibraryFacts, kinds
from crosswheel.learning.learn import Named, require_name, require_python, require_same, robot_guess
from crosswheel.learning.python_facts import ASKED, PythonFacts
from crosswheel.learning.robot import script
from crosswheel.learning.roots import RootFolder, TarSource, opened_root
from crosswheel.learning.selection import belongs, select, take
from crosswheel.learning.services import services_of
from crosswheel.learning.source import Listed
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import LearnedUserland, Robot
from crosswheel.userlands import Userland, UserlandEntry, UserlandStore, resolved
from crosswheel.userlands.library_lookup import is_in_loader, libraries
from crosswheel.wheels.proof import Proof
from support.small_disk import run_on_small_disk

FILE, FOLDER = Listed("file", 3), Listed("folder")
SMALL = {"/lib/ld-linux-armhf.so.3": FILE, "/lib/libc.so.6": FILE, "/usr/bin/python3": FILE}


def kept(folder: Path, files: Mapping[str, bytes]) -> Userland:
    """Keep a userland of these files."""
    store = UserlandStore(folder)
    entries = {path: UserlandEntry("file", store.put_blob(io.BytesIO(data))) for path, data in files.items()}
    return store.keep(entries)


def silent(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Fake:
    """A machine whose files are their paths; it can break off after a few."""

    entries: Mapping[str, Listed]
    breaks_after: int = 1_000_000
    asked: tuple[list[str], ...] = ([],)
    title = "a machine"

    def listing(self) -> Mapping[str, Listed]:
        return self.entries

    def files(self, paths: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
        for number, path in enumerate(paths):
            if number == self.breaks_after:
                raise NetworkError("the line dropped", hint="again")
            self.asked[0].append(path)
            yield path, io.BytesIO(path.encode())


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/lib/arm-linux-gnueabihf/libc.so.6", True),
        ("/usr/lib/libfoo.so.1.2.3", True),
        ("/usr/lib/python3.11/os.py", True),
        ("/usr/lib/python3/dist-packages/markupsafe/__init__.py", True),
        ("/usr/local/lib/python3.12/site-packages/x.py", True),
        ("/opt/vendor/python/lib/python3.10/os.py", True),
        ("/usr/bin/python3.11", True),
        ("/etc/pip.conf", True),
        ("/etc/ld.so.cache", True),
        ("/etc/ld-musl-armhf.path", True),
        ("/usr/lib/python3.11/__pycache__/os.cpython-311.pyc", False),
        ("/usr/lib/python3.11/config-3.11/libpython3.11.a", False),
        ("/usr/bin/bash", False),
        ("/etc/shadow", False),
        ("/var/lib/thing/libx.so", False),
        ("/home/user/lib/python3.11/x.py", False),
        ("/srv/lib/libx.so", False),
        ("/lib/modules/5.10.0/kernel/x.so.ko", False),
    ],
)
def test_what_its_python_loads_is_taken_and_no_more(path: str, taken: bool) -> None:
    assert belongs(path) is taken


def test_links_are_followed_within_the_root() -> None:
    links = {
        "/lib": "usr/lib",
        "/bin": "/usr/bin",
        "/usr/lib/x": "../../../../../etc/passwd",
        "/a": "b",
        "/b": "a",
    }
    assert resolved("/lib/libc.so.6", links.get) == "/usr/lib/libc.so.6"
    assert resolved("/bin/../lib/x", links.get) == "/etc/passwd"
    with pytest.raises(IntegrityError, match="in a circle"):
        resolved("/a", links.get)


def test_a_link_is_taken_with_what_it_leads_to_and_never_leads_out(tmp_path: Path) -> None:
    listing = {
        **SMALL,
        "/usr/lib": FOLDER,
        "/usr/lib/liba.so.1": Listed("link", link="/etc/alternatives/liba"),
        "/etc/alternatives/liba": Listed("link", link="../../../../opt/vendor/liba-impl"),
        "/opt/vendor/liba-impl": FILE,
        "/usr/lib/round.so": Listed("link", link="round.so"),
        "/usr/lib/libout.so": Listed("link", link="../../../../../../../../etc/passwd"),
    }
    userland, _ = take(Fake(listing), UserlandStore(tmp_path), silent)
    assert userland.path("/usr/lib/liba.so.1").read_text() == "/opt/vendor/liba-impl"
    real = (userland.root / "usr/lib/liba.so.1").resolve()
    assert real.is_relative_to(tmp_path.resolve())
    assert (userland.root / "usr/lib/libout.so").readlink() == Path("../../etc/passwd")
    assert "/usr/lib/round.so" not in userland.entries


def test_devices_are_passed_over() -> None:
    assert "/lib/libpipe.so" not in select({**SMALL, "/lib/libpipe.so": Listed("other")}, "x").paths


def test_a_hundred_thousand_files_are_looked_through() -> None:
    many = {f"/usr/share/doc/{number}/copyright": FILE for number in range(100_000)}
    assert select({**many, **SMALL}, "x").paths == tuple(sorted(SMALL))


def test_what_is_no_whole_linux_is_told_apart() -> None:
    with pytest.raises(IntegrityError, match="has no dynamic loader") as half:
        select({"/usr/lib/libc.so.6": FILE}, "x")
    assert "half a root" in half.value.hint
    with pytest.raises(TargetError, match="is no Linux"):
        select({"/system/bin/linker": FILE}, "x")
    with pytest.raises(TargetError, match="has no Python 3"):
        require_python(select({"/lib/ld-linux.so.3": FILE}, "x").python, Named("x"), "x")


def test_a_python_is_sent_to_a_machine_that_has_none_and_to_no_other() -> None:
    require_python(None, Named("x", provided="3.13"), "x")
    require_python("/usr/bin/python3", Named("x"), "x")
    with pytest.raises(TargetError, match="has a Python of its own, /usr/bin/python3") as both:
        require_python("/usr/bin/python3", Named("x", provided="3.13"), "x")
    assert "--target x --python 3.13" in both.value.hint


def test_a_machine_without_programs_names_the_loader_by_the_path_that_programs_would() -> None:
    usual = {
        "/lib": Listed("link", link="usr/lib"),
        "/usr/lib/ld-linux-armhf.so.3": Listed("link", link="arm-linux-gnueabihf/ld-2.31.so"),
        "/usr/lib/arm-linux-gnueabihf/ld-2.31.so": FILE,
    }
    musl = {
        "/lib/ld-musl-armhf.so.1": Listed("link", link="/usr/lib/arm-linux-musleabihf/libc.so"),
        "/usr/lib/arm-linux-musleabihf/libc.so": FILE,
    }
    assert select(usual, "x").loader == "/lib/ld-linux-armhf.so.3"
    assert select(musl, "x").loader == "/lib/ld-musl-armhf.so.1"
    unlinked = {
        path.replace("/lib/", "/usr/lib/", 1) if path.startswith("/lib/") else path: item
        for path, item in musl.items()
    }
    both = {**usual, **unlinked}
    assert select(both, "x").loader == "/lib/ld-linux-armhf.so.3"


def test_libraries_are_looked_up_as_musls_loader_does(tmp_path: Path) -> None:
    elf = b"\x7fELF\1\1" + bytes(12) + b"\x28\0"
    loader, own = "/lib/ld-musl-armhf.so.1", "/opt/lib/libown.so.1"
    built_in = elf + b"\0/lib:/usr/local/lib:/usr/lib\0"
    files = {loader: built_in, "/usr/lib/libz.so.1": elf, own: elf}
    assert libraries(kept(tmp_path / "1", files), loader) == {
        "ld-musl-armhf.so.1": loader,
        "libz.so.1": "/usr/lib/libz.so.1",
    }
    named = {**files, "/etc/ld-musl-armhf.path": b"/opt/lib\n/lib\n"}
    assert set(libraries(kept(tmp_path / "2", named), loader)) == {"ld-musl-armhf.so.1", "libown.so.1"}


@pytest.mark.parametrize(
    ("soname", "is_in"),
    [("libc.so", True), ("libc.musl-armv7.so.1", True), ("libpthread.so.0", True), ("libcrypt.so.1", False)],
)
def test_musls_loader_is_itself_the_library_of_many_names(soname: str, is_in: bool) -> None:
    assert is_in_loader(soname, "/lib/ld-musl-armhf.so.1") is is_in
    assert not is_in_loader(soname, "/lib/ld-linux-armhf.so.3")


def test_the_python_of_a_login_is_taken_and_else_the_newest() -> None:
    loader = {"/lib/ld-linux.so.3": FILE}
    several = {**loader, "/usr/bin/python3.9": FILE, "/usr/bin/python3.10": FILE}
    assert select(several, "x").python == "/usr/bin/python3.10"
    link = {**several, "/usr/bin/python3": Listed("link", link="python3.9")}
    assert select(link, "x").python == "/usr/bin/python3.9"


def test_what_broke_off_leaves_nothing_half_there_and_goes_on(tmp_path: Path) -> None:
    store = UserlandStore(tmp_path)
    with pytest.raises(NetworkError):
        take(Fake(SMALL, breaks_after=2), store, silent)
    assert not [path for path in (tmp_path / "userlands").iterdir() if path.name != "files"]
    hashed = {
        path: Listed("file", 3, sha256=sha) for path, sha in zip(SMALL, map(sha_of, SMALL))
    }  # as a machine that is asked lists them
    again = Fake(hashed, asked=([],))
    userland, _ = take(again, store, silent)
    assert len(again.asked[0]) == 1
    assert {path: userland.path(path).read_text() for path in SMALL} == {path: path for path in SMALL}


def sha_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_machine_that_is_larger_than_the_disk_is_told_and_not_half_described(tmp_path: Path) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache"
    for path in SMALL:
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_bytes(os.urandom(1 << 20))
    words = [
        str(Path(sys.executable).with_name("crosswheel")),
        "target",
        "learn",
        "bench",
        "--rootfs",
        str(root),
    ]
    done = run_on_small_disk(
        words, cache, 1500, env={**os.environ, "CROSSWHEEL_CACHE": str(cache)}, cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert "the disk is full" in " ".join(done.stderr.split())
    assert not (tmp_path / "targets").exists()
    assert not [path for path in cache.rglob(".new.*") if path.is_file()]


def test_the_same_files_are_kept_once_and_have_one_name(tmp_path: Path) -> None:
    store = UserlandStore(tmp_path)
    first, _ = take(Fake(SMALL), store, silent)
    second, _ = take(Fake({**SMALL, "/lib/libz.so.1": FILE}), store, silent)
    assert first.digest != second.digest
    assert take(Fake(SMALL), store, silent)[0].digest == first.digest
    assert first.path("/lib/libc.so.6").samefile(second.path("/lib/libc.so.6"))


def test_what_was_changed_is_noticed(tmp_path: Path) -> None:
    store = UserlandStore(tmp_path)
    userland, _ = take(Fake(SMALL), store, silent)
    assert store.kept(userland.digest) == userland
    assert userland.damaged() == []
    userland.path("/lib/libc.so.6").write_text("other")
    assert userland.damaged() == ["/lib/libc.so.6"]
    assert take(Fake(SMALL), store, silent)[0].damaged() == []  # learning it again mends it
    manifest = userland.root.parent / "manifest.json"
    manifest.write_text(manifest.read_text().replace("libc", "libd"))
    with pytest.raises(IntegrityError, match="was changed"):
        store.kept(userland.digest)
    assert store.kept("0" * 64) is None


def test_an_archive_with_oddities_is_read_as_the_machine_would_see_it(tmp_path: Path) -> None:
    archive = tmp_path / "root.tar"
    with tarfile.open(archive, "w") as sink:
        for name, data in (
            ("./usr/lib/libc.so.6", b"abc"),
            ("lib/libz.so.1", b"xyz"),
            ("../../etc/pip.conf", b""),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            sink.addfile(member, io.BytesIO(data))
        for name, kind, goal in (
            ("lib", tarfile.SYMTYPE, "usr/lib"),
            ("usr/lib/libhard.so", tarfile.LNKTYPE, "usr/lib/libc.so.6"),
            ("dev/null", tarfile.CHRTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, goal
            sink.addfile(member)
    source = TarSource(archive)
    listing = source.listing()
    assert listing["/usr/lib/libz.so.1"].kind == "file"
    assert listing["/etc/pip.conf"].kind == "file"
    assert listing["/dev/null"].kind == "other"
    wanted = ["/usr/lib/libz.so.1", "/usr/lib/libhard.so"]
    assert {path: stream.read() for path, stream in source.files(wanted)} == dict(
        zip(wanted, (b"xyz", b"abc"))
    )


def test_a_broken_archive_and_an_absent_root_are_named(tmp_path: Path) -> None:
    spoilt = tmp_path / "root.tar.gz"
    spoilt.write_bytes(b"\x1f\x8b\x08\x00garbage")
    settings = Settings(tmp_path, "")
    with (
        opened_root(spoilt, settings, Runner()) as source,
        pytest.raises(IntegrityError, match=r"root\.tar\.gz"),
    ):
        source.listing()
    with pytest.raises(UsageError, match="cannot be read"), opened_root(tmp_path / "no", settings, Runner()):
        pass


def test_an_archive_that_is_cut_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar"
    with tarfile.open(whole, "w") as sink:
        for path in SMALL:
            member = tarfile.TarInfo(path[1:])
            member.size = 100_000
            sink.addfile(member, io.BytesIO(path.encode().ljust(member.size)))
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:250_000])
    with pytest.raises(IntegrityError, match=r"cut\.tar cannot be read to its end"):
        take(TarSource(cut), UserlandStore(tmp_path / "cache"), silent)
    assert not list((tmp_path / "cache").glob("userlands/*/manifest.json"))


def test_a_folder_is_listed_without_following_its_links(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "up").symlink_to("..")
    os.mkfifo(tmp_path / "lib" / "pipe")
    listing = RootFolder(tmp_path).listing()
    assert {path: item.kind for path, item in listing.items()} == {
        "/lib": "folder", "/lib/up": "link", "/lib/pipe": "other",
    }  # fmt: skip


def learned(userland: Userland, system: str, packages: Mapping[str, str]) -> targets.Target:
    ot2 = targets.load("ot2")
    image = ot2.image.model_copy(update={"packages": packages})
    own = LearnedUserland(digest=userland.digest, python="/usr/bin/python3", system=system)
    return ot2.model_copy(update={"name": "bench", "image": image, "userland": own})


def test_learning_again_tells_what_changed(tmp_path: Path) -> None:
    store = UserlandStore(tmp_path)
    old = kept(tmp_path, {"/lib/libc.so.6": b"1", "/lib/libold.so": b"1", "/lib/libm.so.6": b"1"})
    new = kept(tmp_path, {"/lib/libc.so.6": b"2", "/lib/libnew.so": b"1", "/lib/libm.so.6": b"1"})
    before = learned(old, "Demo 1.0", {"numpy": "1.0", "gone": "1"})
    after = learned(new, "Demo 1.1", {"numpy": "2.0", "added": "1"})
    assert changes(before, before, store) == []
    assert changes(before, after, store) == [
        "image.packages.numpy: 1.0 → 2.0",
        "image.packages.gone: 1 → nothing",
        "image.packages.added: nothing → 1",
        "userland.system: Demo 1.0 → Demo 1.1",
        "its userland: 1 files changed (/lib/libc.so.6); 1 files new (/lib/libnew.so); 1 files gone (/lib/libold.so)",
    ]


def test_a_wheel_that_was_proven_in_another_userland_is_no_longer_proven(tmp_path: Path) -> None:
    now = kept(tmp_path, {"/lib/libc.so.6": b"2"})
    bench = learned(now, "Demo 1.1", {})
    for name, target, digest in (
        ("stale", "bench", "0" * 64),
        ("fresh", "bench", now.digest),
        ("unlearned", "bench", None),
        ("other", "ot2", "0" * 64),
    ):
        wheel = tmp_path / "dist" / name / f"{name}-1-py3-none-any.whl"
        wheel.parent.mkdir(parents=True)
        Proof(
            wheel=wheel.name, sha256="0" * 64, target=target, origin="built", reason="", source="", userland=digest
        ).write_beside(wheel)  # fmt: skip
    assert no_longer_proven(bench, tmp_path / "dist") == [
        "stale-1-py3-none-any.whl",
        "unlearned-1-py3-none-any.whl",
    ]


def test_a_name_that_another_machine_has_is_not_taken_from_it() -> None:
    ot2, flex = targets.load("ot2"), targets.load("flex")
    with pytest.raises(TargetError, match="was written by hand") as caught:
        require_same(ot2, flex, Path("targets/ot2.toml"))
    assert "--replace" in caught.value.hint
    own = targets.LearnedUserland(digest="0" * 64, python="/usr/bin/python3", system="Buildroot 2020")
    learned = ot2.model_copy(update={"userland": own})
    with pytest.raises(TargetError, match="this one is aarch64-linux-gnu"):
        require_same(learned, flex.model_copy(update={"userland": own}), Path("x.toml"))
    other = own.model_copy(update={"system": "Debian GNU/Linux 12"})
    with pytest.raises(TargetError, match="its image is Buildroot 2020"):
        require_same(learned, ot2.model_copy(update={"userland": other}), Path("x.toml"))
    updated = own.model_copy(update={"system": "Buildroot 2024", "digest": "1" * 64})
    require_same(learned, ot2.model_copy(update={"userland": updated}), Path("x.toml"))


@pytest.mark.parametrize("name", ["Two Words", "", "-x", "../x", "ä"])
def test_a_name_that_is_none_is_refused_before_anything_is_done(name: str) -> None:
    with pytest.raises(TargetError, match="is no name"):
        require_name(name)


def test_where_programs_are_kept_follows_what_pip_is_told(tmp_path: Path) -> None:
    store = UserlandStore(tmp_path)
    config = b"[install]\nroot = /var/user-packages\n"
    sha256 = store.put_blob(io.BytesIO(config))
    robot = robot_guess(store.keep({"/etc/pip.conf": UserlandEntry("file", sha256)}), "/usr/bin/python3.10")
    assert (robot.store, robot.bundle) == ("/var/user-packages/crosswheel", True)
    assert robot.pip_config == config.decode()
    plain = robot_guess(store.keep({}), "/usr/local/bin/python3.10")
    assert (plain.prefix, plain.bundle) == ("/usr/local", False)


def test_a_package_is_what_the_head_of_its_metadata_says(tmp_path: Path) -> None:
    body = "\n\nTo say it in a line:\n\nName: another\nVersion: 9\n"
    for path, head in {
        "one-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: one\nVersion: 1.0",
        "two.egg-info/PKG-INFO": "Name: two\r\nSummary: Version: 3\r\nVersion: 2.0\r",
        "three-3.egg-info": "Name:three\nVersion:3",
        "half-1.0.dist-info/METADATA": "Name: half",
        "none-1.0.dist-info/RECORD": "",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(head + body)
    asked = subprocess.run(
        [sys.executable, "-S", ASKED], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, check=True
    )
    said = json.loads(asked.stdout.partition(b"learned ")[2])
    assert said["packages"] == {"one": "1.0", "two": "2.0", "three": "3"}


def test_what_runs_on_a_machine_with_python_is_told() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()", "the-service"], stdin=subprocess.PIPE) as service:
        script = (ASKED.parent / "ask.sh").read_text()
        words = ["sh", "-c", f"one=a two=b python=pass whole=\n{script}"]
        told = subprocess.run(
            words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        ).stdout
        service.communicate(b"\n")
    running = told.partition("ab running\n")[2].partition("\nab ")[0]
    assert f"{sys.executable} -c input() the-service" in running
    assert "grep" not in running


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with distributions of each form of metadata, and a module that belongs to none."""
    folder = tmp_path / "site-packages"
    for path, text in {
        "server-1.dist-info/METADATA": "Name: The.Server\nVersion: 1\nRequires-Dist: base_lib>=1\n"
        "Requires-Dist: rare ; extra == 'all'\nRequires-Dist: absent",
        "server-1.dist-info/RECORD": "server/__init__.py,,\nserver-1.dist-info/RECORD,,\n../../bin/serve,,\n",
        "base_lib.egg-info/PKG-INFO": "Name: base-lib\nVersion: 1",
        "base_lib.egg-info/requires.txt": "deep\n\n[all]\nrare",
        "deep-1.dist-info/METADATA": "Name: deep\nVersion: 1",
        "rare-1.dist-info/METADATA": "Name: rare\nVersion: 1",
        "pillow-1.dist-info/METADATA": "Name: pillow\nVersion: 1",
        "pillow-1.dist-info/top_level.txt": "PIL\n",
        "own/__init__.py": "from .inner import x\nimport json",
        "own/inner/deeper.py": "def f():\n    from PIL.Image import open\n    import os, sys",
        "server/__init__.py": "import rare",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (tmp_path / "script").write_text("#!/usr/bin/python3\nimport beside\nimport os.path as p, own\n")
    (tmp_path / "shell").write_text("#!/bin/sh\nimport rare\n")
    (tmp_path / "beside.py").write_text("import deep\n")
    for path in ("env/bin/python3", "env/pyvenv.cfg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "apart").write_text(f"#!{tmp_path}/env/bin/python3\nimport rare\n")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "imported"),
    [
        ("ExecStart=-/usr/bin/python3 -m server --port 80", ["base-lib", "deep", "the-server"]),
        ("python3.10 -X dev -u {folder}/script", ["deep", "pillow"]),
        ("{folder}/script --quiet", ["deep", "pillow"]),
        ("python -m own.inner", ["pillow"]),
        ("python3 -m gateway own.app:make() server:x", ["base-lib", "deep", "pillow", "the-server"]),
        ("{folder}/env/bin/python3 -m server", []),
        ("{folder}/apart", []),
        ("{folder}/shell", []),
        ("/usr/sbin/sshd server:x", []),
        ("ExecStart=", []),
    ],
)
def test_packages_that_services_import_are_learned_of_their_command_lines(
    packages: Path, command: str, imported: list[str]
) -> None:
    asked = subprocess.run(
        [sys.executable, "-S", ASKED, f"/usr/bin/other\n{command.format(folder=packages)}\n"],
        env={"PYTHONPATH": str(packages / "site-packages")},
        capture_output=True,
        check=True,
    )
    assert json.loads(asked.stdout.partition(b"learned ")[2])["imported"] == imported


SERVICES = {
    "/etc/systemd/system/own.service": "[Service]\nExecStart=-/opt/current/serve --port 80\n#ExecStart=/opt/rare.py",
    "/opt/app-1/serve": "#!/usr/bin/python3\nimport beside",
    "/opt/app-1/beside.py": "import within.deep",
    "/opt/app-1/within/deep.py": "import server",
    "/usr/lib/systemd/system/apart.service": "[Service]\nExecStart=/opt/current/env/serve",
    "/opt/app-1/env/serve": "#!/opt/current/env/bin/python\nimport rare",
    "/opt/app-1/env/pyvenv.cfg": "",
    "/opt/rare.py": "#!/usr/bin/python3\nimport rare",
    "/usr/lib/systemd/system/odd.service": "ExecStart=/opt/circle\nExecStart=/opt/\0none\nExecStart=/dev/null",
    "/srv/late/late.py": "import aside",
    "/srv/late/aside.py": "from PIL import x",
    "/usr/lib/units/late": "[Service]\nExecStart=/usr/bin/python3 -u /usr/local/bin/late",
}
SERVICE_LINKS = {
    "/opt/current": "/opt/app-1",
    "/opt/circle": "circle",
    "/opt/app-1/env/bin/python": "/usr/bin/python3",
    "/lib": "usr/lib",
    "/usr/local/bin/late": "../../../srv/late/late.py",
    "/etc/systemd/system/late.service": "/lib/units/late",
    "/etc/systemd/system/masked.service": "/dev/null",
}


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_packages_that_services_of_a_root_file_system_import_are_learned_as_those_of_a_machine(
    packages: Path, tmp_path: Path, kind: str
) -> None:
    root = tmp_path / "root"
    for path, text in SERVICES.items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_text(text)
    for path, goal in SERVICE_LINKS.items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).symlink_to(goal)
    with tarfile.open(tmp_path / "root.tar.gz", "w:gz") as archive:
        archive.add(root, ".")
    source = RootFolder(root) if kind == "folder" else TarSource(tmp_path / "root.tar.gz")
    with services_of(source, silent) as services:
        assert not services.fault
        asked = subprocess.run(
            [sys.executable, "-S", ASKED, services.commands, services.root],
            env={"PYTHONPATH": str(packages / "site-packages")},
            capture_output=True,
            check=True,
        )
    said = json.loads(asked.stdout.partition(b"learned ")[2])
    assert said["imported"] == ["base-lib", "deep", "pillow", "the-server"]
    assert not services.root.exists()


def test_services_that_cannot_be_read_do_not_keep_a_machine_from_being_learned() -> None:
    class Closed(Fake):
        def files(self, paths: Collection[str]) -> Iterator[tuple[str, IO[bytes]]]:
            raise IntegrityError(f"{next(iter(paths))} cannot be read", hint="read it as a user who may.")

    with services_of(Closed({"/etc/systemd/system/own.service": FILE}), silent) as services:
        assert services.fault == "/etc/systemd/system/own.service cannot be read"
        assert (services.commands, list(services.root.iterdir())) == ("", [])


def test_a_program_that_runs_is_asked_for_what_it_imports(tmp_path: Path) -> None:
    """The shell hands what runs to the machine's own Python; on this machine that is the first of the path."""
    (tmp_path / "python3").symlink_to(sys.executable)
    longer = ["x" * 100_000] * 2  # than any argument of a program may be
    service = [tmp_path / "python3", "-c", "input()", "-m", "packaging", *longer]
    with subprocess.Popen(service, stdin=subprocess.PIPE) as running:
        told = subprocess.run(
            ["sh", "-c", script("ab", whole=False)],
            env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        ).stdout
        running.communicate(b"\n")
    assert "packaging" in json.loads(told.partition("\nlearned ")[2].partition("\n")[0])["imported"]


def test_what_a_machine_is_asked_is_no_longer_than_a_small_ssh_server_takes() -> None:
    """Dropbear, which robots have, ends the connection at a command of more than 9000 bytes."""
    assert len(shlex.join(["sh", "-c", script("0" * 32, whole=True)])) < 8900


def test_a_running_machine_is_learned_without_the_toolchain() -> None:
    """For it takes longer to import than a machine takes to answer."""
    asked = "import crosswheel.cli.machines, crosswheel.learning.over_ssh, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint(
        {"httpx", "crosswheel.debian", "crosswheel.emulation", "crosswheel.toolchain.python.built"}
    )


def described(bits: int, **answers: object) -> targets.Target:
    """Return the target of a machine whose Python answers as this one does but for some answers."""
    asked = subprocess.run([sys.executable, ASKED], capture_output=True, check=True).stdout
    said = {"version": "3.13.5", "soabi": "cpython-313-x", "tags": (), "pointer_bits": bits, **answers}
    python = PythonFacts(**{**json.loads(asked.partition(b"learned ")[2]), **said})
    kind = next(kind for kind in kinds() if kind.elf.bits == bits)
    learned = Learned(
        name="clock",
        title="A clock",
        system="Debian 13",
        suite="trixie",
        libraries=LibraryFacts(kind, "/lib/ld-linux-x.so.3", "2.41", {}, ("libc.so.6",), {}, "3.2.0"),
        machine=Known(kind.names.machine),
        python=python,
        kernel=Known("3.2.0"),
        page_bytes=Known(4096),
        robot=Robot(store="/opt", programs="/usr/bin", prefix="/usr", pip_config=""),
        python_path="/usr/bin/python3.13",
        userland="0" * 64,
    )
    return description("clock.toml", learned)[1]


@pytest.mark.parametrize(("bits", "time_bytes", "wide"), [(32, 8, True), (32, 4, False), (64, 8, False)])
def test_how_a_32_bit_machine_tells_time_is_learned_of_its_python(
    bits: int, time_bytes: int, wide: bool
) -> None:
    target = described(bits, time_bytes=time_bytes)
    assert target.toolchain.defines == (("_TIME_BITS=64", "_FILE_OFFSET_BITS=64") if wide else ())


def test_what_services_import_is_written_for_whoever_deploys() -> None:
    for imported in ((), ("deep", "the-server")):
        robot = described(64, imported=imported).robot
        assert robot
        assert robot.server == imported


@pytest.mark.parametrize("libc", ["glibc", "musl"])
@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: str(kind.names.machine))
def test_the_compiler_knows_each_kind_of_machine(kind: Kind, libc: str, tmp_path: Path) -> None:
    """Its CPU, its C library, and the oldest kernel that is guessed: zig has no headers for one before the CPU."""
    tools = kind.with_musl.tools if libc == "musl" else kind.tools
    triple = tools.zig.replace("-linux-", f"-linux.{kind.names.kernel}.0-")
    (tmp_path / "empty.c").write_text("#include <stdlib.h>\n")
    words = ["cc", "-target", triple, f"-mcpu={tools.cpu}", "-c", "empty.c"]
    cache = {name: str(tmp_path) for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    subprocess.run(
        [sys.executable, "-m", "ziglang", *words], cwd=tmp_path, env={**os.environ, **cache}, check=True
    )


def test_no_kind_of_cpu_hides_another() -> None:
    seen: list[tuple[object, ...]] = []
    for kind in kinds():
        header = (kind.elf.machine, kind.elf.bits, kind.elf.byte_order, kind.elf.float)
        assert (*header, 0) not in seen  # one that takes all comes last
        seen.append((*header, kind.elf.arm))
