"""Locks are kept current: what is newer or withdrawn is told, and an update changes what was asked for, or nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command_line import CommandLine, command_line
from support.wheels import make_wheel

EARLIER, LATER = "2024-01-01T00:00:00Z", "2025-03-01T00:00:00Z"


@pytest.fixture
def crosswheel(tmp_path: Path) -> Iterator[CommandLine]:
    """A root with two dependencies, locked as of a day; both have newer releases since."""
    with command_line(tmp_path) as line:
        offer(line, "demo", "1.0", requires=["beta", "alpha"])
        for name in ("alpha", "beta"):
            offer(line, name, "1.0")
            offer(line, name, "2.0", uploaded=LATER)
        offer(line, "beta", "3.0", uploaded=LATER, requires_python=">=3.12")
        line.recipe('as_of="2024-12-31"')
        done = line.run("lock")
        assert done.returncode == 0, done.output
        yield line


def offer(
    line: CommandLine, name: str, version: str, *, uploaded: str = "2024-01-01T00:00:00Z", **more: object
) -> None:
    urls = b"Metadata-Version: 2.1\nName: %b\nVersion: %b\nProject-URL: Changelog, https://host/%b\n"
    text = urls % (name.encode(), version.encode(), name.encode())
    text += b"".join(b"Requires-Dist: %b\n" % item.encode() for item in more.get("requires", ()))  # type: ignore[attr-defined]
    files = {f"{name}.py": more.get("source", b"")}
    wheel = make_wheel(line.folder / "offered", name, version, files, dist_info={"METADATA": text})  # type: ignore[arg-type]
    line.registry.add(wheel, uploaded=uploaded, requires_python=more.get("requires_python"))  # type: ignore[arg-type]


def lock(line: CommandLine) -> str:
    return (line.folder / "packages/demo/1.0/ot2.lock").read_text()


def pins(line: CommandLine) -> list[str]:
    return re.findall(r"^\S+==\S+", lock(line), re.MULTILINE)


def change_page(line: CommandLine, name: str, **changes: object) -> None:
    """Change what the registry tells of all files of a package's release 1.0."""
    page = line.registry.server.folder / "simple" / name / "index.json"
    content = json.loads(page.read_text())
    for file in content["files"]:
        if "-1.0-" in file["filename"]:
            file.update(changes)
    page.write_text(json.dumps(content))


def test_what_is_newer_and_fits_and_what_was_withdrawn_or_changed_is_told(crosswheel: CommandLine) -> None:
    done = crosswheel.run("outdated")
    assert done.returncode == 0, done.output
    assert "alpha 1.0 2.0 demo 1.0" in done.words
    assert "beta 1.0 2.0 demo 1.0" in done.words  # 3.0 is for a newer Python
    change_page(crosswheel, "alpha", yanked="it burns")
    change_page(crosswheel, "beta", hashes={"sha256": "0" * 64})
    done = crosswheel.run("outdated")
    assert done.returncode == 1
    assert "withdrawn by its publisher: it burns" in done.words
    assert "the registry has other files of it than were locked" in done.words


def test_an_update_of_one_package_leaves_all_others_at_their_day(crosswheel: CommandLine) -> None:
    done = crosswheel.run("update", "alpha", "--to", "2025-06-01", "--report", "changes.md")
    assert done.returncode == 0, done.output
    assert pins(crosswheel) == ["alpha==2.0", "beta==1.0", "demo==1.0"]
    assert "| alpha | 1.0 | 2.0 |" in (crosswheel.folder / "changes.md").read_text()
    assert "https://host/alpha" in (crosswheel.folder / "changes.md").read_text()
    text = lock(crosswheel)
    assert "# as-of: 2024-12-31" in text
    assert "# exceptions: alpha=2025-06-01" in text
    assert crosswheel.run("lock").returncode == 0  # which keeps the exception
    assert lock(crosswheel) == text
    assert "3 found" in crosswheel.run("build").output


def test_an_update_of_all_moves_the_day_of_the_recipe(crosswheel: CommandLine) -> None:
    done = crosswheel.run("update", "--to", "2025-06-01")
    assert done.returncode == 0, done.output
    assert pins(crosswheel) == ["alpha==2.0", "beta==2.0", "demo==1.0"]
    assert 'as_of="2025-06-01"' in (crosswheel.folder / "packages/demo/1.0/build.py").read_text()
    assert crosswheel.run("build").returncode == 0


def test_an_update_that_fails_names_the_package_and_leaves_everything_as_it_was(
    crosswheel: CommandLine,
) -> None:
    offer(crosswheel, "alpha", "2.5", uploaded=LATER, source=b"raise RuntimeError('not on this machine')\n")
    before = {
        path: path.read_bytes() for path in (crosswheel.folder / "packages").rglob("*") if path.is_file()
    }
    crosswheel.run("update", "alpha", "--to", "2025-06-01").explains(
        1, "stopped at alpha", "not on this machine"
    )
    after = {
        path: path.read_bytes() for path in (crosswheel.folder / "packages").rglob("*") if path.is_file()
    }
    assert after == before
    crosswheel.run("update", "nosuch").explains(2, "no lock for ot2 has nosuch")


def test_the_newest_day_that_works_is_found_and_written_down_with_the_reason(tmp_path: Path) -> None:
    """A release since which nothing starts: found by bisection, although each package alone can be imported."""
    program = b"def main():\n    import alpha\n    print(alpha.name)\n"
    points = {"entry_points.txt": b"[console_scripts]\ntool = tool:main\n"}
    with command_line(tmp_path) as line:
        wheel = make_wheel(
            line.folder / "w", "tool", "1.0", {"tool.py": program}, requires=["alpha"], dist_info=points
        )
        line.registry.add(wheel, uploaded="2024-01-01T00:00:00Z")
        for version, day, source in (
            ("1.0", "2023-06-01", b"name = 1\n"),
            ("2.0", "2024-05-05", b"names = 1\n"),
        ):
            offer(line, "alpha", version, uploaded=f"{day}T12:00:00Z", source=source)
        done = line.run("add", "tool", "--find-day")
        assert done.returncode == 0, done.output
        text = (line.folder / "packages/tool/1.0/ot2.lock").read_text()
        assert "alpha==1.0" in text
        assert "# as-of: 2024-05-04" in text
        assert "# newer-fails: 2024-05-05: tool==1.0 does not start: AttributeError" in text
        assert line.run("lock").returncode == 0
        assert (line.folder / "packages/tool/1.0/ot2.lock").read_text() == text


MIDDLE, LAST = "2025-01-15T00:00:00Z", "2025-05-01T00:00:00Z"


def advise(line: CommandLine, **mended: str | None) -> str:
    """Write made-up advisories, each of all releases of a package until one mends it; return where they are."""
    records = []
    for name, version in mended.items():
        events = [{"introduced": "0"}, *([{"fixed": version}] if version else [])]
        package = {"ecosystem": "PyPI", "name": name}
        affected = [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]
        records.append({"id": f"PYSEC-{name}", "modified": "2999-01-01T00:00:00Z", "affected": affected})
    (line.folder / "advisories.json").write_text(json.dumps(records))
    return "advisories.json"


def committed(line: CommandLine) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (line.folder / "packages").rglob("*") if path.is_file()}


def test_an_update_for_security_changes_the_one_pin_that_an_advisory_affects(crosswheel: CommandLine) -> None:
    offer(crosswheel, "alpha", "1.5", uploaded=MIDDLE)  # newer, and affected as well
    offer(crosswheel, "alpha", "3.0", uploaded=LAST)  # newer than what mends it
    advisories = advise(crosswheel, alpha="2.0")
    done = crosswheel.run("outdated", "--advisories", advisories)
    assert done.returncode == 1, done.output
    assert "alpha 1.0 3.0 demo 1.0 PYSEC-alpha" in done.words
    words = ("update", "--security", "--to", "2025-06-01", "--advisories", advisories)
    assert "nothing changed" in crosswheel.run(*words, "beta").words  # which is not affected
    done = crosswheel.run(*words, "--report", "changes.md")
    assert done.returncode == 0, done.output
    assert pins(crosswheel) == ["alpha==2.0", "beta==1.0", "demo==1.0"]
    text = lock(crosswheel)
    assert "# as-of: 2024-12-31" in text
    assert "# exceptions: alpha=2025-03-01" in text
    assert "| alpha | 1.0 | 2.0 |" in (crosswheel.folder / "changes.md").read_text()
    assert crosswheel.run("lock").returncode == 0  # which resolves to the same
    assert lock(crosswheel) == text
    before = committed(crosswheel)
    done = crosswheel.run(*words)
    assert done.returncode == 0, done.output
    assert "nothing changed" in done.words
    assert committed(crosswheel) == before


def test_what_no_release_mends_is_named_and_what_one_does_is_mended(crosswheel: CommandLine) -> None:
    before = committed(crosswheel)
    words = ("update", "--security", "--to", "2025-06-01", "--advisories")
    done = crosswheel.run(*words, advise(crosswheel, beta="3.0", demo="9.0"), "--report", "changes.md")
    assert done.returncode == 1, done.output
    assert "no release mends beta==1.0: PYSEC-beta: no newer release that fits" in done.words
    assert "no release mends demo==1.0: PYSEC-demo: it is what the lock is for" in done.words
    assert "no release mends beta==1.0" in (crosswheel.folder / "changes.md").read_text()
    assert committed(crosswheel) == before
    # What mends the one does not go with what mends the other: the first stays mended.
    offer(crosswheel, "alpha", "2.5", uploaded=LAST, requires=["beta<2"])
    done = crosswheel.run(*words, advise(crosswheel, alpha="2.5", beta="2.0"))
    assert done.returncode == 1, done.output
    reason = "what else is locked does not go with the releases that are not affected: 2.0"
    assert f"no release mends beta==1.0: PYSEC-beta: {reason}" in done.words
    assert pins(crosswheel) == ["alpha==2.5", "beta==1.0", "demo==1.0"]


def test_what_a_mended_release_needs_newer_is_renewed_with_it(crosswheel: CommandLine) -> None:
    offer(crosswheel, "alpha", "2.5", uploaded=LAST, requires=["beta>=2"])
    done = crosswheel.run(
        "update", "--security", "--to", "2025-06-01", "--advisories", advise(crosswheel, alpha="2.5")
    )
    assert done.returncode == 0, done.output
    assert pins(crosswheel) == ["alpha==2.5", "beta==2.0", "demo==1.0"]
    text = lock(crosswheel)
    assert crosswheel.run("lock").returncode == 0
    assert lock(crosswheel) == text


def test_an_update_for_security_that_fails_leaves_everything_as_it_was(crosswheel: CommandLine) -> None:
    offer(crosswheel, "alpha", "2.5", uploaded=LAST, source=b"raise RuntimeError('not on this machine')\n")
    before = committed(crosswheel)
    advisories = advise(crosswheel, alpha="2.5")
    words = ("update", "--security", "--to", "2025-06-01")
    crosswheel.run(*words, "--advisories", advisories).explains(1, "stopped at alpha")
    assert committed(crosswheel) == before
    crosswheel.run(*words).explains(2, "nothing to look for vulnerabilities in")
    crosswheel.run(*words, "--advisories", "nosuch.zip").explains(2, "there is no database nosuch.zip")
    assert committed(crosswheel) == before


def test_an_update_for_security_leaves_all_others_in_a_lock_without_a_day(crosswheel: CommandLine) -> None:
    crosswheel.recipe('requirements=["demo==1.0"]')
    assert crosswheel.run("lock").returncode == 0
    assert pins(crosswheel) == ["alpha==2.0", "beta==2.0", "demo==1.0"]
    for name in ("alpha", "beta"):
        offer(crosswheel, name, "2.5", uploaded=LAST)
    done = crosswheel.run("update", "--security", "--advisories", advise(crosswheel, alpha="2.1"))
    assert done.returncode == 0, done.output
    assert pins(crosswheel) == ["alpha==2.5", "beta==2.0", "demo==1.0"]
    assert "# exceptions" not in lock(crosswheel)
