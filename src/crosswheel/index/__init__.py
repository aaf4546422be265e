"""The index: wheels → a static site for pip, for tools and for people."""

from __future__ import annotations

from crosswheel.index.site import IndexSummary, SiteContents, read_site, write_site

__all__ = ["IndexSummary", "SiteContents", "read_site", "write_site"]
