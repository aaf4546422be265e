"""Render pages from templates."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket


def render(template: str, /, **values: object) -> str:
    """Return the page that a template of ``index/pages/`` renders with these values; all text is escaped."""
    return _ENVIRONMENT.get_template(template).render(values)


def filesize(size: int) -> str:
    """Return a number of bytes in decimal units, such as ``1.2 MB``."""
    if size < 1000:
        return f"{size} B"
    amount, units = size / 1000, iter(("kB", "MB", "GB"))
    unit = next(units)
    while amount >= 999.95 and unit != "GB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:.1f} {unit}"


class _TemplateCache(FileSystemBytecodeCache):
    """Cache compiled templates on disk, as Python caches compiled modules; without a writable cache, compile each time.

    Compiling takes a tenth of a second, and adding a wheel to a large index should not take longer than that.
    """

    def get_source_checksum(self, source: str) -> str:
        # The settings below affect how a template is compiled.
        return super().get_source_checksum(source + Path(__file__).read_text())

    def dump_bytecode(self, bucket: Bucket) -> None:
        if sys.dont_write_bytecode:
            return
        with contextlib.suppress(OSError):
            Path(self.directory).mkdir(exist_ok=True)
            super().dump_bytecode(bucket)


def environment(compiled: Path) -> Environment:
    """Return the environment that renders the templates and caches them, compiled, in the folder ``compiled``."""
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
