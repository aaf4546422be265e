"""What tests of publishing share: a publisher in a process of its own, and a reader who trusts nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

from pypi_simple import ProjectPage

from crosswheel.publish import Store

_PROGRAM = """
import sys
from pathlib import Path
from crosswheel.errors import CrosswheelError
from crosswheel.publish import open_store, publish
try:
    publish(Path(sys.argv[1]), open_store(sys.argv[2]))
except CrosswheelError as error:
    sys.exit(f"{type(error).__name__}: {error.message}")
"""


def start_publisher(site: Path, url: str) -> subprocess.Popen[str]:
    """Publish in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(site), url], stderr=subprocess.PIPE, text=True
    )


def published_wheels(store: Store) -> set[str]:
    """Read a channel as clients do, and return the file names of the wheels that it offers.

    Every link must lead to the bytes that it promises, in both forms of the pages.
    """
    listed = store.read("simple/index.json")
    found = set()
    for project in json.loads(listed)["projects"] if listed else []:
        name = project["name"]
        forms = []
        for form in ("index.html", "index.json"):
            page = store.read(f"simple/{name}/{form}")
            assert page is not None, f"{form} of {name} is named, and not there"
            forms.append(_offered(store, name, page.decode()))
        found.update(forms[0] | forms[1])
        assert store.read(f"project/{name}.html") is not None
    return found


def _offered(store: Store, name: str, page: str) -> set[str]:
    json_form = page.startswith("{")
    parsed = ProjectPage.from_json_data(json.loads(page)) if json_form else ProjectPage.from_html(name, page)
    for package in parsed.packages:
        data = store.read(f"simple/{name}/{unquote(package.filename)}")
        assert data is not None, f"{package.filename} is linked, and not there"
        assert package.digests == {"sha256": hashlib.sha256(data).hexdigest()}
        metadata = store.read(f"simple/{name}/{package.filename}.metadata")
        assert metadata is not None
        assert package.metadata_digests == {"sha256": hashlib.sha256(metadata).hexdigest()}
    return {package.filename for package in parsed.packages}
