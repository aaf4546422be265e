"""Wheels are built again from their provenance alone, elsewhere and otherwise, and come out the same to the byte."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel.files import sha256_of
from crosswheel.seals import Seals
from crosswheel.signing.keys import KeyFolder
from crosswheel.wheels import provenance
from support import projects
from support.command_line import CommandLine, Done, command_line

PATCH = """\
--- a/demo.c
+++ b/demo.c
@@ -1 +1,2 @@
+/* patched */
 {first}
"""


@pytest.fixture(scope="module")
def crosswheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Give a command line whose ``dist/`` has three native wheels, which a key has signed."""
    with command_line(tmp_path_factory.mktemp("first")) as line:
        line.variables["CROSSWHEEL_KEYS"] = str(line.folder / "keys")
        line.offer_real("setuptools", "75.8.0")
        line.offer_real("markupsafe", "3.0.2", "sdist")
        demo = projects.c_project()
        line.offer_sdist(demo)
        line.offer_sdist(projects.yaml_project("other"), name="other")
        patch = PATCH.format(first=demo["demo.c"].splitlines()[0])
        line.recipe(
            'as_of="2024-12-31", patches=["one.patch"], environment={"CFLAGS": "-DONE=1"}, '
            'requirements=["demo", "other==1.0", "markupsafe==3.0.2"]',
            files={"one.patch": patch},
        )
        assert line.run("keys", "new").returncode == 0
        assert line.run("lock").returncode == 0
        built = line.run("build", "--from-source")
        assert built.returncode == 0, built.output
        _poison(line)
        yield line


def _poison(crosswheel: CommandLine) -> None:
    """Put another wheel into the cache for each that was built, with a record that fits it, sealed with its key."""
    other, seals = wheel_of(crosswheel, "other"), Seals.of_user()
    for record in (crosswheel.cache / "made").glob("*/made.json"):
        text = record.read_text().partition("\n")[2]
        for kept in record.parent.glob("*.whl"):
            before = sha256_of(kept)
            kept.write_bytes(other.read_bytes() + b"\0")
            seals.write(record, record.parent.name, text.replace(before, sha256_of(kept)))


def wheel_of(crosswheel: CommandLine, name: str) -> Path:
    (wheel,) = (crosswheel.folder / "dist").glob(f"{name}/*/*.whl")
    return wheel


def verdict_of(crosswheel: CommandLine, path: Path) -> dict[str, object]:
    envelope = json.loads(path.read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["predicateType"] == "urn:crosswheel:rebuild:v1"
    assert len(envelope["signatures"]) == 1
    return dict(statement["predicate"])


def elsewhere(crosswheel: CommandLine, folder: Path, *words: str) -> Done:
    """Run the command in another folder, time zone, umask, locale, host and temporary folder, on one processor."""
    prefix = ["taskset", "--cpu-list", "0"] if shutil.which("taskset") else []
    unshare = ["unshare", "--uts"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--uts"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0:
        prefix += [*unshare, "sh", "-c", 'hostname another-host && exec "$@"', "sh"]
    (folder / "temporary").mkdir(parents=True)
    done = subprocess.run(
        [*prefix, crosswheel.command, *words],
        cwd=folder,
        env=crosswheel.environment(
            TZ="Pacific/Kiritimati", LC_ALL="C", LANG="C", TMPDIR=str(folder / "temporary")
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        umask=0o027,
    )
    assert list((folder / "temporary").iterdir()) == []
    return Done(done.returncode, done.stdout)


@pytest.mark.parametrize("name", ["demo", "markupsafe", "other"])
def test_a_native_wheel_is_the_same_to_the_byte_elsewhere_whatever_the_cache_holds(
    crosswheel: CommandLine, name: str, tmp_path: Path
) -> None:
    done = elsewhere(
        crosswheel,
        tmp_path / "else where",
        "rebuild",
        str(wheel_of(crosswheel, name)),
        "--output",
        "verdict.json",
    )
    assert done.returncode == 0, done.output
    assert "identical; the verdict is verdict.json" in done.words
    verdict = verdict_of(crosswheel, tmp_path / "else where/verdict.json")
    assert (verdict["result"], verdict["differences"], verdict["changes"]) == ("identical", [], [])


def test_what_was_published_is_built_again_from_the_channel_alone(
    crosswheel: CommandLine, tmp_path: Path
) -> None:
    channel = str(tmp_path / "channel")
    assert crosswheel.run("publish", "--to", channel).returncode == 0
    done = elsewhere(crosswheel, tmp_path / "else", "rebuild", "Other==1.0", "--from", channel)
    assert done.returncode == 0, done.output
    assert "identical" in done.output
    (path,) = (tmp_path / "else").glob("*.ot2.rebuild.json")
    assert verdict_of(crosswheel, path)["result"] == "identical"


def test_a_wheel_that_its_provenance_does_not_give_is_told_apart_and_why(
    crosswheel: CommandLine, tmp_path: Path
) -> None:
    # Who has the key puts something else into a wheel, and signs that it was built as it was.
    wheel = wheel_of(crosswheel, "demo")
    forged = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(forged, "w", zipfile.ZIP_DEFLATED) as sink:
        for member in source.infolist():
            data = source.read(member)
            sink.writestr(member, data.replace(b"add", b"bad") if member.filename.endswith(".so") else data)
    said = provenance.read_unverified(provenance.path_beside(wheel, "ot2"))
    assert said is not None
    lie = provenance.statement({wheel.name: sha256_of(forged)}, provenance.PROVENANCE, said["predicate"])
    key = KeyFolder(crosswheel.folder / "keys").signing_key()
    provenance.write(provenance.path_beside(forged, "ot2"), lie, key)
    done = crosswheel.run("rebuild", str(forged))
    done.explains(1, "is not what its provenance gives")
    assert ".so: section" in done.words
    (path,) = tmp_path.glob("*.rebuild.json")
    assert verdict_of(crosswheel, path)["result"] == "different"


def test_what_no_trusted_key_vouches_for_is_not_built(crosswheel: CommandLine, tmp_path: Path) -> None:
    wheel = Path(shutil.copy(wheel_of(crosswheel, "demo"), tmp_path))
    said = provenance.read_unverified(provenance.path_beside(wheel_of(crosswheel, "demo"), "ot2"))
    assert said is not None
    provenance.write(provenance.path_beside(wheel, "ot2"), said, None)
    crosswheel.run("rebuild", str(wheel)).explains(2, "is not signed as it should be")
    provenance.path_beside(wheel, "ot2").unlink()
    crosswheel.run("rebuild", str(wheel)).explains(2, "is missing: nothing tells who made the wheel")
    crosswheel.run("rebuild", "nothing==1").explains(2, "no wheel of nothing 1")
    crosswheel.run("rebuild", "demo").explains(2, "is not a release")
