"""Make the pages for people: a home page with search, a page with proofs for each project, a status page."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from urllib.parse import quote, urlsplit

from markupsafe import Markup
from packaging.metadata import RawMetadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from crosswheel.index import readme
from crosswheel.index.batches import Batch
from crosswheel.index.chart import batch_chart
from crosswheel.index.entry import Entry, left_out, newest, newest_on, requirements
from crosswheel.index.failures import Failure
from crosswheel.index.machine_facts import facts
from crosswheel.index.overview import NEWEST_SHOWN, Overview, python_order, pythons
from crosswheel.index.templates import render
from crosswheel.targets import Target
from crosswheel.wheels.layout import LOG_SUFFIX
from crosswheel.wheels.proof import AuditedObject, Proof

HOME, STATUS = "index.html", "status.html"
TARGET_PAGE = "target.html"


@dataclass(frozen=True)
class ListedWheel:
    """A wheel on its project's page.

    Attributes:
        entry: the index's entry for it.
        proofs: its proofs, by file name; a page shows only those of the newest release.
        has_log: whether its build log is published next to it.
    """

    entry: Entry
    proofs: Mapping[str, Proof]
    has_log: bool = False

    @property
    def folder(self) -> str:
        """The URL of its folder, relative to the project's page."""
        apart = f"{self.entry.apart}/" if self.entry.apart else ""
        return f"../simple/{self.entry.name}/{apart}"

    @property
    def url(self) -> str:
        """Its URL, relative to the project's page."""
        return self.folder + quote(self.entry.filename)

    @property
    def pythons(self) -> list[str]:
        """The Pythons that it supports, such as ``3.10`` or ``3.8+``."""
        return pythons(self.entry.tags)

    @property
    def platforms(self) -> list[str]:
        """Its platform tags; ``any`` for a pure wheel."""
        return sorted({tag.platform for tag in self.entry.tags})


@dataclass(frozen=True)
class Link:
    """A dependency: the requirement as written, and the project's page if this index has the project."""

    name: str
    suffix: str
    page: str | None


@dataclass(frozen=True)
class Command:
    """How to install a project: the target (``None`` for any suitable machine), and the requirement."""

    target: str | None
    requirement: str

    @property
    def folder(self) -> str:
        """The folder of the site whose index to install from: the target's own."""
        return f"{self.target}/" if self.target else ""


def project_path(name: str) -> str:
    """Return the path of a project's page in the site; ``name`` is the normalised name."""
    return f"project/{name}.html"


def asset_files() -> dict[str, bytes]:
    """Return the files that all pages use, and the script that installs into an environment, by path."""
    folder = resources.files("crosswheel.index") / "assets"
    assets = {"assets/site.css": "site.css", "assets/site.js": "site.js", "install.sh": "install.sh"}
    return {path: (folder / name).read_bytes() for path, name in assets.items()}


def project_page(
    files: Sequence[ListedWheel], raw: RawMetadata, known: Collection[str], root_url: str | None
) -> str:
    """Return a project's page.

    Args:
        files: its wheels, the oldest version first.
        raw: the METADATA of the wheel that :func:`newest` chooses.
        known: the normalised names of projects in the index; the page links dependencies to these.
        root_url: the site's URL; without it, the page determines it in the browser.
    """
    entry = newest([file.entry for file in files])
    return _page(
        "project.html",
        "../",
        entry=entry,
        author=raw.get("author") or raw.get("author_email"),
        license=raw.get("license_expression") or _one_line(raw.get("license", "")),
        links=_links(raw),
        readme=Markup(readme.render(raw)),  # render() sanitises
        files=list(reversed(files)),
        current=[file for file in files if file.entry.is_of_release(entry)],
        left_out=left_out(file.entry for file in files),
        commands=_commands([file.entry for file in files], entry),
        site_url=root_url.rstrip("/") if root_url else None,
        trusted_host=untrusted_host(root_url),
        dependencies=[_link(requirement, known) for requirement in requirements(raw)],
        needs=newest_symbols,
        log_suffix=LOG_SUFFIX,
    )


def home_page(projects: Mapping[str, Overview]) -> str:
    """Return the page that lists all projects; the browser searches and filters it."""
    overviews = projects.values()
    return _page(
        "home.html",
        "",
        projects=projects,
        targets=sorted({target for project in overviews for target in project.newest_on}),
        machines=sorted({target for project in overviews for target in project.offered}),
        pythons=sorted({python for project in overviews for python in project.all_pythons}, key=python_order),
    )


def status_page(
    projects: Mapping[str, Overview], failures: Sequence[Failure], batches: Sequence[Batch] = ()
) -> str:
    """Return the status page: what is available and newest, where batches stand, what could not be built and why."""
    overviews = projects.values()
    recent = heapq.nlargest(
        NEWEST_SHOWN, ((wheel, name) for name, project in projects.items() for wheel in project.recent)
    )
    return _page(
        "status.html",
        "",
        projects=projects,
        wheels=sum(project.wheels for project in overviews),
        bytes=sum(project.bytes for project in overviews),
        targets=sorted({target for project in overviews for target in project.offered}),
        left_out=sorted(filename for project in overviews for filename in project.left_out),
        proven=sorted(Counter(target for project in overviews for target, _ in project.proven).items()),
        unproven=sorted(filename for project in overviews for filename in project.unproven),
        yanked=sum(project.yanked_wheels for project in overviews),
        failures=failures,
        batches=[(batch, batch_chart(batch)) for batch in batches],
        recent=recent,
    )


def target_path(target: str) -> str:
    """Return the path of a target's page in the site."""
    return f"{target}/{TARGET_PAGE}"


def target_page(
    target: str, described: Target | None, projects: Iterable[Overview], root_url: str | None
) -> str:
    """Return a target's page: its facts, how to install for it, and how many wheels were proven in each way.

    Args:
        described: the target; ``None`` if nothing is known about it.
        projects: the projects with a proof for it.
        root_url: the site's URL; without it, the page determines it in the browser.
    """
    overviews = [project for project in projects if target in project.offered]
    ways = sum((Counter(project.ways.get(target, {})) for project in overviews), Counter[str]())
    return _page(
        "target.html",
        "../",
        target=target,
        title=described.title if described else None,
        facts=facts(described) if described else (),
        ways=ways,
        wheels=sum(project.offers.get(target, 0) for project in overviews),
        site_url=root_url.rstrip("/") if root_url else None,
        trusted_host=untrusted_host(root_url),
    )


def newest_symbols(audited: Iterable[AuditedObject]) -> dict[str, str]:
    """Return the newest symbol version of each family that any of these objects needs."""
    newest: dict[str, str] = {}
    for item in audited:
        for prefix, version in item.newest.items():
            newest[prefix] = max(newest.get(prefix, "0"), version, key=Version)
    return newest


def _commands(entries: Sequence[Entry], chosen: Entry) -> list[Command]:
    on = newest_on(entries)
    if not on:
        return [Command(None, f"{chosen.name}=={chosen.version}")]
    return [Command(target, f"{entry.name}=={entry.version}") for target, entry in on.items()]


def untrusted_host(root_url: str | None) -> str | None:
    """Return the host that pip would refuse to contact without encryption."""
    parts = urlsplit(root_url or "")
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return parts.hostname if parts.scheme == "http" and not local else None


def _link(requirement: Requirement, known: Collection[str]) -> Link:
    name = canonicalize_name(requirement.name)
    suffix = str(requirement)[len(requirement.name) :]
    return Link(requirement.name, suffix, f"{name}.html" if name in known else None)


def _links(raw: RawMetadata) -> dict[str, str]:
    links = {"Homepage": raw["home_page"]} if "home_page" in raw else {}
    links.update(raw.get("project_urls", {}))
    return {name: url for name, url in links.items() if url.startswith(("https://", "http://"))}


def _one_line(text: str) -> str:
    # Some projects put the whole licence text here; its first line is the licence's name.
    lines = text.strip().splitlines()
    return lines[0][:80] if lines else ""


def _page(template: str, root: str, **values: object) -> str:
    # The assets' URL changes with their contents, so that a cache never pairs a new page with old assets.
    return render(template, root=root, assets=_ASSETS_DIGEST, home=HOME, status=STATUS, **values)


_ASSETS_DIGEST = hashlib.sha256(b"".join(asset_files().values())).hexdigest()[:8]
