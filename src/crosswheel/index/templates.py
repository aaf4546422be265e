"""The one way in which pages are made from templates."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, /, **values: object) -> str:
    """Return the page that a template of ``index/pages/`` makes of these values; all text is escaped."""
    return _ENVIRONMENT.get_template(template).render(values)


def filesize(size: int) -> str:
    """Return a number of bytes for people, in decimal units: ``1.2 MB``."""
    if size < 1000:
        return f"{size} B"
    amount, units = size / 1000, iter(("kB", "MB", "GB"))
    unit = next(units)
    while amount >= 999.95 and unit != "GB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:.1f} {unit}"


_ENVIRONMENT = Environment(
    loader=PackageLoader("crosswheel.index", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["filesize"] = filesize
