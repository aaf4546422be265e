"""The pages for people, in a real Chromium. ``CROSSWHEEL_SCREENSHOTS=DIR`` keeps pictures to look at."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from crosswheel.index.failures import Failure
from crosswheel.index.site import write_site
from support.browser import chromium
from support.site_server import serving
from support.sites import add_wheel, prove

PAGES = ("index.html", "status.html", "project/fast-json.html", "project/pure.html", "simple/index.html")
README = """# Fast

<p><a href="https://badges.example">
  <img src="https://badges.example/x.svg" />
</a></p>

[![badge](https://badges.example/x.svg)](https://ci.example) and ![](https://tracker.example/y.png)

| option | meaning |
| --- | --- |
| `a_very_long_option_name_that_does_not_fit` | a_very_long_explanation_that_has_no_place_to_break_at_all |

```python
import fast_json  # and a comment
print(fast_json.dumps({"number": 1, "text": "some text that is longer than a phone is wide, by far"}))
```

[a link without text]() and <script>document.title = "hacked"</script>
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("browser")
    dist = folder / "dist"
    headers = {"Summary": "Reads numbers quickly", "Description-Content-Type": "text/markdown"}
    native = add_wheel(
        dist, "fast-json", "1.2", tag="cp310-cp310-linux_armv7l", headers=headers, readme=README
    )
    prove(native)
    abi3 = add_wheel(dist, "fast-yaml", "2", tag="cp38-abi3-manylinux_2_17_aarch64", requires=["pure>=1"])
    prove(abi3, "flex")
    add_wheel(dist, "pure", "1", headers={"Summary": "Nothing but Python"}, requires=["fast-json[extra]>=1"])
    bad = add_wheel(dist, "pure", "2")
    bad.with_name(f"{bad.name}.yanked").write_text("it does not start")
    when = datetime.datetime(2025, 4, 25, tzinfo=datetime.timezone.utc)
    failed = Failure(
        name="scipy",
        version="1",
        target="ot2",
        step="build",
        message="no Fortran",
        hint="get it.",
        failed=when,
    )
    failed.write(dist / "scipy/1")
    write_site(dist, folder / "index")
    with serving(folder / "index") as served:
        yield served.url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(base_url=url + "/")
    yield from watched(context.new_page(), url)
    context.close()


def watched(page: Page, url: str) -> Iterator[Page]:
    """Give a page; at the end there must have been no error, and no request to another server."""
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith((url, "data:")) else faults.append(r.url))
    page.on("response", lambda r: faults.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    yield page
    assert faults == []


def shown(page: Page) -> Locator:
    """The listed projects, for ``expect``, which waits: a browser answers a key or a click when it can."""
    return page.locator("#projects > li:visible > a")


def test_typing_finds_projects_by_name_and_description(page: Page) -> None:
    page.goto("index.html")
    expect(shown(page)).to_have_text(["fast-json", "fast-yaml", "pure"])
    page.get_by_label("Search").fill("fast")
    expect(shown(page)).to_have_text(["fast-json", "fast-yaml"])
    expect(page.locator("#count")).to_have_text("2 of 3 projects")
    page.get_by_label("Search").fill("NUMBERS  quick")
    expect(shown(page)).to_have_text(["fast-json"])
    page.get_by_label("Search").fill("no such thing")
    expect(shown(page)).to_have_count(0)


def test_filters_narrow_the_list_together(page: Page) -> None:
    page.goto("index.html")
    page.get_by_label("Kind").select_option("native")
    expect(shown(page)).to_have_text(["fast-json", "fast-yaml"])
    page.get_by_label("Target").select_option("flex")
    expect(shown(page)).to_have_text(["fast-yaml"])
    page.get_by_label("Target").select_option("ot2")
    page.get_by_label("Python").select_option("3.8+")
    expect(shown(page)).to_have_count(0)


def test_the_keyboard_is_enough(page: Page) -> None:
    page.goto("index.html")
    page.keyboard.press("/")
    page.keyboard.type("yaml")
    expect(shown(page)).to_have_text(["fast-yaml"])
    page.keyboard.press("Escape")
    expect(shown(page)).to_have_count(3)
    page.keyboard.type("pure")
    page.keyboard.press("Enter")
    expect(page).to_have_title("pure 1")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#main$"))


def test_what_was_typed_still_counts_after_coming_back(page: Page) -> None:
    page.goto("index.html")
    page.get_by_label("Search").fill("yaml")
    page.keyboard.press("Enter")
    expect(page).to_have_title("fast-yaml 2")
    page.go_back()
    if page.get_by_label("Search").input_value():
        expect(shown(page)).to_have_text(["fast-yaml"])


def test_the_install_command_is_copied_with_this_sites_address(browser: Browser, url: str) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{url}/project/fast-json.html")
    page.get_by_role("button", name="Copy the command for ot2").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"python -m pip install --index-url {url}/ot2/simple/ fast-json==1.2"
    context.close()


def test_the_line_for_an_environment_of_its_own_is_copied_too(browser: Browser, url: str) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{url}/project/fast-json.html")
    page.get_by_text("In an environment of its own").click()
    page.get_by_role("button", name="Copy the command for an environment").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"wget -qO- {url}/install.sh | sh -s -- {url}/ot2/ fast-json==1.2"
    context.close()


def test_copying_works_where_the_browser_has_no_clipboard_object(browser: Browser, url: str) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    # What a browser does on a laboratory's network, without https.
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})"
    )
    page.goto(f"{url}/project/fast-json.html")
    page.get_by_role("button", name="Copy the command for ot2").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.evaluate("delete navigator.clipboard")
    assert "fast-json==1.2" in page.evaluate("navigator.clipboard.readText()")
    context.close()


def test_pages_lead_to_each_other_and_to_the_files(page: Page, url: str) -> None:
    page.goto("index.html")
    page.get_by_role("link", name="pure").click()
    page.get_by_role("link", name="fast-json").click()
    expect(page).to_have_title("fast-json 1.2")
    expect(page.get_by_text("loaded and run")).to_be_visible()
    for link in page.locator("main a[href^='../']").all():
        assert page.request.get(page.evaluate("a => a.href", link.element_handle())).ok


def test_a_readme_cannot_change_the_page(page: Page) -> None:
    page.goto("project/fast-json.html")
    expect(page).to_have_title("fast-json 1.2")
    expect(page.locator(".readme")).to_contain_text("badge")


def test_without_scripts_all_is_readable(browser: Browser, url: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}/index.html")
    expect(shown(page)).to_have_count(3)
    expect(page.locator("#search")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("size", [(1200, 900), (360, 740)], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_has_no_serious_accessibility_fault(
    browser: Browser, url: str, scheme: str, size: tuple[int, int]
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": size[0], "height": size[1]})
    tab = context.new_page()
    for page in watched(tab, url):
        for path in PAGES:
            page.goto(f"{url}/{path}")
            for details in page.locator("details").all():
                details.click()
            _keep_picture(page, f"{path.replace('/', '-')}-{scheme}-{size[0]}.png")
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path
            faults = Axe().run(page).response["violations"]
            assert [f["help"] for f in faults if f["impact"] in ("serious", "critical")] == [], path
    context.close()


def _keep_picture(page: Page, name: str) -> None:
    if "CROSSWHEEL_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["CROSSWHEEL_SCREENSHOTS"]) / name, full_page=True)


@pytest.mark.parametrize(("scheme", "color"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 28)")])
def test_light_and_dark_follow_the_system(browser: Browser, url: str, scheme: str, color: str) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{url}/index.html")
    expect(page.locator("body")).to_have_css("background-color", color)
    context.close()
