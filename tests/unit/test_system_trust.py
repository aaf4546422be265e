"""Who this machine's own store of certificates vouches for is trusted, by all that downloads."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tls import Inspected, inspected
from support.wheels import make_wheel

_FETCH = """
import sys
from pathlib import Path
from crosswheel.download import download
from crosswheel.errors import CrosswheelError
from crosswheel.process import Runner
from crosswheel.settings import Settings
from crosswheel.targets import load
from crosswheel.toolchain.python.choosing import target_python
from crosswheel.uv import Uv, require_answered

url, folder, sha256 = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
settings = Settings(cache=folder / "cache", github="", registry=f"{url}/simple/", maven=f"{url}/maven")
ot2 = load("ot2")
own = ot2.python.target.model_copy(update={"sha256": sha256})
target = ot2.model_copy(update={"python": ot2.python.model_copy(update={"target": own})})

def resolve():
    (folder / "in.txt").write_text("demo")
    uv = Uv(settings, Runner())
    result = uv.compile([folder / "in.txt"], folder / "out.txt", python=Path(sys.executable), as_of=None)
    require_answered(result, "demo")
    assert result.returncode == 0, result.output

for name, fetch in {
    "a file": lambda: download(f"{url}/file", folder / "file", sha256=None, settings=settings),
    "a lock": resolve,
    "a Python": lambda: target_python(target, settings),
}.items():
    try:
        fetch()
        print(name, "was had")
    except CrosswheelError as error:
        print(name, "|", error.hint)
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Inspected, str]]:
    """Give a server of a file, a registry and a Maven repository, and the hash of the Python in that."""
    files = tmp_path / "files"
    project = files / "simple" / "demo"
    project.mkdir(parents=True)
    (files / "file").write_text("text")
    wheel = make_wheel(project, "demo", "1.0", {})
    (project / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as contents:
        for name in ("bin/python3.10", "include/python3.10/pyconfig.h"):
            contents.writestr(f"org/bytedeco/cpython/linux-armhf/{name}", "content")
    place = files / "maven/org/bytedeco/cpython/3.10.8-1.5.8"
    place.mkdir(parents=True)
    (place / "cpython-3.10.8-1.5.8-linux-armhf.jar").write_bytes(archive.getvalue())
    with inspected(files, tmp_path) as server:
        yield server, hashlib.sha256(archive.getvalue()).hexdigest()


def test_what_the_systems_store_vouches_for_is_trusted_without_any_setting(
    served: tuple[Inspected, str], tmp_path: Path
) -> None:
    server, sha256 = served
    done = server.run(sys.executable, "-c", _FETCH, server.url, str(tmp_path), sha256)
    assert done.stdout.splitlines() == ["a file was had", "a lock was had", "a Python was had"], done.stderr


def test_what_is_not_in_the_store_is_refused_with_where_to_put_it(
    served: tuple[Inspected, str], tmp_path: Path
) -> None:
    server, sha256 = served
    done = server.run(
        sys.executable, "-c", _FETCH, server.url, str(tmp_path), sha256, store=False, UV_HTTP_RETRIES="0"
    )
    lines = done.stdout.splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["a file", "a lock", "a Python"], done.stderr
    assert all("update-ca-certificates" in line and "SSL_CERT_FILE" in line for line in lines), done.stdout
