"""Make the pages for pip and other tools: the simple repository API, as HTML and as JSON.

Implements PEP 503 (HTML), 592 (yanked), 629 (version), 658 and 714 (core metadata), 691 (JSON) and
700 (versions, sizes, upload times), and 740 (attestations) where the index knows its own URL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from urllib.parse import quote

from crosswheel.index.entry import Entry
from crosswheel.index.templates import render
from crosswheel.wheels.layout import ATTESTATIONS_SUFFIX

API_VERSION = "1.1"
_WITH_ATTESTATIONS = "1.3"
# What browsers call a secure context; of attestations, pages name a full URL with such an origin.
_SECURE = re.compile(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/]")


def simple_pages(name: str, root: str = "") -> tuple[str, str]:
    """Return the paths of both forms of a project's page in a site; ``root`` is a target's folder, with its slash."""
    return f"{root}simple/{name}/index.html", f"{root}simple/{name}/index.json"


def list_pages(root: str = "") -> tuple[str, str]:
    """Return the paths of both forms of the page that lists all projects; ``root`` is a target's folder, as above."""
    return f"{root}simple/index.html", f"{root}simple/index.json"


def project_list_html(names: Sequence[str], base: str = "") -> str:
    """Return the page that lists all projects; ``base`` is the URL of ``simple/``, relative if empty."""
    return render("simple-projects.html", api_version=API_VERSION, names=names, base=base)


def project_list_json(names: Sequence[str]) -> str:
    """Return the JSON form of the page that lists all projects."""
    return _dumps({"meta": {"api-version": API_VERSION}, "projects": [{"name": name} for name in names]})


def project_html(name: str, entries: Sequence[Entry], base: str = "", left_out: Sequence[Entry] = ()) -> str:
    """Return a project's page.

    Args:
        base: the URL of the folder that its wheels are in, relative if empty.
        left_out: wheels that only the indexes of single targets have; the page mentions them.
    """
    return render(
        "simple-project.html",
        api_version=_version(entries, base),
        name=name,
        files=[(base + quote(entry.path), entry, _attestations(entry, base)) for entry in entries],
        left_out=left_out,
    )


def project_json(name: str, entries: Sequence[Entry], base: str = "") -> str:
    """Return the JSON form of a project's page."""
    versions = [str(version) for version in sorted({entry.order[0] for entry in entries})]
    return _dumps(
        {
            "meta": {"api-version": _version(entries, base)},
            "name": name,
            "versions": versions,
            "files": [_file(entry, base) for entry in entries],
        }
    )


def _file(entry: Entry, base: str) -> dict[str, object]:
    # Omit "dist-info-metadata", the key's old name, as in HTML: pip 22.3 fails on its value.
    fields: dict[str, object] = {
        "filename": entry.filename,
        "url": base + quote(entry.path),
        "hashes": {"sha256": entry.sha256},
        "size": entry.size,
        "upload-time": entry.uploaded.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "core-metadata": {"sha256": entry.metadata_sha256},
    }
    if entry.requires_python is not None:
        fields["requires-python"] = entry.requires_python
    attestations = _attestations(entry, base)
    if attestations is not None:
        fields["provenance"] = attestations
    if entry.yanked is not None:
        fields["yanked"] = entry.yanked or True
    return fields


def is_secure(url: str) -> bool:
    """Return whether a URL has a secure origin; a relative one has none."""
    return _SECURE.match(f"{url}/") is not None


def _version(entries: Sequence[Entry], base: str) -> str:
    """Return the version of the API that a project's page needs: old clients warn of those that they do not know."""
    attested = any(_attestations(entry, base) is not None for entry in entries)
    return _WITH_ATTESTATIONS if attested else API_VERSION


def _attestations(entry: Entry, base: str) -> str | None:
    """Return the URL of a wheel's attestations, if it has some and the index knows its own URL."""
    if not entry.attested or not is_secure(base):
        return None
    return base + quote(entry.path + ATTESTATIONS_SUFFIX)


def _dumps(page: object) -> str:
    return json.dumps(page, ensure_ascii=False, separators=(",", ":")) + "\n"
