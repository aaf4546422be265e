"""Summarise an index in a few lines of Markdown, for the page of a CI run."""

from __future__ import annotations

from collections.abc import Sequence

from crosswheel.index.failures import still_failing
from crosswheel.index.site import SiteContents


def markdown(site: SiteContents) -> str:
    """Return an index's wheels and failed builds as Markdown tables."""
    offered = [
        [
            project.project,
            project.version,
            ", ".join(project.targets) or "not run",
            "native" if project.native else "pure",
        ]
        for project in site.projects.values()
    ]
    failing = [
        [f.name, f.version, f.target, f.message.partition("\n")[0], f.hint]
        for f in still_failing(site.failures, site.projects)
    ]
    wheels = sum(project.wheels for project in site.projects.values())
    text = f"## Index: {wheels} wheels of {len(site.projects)} projects\n\n"
    if failing:
        text += "### Not built\n\n" + table(["package", "version", "target", "why", "what to do"], failing)
    return text + table(["package", "version", "runs on", "kind"], offered)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; cells are escaped, so that their text appears verbatim."""
    lines = [columns, ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _cell(text: str) -> str:
    for special in "\\`*_{}[]<>|#":
        text = text.replace(special, f"\\{special}")
    return text.replace("\n", " ")
