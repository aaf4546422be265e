"""The one way in which pages are made from templates."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket


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


class _TemplateCache(FileSystemBytecodeCache):
    """Compiled templates, kept as Python keeps compiled modules; where that cannot be, each start compiles them.

    It takes a tenth of a second, and to add a wheel to a large index should not take one.
    """

    def get_source_checksum(self, source: str) -> str:
        # What is chosen below decides what a template is compiled to.
        return super().get_source_checksum(source + Path(__file__).read_text())

    def dump_bytecode(self, bucket: Bucket) -> None:
        if sys.dont_write_bytecode:
            return
        with contextlib.suppress(OSError):
            Path(self.directory).mkdir(exist_ok=True)
            super().dump_bytecode(bucket)


def environment(compiled: Path) -> Environment:
    """Return what makes pages of the templates, and keeps these in the folder ``compiled``."""
    templates = Environment(
        loader=PackageLoader("crosswheel.index", "pages"),
        bytecode_cache=_TemplateCache(str(compiled), "%s.jinja"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["filesize"] = filesize
    return templates


_ENVIRONMENT = environment(Path(__file__).with_name("pages") / "__pycache__")
