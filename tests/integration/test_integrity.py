"""What is kept is what was made: damage is noticed and mended, and builds at once do not spoil each other's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswheel.build import traces
from crosswheel.files import write_sealed
from support import projects
from support.command_line import CommandLine, command_line
from support.crossing import crossing_for, warm_cache

DEMO = "demo-1.0-cp310-cp310-linux_armv7l.whl"
CHANGED = (
    "demo==1.0: what the cache has of it was changed or damaged, or another user made it; it is made anew"
)
WORDS = ("build", "demo", "pure", "--as-of", "2024-12-31")


# One for all, so that the cross view is verified once: each test builds packages of its own.
@pytest.fixture(scope="module")
def crosswheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with command_line(tmp_path_factory.mktemp("integrity")) as line:
        line.offer_real("setuptools", "75.8.0")
        line.offer_sdist(projects.c_project())
        line.offer_wheel("pure", files={"pure.py": b""})
        yield line


def flip(path: Path) -> None:
    """Change one bit of a file, and nothing that a look at its folder would show."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_byte_that_changes_in_what_is_kept_is_noticed_and_the_thing_is_made_anew(
    crosswheel: CommandLine,
) -> None:
    words = (*WORDS, "--build-tree-root", "../other build")  # not below the folder that it is called from
    first = crosswheel.run(*words)
    assert first.returncode == 0, first.output
    dist, cache = crosswheel.folder / "dist", crosswheel.cache
    right = contents(dist)
    assert {path.stat().st_nlink for path in cache.glob("made/*/*.whl")} == {1}
    (placed,) = dist.glob(f"demo/1.0/{DEMO}")
    # It is kept by the day of its build requirements, and by these alone.
    wheels, (tool, *_) = sorted(cache.glob("made/*/demo*.whl")), sorted(cache.glob("tools/*/cc"))
    said, proofs, files = (
        cache.glob("made/*/made.json"),
        cache.glob("proofs/*.json"),
        cache.glob("files/*/*/pure*"),
    )
    tool_text = tool.read_text()
    for path in (*wheels, placed, tool, *said, *proofs, *files, *dist.rglob("*.proof.json")):
        flip(path)
    again = crosswheel.run(*words)
    assert again.returncode == 0, again.output
    assert CHANGED in again.words
    assert "1 taken, 1 built" in again.output
    assert tool.read_text() == tool_text
    healed = contents(dist)
    assert healed.keys() == right.keys()
    assert {name: data for name, data in healed.items() if name.endswith(".whl")} == {
        name: data for name, data in right.items() if name.endswith(".whl")
    }
    assert "2 found" in crosswheel.run(*words).output
    # Whoever can write to the cache puts another wheel there, with a record and proofs that fit it.
    kept = wheels[0].read_bytes()
    forged = kept + b"\0"
    for path in (*cache.glob("made/*/made.json"), *cache.glob("proofs/*.json")):
        text = path.read_text().partition("\n")[2]
        hashes = (hashlib.sha256(data).hexdigest() for data in (kept, forged))
        write_sealed(path, text.replace(*hashes))
    for wheel in wheels:
        wheel.write_bytes(forged)
    again = crosswheel.run(*words)
    assert CHANGED in again.words
    assert contents(dist).keys() == right.keys()
    assert placed.read_bytes() == right[str(placed.relative_to(dist))]


def test_builds_in_one_checkout_and_in_two_of_one_cache_leave_one_wheel_with_its_proof(
    crosswheel: CommandLine,
) -> None:
    """Its backend writes the time into it, so that no two builds make the same."""
    stamped = 'open("stamp.py", "w").write(f"at = {time.time_ns()}")'
    setup = projects.setup_py(more=", package_dir={'': '.'}").replace("py_modules=[]", "py_modules=['stamp']")
    files = {
        **projects.c_project("stamped"),
        "setup.py": f"import time\n{stamped}\n" + setup.replace("demo", "stamped", 1),
    }
    crosswheel.offer_sdist(files, name="stamped")
    other = crosswheel.folder.with_name("other")
    other.mkdir()
    started = [
        subprocess.Popen(
            [crosswheel.command, "build", "stamped", "--as-of", "2024-12-31"],
            cwd=folder, env=crosswheel.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for folder in (crosswheel.folder, crosswheel.folder, other)
    ]  # fmt: skip
    for command in started:
        output, _ = command.communicate(timeout=300)
        assert command.returncode == 0, output
    assert len({path.read_bytes() for path in crosswheel.cache.glob("made/*/stamped*.whl")}) == 1
    for folder in (crosswheel.folder, other):
        again = crosswheel.run("build", "stamped", "--as-of", "2024-12-31")
        assert again.returncode == 0, again.output
        shutil.rmtree(folder / "index")
    assert len({path.read_bytes() for path in crosswheel.folder.parent.glob("*/dist/stamped/1.0/*.whl")}) == 1


def test_where_there_is_no_sandbox_it_is_said_once_and_proven_and_what_was_built_is_not_taken_for_another(
    crosswheel: CommandLine,
) -> None:
    for name in ("second", "third"):
        crosswheel.offer_sdist(projects.c_project(name), name=name)
    shutil.rmtree(crosswheel.folder / "dist", ignore_errors=True)
    words = ("build", "second", "third", "pure", "--as-of", "2024-12-31")
    opened = crosswheel.run(*words, "--sandbox", "none")
    assert opened.returncode == 0, opened.output
    assert opened.words.count("run without a sandbox") == 1
    assert set(sandboxes(crosswheel).values()) == {"none"}
    page = (crosswheel.folder / "index/project/second.html").read_text()
    assert "all rights of the user" in page
    closed = crosswheel.run(*words)
    assert "2 built" in closed.output, closed.output
    assert "without a sandbox" not in closed.words
    assert set(sandboxes(crosswheel).values()) <= {"namespaces", "landlock"}


def sandboxes(crosswheel: CommandLine) -> dict[str, str | None]:
    proofs = [json.loads(path.read_text()) for path in crosswheel.folder.glob("dist/*/*/*.proof.json")]
    return {proof["wheel"].partition("-")[0]: proof["sandbox"] for proof in proofs}


CRATE = """
#[no_mangle]
pub extern "C" fn full(size: usize) -> usize {
    let mut held = arrayvec::ArrayVec::<usize, 2>::new();  // what panics in it names its file
    for number in 0..size { held.push(number); }
    held.len()
}
"""


def test_a_wheel_has_the_same_bytes_wherever_the_cache_lies_and_whatever_the_umask_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rust = {path: text for path, text in projects.rust_project().items() if path != "Cargo.lock"}
    (manifest,) = (name for name in rust if name.endswith("Cargo.toml"))
    (source,) = (name for name in rust if name.endswith("lib.rs"))
    rust |= {manifest: rust[manifest] + '[dependencies]\narrayvec = "=0.7.4"\n', source: rust[source] + CRATE}
    c = {
        **projects.c_project(),
        "demo.c": "const char *place(void) { return __FILE__; }\n" + projects.C_SOURCE,
    }
    made = []
    for name, umask in (("one", 0o022), ("another-folder", 0o077)):
        monkeypatch.setenv("CROSSWHEEL_CACHE", str(warm_cache(tmp_path / name / "cache")))
        before = os.umask(umask)
        try:
            crossing = crossing_for(tmp_path / name)
            wheels = [
                crossing.in_folder(tmp_path / name / kind).build(files)
                for kind, files in (("r", rust), ("c", c))
            ]
        finally:
            os.umask(before)
        assert [traces(wheel, [tmp_path]) for wheel in wheels] == [{}, {}]
        made.append([wheel.read_bytes() for wheel in wheels])
    assert made[0] == made[1]


def test_a_byte_that_changes_in_a_tool_is_refused_by_name_and_the_tool_made_anew_when_it_was_removed(
    crosswheel: CommandLine,
) -> None:
    own = crosswheel.cache / "python"
    pythons, words = own.resolve(), ("build", "pure", "--as-of", "2024-12-31")
    own.unlink()  # a link to the user's, which stay as they are
    own.mkdir()
    # What other tests make there meanwhile is in folders whose names begin with a dot; so do lists of files.
    for path in [*pythons.glob("[!.]*"), *pythons.glob(".*.files.json")]:
        if path.is_dir():
            shutil.copytree(path, own / path.name, symlinks=True)
        else:
            shutil.copy2(path, own)
    first = crosswheel.run(*words)
    assert first.returncode == 0, first.output
    (module,) = own.glob("*-host/org/*/*/linux-x86_64/lib/python3.10/json/decoder.py")
    flip(module)
    before = contents(crosswheel.folder / "dist")
    refused = crosswheel.run(*words)
    assert refused.returncode == 2, refused.output
    assert f"{module} was changed" in refused.words
    assert "crosswheel cache verify --remove" in refused.words
    assert contents(crosswheel.folder / "dist") == before
    assert f"{module} was changed" in crosswheel.run("cache", "verify", "--remove").words
    assert not module.exists()
    assert crosswheel.run("cache", "verify").returncode == 0
