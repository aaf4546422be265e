"""Real clients, old and new, list, resolve and install from the index, negotiated and as plain files."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pypi_simple import PyPISimple

from crosswheel.index.site import write_site
from support.servers import FolderServer
from support.site_server import serving
from support.sites import add_wheel

UV = Path(sys.executable).with_name("uv")
# pip 22.2 is the oldest that asks for JSON (PEP 691); 22.3.1 is the robot's; "pip" is the newest.
PIPS = ["pip==22.2", "pip==22.3.1", "pip"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clients")
    dist = folder / "dist"
    add_wheel(dist, "Top.Level", "1", requires=["lower_level>=1", "only-new; python_version<'3'"])
    for version in ("1", "2", "2.5"):
        add_wheel(dist, "lower-level", version)
    add_wheel(dist, "lower-level", "3", requires_python=">=99")
    yanked = add_wheel(dist, "lower-level", "2.7")
    yanked.with_name(f"{yanked.name}.yanked").write_text("")
    add_wheel(dist, "lower-level", "4", tag="cp27-cp27m-linux_armv7l")
    write_site(dist, folder / "index")
    return folder / "index"


@pytest.fixture(scope="module", params=["negotiated", "files"])
def index(request: pytest.FixtureRequest, site: Path) -> Iterator[str]:
    """The index's URL, at our own server, and at one that knows nothing but files."""
    if request.param == "negotiated":
        with serving(site) as served:
            yield f"{served.url}/simple/"
    else:
        with _PlainFiles(site) as server:
            yield f"{server.url}/simple/"


class _PlainFiles(FolderServer):
    def body(self, path: str) -> tuple[bytes, str] | None:
        if path in self.bodies:
            return super().body(path)
        file = self.folder / path.lstrip("/")
        file = file / "index.html" if file.is_dir() else file
        kind = "text/html" if file.suffix == ".html" else "application/octet-stream"
        return (file.read_bytes(), kind) if file.is_file() else None


@pytest.fixture(scope="module", params=PIPS)
def pip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that runs this pip, from a folder of its own."""
    if request.param != "pip" and sys.version_info >= (3, 12):
        pytest.skip("pip 22 does not run on Python 3.12 and newer")
    return install_pip(request.param, tmp_path_factory.mktemp("pip"))


def install_pip(requirement: str, folder: Path) -> list[str]:
    """Install a pip into a folder of its own, and return a command that runs it."""
    run([UV, "pip", "install", "--quiet", "--python", sys.executable, "--target", folder, requirement])
    return [sys.executable, "-W", "ignore", str(folder / "pip"), "--isolated", "--disable-pip-version-check"]


def run(command: list[object]) -> str:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_pip_resolves_and_installs(pip: list[str], index: str, tmp_path: Path) -> None:
    run([*pip, "install", "--no-cache-dir", "--index-url", index, "--target", tmp_path, "top_level"])
    installed = {path.name for path in tmp_path.glob("*.dist-info")}
    assert installed == {"top_level-1.dist-info", "lower_level-2.5.dist-info"}


def test_pip_takes_a_yanked_version_only_when_it_is_pinned(
    pip: list[str], index: str, tmp_path: Path
) -> None:
    arguments = ["install", "--no-cache-dir", "--index-url", index, "--target", tmp_path]
    said = run([*pip, *arguments, "lower-level==2.7"])
    assert "yanked" in said
    assert (tmp_path / "lower_level-2.7.dist-info").is_dir()


def test_pip_refuses_bytes_that_are_not_those_of_the_page(pip: list[str], site: Path, tmp_path: Path) -> None:
    with _PlainFiles(site) as server:
        server.bodies["/simple/lower-level/lower_level-1-py3-none-any.whl"] = b"other"
        command = [
            *pip,
            "install",
            "--no-cache-dir",
            "--index-url",
            f"{server.url}/simple/",
            "--target",
            tmp_path,
        ]
        result = subprocess.run([*command, "lower-level==1"], capture_output=True, text=True)
    assert result.returncode != 0
    assert "HASH" in result.stderr.upper()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pip 22 does not run on Python 3.12 and newer")
def test_the_robots_pip_would_refuse_spellings_if_the_metadata_attribute_had_its_older_name(
    tmp_path: Path,
) -> None:
    # The name is spelled in METADATA as it is normalised: even so only that spelling could be asked for.
    add_wheel(tmp_path / "dist", "sea-horse", "1")
    write_site(tmp_path / "dist", tmp_path / "index")
    pip = install_pip("pip==22.3.1", tmp_path / "pip")
    with _PlainFiles(tmp_path / "index") as server:
        command = [*pip, "download", "--no-cache-dir", "--index-url", f"{server.url}/simple/", "--dest"]
        run([*command, tmp_path / "1", "Sea_Horse"])
        page = tmp_path / "index/simple/sea-horse/index.html"
        newer = re.search(r'data-core-metadata=("[^"]+")', page.read_text())
        assert newer
        page.write_text(page.read_text().replace(newer[0], f"{newer[0]} data-dist-info-metadata={newer[1]}"))
        run([*command, tmp_path / "2", "sea-horse"])
        refused = subprocess.run([*command, tmp_path / "3", "Sea_Horse"], capture_output=True, text=True)
    assert "inconsistent" in refused.stdout + refused.stderr
    assert refused.returncode != 0


def test_the_newest_pip_lists_versions(index: str) -> None:
    said = run(
        [sys.executable, "-m", "pip", "--isolated", "index", "versions", "lower-level", "--index-url", index]
    )
    assert "2.5, 2, 1" in said


def test_uv_resolves_by_metadata_alone_and_installs(site: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("top-level\n")
    with _PlainFiles(site) as server:
        arguments = [
            "--no-cache",
            "--no-config",
            "--default-index",
            f"{server.url}/simple/",
            "--python",
            sys.executable,
        ]
        locked = run([UV, "pip", "compile", *arguments, "--generate-hashes", tmp_path / "in"])
        assert "lower-level==2.5" in locked
        assert not [path for path in server.requested if path.endswith(".whl")]
        (tmp_path / "lock").write_text(locked.partition("Resolved")[0])
        run(
            [
                UV,
                "pip",
                "install",
                *arguments,
                "--require-hashes",
                "-r",
                tmp_path / "lock",
                "--target",
                tmp_path / "t",
            ]
        )
    assert (tmp_path / "t/top_level-1.dist-info").is_dir()


def test_uv_sees_when_wheels_came(index: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("top-level\n")
    command = [UV, "pip", "compile", "--no-cache", "--no-config", "--default-index", index, tmp_path / "in"]
    result = subprocess.run([*command, "--exclude-newer", "2020-01-01"], capture_output=True, text=True)
    assert result.returncode != 0


def test_pypi_simple_reads_everything(index: str) -> None:
    with PyPISimple(index) as client:
        assert client.get_index_page().projects == ["lower-level", "top-level"]
        page = client.get_project_page("lower.level")
        assert {package.version for package in page.packages} == {"1", "2", "2.5", "2.7", "3", "4"}
        assert [package.version for package in page.packages if package.is_yanked] == ["2.7"]
        for package in page.packages:
            assert b"Name: lower-level" in client.get_package_metadata_bytes(package)
