from __future__ import annotations

import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from crosswheel.errors import UsageError
from crosswheel.index.site import write_site
from crosswheel.serve import serve
from support.site_server import Served, serving
from support.sites import add_wheel, prove

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
PIP = f"{JSON}, {HTML}; q=0.1, text/html; q=0.01"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
WHEEL = "simple/my-pkg/my_pkg-1-py3-none-any.whl"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    prove(add_wheel(folder / "dist", "my-pkg", "1", readme="long text " * 500, body=os.urandom(300_000)))
    (folder / "secret.txt").write_text("secret")
    (folder / "index-of-another").mkdir()
    (folder / "index-of-another/secret.txt").write_text("secret")
    site = folder / "index"
    write_site(folder / "dist", site)
    (site / "link.txt").symlink_to(folder / "secret.txt")
    (site / "folder").symlink_to(folder)
    (site / "good.txt").symlink_to(site / "index.html")
    os.mkfifo(site / "pipe.txt")
    return site


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[Served]:
    with serving(site) as served:
        yield served


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PIP, JSON),
        (BROWSER, "text/html"),
        ("*/*", "text/html"),
        ("", "text/html"),
        (HTML, HTML),
        (f"text/html;q=0, {HTML};q=0.1, */*;q=0.01", HTML),
        ("application/vnd.pypi.simple.latest+json", JSON),
        (f"{JSON};q=0.5, text/html;q=0.9", "text/html"),
        ("application/*", JSON),
        (f"text/html;q=bogus, {JSON};q=0.001", JSON),
    ],
)
@pytest.mark.parametrize("path", ["/simple/", "/simple/my-pkg/"])
def test_a_client_gets_the_form_it_likes_best(
    client: httpx.Client, path: str, accept: str, content_type: str
) -> None:
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == content_type
    assert "Accept" in answer.headers["vary"]
    assert (answer.text[0] == "{") == content_type.endswith("json")


def test_a_client_that_likes_none_is_told_so(client: httpx.Client) -> None:
    assert client.get("/simple/", headers={"Accept": "image/png"}).status_code == 406
    assert client.get("/simple/", headers={"Accept": "*/*;q=0"}).status_code == 406


@pytest.mark.parametrize(
    "path", ["simple/My.Pkg/", "simple/my_pkg", "simple/my-pkg", "simple/MY--PKG/", "simple"]
)
@pytest.mark.parametrize("prefix", ["", "wheels/of/robots/"])
def test_other_spellings_lead_to_the_normalised_page_also_below_a_prefix(
    client: httpx.Client, path: str, prefix: str
) -> None:
    answer = client.get(f"/{path}")
    page = "simple/my-pkg/" if "/" in path else "simple/"
    there = urljoin(f"http://robots.example/{prefix}{path}", answer.headers["location"])
    assert (answer.status_code, there) == (301, f"http://robots.example/{prefix}{page}")
    assert client.get(f"/{path}", follow_redirects=True).status_code == 200


def test_pages_for_people_are_there(client: httpx.Client) -> None:
    for path in ("/", "/index.html", "/status.html", "/project/my-pkg.html", "/assets/site.css"):
        assert client.get(path).status_code == 200
    assert "script-src 'self'" in client.get("/").headers["content-security-policy"]


def test_files_come_whole_and_in_ranges(client: httpx.Client, site: Path) -> None:
    data = (site / WHEEL).read_bytes()
    whole = client.get(f"/{WHEEL}", headers={"Accept-Encoding": "gzip"})
    assert whole.content == data
    assert "content-encoding" not in whole.headers
    assert whole.headers["accept-ranges"] == "bytes"
    part = client.get(f"/{WHEEL}", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, data[100:200])
    assert client.get(f"/{WHEEL}", headers={"Range": "bytes=-5"}).content == data[-5:]
    assert client.get(f"/{WHEEL}", headers={"Range": "bytes=99999999-"}).status_code == 416
    assert client.head(f"/{WHEEL}").headers["content-length"] == str(len(data))


@pytest.mark.parametrize("path", ["/simple/my-pkg/", "/index.html", f"/{WHEEL}", f"/{WHEEL}.metadata"])
def test_what_a_client_has_already_is_not_sent_again(client: httpx.Client, path: str) -> None:
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(path, headers={"If-None-Match": '"another"'}).status_code == 200


def test_pages_are_compressed_for_who_wants_it(client: httpx.Client) -> None:
    packed = client.get("/project/my-pkg.html", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/project/my-pkg.html", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text


def raw(server: Served, target: str, method: str = "GET") -> bytes:
    """Ask for exactly this target, without the client making it decent first."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        connection.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/simple/../../secret.txt",
        "/simple/..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/%252e%252e/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/../index-of-another/secret.txt",
        "//secret.txt",
        "/.//secret.txt",
        "/link.txt",
        "/folder/secret.txt",
        "/pipe.txt",
        "/.crosswheel.json",
        "/simple/.crosswheel.json",
        "/good.txt%00.html",
        "/C:/secret.txt",
        "/simple/my-pkg/" + "a" * 5000,
        "/" + "a/" * 3000,
        "/%",
        "/%zz",
        "/simple/my-pkg/index.html/",
        "/simple/nothing/",
        "/folder/",
        "http://elsewhere/../secret.txt",
    ],
)
def test_nothing_outside_the_site_can_be_reached(server: Served, target: str) -> None:
    answer = raw(server, target)
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2]
    assert answer.split()[1] in (b"404", b"400", b"414")


def test_a_link_inside_the_site_is_followed(client: httpx.Client) -> None:
    assert client.get("/good.txt").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_is_read_only(client: httpx.Client, site: Path, method: str) -> None:
    before = hashlib.sha256((site / WHEEL).read_bytes()).hexdigest()
    assert client.request(method, f"/{WHEEL}", content=b"other").status_code == 405
    assert hashlib.sha256((site / WHEEL).read_bytes()).hexdigest() == before


def test_a_redirect_never_leads_to_another_host(server: Served) -> None:
    for target in ("//evil.example/", "/simple//evil.example", "/simple/%2f%2fevil.example/"):
        assert b"evil.example" not in raw(server, target).lower().partition(b"location:")[2]


def test_another_site_is_served_from_the_moment_that_a_link_leads_to_it(tmp_path: Path) -> None:
    for name in ("old", "new"):
        add_wheel(tmp_path / name / "dist", name, "1")
        write_site(tmp_path / name / "dist", tmp_path / name / "index")
    (link := tmp_path / "index").symlink_to(tmp_path / "old/index")
    with serving(link) as served:
        assert httpx.get(f"{served.url}/simple/old/").status_code == 200
        (tmp_path / "next").symlink_to(tmp_path / "new/index")
        (tmp_path / "next").replace(link)
        assert httpx.get(f"{served.url}/simple/old/").status_code == 404
        assert httpx.get(f"{served.url}/simple/new/").status_code == 200
        assert httpx.get(f"{served.url}/simple/new/new-1-py3-none-any.whl").status_code == 200


def test_health_tells_whether_there_is_an_index(tmp_path: Path) -> None:
    add_wheel(tmp_path / "dist", "a", "1")
    write_site(tmp_path / "dist", site := tmp_path / "index")
    with serving(site) as served:
        assert httpx.get(f"{served.url}/healthz").text == "ok\n"
        (site / "simple/index.html").unlink()
        assert httpx.get(f"{served.url}/healthz").status_code == 503


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_after_the_download_that_is_under_way(tmp_path: Path, number: signal.Signals) -> None:
    wheel = add_wheel(tmp_path / "dist", "a", "1", body=os.urandom(8_000_000))
    write_site(tmp_path / "dist", site := tmp_path / "index")
    with serving(site) as served, httpx.Client() as client:
        url = f"{served.url}/simple/a/{wheel.name}"
        with client.stream("GET", url) as answer:
            blocks = answer.iter_raw(1000)
            first = next(blocks)
            served.process.send_signal(number)
            assert first + b"".join(blocks) == wheel.read_bytes()
        assert served.process.wait(20) in (0, -number)


def test_faults_of_the_user_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no index"):
        serve(tmp_path, "127.0.0.1", 0, print)
    (tmp_path / "simple").mkdir()
    (tmp_path / "simple/index.html").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="cannot listen on"):
        serve(tmp_path, "127.0.0.1", taken.getsockname()[1], print)
    with pytest.raises(UsageError, match="cannot listen on"):
        serve(tmp_path, "192.0.2.1", 0, print)
