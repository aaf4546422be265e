"""Locks are kept current: what is newer or withdrawn is told, and an update changes what was asked for, or nothing."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.command_line import CommandLine, Done, command_line
from support.projects import own_project, pure_project
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


def test_a_source_and_a_release_that_vanished_are_told(crosswheel: CommandLine) -> None:
    crosswheel.offer_sdist(pure_project("alpha"), "alpha", "1.0")
    assert crosswheel.run("lock").returncode == 0
    page = crosswheel.registry.server.folder / "simple/alpha/index.json"
    content = json.loads(page.read_text())
    content["files"] = [file for file in content["files"] if not file["filename"].endswith("-1.0.tar.gz")]
    page.write_text(json.dumps(content))
    assert "no longer has 1 file of it that it had when locked" in crosswheel.run("outdated").words
    content["files"] = [file for file in content["files"] if "-1.0-" not in file["filename"]]
    page.write_text(json.dumps(content))
    gone = crosswheel.run("outdated")
    assert (gone.returncode, "the registry has no release 1.0 of alpha" in gone.words) == (1, True), (
        gone.output
    )


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


def test_an_update_tells_of_a_newer_release_that_needs_another_python(crosswheel: CommandLine) -> None:
    offer(crosswheel, "beta", "4.0", uploaded="2025-06-02T00:00:00Z", requires_python=">=3.13")
    done = crosswheel.run("update", "beta", "--to", "2025-06-01", "--report", "changes.md")
    assert done.returncode == 0, done.output
    assert pins(crosswheel) == ["alpha==1.0", "beta==2.0", "demo==1.0"]
    told = "beta 3.0 needs Python >=3.12, and there it is 3.10.8; a target may bring another Python along"
    assert told in done.words
    assert told in (crosswheel.folder / "changes.md").read_text()
    assert "needs Python" not in crosswheel.run("update", "alpha", "--to", "2025-06-01").words


PROGRAM = b"def main():\n    import alpha\n    print(alpha.name)\n"
HERE = f"cp310-cp310-manylinux_2_17_{os.uname().machine}"
TODAY = datetime.datetime.now(datetime.timezone.utc).date()
# Not long ago: each halving of the time since takes seconds.
RELEASED, MIDDLE_DAY, BEFORE, SINCE = (
    str(TODAY - datetime.timedelta(days=days)) for days in (29, 20, 13, 12)
)


@pytest.fixture
def finding(tmp_path: Path) -> Iterator[CommandLine]:
    """A program that no longer starts with what alpha is since a day, although that can be imported."""
    with command_line(tmp_path) as line:
        offer_tool(line, requires=["alpha"])
        offer(line, "alpha", "1.0", uploaded="2023-06-01T12:00:00Z", source=b"name = 1\n")
        offer(line, "alpha", "2.0", uploaded=f"{SINCE}T12:00:00Z", source=b"names = 1\n")
        yield line


def offer_tool(line: CommandLine, requires: Sequence[str], version: str = "1.0") -> None:
    points = {"entry_points.txt": b"[console_scripts]\ntool = tool:main\n"}
    files = {"tool.py": PROGRAM}
    wheel = make_wheel(line.folder / "w", "tool", version, files, requires=requires, dist_info=points)
    line.registry.add(wheel, uploaded=f"{RELEASED}T00:00:00Z")


def tool_lock(line: CommandLine) -> str:
    return (line.folder / "packages/tool/1.0/ot2.lock").read_text()


def told(done: Done, how: str) -> list[str]:
    """Return what was told of each day that was tried on this machine, or proven."""
    return re.findall(rf"^As of (\S+), {how}.*, it (?:works|fails).*$", done.output, re.MULTILINE)


def test_the_newest_day_that_works_is_found_and_written_down_with_the_reason(finding: CommandLine) -> None:
    done = finding.run("add", "tool", "--find-day")
    assert done.returncode == 0, done.output
    text = tool_lock(finding)
    assert "alpha==1.0" in text
    assert f"# as-of: {BEFORE}" in text
    assert f"# newer-fails: {SINCE}: tool==1.0 does not start: AttributeError" in text
    assert "; new then: alpha 2.0" in text
    assert 2 < len(told(done, "tried")) <= 2 + (30).bit_length()
    assert told(done, "proven") == [BEFORE, SINCE]
    assert re.search(
        r"^As of \S+, tried on this machine, it fails: .*AttributeError.* s\)", done.output, re.MULTILINE
    )
    assert finding.run("lock").returncode == 0
    assert tool_lock(finding) == text
    # What fails is newer, so that an index with it would be of no use.
    assert sorted(path.name[:9] for path in (finding.folder / "dist").rglob("*.whl")) == [
        "alpha-1.0",
        "tool-1.0-",
    ]


def test_what_is_built_for_one_day_is_found_for_the_next_and_for_the_lock(finding: CommandLine) -> None:
    offer_tool(finding, ["alpha", "gamma"], "1.1")
    finding.offer_sdist(own_project("gamma"), "gamma", "1.0")
    finding.offer_wheel("gamma", files={"gamma.py": b""}, tag=HERE)
    done = finding.run("add", "tool==1.1", "--find-day")
    assert done.returncode == 0, done.output
    assert told(done, "proven") == [BEFORE, SINCE]
    assert len(re.findall(r"gamma 1\.0 +building", done.output)) == 1, done.output
    assert len(re.findall(r"gamma 1\.0 +found ", done.output)) == 2, done.output


def test_what_works_here_and_fails_on_the_target_is_no_day_that_works(finding: CommandLine) -> None:
    source = b"import platform\nname = 1\nassert platform.machine() != 'armv7l'\n"
    offer(finding, "alpha", "1.5", uploaded=f"{MIDDLE_DAY}T12:00:00Z", source=source)
    done = finding.run("add", "tool", "--find-day")
    assert done.returncode == 0, done.output
    assert f"# newer-fails: {MIDDLE_DAY}: alpha 1.5: " in tool_lock(finding)
    assert "alpha==1.0" in tool_lock(finding)
    assert "AssertionError" in tool_lock(finding)
    assert told(done, "proven")[0] == BEFORE


def test_a_day_whose_files_cannot_be_had_is_no_day_that_fails(finding: CommandLine) -> None:
    (finding.registry.server.folder / "simple/alpha/alpha-2.0-py3-none-any.whl").unlink()
    finding.run("add", "tool", "--find-day").explains(2, "alpha-2.0")
    assert not (finding.folder / "packages/tool").exists()


def test_the_day_that_is_found_is_written_into_the_recipe(finding: CommandLine) -> None:
    recipe = finding.recipe(f'as_of="{RELEASED}"', place="tool/1.0")
    done = finding.run("add", "tool==1.0", "--find-day")
    assert done.returncode == 0, done.output
    assert "on-host" in (finding.folder / "build/tool/1.0/build.log").read_text()
    assert f'as_of="{BEFORE}"' in recipe.read_text()
    assert "alpha==1.0" in tool_lock(finding)
    assert finding.run("build").returncode == 0
    # Once more, what was seen here is in the cache: nothing is started on this machine again.
    shutil.rmtree(finding.folder / "build")
    again = finding.run("add", "tool==1.0", "--find-day")
    assert (again.returncode, told(again, "tried")) == (0, told(done, "tried")), again.output
    assert "on-host" not in (finding.folder / "build/tool/1.0/build.log").read_text()


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
    assert "is not affected; beta 3.0 needs Python >=3.12, and there it is 3.10.8" in done.words
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


def git(line: CommandLine, *words: str) -> str:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *words], cwd=line.folder, check=True, capture_output=True, text=True)
    return done.stdout


def repository(line: CommandLine) -> dict[str, str]:
    """Make a repository of the folder of recipes; return who commits, for the command."""
    git(line, "init", "--quiet")
    git(line, "add", "packages")
    git(line, "commit", "--quiet", "--message", "recipes")
    names = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")
    return dict.fromkeys(names, "me@example.org")


def test_an_update_becomes_a_branch_and_what_is_checked_out_stays_as_it_was(crosswheel: CommandLine) -> None:
    who = repository(crosswheel)
    before = lock(crosswheel)
    words = ("update", "alpha", "--to", "2025-06-01", "--branch", "updates/june")
    done = crosswheel.run(*words, **who)
    assert done.returncode == 0, done.output
    assert (lock(crosswheel), git(crosswheel, "status", "--porcelain", "packages")) == (before, "")
    message = git(crosswheel, "log", "-1", "--format=%B", "updates/june")
    assert message.startswith("Renew locks: alpha 2.0\n\n")
    assert "| alpha | 1.0 | 2.0 |" in message
    assert git(crosswheel, "diff", "--name-only", "main", "updates/june").split() == [
        "packages/demo/1.0/ot2.lock"
    ]
    crosswheel.run(*words, **who).explains(2, "there is a branch updates/june already")
    done = crosswheel.run("update", "alpha", "--to", "2025-06-01", "--commit", **who)
    assert done.returncode == 0, done.output
    assert git(crosswheel, "diff", "--name-only", "main", "updates/june") == ""
    assert git(crosswheel, "rev-list", "--count", "main") == "2\n"
    again = crosswheel.run("update", "alpha", "--to", "2025-06-01", "--commit", **who)
    assert "Nothing changed, and nothing was committed" in again.words


def test_an_update_that_fails_makes_no_commit_and_one_of_a_changed_folder_does_not_begin(
    crosswheel: CommandLine,
) -> None:
    who = repository(crosswheel)
    offer(crosswheel, "alpha", "2.5", uploaded=LATER, source=b"raise RuntimeError('not on this machine')\n")
    failed = crosswheel.run("update", "--to", "2025-06-01", "--branch", "new", **who)
    failed.explains(1, "stopped at alpha")
    assert git(crosswheel, "branch", "--format=%(refname:short)") == "main\n"
    assert git(crosswheel, "status", "--porcelain", "packages") == ""
    recipe = crosswheel.folder / "packages/demo/1.0/build.py"
    recipe.write_text(recipe.read_text() + "\n")
    crosswheel.run("update", "--commit").explains(2, "has changes that are in no commit", "demo/1.0/build.py")
    crosswheel.run("update", "--commit", "--branch", "x").explains(2, "--branch for a new one")


GH = """#!/bin/sh
echo "$@" >> "$GH_TOLD"
if [ "$2" = list ]; then cat "$GH_OPEN"; fi
"""


def test_the_weekly_update_pushes_its_branch_and_opens_one_pull_request_with_the_table(
    crosswheel: CommandLine,
) -> None:
    who = repository(crosswheel)
    git(crosswheel, "init", "--quiet", "--bare", "remote.git")
    git(crosswheel, "remote", "add", "origin", str(crosswheel.folder / "remote.git"))
    programs = crosswheel.folder / "programs"
    programs.mkdir()
    (programs / "gh").write_text(GH)
    (programs / "gh").chmod(0o755)
    (crosswheel.folder / "open").write_text("")
    variables = crosswheel.environment(
        **who,
        PATH=f"{programs}:{os.environ['PATH']}",
        GH_TOLD=str(crosswheel.folder / "told"),
        GH_OPEN=str(crosswheel.folder / "open"),
        GITHUB_STEP_SUMMARY=str(crosswheel.folder / "summary.md"),
    )

    def updates(*words: str) -> str:
        script = Path(__file__).parents[2] / "scripts/updates"
        done = subprocess.run(
            [script, *words], cwd=crosswheel.folder, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "nothing to propose" in updates("propose", "changes.md")
    updates("renew", "changes.md", "alpha", "--to", "2025-06-01")
    updates("propose", "changes.md")
    assert "| alpha | 1.0 | 2.0 |" in (crosswheel.folder / "summary.md").read_text()
    assert git(crosswheel, "ls-remote", "origin").split()[1:] == ["refs/heads/crosswheel-updates"]
    told = (crosswheel.folder / "told").read_text()
    assert "pr create --head crosswheel-updates --title Renew locks: alpha 2.0 --body-file changes.md" in told
    (crosswheel.folder / "open").write_text("7\n")
    updates("propose", "changes.md")
    assert "pr edit 7 --title Renew locks: alpha 2.0" in (crosswheel.folder / "told").read_text()
    # The next week, in the same repository, with what is newer since.
    updates("renew", "changes.md", "beta", "--to", "2025-06-01")
    updates("propose", "changes.md")
    assert git(crosswheel, "ls-remote", "origin").split()[1:] == ["refs/heads/crosswheel-updates"]
    assert git(crosswheel, "log", "-1", "--format=%s", "crosswheel-updates").startswith(
        "Renew locks: beta 2.0"
    )
