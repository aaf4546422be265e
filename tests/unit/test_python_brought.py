"""Pythons that a target does not have: where their source comes from, and how a robot runs what is sent with one."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from crosswheel import targets
from crosswheel.agent.manifest import PYTHON
from crosswheel.debian import host_architecture
from crosswheel.deploy.deploying import Deployed, deploy
from crosswheel.deploy.release import Package, Release
from crosswheel.deploy.ssh import Connection
from crosswheel.errors import BuildFailed, CrosswheelError, IntegrityError, NetworkError, TargetError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.shared_cache.guarded import GuardedStore
from crosswheel.signing.keys import SigningKey
from crosswheel.stores.folder import FolderStore
from crosswheel.targets import PythonSource, Target
from crosswheel.toolchain.libraries import linking
from crosswheel.toolchain.libraries.exchange import share_folder
from crosswheel.toolchain.libraries.visibility import hidden_copy
from crosswheel.toolchain.python import cpython
from crosswheel.toolchain.python.brought import complete
from crosswheel.toolchain.python.choosing import has_host, origin
from crosswheel.toolchain.python.cpython import CPythonBuild
from crosswheel.toolchain.python.cpython_source import newest_release, source_archive
from crosswheel.toolchain.python.tree import PythonTree
from support.debian_archive import DebianArchive
from support.releases import Here, place, release, says, this_machine
from support.servers import FolderServer

DATA = b"the source of a Python"
SOURCE = PythonSource(
    version="3.99.1",
    sha256=hashlib.sha256(DATA).hexdigest(),
    archive="tar.gz",
    pip="1",
    package="python3.99",
    suite="bookworm",
)
# Stands for an interpreter of another version: it runs the one of the tests with the environment that it lies in.
INTERPRETER = f"""#!/bin/sh
environment=${{0%/bin/python3}}
BROUGHT=yes PYTHONPATH="$environment/lib/python3.99/site-packages" exec {sys.executable} "$@"
"""


def test_a_name_brings_a_python_along() -> None:
    ot2, newer = targets.load("ot2"), targets.load("ot2-py313")
    assert (newer.name, newer.python.short, newer.python.provided) == ("ot2-py313", "3.13", "3.13")
    assert newer.extension_suffix == ".cpython-313-arm-linux-gnueabihf.so"
    assert str(newer.tags[0]) == "cp313-cp313-manylinux_2_25_armv7l"
    assert newer.kind == ot2.kind
    assert newer.fingerprint != ot2.fingerprint
    assert targets.load(targets.named_with_python("ot2", "3.13")) == newer


def test_a_file_of_that_name_comes_first() -> None:
    assert not targets.load("ot2-py312").python.provided


def test_a_python_that_nobody_has_is_refused_with_those_that_can_be_built() -> None:
    for refused in (
        lambda: targets.named_with_python("ot2", "3.9"),
        lambda: targets.load("ot2").with_python("3.9"),
    ):
        with pytest.raises(TargetError, match=r"no source of Python 3\.9 is known") as caught:
            refused()
        assert "3.13" in caught.value.hint
    with pytest.raises(TargetError, match="goes with a target's name") as caught:
        targets.named_with_python("mine.toml", "3.13")
    assert 'provided = "3.13"' in caught.value.hint


def with_table(folder: Path, table: str) -> Target:
    text = (Path(targets.__file__).parent / "data" / "linux-aarch64.toml").read_text()
    file = folder / "mine.toml"
    file.write_text(text.replace('provided = "3.13"', table))
    return targets.load(str(file))


def test_what_a_file_says_of_its_python_is_kept(tmp_path: Path) -> None:
    own = with_table(tmp_path, 'built = "3.13"\nversion = "3.13.1"\nsoabi = "cpython-313-arm"')
    assert (own.python.version, own.python.soabi, own.python.provided) == ("3.13.1", "cpython-313-arm", None)
    assert own.python.source == targets.python_source("3.13")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('provided = "3.9"', r"no source of Python 3\.9 is known"),
        ('provided = "3.13"\nbuilt = "3.13"', "expected either `built` or `provided`"),
        (
            'version = "3.13.5"\nsoabi = "a"\nsysconfigdata = "b"\npip = "1"',
            "expected `target`, `headers`, `packaged`",
        ),
    ],
)
def test_a_python_of_no_origin_or_of_two_is_refused(tmp_path: Path, table: str, expected: str) -> None:
    with pytest.raises(TargetError, match=expected):
        with_table(tmp_path, table)


def test_the_distribution_comes_before_what_is_published_and_that_before_a_build() -> None:
    assert "Debian's packages" in origin(targets.load("debian-armhf"))
    assert "Maven" in origin(targets.load("ot2"))
    assert "built from the source of CPython 3.13.5" in origin(targets.load("ot2-py313"))
    assert has_host(targets.load("ot2-py313"))


def test_a_file_may_state_a_release_that_crosswheel_does_not_know(tmp_path: Path) -> None:
    stated = f'[python.source]\nversion = "3.15.7"\nsha256 = "{"0" * 64}"\narchive = "tar.xz"\npip = "26"\n'
    newer = with_table(tmp_path, f'provided = "3.15"\n{stated}')
    assert (newer.python.version, newer.python.pip) == ("3.15.7", "26")
    assert newer.extension_suffix.startswith(".cpython-315-")
    assert newer.python.source
    assert newer.python.source.sha256 == "0" * 64
    with pytest.raises(TargetError, match=r"a `source` of Python 3\.13, not of 3\.15\.7"):
        with_table(tmp_path, f'provided = "3.13"\n{stated}')


def settings(folder: Path, **more: object) -> Settings:
    return replace(Settings(cache=folder / "cache", github=""), **more)  # type: ignore[arg-type]


def test_the_source_of_a_python_comes_from_the_mirror_that_is_named(tmp_path: Path) -> None:
    served = tmp_path / "served" / "3.99.1"
    served.mkdir(parents=True)
    (served / "Python-3.99.1.tar.gz").write_bytes(DATA)
    with FolderServer(tmp_path / "served") as server:
        for _ in range(2):
            archive = source_archive(SOURCE, settings(tmp_path, cpython=server.url), Runner())
            assert archive.read_bytes() == DATA
        assert server.requested["/3.99.1/Python-3.99.1.tar.gz"] == 1


def test_the_source_of_a_python_comes_from_debian_otherwise(tmp_path: Path) -> None:
    archive = DebianArchive(tmp_path)
    (tmp_path / "python").write_bytes(DATA)
    archive.add_source("python3.99", "3.99.1", tmp_path / "python")
    found = source_archive(SOURCE, settings(tmp_path, debian_sources=archive.sources), Runner())
    assert found.read_bytes() == DATA
    assert [path.name for path in found.parent.iterdir()] == ["Python-3.99.1.tar.gz"]


def test_a_newer_release_of_a_python_that_is_sent_is_known_by_debians_unstable(tmp_path: Path) -> None:
    archive = DebianArchive(tmp_path, "sid")
    mine = settings(tmp_path, debian_sources=archive.sources)
    assert str(newest_release(SOURCE, mine, Runner())) == SOURCE.version
    archive.add("python3.99", "3.99.4-2", host_architecture(), {})
    assert str(newest_release(SOURCE, replace(mine, cache=tmp_path / "other"), Runner())) == "3.99.4"


def test_a_python_that_another_machine_built_comes_from_the_shared_cache(tmp_path: Path) -> None:
    store, key = FolderStore(tmp_path / "store"), SigningKey.new()
    shared = SharedCache([GuardedStore("store", lambda: store, print, 5)], [key.public], key, print)

    def build(name: str) -> CPythonBuild:
        mine = settings(tmp_path / name)
        return CPythonBuild(targets.load("ot2"), SOURCE, (), (), mine, Runner(), print, None, shared)

    tree = build("there").expected
    for path in (tree.executable, tree.include / "pyconfig.h", tree.stdlib / "_sysconfigdata_x.py"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"build_time_vars = {{'prefix': '{tree.root}'}}\n")
    share_folder(shared, "python", tree.root)
    own = build("here").tree()
    assert own.root != tree.root
    assert own.build_variables == {"prefix": str(own.root)}
    with pytest.raises(NetworkError):  # so it was not built
        replace(build("without"), shared=None).tree()


def test_a_python_is_built_anew_when_what_stands_in_for_its_c_library_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place() -> Path:
        build = CPythonBuild(
            targets.load("ot2"), SOURCE, (), (), settings(tmp_path), Runner(), print, None, None
        )
        return build.expected.root

    before = place()
    assert place() == before
    monkeypatch.setattr(linking.cxx, "__file__", __file__)  # a part of what it is made of
    assert place() != before


@pytest.mark.parametrize("for_target", [False, True])
def test_a_python_that_is_built_for_this_machine_has_its_standard_library_compiled(
    tmp_path: Path, for_target: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = "{}.{}".format(*sys.version_info)
    source = SOURCE.model_copy(update={"version": f"{short}.99"})

    def install(tree: Path, folder: Path, *rest: object) -> None:
        made = PythonTree(folder, short)
        for path in (made.stdlib / "_sysconfigdata_x.py", made.include / "pyconfig.h"):
            path.parent.mkdir(parents=True)
            path.write_text("build_time_vars = {}\n")
        made.executable.parent.mkdir()
        made.executable.symlink_to(sys.executable)

    archive = tmp_path / "source.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(__file__, "Python/README")
    monkeypatch.setattr(cpython, "source_archive", lambda *words: archive)
    monkeypatch.setattr(cpython, "_install", install)
    monkeypatch.setattr(CPythonBuild, "_compile", lambda *words: None)
    host = PythonTree(tmp_path / "host", short) if for_target else None
    build = CPythonBuild(targets.load("ot2"), source, (), (), settings(tmp_path), Runner(), print, host)
    found = list(build.tree().stdlib.glob("__pycache__/_sysconfigdata_x.*.pyc"))
    assert len(found) == (0 if for_target else 1)
    assert all(
        path.read_bytes()[4:8] == b"\1\0\0\0" for path in found
    )  # by a hash that is not compared (PEP 552)


def refusal(source: PythonSource, chosen: Settings) -> CrosswheelError:
    with pytest.raises(CrosswheelError) as caught:
        source_archive(source, chosen, Runner())
    assert "CROSSWHEEL_CPYTHON_URL" in caught.value.hint or "publisher" in caught.value.hint
    assert not list(chosen.cache.glob("python-source/*"))
    return caught.value


def test_another_source_than_the_stated_one_is_not_taken(tmp_path: Path) -> None:
    archive = DebianArchive(tmp_path)
    (tmp_path / "python").write_bytes(b"a later release")
    archive.add_source("python3.99", "3.99.2", tmp_path / "python")
    later = refusal(SOURCE, settings(tmp_path, debian_sources=archive.sources))
    assert isinstance(later, IntegrityError)
    assert "another release" in later.message
    served = tmp_path / "served" / "3.99.1"
    served.mkdir(parents=True)
    (served / "Python-3.99.1.tar.gz").write_bytes(b"something else")
    with FolderServer(tmp_path / "served") as server:
        assert isinstance(refusal(SOURCE, settings(tmp_path, cpython=server.url)), IntegrityError)


def test_a_source_that_is_nowhere_is_told_with_what_helps(tmp_path: Path) -> None:
    with FolderServer(tmp_path) as server:
        error = refusal(SOURCE, settings(tmp_path, cpython=server.url))
    assert "the server has no 3.99.1/Python-3.99.1.tar.gz" in error.message
    elsewhere = SOURCE.model_copy(update={"package": None})
    assert isinstance(refusal(elsewhere, settings(tmp_path)), NetworkError)


@pytest.mark.parametrize(
    "data", [b"no archive", b"!<arch>\nx.o/" + b" " * 44 + b"many      `\n", b"!<arch>\n"]
)
def test_what_is_no_archive_is_not_hidden(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "lib.a").write_bytes(data)
    if data == b"!<arch>\n":
        hidden_copy(tmp_path / "lib.a", tmp_path / "copy.a")
        assert (tmp_path / "copy.a").read_bytes() == data
        return
    with pytest.raises(IntegrityError, match="cannot be read as a static archive"):
        hidden_copy(tmp_path / "lib.a", tmp_path / "copy.a")
    assert not (tmp_path / "copy.a").exists()


def brought(folder: Path, version: str, name: str = "hello") -> Release:
    """Make a release for a Python that this machine does not have, which comes along."""
    here = this_machine()
    python = here.python.model_copy(update={"version": "3.99.1", "soabi": "cpython-399", "provided": "3.99"})
    made = release(
        folder,
        version,
        target=here.model_copy(update={"python": python}),
        test="import hello, os; assert os.environ['BROUGHT']",
    )
    files = folder / "python-files"
    program = files / "python" / "bin" / "python3.99"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(INTERPRETER)
    program.chmod(0o755)
    return replace(made, name=name, python=Package.read(PYTHON, "3.99.1", files))


def put(made: Release, robot: Path) -> Deployed:
    with Connection(Here()) as connection:
        return deploy(made, place(robot), connection, lambda text: None)


def ask(robot: Path, do: str, **values: object) -> object:
    with Connection(Here()) as connection:
        connection.ask("open", store=place(robot).store, programs=place(robot).programs)
        return connection.ask(do, **values)


def test_a_release_runs_on_the_python_that_it_brings(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(brought(tmp_path, "1"), robot)
    assert says(robot) == "hello 1"
    environment = robot / "store/environments/hello/current"
    assert (environment / "python").is_symlink()
    assert "version = 3.99.1" in (environment / "pyvenv.cfg").read_text()
    assert ask(robot, "verify", name="hello") == {"faults": []}


def test_without_it_the_same_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"not 3\.99"):
        put(replace(brought(tmp_path, "1"), python=None), tmp_path / "robot")


def test_a_python_that_several_environments_have_is_there_once(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(brought(tmp_path, "1"), robot)
    assert put(brought(tmp_path, "2"), robot).files == 1
    other = brought(tmp_path, "2", name="other")
    assert put(replace(other, programs=()), robot).files == 0
    pythons = {path.resolve() for path in robot.glob("store/environments/*/releases/*/python")}
    assert len(pythons) == 1
    ask(robot, "remove", name="other")
    assert says(robot) == "hello 2"
    ask(robot, "remove", name="hello")
    assert not list(robot.glob("store/packages/*"))


def test_a_python_that_was_changed_is_told_and_replaced(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    put(brought(tmp_path, "1"), robot)
    program = robot / "store/environments/hello/current/python/bin/python3.99"
    mode = program.stat().st_mode
    program.chmod(0o755)  # only root may write to it as it is
    program.write_text(INTERPRETER + "\n")
    program.chmod(mode)
    told = ask(robot, "verify", name="hello")
    assert isinstance(told, dict)
    assert any("python/bin/python3.99" in fault for fault in told["faults"])
    put(brought(tmp_path, "1"), robot)
    assert ask(robot, "verify", name="hello") == {"faults": []}


def test_where_a_machine_has_no_zones_and_no_certificates_those_that_were_sent_are_used(
    tmp_path: Path,
) -> None:
    short = f"{sys.version_info[0]}.{sys.version_info[1]}"
    library, own = tmp_path / "lib" / f"python{short}", Path(sysconfig.get_path("stdlib"))
    shutil.copytree(own / "zoneinfo", library / "zoneinfo")
    shutil.copyfile(own / "ssl.py", library / "ssl.py")
    complete(tmp_path, short)
    asked = (
        "import sys, sysconfig; sys.base_prefix = sys.argv[1]; sys.path.insert(0, sys.argv[2]); "
        "sysconfig.get_config_vars()['TZPATH'] = sys.argv[3]; import ssl, zoneinfo; "
        "print(zoneinfo.TZPATH[-1], zoneinfo._tzpath.find_tzfile('Asia/Tokyo'), "
        "ssl.create_default_context().cert_store_stats()['x509'])"
    )
    (tmp_path / "none").mkdir()

    def answer(certificates: str) -> list[str]:
        words = [sys.executable, "-I", "-c", asked, str(tmp_path), str(library), str(tmp_path / "none")]
        environment = {"SSL_CERT_FILE": certificates, "SSL_CERT_DIR": str(tmp_path / "none")}
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, check=True
        ).stdout.split()

    zones, zone, count = answer(str(tmp_path / "absent"))
    assert (zones, zone) == (str(tmp_path / "share/zoneinfo"), f"{zones}/Asia/Tokyo")
    assert int(count) > 100
    (tmp_path / "own.pem").write_text("")
    assert answer(str(tmp_path / "own.pem"))[2] == "0"  # the machine's own come first


def test_a_python_that_looks_for_zones_in_an_unknown_way_is_refused(tmp_path: Path) -> None:
    finder = tmp_path / "lib/python3.99/zoneinfo/_tzpath.py"
    finder.parent.mkdir(parents=True)
    finder.write_text("import os\n")
    with pytest.raises(BuildFailed, match="time zones in a way"):
        complete(tmp_path, "3.99")
