from __future__ import annotations

import datetime
import html.parser
from pathlib import Path

import pytest

from crosswheel.index.failures import Failure
from crosswheel.index.readme import render
from crosswheel.index.site import write_site
from crosswheel.index.templates import filesize
from support.sites import add_wheel, prove

HOSTILE = """
<script>alert(1)</script> <img src="https://tracker.example/x.png" onerror="alert(1)" alt="a > b">
<b onclick=alert(1)>bold</b>
<style>body { display: none }</style><iframe src="https://evil.example"></iframe><svg onload=alert(1)>

[link](javascript:alert(1)) [image](https://ok.example "x" onclick=alert(1))
![alt text](https://tracker.example/y.png)
<img alt="x><script>alert(2)</script>" src=x>
<form action="https://evil.example"><input></form>

[file](docs/a.md) [good](https://ok.example/page) [heading](#use)

<a href="&#106;avascript:alert(1)">entity</a> <p style="position:fixed">over</p>
<base href="https://evil.example/">
"""
RST = """
Title
=====

.. raw:: html

   <script>alert(1)</script>

.. image:: https://tracker.example/z.png
   :alt: picture

.. include:: /etc/passwd

`link <javascript:alert(1)>`_ and `good <https://ok.example>`_
"""


FORM = """
[ ![](https://around.example/x.svg) ](https://around.example/)
[good](https://ok.example/page) [here](#use) [file](docs/a.md)

| a | b |
|---|---|
| 1 | 2 |

![Build: ok](x.svg)

```python
import a
```
"""


class Audit(html.parser.HTMLParser):
    """Collects what a page would load, run or lead to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links.update(value or "" for name, value in attrs if name in ("href", "src"))


@pytest.mark.parametrize("kind", ["text/markdown", "text/x-rst", "text/plain", "", "text/html", "nonsense"])
@pytest.mark.parametrize("text", [HOSTILE, RST], ids=["markdown", "rst"])
def test_a_readme_runs_loads_and_hides_nothing(text: str, kind: str) -> None:
    audit = Audit(render({"description": text, "description_content_type": kind}))
    assert not audit.tags & {"script", "style", "iframe", "img", "svg", "form", "input", "base", "object"}
    assert not [name for name in audit.attributes if name.startswith("on") or name in ("style", "src")]
    assert {link.split(":")[0] for link in audit.links if not link.startswith("#")} <= {"https"}


def test_a_readme_keeps_its_form() -> None:
    text = FORM
    html = render({"description": text, "description_content_type": "text/markdown; charset=UTF-8"})
    assert "<td>1</td>" in html
    assert "Build: ok" in html
    assert 'href="https://ok.example/page"' in html
    assert 'href="#user-content-use"' in html
    assert ">file</a>" in html
    assert "around.example" not in html
    assert "docs/a.md" not in html
    assert '<span class="kn">import</span>' in html
    assert "root:" not in render({"description": RST})


@pytest.mark.parametrize("kind", ["text/markdown", "text/x-rst", "text/plain"])
@pytest.mark.parametrize(
    "paragraph", ["word " * 12, "`code` " * 20, "<" * 50, "no end" * 30_000, "<!-- --> " * 8]
)
def test_a_huge_readme_is_cut(kind: str, paragraph: str) -> None:
    text = f"{paragraph}\n\n" * (200_000 // len(paragraph))
    html = render({"description": text, "description_content_type": kind})
    assert len(html) <= 60_000
    assert "…" in html or not html.strip()


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return tmp_path / "dist"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "index"


def test_a_project_page_shows_the_whole_proof(dist: Path, site: Path, tmp_path: Path) -> None:
    wheel = add_wheel(dist, "a", "1", tag="cp310-cp310-linux_armv7l")
    (tmp_path / "build/a").mkdir(parents=True)
    (tmp_path / "build/a/build.log").write_text("$ python -m build")
    prove(wheel, log="a/build.log")
    write_site(dist, site, build=tmp_path / "build")
    page = (site / "project/a.html").read_text()
    for fact in (
        "ot2: loaded and run",
        "Built here, from the sdist: it has no wheel that loads there",
        "zig 0.15.2",
        "qemu-arm 7.2.0, CPython 3.10.8",
        "2 shared objects, GLIBC up to 2.17",
        "official-1-cp310",
        "1 module, 1 skipped",
        "a._slow</span> was not: it wants a terminal",
        "round trip",
        "12.3 s",
        "setuptools==80.9.0",
        f'href="../simple/a/{wheel.name}.ot2.proof.json"',
        f'href="../simple/a/{wheel.name}.log.txt"',
    ):
        assert fact in page
    assert (site / f"simple/a/{wheel.name}.log.txt").read_text() == "$ python -m build"


def test_a_log_outside_the_build_tree_is_not_shown(dist: Path, site: Path, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "secret").write_text("secret")
    prove(add_wheel(dist, "a", "1"), log="../secret")
    write_site(dist, site, build=tmp_path / "build")
    assert not list(site.rglob("*.log.txt"))


def test_what_was_not_run_is_not_called_proven(dist: Path, site: Path) -> None:
    prove(add_wheel(dist, "a", "1"), emulator=None)
    add_wheel(dist, "b", "1")
    write_site(dist, site)
    assert "ot2: not run" in (site / "project/a.html").read_text()
    assert "has no proof" in (site / "project/b.html").read_text()
    assert "runs on" not in (site / "index.html").read_text()
    assert "2 of these wheels were not run on any target" in (site / "status.html").read_text()


def test_what_one_kind_of_robot_gets_of_a_release_is_shown_with_its_proof(dist: Path, site: Path) -> None:
    prove(add_wheel(dist, "a", "1"), "flex")
    prove(add_wheel(dist, "a", "1+ot2"), "ot2")
    write_site(dist, site)
    page = (site / "project/a.html").read_text()
    assert "<title>a 1</title>" in page
    assert page.count(": loaded and run") == 2
    assert "has no proof" not in page


def test_each_target_is_offered_the_newest_version_proven_on_it(dist: Path, site: Path) -> None:
    prove(add_wheel(dist, "a", "1"), "flex")
    prove(add_wheel(dist, "a", "2"), "ot2")
    add_wheel(dist, "a", "3")
    write_site(dist, site, root_url="http://lab.example:8000")
    page = (site / "project/a.html").read_text()
    for requirement in ("a==1", "a==2"):
        command = "simple/</span> --trusted-host lab.example " + requirement
        assert command in page
    assert "a==3</code>" not in page


def test_a_pre_release_or_yanked_version_is_not_the_one_shown(dist: Path, site: Path) -> None:
    add_wheel(dist, "a", "1")
    yanked = add_wheel(dist, "a", "2")
    yanked.with_name(f"{yanked.name}.yanked").write_text("")
    add_wheel(dist, "a", "3rc1")
    write_site(dist, site)
    assert "<title>a 1</title>" in (site / "project/a.html").read_text()


def test_filters_of_the_home_page_find_what_an_older_release_offers(dist: Path, site: Path) -> None:
    prove(add_wheel(dist, "a", "1", tag="cp310-cp310-linux_armv7l"), "ot2")
    prove(add_wheel(dist, "a", "2", tag="cp313-cp313-linux_aarch64"), "flex")
    add_wheel(dist, "a", "3")
    write_site(dist, site)
    page = (site / "index.html").read_text()
    assert 'data-targets="flex ot2" data-kinds="native pure" data-pythons="3 3.10 3.13"' in page
    assert "1 runs on ot2" in page
    assert "2 runs on flex" in page
    assert "<option>ot2</option>" in page
    assert "<option>3.10</option>" in page


def test_dependencies_are_links_when_they_are_in_the_index(dist: Path, site: Path) -> None:
    add_wheel(dist, "a", "1", requires=["B.b>=1; python_version>'3'", "elsewhere[x]<2", "not a requirement"])
    add_wheel(dist, "b-b", "1")
    write_site(dist, site)
    page = (site / "project/a.html").read_text()
    assert '<a href="b-b.html">B.b</a>' in page
    assert "elsewhere<span" in page


def test_metadata_is_text_and_only_web_addresses_are_links(dist: Path, site: Path) -> None:
    headers = {
        "Summary": "<script>alert(1)</script>",
        "Home-page": "javascript:alert(1)",
        "Author": "<b>A</b>",
    }
    add_wheel(dist, "a", "1", headers=headers)
    write_site(dist, site)
    for page in ("index.html", "project/a.html"):
        text = (site / page).read_text()
        assert "<script>" not in text
        assert "javascript:" not in text


def test_the_status_page_says_what_failed_until_it_was_built(dist: Path, site: Path) -> None:
    failure = Failure(
        name="a",
        version="1",
        target="ot2",
        step="build",
        message="<no> compiler",
        hint="get one.",
        failed=datetime.datetime(2025, 4, 25, tzinfo=datetime.timezone.utc),
    )
    failure.write(dist / "a/1")
    (dist / "a/1/other.failed.json").write_text("nonsense")
    write_site(dist, site)
    assert "&lt;no&gt; compiler" in (site / "status.html").read_text()
    prove(add_wheel(dist, "a", "1"))
    write_site(dist, site)
    assert "Nothing failed." in (site / "status.html").read_text()


def test_no_page_of_a_hundred_projects_is_over_100_kb(dist: Path, site: Path) -> None:
    for number in range(100):
        wheel = add_wheel(
            dist, f"some-project-{number}", "1.2.3", headers={"Summary": "What it is good for. " * 9}
        )
        prove(wheel)
    write_site(dist, site)
    pages = {path: path.stat().st_size for path in site.rglob("*.html")}
    assert max(pages.values()) < 100_000


def test_pages_ask_nothing_of_another_server(dist: Path, site: Path) -> None:
    prove(add_wheel(dist, "a", "1", readme=HOSTILE, headers={"Description-Content-Type": "text/markdown"}))
    write_site(dist, site)
    for page in site.rglob("*.html"):
        for tag in ("link", "script", "img", "iframe"):
            assert f'<{tag} src="http' not in page.read_text()
        assert "@import" not in page.read_text()
    assert "url(" not in (site / "assets/site.css").read_text()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (5_912_345_678, "5.9 GB")],
)
def test_sizes_are_for_people(size: int, text: str) -> None:
    assert filesize(size) == text
