from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.metadata import parse_email
from packaging.version import Version
from pypi_simple import ProjectPage

from crosswheel.errors import IntegrityError, UsageError
from crosswheel.index.entry import entry_of
from crosswheel.index.scan import scan
from crosswheel.index.site import write_site
from crosswheel.publish import open_store, publish
from support.sites import add_wheel, prove, tree
from support.wheels import make_wheel


def html_page(site: Path, name: str) -> ProjectPage:
    return ProjectPage.from_html(name, (site / "simple" / name / "index.html").read_text())


def json_page(site: Path, name: str) -> ProjectPage:
    return ProjectPage.from_json_data(json.loads((site / "simple" / name / "index.json").read_text()))


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return tmp_path / "dist"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "index"


def test_both_forms_of_a_page_say_what_is_in_the_wheel(dist: Path, site: Path) -> None:
    wheel = add_wheel(dist, "Ruamel.Yaml-clib", "0.2", requires_python=">=3.9,<4")
    write_site(dist, site)
    for page in (html_page(site, "ruamel-yaml-clib"), json_page(site, "ruamel-yaml-clib")):
        (package,) = page.packages
        assert package.filename == wheel.name
        assert package.digests == {"sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}
        assert package.requires_python == ">=3.9,<4"
        metadata = (site / "simple/ruamel-yaml-clib" / f"{wheel.name}.metadata").read_bytes()
        assert package.metadata_digests == {"sha256": hashlib.sha256(metadata).hexdigest()}
        assert page.repository_version == "1.1"
    package = json_page(site, "ruamel-yaml-clib").packages[0]
    assert package.size == wheel.stat().st_size
    assert package.upload_time is not None
    assert package.upload_time.timestamp() == int(wheel.stat().st_mtime)


def test_the_metadata_attribute_has_only_the_name_that_old_pips_pass_over(dist: Path, site: Path) -> None:
    add_wheel(dist, "a", "1")
    write_site(dist, site)
    for page in ("index.html", "index.json"):
        text = (site / "simple/a" / page).read_text()
        assert "core-metadata" in text
        assert "dist-info-metadata" not in text


def test_versions_are_listed_in_their_order(dist: Path, site: Path) -> None:
    for version in ("1.10", "1.9", "1.9rc1"):
        add_wheel(dist, "a", version)
    write_site(dist, site)
    assert json_page(site, "a").versions == ["1.9rc1", "1.9", "1.10"]
    listed = [Version(package.version or "") for package in html_page(site, "a").packages]
    assert listed == sorted(listed)


def test_a_yanked_wheel_is_marked_even_without_a_reason(dist: Path, site: Path) -> None:
    for version, reason in (("1", "breaks <all>"), ("2", "")):
        wheel = add_wheel(dist, "a", version)
        wheel.with_name(f"{wheel.name}.yanked").write_text(reason)
    add_wheel(dist, "a", "3")
    write_site(dist, site)
    for page in (html_page(site, "a"), json_page(site, "a")):
        assert [package.is_yanked for package in page.packages] == [True, True, False]
        assert page.packages[0].yanked_reason == "breaks <all>"


def test_links_are_relative_unless_a_root_url_is_given(dist: Path, site: Path) -> None:
    wheel = add_wheel(dist, "a", "1+local.2")
    write_site(dist, site)
    page = (site / "simple/a/index.html").read_text()
    assert f'href="{wheel.name.replace("+", "%2B")}#sha256=' in page
    write_site(dist, site, root_url="https://robots.example/lab/")
    url = "https://robots.example/lab/simple/a/" + wheel.name.replace("+", "%2B")
    assert json_page(site, "a").packages[0].url == url
    assert html_page(site, "a").packages[0].url.partition("#")[0] == url
    assert "https://robots.example/lab/simple/a/" in (site / "simple/index.html").read_text()


def test_a_wheel_that_vanished_from_dist_vanishes_from_the_site(dist: Path, site: Path) -> None:
    add_wheel(dist, "a", "1")
    gone = add_wheel(dist, "a", "2")
    alone = add_wheel(dist, "b", "1")
    prove(alone)
    write_site(dist, site)
    gone.unlink()
    alone.unlink()
    write_site(dist, site)
    assert not [file for file in tree(site) if "a-2" in file or "/b" in file]
    assert not (site / "simple/b").exists()
    assert "a-2" not in (site / "simple/a/index.html").read_text()


FOREIGN = (
    "CNAME",
    "project/own.html",
    "simple/a/a-0-py3-none-any.whl",
    "simple/a/index.html.orig",
    "simple/gone/notes.txt",
    "simple/own/index.html",
    "simple/own/own-1-py3-none-any.whl",
)


def test_files_that_no_index_wrote_are_left_alone(dist: Path, site: Path) -> None:
    add_wheel(dist, "a", "1")
    gone = add_wheel(dist, "gone", "1")
    write_site(dist, site)
    for path in FOREIGN:
        (site / path).parent.mkdir(exist_ok=True)
        (site / path).write_text("mine")
    gone.unlink()
    add_wheel(dist, "a", "2")
    write_site(dist, site)
    assert {(site / path).read_text() for path in FOREIGN} == {"mine"}
    assert not [file for file in tree(site) if "gone-1" in file or file == "project/gone.html"]
    assert write_site(dist, site).changed == 0


def test_an_index_of_another_version_of_crosswheel_is_brought_up_to_date_and_loses_nothing_else(
    dist: Path, site: Path
) -> None:
    for name in ("a", "b"):
        prove(add_wheel(dist, name, "1"), log="log")
    (dist.parent / "build").mkdir()
    (dist.parent / "build/log").write_text("log")
    write_site(dist, site, build=dist.parent / "build")
    first, *lines = (site / ".crosswheel.json").read_text().splitlines()
    said = {**json.loads(first), "reader": "another", "new": {"in": "that version"}}
    (site / ".crosswheel.json").write_text("\n".join([json.dumps(said), *lines]))
    (site / "simple/b/b-0-py3-none-any.whl").write_text("mine")
    shutil.rmtree(dist / "b")
    write_site(dist, site)
    assert [file for file in tree(site) if "/b" in file] == ["simple/b/b-0-py3-none-any.whl"]
    (site / ".crosswheel.json").write_text("not understood")
    shutil.rmtree(dist / "a")
    assert write_site(dist, site).projects == 0
    assert (site / "simple/a/a-1-py3-none-any.whl").is_file(), (
        "nothing tells any more that it was the index's"
    )


@pytest.mark.parametrize("file", ["index.html", "simple/a/a-1-py3-none-any.whl", "notes.txt"])
def test_a_folder_with_something_else_in_it_is_refused_and_left_as_it_is(
    dist: Path, site: Path, file: str
) -> None:
    add_wheel(dist, "b", "1")
    (site / file).parent.mkdir(parents=True)
    (site / file).write_text("mine")
    before = list(site.rglob("*"))
    with pytest.raises(UsageError, match="that `crosswheel index` did not make"):
        write_site(dist, site)
    assert list(site.rglob("*")) == before
    assert (site / file).read_text() == "mine"


def test_a_channel_is_refused_and_left_as_it_is(dist: Path, site: Path, tmp_path: Path) -> None:
    add_wheel(dist, "a", "1")
    write_site(dist, site)
    channel = tmp_path / "channel"
    publish(site, open_store(str(channel)))
    before = tree(channel)
    with pytest.raises(UsageError, match="is a channel"):
        write_site(dist, channel)
    assert tree(channel) == before


def test_a_folder_that_has_but_hidden_files_is_taken(dist: Path, site: Path) -> None:
    add_wheel(dist, "a", "1")
    site.mkdir()
    for name in (".nojekyll", ".new", ".lock"):
        (site / name).write_text("")
    write_site(dist, site)
    assert (site / ".new").is_file()


def test_what_a_killed_index_wrote_is_known_as_its_own(
    dist: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_wheel(dist, "a", "1")
    write_site(dist, site)
    for version in ("2", "3"):
        wheel = add_wheel(dist, "a", version)
        # Two dies, and then three; each wrote its wheel, and no page.
        _die_at_rename(monkeypatch, 4)
        with pytest.raises(KeyboardInterrupt):
            write_site(dist, site)
        monkeypatch.undo()
        assert (site / "simple/a" / wheel.name).is_file()
        wheel.unlink()
    write_site(dist, site)
    assert {path.name for path in (site / "simple/a").glob("*.whl")} == {"a-1-py3-none-any.whl"}


def test_what_lies_in_a_site_names_no_folder_of_the_machine_that_made_it(dist: Path, site: Path) -> None:
    prove(add_wheel(dist, "a", "1"))
    write_site(dist, site)
    for path, data in tree(site).items():
        assert str(dist.parent).encode() not in data, path


def test_a_tree_that_moved_is_not_read_again(dist: Path, site: Path) -> None:
    prove(add_wheel(dist, "a", "1"))
    write_site(dist, site)
    dist.rename(moved := dist.with_name("moved"))
    assert write_site(moved, site).changed == 0


def test_a_site_may_be_read_by_every_user_whatever_the_umask(dist: Path, site: Path) -> None:
    before = os.umask(0o077)
    try:
        for version in ("1", "2"):
            prove(add_wheel(dist, "a", version))
            write_site(dist, site)
    finally:
        os.umask(before)
    for path in (site, *site.rglob("*")):
        if path.name != ".lock":
            assert path.stat().st_mode & 0o044 == 0o044, path
            assert path.is_file() or path.stat().st_mode & 0o011 == 0o011, path
    assert dist.stat().st_mode & 0o077 == 0, "what is not published keeps its mode"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda wheel: wheel.write_bytes(b"<html>404</html>"), id="not a zip"),
        pytest.param(lambda wheel: wheel.write_bytes(wheel.read_bytes()[:-40]), id="truncated"),
        pytest.param(lambda wheel: wheel.rename(wheel.with_name("a-3-py3-none-any.whl")), id="other version"),
        pytest.param(lambda wheel: wheel.rename(wheel.with_name("b-2-py3-none-any.whl")), id="other name"),
        pytest.param(lambda wheel: wheel.rename(wheel.with_name("a.whl")), id="no wheel's name"),
        pytest.param(
            lambda wheel: wheel.with_name(f"{wheel.name}.proof.json").write_text("{}"), id="not a proof"
        ),
    ],
)
def test_bad_input_is_named_and_the_site_stays_as_it_was(
    dist: Path, site: Path, damage: Callable[[Path], object]
) -> None:
    add_wheel(dist, "a", "1")
    write_site(dist, site)
    before = tree(site)
    wheel = add_wheel(dist, "a", "2")
    damage(wheel)
    with pytest.raises(IntegrityError) as caught:
        write_site(dist, site)
    assert str(wheel.parent) in caught.value.message
    assert tree(site) == before


def test_of_a_new_site_nothing_is_there_if_a_wheel_is_bad(dist: Path, site: Path) -> None:
    add_wheel(dist, "a", "1").write_bytes(b"")
    with pytest.raises(IntegrityError):
        write_site(dist, site)
    assert not site.exists()


def test_a_proof_of_other_bytes_proves_nothing(dist: Path, site: Path) -> None:
    wheel = add_wheel(dist, "a", "1")
    prove(wheel)
    add_wheel(dist, "a", "1", body=b"other = True\n")
    with pytest.raises(IntegrityError, match="proof of other bytes"):
        write_site(dist, site)


def test_metadata_is_that_of_the_wheel_and_not_of_a_package_inside_it(dist: Path, site: Path) -> None:
    inner = {"a/_vendor/b-9.dist-info/METADATA": b"Metadata-Version: 2.1\nName: b\nVersion: 9\n"}
    make_wheel(dist, "a", "1", inner, requires=["c"])
    add_wheel(dist, "c", "1")
    write_site(dist, site)
    assert b"Name: a\n" in (site / "simple/a/a-1-py3-none-any.whl.metadata").read_bytes()
    assert 'href="c.html"' in (site / "project/a.html").read_text()


def test_a_wheel_without_a_proof_is_checked_whole_and_one_with_its_proof_is_taken_at_its_word(
    dist: Path, site: Path
) -> None:
    wheel = make_wheel(dist, "a", "1", {"a.py": b"x = 1\n"}, instead={"a.py": b"x = 2\n"})
    with pytest.raises(IntegrityError, match=r"a\.py does not have the hash that RECORD gives"):
        write_site(dist, site)
    prove(wheel)
    assert write_site(dist, site).wheels == 1
    wheel.write_bytes(wheel.read_bytes() + b"one more byte")
    with pytest.raises(IntegrityError, match="proof of other bytes"):
        write_site(dist, site)


@pytest.mark.parametrize(
    "head",
    [
        "Name: a\nVersion: 1\nSummary: été: b\nRequires-Python: >=3.8\n\nSummary: not this\n",
        "name: A\nVERSION: 1\nsummary:  spaced  \nRequires-python:>=3.8, <4\n\n",
        "Name: a\r\nVersion: 1\r\nSummary: windows\r\n\r\nName: b\r\n",
        "Name: a\nVersion: 1\nKeywords: x\n  Summary: of a line that goes on\nDescription: long\n        Name: b\n",
        "Name: a\nVersion: 1\n",
        "Name: a\nVersion: 1\nSummary: as long\n  as it is\nRequires-Python: >=3.8,\n\t<3.13\nKeywords: x\n",
        "Name: a\r\nVersion: 1\r\nRequires-Python: >=3.8,\r\n <3.13\r\nSummary:\r\n begun late\r\n\r\n",
    ],
)
def test_what_is_read_of_metadata_is_what_the_standard_library_for_it_reads(head: str) -> None:
    raw = parse_email(head.encode())[0]
    entry = entry_of("a-1-py3-none-any.whl", 1, 1, "", head.encode())
    unfolded = {key: " ".join(value.split()) for key, value in raw.items() if isinstance(value, str)}
    assert (entry.project, entry.requires_python, entry.summary) == (
        unfolded["name"],
        unfolded.get("requires_python"),
        unfolded.get("summary", ""),
    )


def test_two_wheels_of_one_name_must_have_the_same_bytes(dist: Path, site: Path) -> None:
    first = add_wheel(dist / "x", "a", "1")
    add_wheel(dist / "y", "a", "1")
    write_site(dist, site)
    before = tree(site)
    add_wheel(dist / "y", "a", "1", body=b"different = True")
    with pytest.raises(IntegrityError) as caught:
        write_site(dist, site)
    assert str(first) in caught.value.message
    assert tree(site) == before


def test_a_missing_folder_is_explained(dist: Path, site: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        write_site(dist, site)
    assert not site.exists()


def test_an_empty_dist_gives_an_empty_index(dist: Path, site: Path) -> None:
    dist.mkdir()
    assert write_site(dist, site).projects == 0
    assert json.loads((site / "simple/index.json").read_text())["projects"] == []


def test_a_site_must_be_a_folder_of_its_own(dist: Path, tmp_path: Path) -> None:
    add_wheel(dist, "a", "1")
    (tmp_path / "file").write_text("")
    for site in (tmp_path / "file", dist, dist / "index"):
        with pytest.raises(UsageError):
            write_site(dist, site)


def test_only_what_changed_is_written(dist: Path, site: Path) -> None:
    add_wheel(dist, "a", "1")
    add_wheel(dist, "b", "1", requires=["c"])
    assert write_site(dist, site).changed == 2
    assert write_site(dist, site).changed == 0
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()}
    add_wheel(dist, "a", "2")
    assert write_site(dist, site).changed == 1
    written = {str(p.relative_to(site)) for p, time in before.items() if p.stat().st_mtime_ns != time}
    assert written == {
        *("index.html", "status.html", "project/a.html", "simple/a/index.html", "simple/a/index.json"),
        ".crosswheel.json",
    }
    add_wheel(dist, "c", "1")
    assert write_site(dist, site).changed == 2  # b's page links to c now


def test_an_index_written_again_and_again_is_the_one_written_at_once(dist: Path, site: Path) -> None:
    for version in ("1", "2"):
        prove(add_wheel(dist, "a", version))
        write_site(dist, site)
    add_wheel(dist, "b", "1", requires=["a"])
    (dist / "a/1/a-1-py3-none-any.whl.yanked").write_text("old")
    write_site(dist, site)
    write_site(dist, other := site.with_name("other"))
    assert tree(site) == tree(other)


def test_a_file_missing_from_the_site_is_put_back(dist: Path, site: Path) -> None:
    add_wheel(dist, "a", "1")
    write_site(dist, site)
    before = tree(site)
    for lost in ("simple/a/a-1-py3-none-any.whl", "project/a.html", "index.html"):
        (site / lost).unlink()
        write_site(dist, site)
        assert tree(site) == before


def test_a_write_that_dies_half_way_is_finished_by_the_next(
    dist: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_wheel(dist, "a", "1")
    write_site(dist, site)
    before = tree(site)
    moved = add_wheel(dist, "a", "2")
    for number in range(1, 40):
        _die_at_rename(monkeypatch, number)
        try:
            write_site(dist, site)
        except KeyboardInterrupt:
            monkeypatch.undo()
            _assert_consistent(site)
            # Back to what the site was made from before: what died must not pass for it.
            moved.rename(hidden := moved.with_suffix(".hidden"))
            write_site(dist, site)
            assert tree(site) == before
            hidden.rename(moved)
        else:
            monkeypatch.undo()
            assert number > 5
            return
    pytest.fail("it never ended")


def _die_at_rename(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let every file be written but the ``number``-th and all after it."""
    left = [number]
    replace = Path.replace

    def counting(path: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] <= 0:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", counting)


def _assert_consistent(site: Path) -> None:
    for page in (site / "simple").glob("*/index.html"):
        for package in ProjectPage.from_html(page.parent.name, page.read_text()).packages:
            data = (page.parent / package.filename).read_bytes()
            assert package.digests == {"sha256": hashlib.sha256(data).hexdigest()}


def test_two_at_once_make_the_index_that_one_makes(dist: Path, site: Path) -> None:
    for number in range(20):
        prove(add_wheel(dist, f"a{number}", "1", requires=["a0"]))
    write_site(dist, site.with_name("by-one"))
    program = (
        "import sys, pathlib, crosswheel.index.site as i; i.write_site(*map(pathlib.Path, sys.argv[1:]))"
    )
    words = [sys.executable, "-c", program, str(dist), str(site)]
    several = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[1] for process in several] == [""] * 4
    assert tree(site) == tree(site.with_name("by-one"))


def test_who_waits_for_another_says_so_and_misses_nothing_of_what_that_one_added(
    dist: Path, site: Path
) -> None:
    add_wheel(dist, "a", "1")
    before = scan(dist)
    program = (
        "import sys, pathlib, crosswheel.files as f\n"
        "with f.exclusive(pathlib.Path(sys.argv[1]), waiting=sys.exit):\n"
        "    print(flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", program, str(site)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        told: list[str] = []

        def tell(text: str) -> None:
            told.append(text)
            add_wheel(dist, "b", "1")
            other.communicate()  # now it ends

        assert write_site(dist, site, scanned=lambda: before, tell=tell).wheels == 2
    assert told == [f"another process makes the index in {site}; waiting for it"]
    write_site(dist, site, tell=told.append)
    assert len(told) == 1


def test_many_wheels_are_read_and_written_by_several_processes_alike(
    dist: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        add_wheel(dist, f"a{number}", "1")
    write_site(dist, site)
    monkeypatch.setattr("crosswheel.index.site._FEW_WHEELS", 1)
    write_site(dist, other := site.with_name("other"))
    assert tree(site) == tree(other)
    damaged = add_wheel(dist, "b", "1")
    damaged.write_bytes(b"")
    os.utime(dist / "a0/1/a0-1-py3-none-any.whl", (1, 1))  # two to be read, so by processes
    with pytest.raises(IntegrityError, match="b-1"):
        write_site(dist, other)
