"""Several targets in one index: none is ever given another's bytes, and what was published stays where it is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from pypi_simple import ProjectPage

from crosswheel import targets
from crosswheel.errors import IntegrityError
from crosswheel.index.rendering import known_targets
from crosswheel.index.site import write_site
from crosswheel.publish import open_store, publish
from crosswheel.stores.store import Store
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.proof import MachineRun, Proof
from support.site_server import serving
from support.sites import add_wheel, prove, tree

TAG = "cp36-abi3-linux_armv7l"
NAME = f"demo-1-{TAG}.whl"
Read = Callable[[str], bytes]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return tmp_path / "dist"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "channel"))


def offer(dist: Path, target: str, body: bytes, *, version: str = "1") -> Path:
    """Put a wheel into a tree as a build for a target does."""
    made = add_wheel(dist.parent / "made" / target, "demo", version, tag=TAG, body=body)
    proof = Proof.read(prove(made, target))
    assert proof is not None
    return Dist(dist).put(made, proof, dist / "demo" / version)


def offered(read: Read, root: str = "") -> dict[str, bytes]:
    """Return what an index has of a project: file names with the bytes that its links lead to, in both of its forms."""
    base = f"https://lab.example/{root}simple/demo/"
    folder = f"{root}simple/demo"
    html = ProjectPage.from_html("demo", read(f"{folder}/index.html").decode(), base)
    as_json = ProjectPage.from_json_data(json.loads(read(f"{folder}/index.json")), base)
    found = {}
    for file in html.packages:
        data = read(urlsplit(urljoin(base, file.url)).path[1:])
        assert file.digests == {"sha256": hashlib.sha256(data).hexdigest()}
        assert read(urlsplit(urljoin(base, file.url)).path[1:] + ".metadata")
        found[file.filename] = data
    assert [(f.filename, f.url) for f in html.packages] == [(f.filename, f.url) for f in as_json.packages]
    return found


def in_folder(folder: Path) -> Read:
    return lambda path: (folder / path).read_bytes()


def in_store(store: Store) -> Read:
    return lambda path: store.read(path) or b""


def test_each_target_has_an_index_of_its_own_and_the_merged_one_leaves_out_what_collides(
    dist: Path, site: Path
) -> None:
    wheels = {target: offer(dist, target, target.encode()) for target in ("ot2", "debian-armhf")}
    summary = write_site(dist, site)
    for target, wheel in wheels.items():
        assert offered(in_folder(site), f"{target}/") == {NAME: wheel.read_bytes()}
    assert offered(in_folder(site)) == {}
    assert f"{NAME}, as ot2 has it, is left out" in (site / "simple/demo/index.html").read_text()
    assert summary.left_out == (NAME,)
    told = " ".join(summary.sentences)
    assert "Left out of" in told
    assert f"{site}/debian-armhf/simple, {site}/ot2/simple" in told
    assert NAME in (site / "status.html").read_text()
    page = (site / "project/demo.html").read_text()
    assert page.count("targets have other bytes under this name") == 2
    for target in wheels:
        proof = page.split(f'href="../simple/demo/{target}/')[1].split('"')[0]
        assert (site / "simple/demo" / target / proof).is_file()


def test_the_index_of_a_target_has_what_was_proven_for_it_and_nothing_else(dist: Path, site: Path) -> None:
    shared = offer(dist, "ot2", b"same")
    assert offer(dist, "flex", b"same") == shared
    prove(add_wheel(dist, "other", "1"), "ot2", emulator=None)
    add_wheel(dist, "unproven", "1")
    write_site(dist, site)
    for root in ("", "ot2/", "flex/"):
        assert offered(in_folder(site), root) == {NAME: shared.read_bytes()}
    names = {
        root: json.loads((site / f"{root}simple/index.json").read_text())["projects"]
        for root in ("", "ot2/", "flex/")
    }
    assert {root: [project["name"] for project in listed] for root, listed in names.items()} == {
        "": ["demo", "other", "unproven"], "ot2/": ["demo", "other"], "flex/": ["demo"],
    }  # fmt: skip


def test_an_index_follows_when_targets_part_and_meet_again(dist: Path, site: Path, tmp_path: Path) -> None:
    for flex in (b"one", b"two", b"one", b"three"):
        offer(dist, "ot2", b"one")
        offer(dist, "flex", flex)
        write_site(dist, site)
        assert (offered(in_folder(site)) == {}) == (flex != b"one")
        assert len(offered(in_folder(site), "ot2/")) == len(offered(in_folder(site), "flex/")) == 1
        write_site(dist, tmp_path / f"anew-{flex.decode()}")
        hidden = (".crosswheel.json",)
        once, again = ({p: d for p, d in tree(folder).items() if p not in hidden}
                       for folder in (tmp_path / f"anew-{flex.decode()}", site))  # fmt: skip
        assert again == once


def test_each_target_has_a_page_of_what_it_can_take_and_how_its_wheels_were_proven(
    dist: Path, site: Path
) -> None:
    placed = offer(dist, "ot2", b"a")
    proof = Proof.read_beside(placed, "ot2")
    assert proof
    run = MachineRun(day="2026-12-01", machine="armv7l", kernel="4.14", python="3.10.8", imported=("demo",))
    ran = {"emulator": "qemu-arm", "userland": "ab" * 32, "on_machine": run}
    proof.model_copy(update=ran).write_beside(placed)
    offer(dist, "mine", b"b")
    mine = targets.load("ot2").model_copy(update={"name": "mine", "title": "My <own> machine"})
    write_site(dist, site, root_url="https://lab.example/", described={**known_targets(), "mine": mine})
    page = (site / "ot2" / "target.html").read_text()
    assert "Opentrons OT-2" in page
    assert "https://lab.example/ot2/simple/" in page
    assert "glibc 2.25, GLIBCXX 3.4.24" in page
    counts = dict(re.findall(r"<dt>([^<]+)</dt><dd>(\d+)</dd>", page))
    assert counts == {
        "Wheels": "1",
        "Emulated": "0",
        "In its userland": "1",
        "On the machine": "1",
        "Not run": "0",
    }
    assert (
        'Ran on the robot itself, <time datetime="2026-12-01">'
        in (site / "project" / "demo.html").read_text()
    )
    assert "My &lt;own&gt; machine" in (site / "mine" / "target.html").read_text()
    for page in ("status.html", "index.html"):
        assert '<a href="ot2/target.html">' in (site / page).read_text()


def test_a_target_that_has_nothing_any_more_leaves_no_index(dist: Path, site: Path) -> None:
    offer(dist, "ot2", b"one")
    flex = offer(dist, "flex", b"two")
    write_site(dist, site)
    Proof.remove_beside(flex, "flex")
    flex.unlink()
    write_site(dist, site)
    assert not [path for path in tree(site) if path.startswith("flex/") or "/flex/" in path]
    assert list(offered(in_folder(site))) == [NAME]


def test_a_page_missing_from_a_targets_index_is_put_back(dist: Path, site: Path) -> None:
    offer(dist, "ot2", b"one")
    write_site(dist, site)
    before = tree(site)
    (site / "ot2/simple/demo/index.json").unlink()
    (site / "ot2/simple/index.html").unlink()
    write_site(dist, site)
    assert tree(site) == before


def test_links_of_a_targets_index_are_absolute_where_the_address_is_known(dist: Path, site: Path) -> None:
    offer(dist, "ot2", b"one")
    write_site(dist, site, root_url="https://lab.example/wheels/")
    page = (site / "ot2/simple/demo/index.html").read_text()
    assert f'href="https://lab.example/wheels/simple/demo/{NAME}#' in page
    assert (
        'href="https://lab.example/wheels/ot2/simple/demo/"' in (site / "ot2/simple/index.html").read_text()
    )


def test_other_bytes_of_one_target_are_refused(dist: Path, site: Path) -> None:
    offer(dist, "ot2", b"one")
    wheel = add_wheel(dist / "elsewhere", "demo", "1", tag=TAG, body=b"two")
    for target in (None, "ot2"):
        if target:
            prove(wheel, target)
        with pytest.raises(IntegrityError, match="the same name and different contents"):
            write_site(dist, site)


def test_targets_that_publish_one_after_the_other_keep_their_own_wheels(tmp_path: Path, store: Store) -> None:
    bodies = {"ot2": b"one", "flex": b"two", "flex-py312": b"one"}
    for target, body in bodies.items():
        offer(tmp_path / target / "dist", target, body)
        write_site(tmp_path / target / "dist", tmp_path / target / "index")
    for _ in range(2):  # again, and nothing changes
        for target in bodies:
            publish(tmp_path / target / "index", store)
    read = in_store(store)
    found = {target: offered(read, f"{target}/")[NAME] for target in bodies}
    assert found["ot2"] == found["flex-py312"] != found["flex"]
    assert found["ot2"] == read(f"simple/demo/{NAME}"), "what was published first is where it was"
    assert offered(read) == {}
    before = tree(tmp_path / "channel")
    offer(tmp_path / "again" / "dist", "flex", b"three")
    write_site(tmp_path / "again" / "dist", tmp_path / "again" / "index")
    with pytest.raises(IntegrityError, match="was published in"):
        publish(tmp_path / "again" / "index", store)
    assert tree(tmp_path / "channel") == before


def test_an_index_of_several_targets_is_published_whole(dist: Path, site: Path, store: Store) -> None:
    for target in ("ot2", "flex"):
        offer(dist, target, target.encode())
    write_site(dist, site)
    assert publish(site, store).new == (NAME, NAME)
    for target in ("ot2", "flex"):
        assert offered(in_store(store), f"{target}/") == offered(in_folder(site), f"{target}/")
    assert offered(in_store(store)) == {}


def test_a_targets_index_is_served_as_the_merged_one_is(dist: Path, site: Path) -> None:
    offer(dist, "ot2", b"one")
    offer(dist, "flex", b"two")
    write_site(dist, site)
    with serving(site) as server, httpx.Client(base_url=server.url) as client:
        page = client.get("/ot2/simple/demo/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
        assert page.headers["content-type"].startswith("application/vnd.pypi.simple.v1+json")
        assert [file["filename"] for file in page.json()["files"]] == [NAME]
        assert client.get("/ot2/simple/DEMO/", follow_redirects=False).status_code == 301
        assert client.get("/ot2/simple/demo", follow_redirects=True).status_code == 200
        assert client.get("/nothing/simple/demo/").status_code == 404
        assert offered(lambda path: client.get(f"/{path}").content, "flex/")
