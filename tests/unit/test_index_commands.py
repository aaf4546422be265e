"""The commands of the index, as they are typed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.sites import add_wheel, prove
from support.typed import Run, commands_in
from support.wheels import make_wheel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prove(add_wheel(tmp_path / "dist", "my-pkg", "1.0"))
    add_wheel(tmp_path / "dist", "other_one", "1")
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the folder, and gives what it printed."""
    return commands_in(folder, monkeypatch, capsys)


def test_index_publish_yank_and_unyank(folder: Path, run: Run) -> None:
    assert "2 wheels of 2 projects" in run("index", "--summary", "summary.md")
    assert r"| other\_one | 1 | not run | pure |" in (folder / "summary.md").read_text()
    assert "| my-pkg | 1.0 | ot2 | pure |" in (folder / "summary.md").read_text()
    said = run("publish", "--ref", "refs/heads/a/b", "--development-store", "dev", "--dry-run")
    assert "Would be published to a/b" in said
    assert not (folder / "dev").exists()
    run("publish", "--summary", "summary.md", GITHUB_REF="refs/heads/a/b", CROSSWHEEL_DEVELOPMENT_STORE="dev")
    assert (folder / "dev/a/b/simple/my-pkg/index.html").is_file()
    assert r"my\_pkg-1.0-py3-none-any.whl | new" in (folder / "summary.md").read_text()
    assert "yanked in dev/a/b: my_pkg" in run("yank", "my.pkg", "1.0", "--to", "dev/a/b", "--reason", "why")
    assert 'data-yanked="why"' in (folder / "dev/a/b/simple/my-pkg/index.html").read_text()
    run("unyank", "my.pkg", "1.0", "--to", "dev/a/b")
    assert "data-yanked" not in (folder / "dev/a/b/simple/my-pkg/index.html").read_text()
    assert "would be removed: a/b" in run(
        "prune", "--development-store", "dev", "--older-than", "0", "--dry-run"
    )


def test_a_yank_says_what_it_marked_and_what_else_has_it(folder: Path, run: Run) -> None:
    inside = {"x.data/data/lib/crosswheel/x/site-packages/my_pkg-1.0.dist-info/METADATA": b"Name: my-pkg\n"}
    make_wheel(folder / "dist", "x", "1+ot2", inside)
    add_wheel(folder / "dist", "my-pkg", "1.0+ot2")
    run("index")
    assert "Published" in run("publish", "--to", "channel")
    said = run("yank", "my-pkg", "1.0", "--to", "channel")
    assert "yanked in channel: my_pkg-1.0-py3" in said
    assert "yanked in channel: my_pkg-1.0+ot2" in said
    assert "it is also in x-1+ot2-py3-none-any.whl, which stays as it was; --bundles" in said
    assert "yanked in channel: x-1+ot2" in run("yank", "my-pkg", "1.0", "--bundles", "--to", "channel")
    run("unyank", "my-pkg", "1.0", "--bundles", "--to", "channel")
    said = run("yank", "my-pkg", "1.0", "--target", "ot2", "--to", "channel")
    assert said.count("yanked in channel") == 1
    name = "my_pkg-1.0+ot2-py3-none-any.whl"
    assert f"yanked in channel: {name}" in run("yank", "my-pkg", "1.0", "--file", name, "--to", "channel")
    assert "no wheel of my-pkg 1.0" in run(
        "yank", "my-pkg", "1.0", "--file", "other.whl", "--to", "channel", code=2
    )


def test_what_cannot_be_read_does_not_keep_others_from_being_pruned(folder: Path, run: Run) -> None:
    run("index")
    for branch in ("bad", "old"):
        run("publish", "--ref", f"refs/heads/{branch}", "--development-store", "dev")
    (folder / "dev/bad/last-publication.json").write_text("{}")
    said = run("prune", "--development-store", "dev", "--older-than", "0", code=2)
    assert "removed: old\n" in said
    assert "left as it is: dev/bad/last-publication.json" in " ".join(said.split())
    assert {path.name for path in (folder / "dev").iterdir()} == {"bad"}


@pytest.mark.parametrize("days", ["-1", "99999999", "9" * 30])
def test_days_that_no_calendar_has_are_refused(folder: Path, run: Run, days: str) -> None:
    said = run("prune", "--development-store", "dev", "--older-than", days, code=2)
    assert "--older-than" in said
    assert "Traceback" not in said


def test_main_and_releases_go_to_stores_of_their_own(folder: Path, run: Run) -> None:
    run("index")
    stores = ("--development-store", "dev", "--staging-store", "stage", "--production-store", "prod")
    assert "Published to staging, stage" in run("publish", *stores, GITHUB_REF="refs/heads/main")
    assert (folder / "stage/simple/my-pkg/index.html").is_file()
    assert not (folder / "dev").exists()
    assert not (folder / "prod").exists()
    variables = {"CROSSWHEEL_STAGING_STORE": "stage", "CROSSWHEEL_PRODUCTION_STORE": "prod"}
    said = run("publish", "--ref", "refs/tags/packages@v1.0", **variables)
    assert "Published to production, prod" in said
    assert (folder / "prod/simple/my-pkg/index.html").is_file()
    said = run("yank", "my-pkg", "1.0", "--ref", "refs/tags/packages@v1.0", **variables)
    assert "yanked in production: my_pkg" in said
    assert "data-yanked" in (folder / "prod/simple/my-pkg/index.html").read_text()
    assert "data-yanked" not in (folder / "stage/simple/my-pkg/index.html").read_text()


def test_links_are_absolute_where_the_address_is_given(folder: Path, run: Run) -> None:
    address = "https://wheels.example/robots/"
    link = re.compile(rf'href="{address}simple/my-pkg/my_pkg-1\.0-py3-none-any\.whl')
    run("index", "--index-root-url", address)
    assert link.search((folder / "index/simple/my-pkg/index.html").read_text())
    run("publish", "--to", "channel")
    page = folder / "channel/simple/my-pkg/index.html"
    assert 'href="my_pkg-1.0' in page.read_text()
    run("yank", "my-pkg", "1.0", "--to", "channel", "--index-root-url", address)
    assert link.search(page.read_text())
    run("publish", "--to", "other", "--index-root-url", address)
    assert link.search((folder / "other/simple/my-pkg/index.html").read_text())


def test_branches_to_keep_are_not_pruned(folder: Path, run: Run) -> None:
    run("index")
    for branch in ("old", "kept", "kept-too"):
        run("publish", "--ref", f"refs/heads/{branch}", "--development-store", "dev")
    assert run("prune", "--development-store", "dev") == ""
    keep = ("--keep", "kept", "--keep", "kept-too")
    assert run("prune", "--development-store", "dev", "--older-than", "0", *keep) == "removed: old\n"
    assert {path.name for path in (folder / "dev").iterdir()} == {"kept", "kept-too"}


def test_the_checked_out_branch_decides_where_nothing_else_is_said(folder: Path, run: Run) -> None:
    run("index")
    assert "no branch or tag" in run("publish", code=2)
    subprocess.run(["git", "init", "-q", "-b", "feature/x", str(folder)], check=True)
    assert "--development-store" in run("publish", code=2)
    run("publish", "--development-store", "dev")
    assert (folder / "dev/feature/x/simple/index.html").is_file()


def test_what_is_missing_is_explained(folder: Path, run: Run) -> None:
    assert "crosswheel index" in run("publish", "--to", "x", code=2)
    assert "crosswheel index" in run("serve", code=2)
    assert "--development-store" in run("prune", code=2)
    assert "no folder" in run("index", "--dist-tree-root", "nothing", code=2)
    assert "is not in" in run("yank", "a", "1", "--to", "x", code=2)


@pytest.mark.parametrize("port", ["-1", "65536", "99999"])
def test_a_port_that_no_machine_has_is_refused(folder: Path, run: Run, port: str) -> None:
    run("index")
    assert "--port" in run("serve", "--port", port, code=2)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "javascript:alert(1)",
            "//x.example",
            "x.example/robots",
            "file:///srv",
            "https://",
            "http://x:99999/",
        ),
        *(
            "https://x.example/?a",
            "https://x.example/#a",
            'https://x.example/"onclick="',
            "https://x y/",
            "http://[::1",
        ),
    ],
)
@pytest.mark.parametrize(
    "command", [("index",), ("publish", "--to", "channel"), ("yank", "my-pkg", "1.0", "--to", "c")]
)
def test_what_is_no_address_of_a_site_is_not_made_a_link(
    folder: Path, run: Run, command: tuple[str, ...], address: str
) -> None:
    assert "is not the address of a site" in run(*command, "--index-root-url", address, code=2)
    assert {path.name for path in folder.iterdir()} == {"dist"}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_serve_tells_an_address_that_answers_and_ends_well(folder: Path, run: Run, host: str) -> None:
    run("index")
    command = [sys.executable, "-m", "crosswheel", "serve", "--port", "0", "--host", host]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        assert server.stderr
        url = server.stdout.readline().split()[-1]
        assert "//0.0.0.0" not in url
        assert httpx.get(url).status_code == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
        assert server.stderr.read() == ""
