"""A project's long description as HTML that is safe to show."""

from __future__ import annotations

from email.message import Message
from typing import Optional

import nh3
from packaging.metadata import RawMetadata
from pygments.token import STANDARD_TYPES
from readme_renderer import markdown, rst, txt

_LARGEST = 40_000
_TAGS = (nh3.ALLOWED_TAGS | {"section"}) - {"map", "area"}
_ATTRIBUTES = {
    "*": {"id"},
    "a": {"href", "title"},
    "abbr": {"title"},
    "img": {"alt"},  # without src: a page of the index asks no other server for anything
    "ol": {"start"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan"},
}
_CLASSES = {"span": set(STANDARD_TYPES.values())}


def render(metadata: RawMetadata) -> str:
    """Return the long description as sanitised HTML: no scripts, no styles, nothing loaded from elsewhere.

    A description beyond 40,000 characters is cut at the end of a paragraph.
    """
    text = metadata.get("description", "")
    if len(text) > _LARGEST:
        text = text[:_LARGEST].rpartition("\n\n")[0] + "\n\n…\n"
    html = _to_html(text, metadata.get("description_content_type"))
    # What readme_renderer gives is clean already; here it is confined to what this site shows.
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_filter,
        allowed_classes=_CLASSES,
        link_rel="nofollow noopener",
    )


def _to_html(text: str, content_type: Optional[str]) -> str:
    message = Message()
    message["Content-Type"] = content_type or "text/x-rst"
    kind = message.get_content_type()
    html = None
    if kind == "text/markdown":
        html = markdown.render(text, variant=str(message.get_param("variant", "GFM")))
    elif kind == "text/x-rst":
        html = rst.render(text)
    return html if html is not None else txt.render(text) or ""


def _filter(tag: str, attribute: str, value: str) -> Optional[str]:
    # A relative link would lead into the project's own repository, which is not here.
    if attribute == "href" and not value.startswith(("https://", "http://", "mailto:", "#")):
        return None
    return value
