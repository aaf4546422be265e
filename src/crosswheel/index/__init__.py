"""The index: wheels → a static site for pip, for tools and for people."""

from __future__ import annotations

from crosswheel.index.site import IndexSummary, write_site

__all__ = ["IndexSummary", "write_site"]
