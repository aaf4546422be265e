"""Render a project's long description as safe HTML."""

from __future__ import annotations

import re
from email.message import Message

import nh3
from packaging.metadata import RawMetadata
from pygments.token import STANDARD_TYPES

_LARGEST = 60_000  # characters, for the text and for its HTML
_TAGS = (nh3.ALLOWED_TAGS | {"section"}) - {"map", "area", "img"}
_ATTRIBUTES = {
    "*": {"id"},
    "a": {"href", "title"},
    "abbr": {"title"},
    "ol": {"start"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan"},
}
_IMAGE = re.compile(r"<img\b[^>]*>")
_EMPTY_LINK = re.compile(r"<a\b[^>]*>\s*</a>")  # left by a picture without text, or by a heading's anchor
_ALT = re.compile(r'\balt="([^"]*)"')
_CLASSES = {"span": set(STANDARD_TYPES.values())}


def render(metadata: RawMetadata) -> str:
    """Return the long description as sanitised HTML: no scripts, no styles, nothing loaded from elsewhere.

    A description of more than 60 kB of HTML is cut at the end of a paragraph.
    """
    text, content_type = metadata.get("description", ""), metadata.get("description_content_type")
    html = _safe_html(text[:_LARGEST], content_type)
    while len(text) > _LARGEST or len(html) > _LARGEST:
        kept = int(min(len(text), _LARGEST) * min(0.9, _LARGEST / max(len(html), 1)))
        text = text[:kept].rpartition("\n\n")[0] + "\n\n…\n"
        html = _safe_html(text, content_type)
    return html


def _safe_html(text: str, content_type: str | None) -> str:
    html = _to_html(text, content_type)
    # Pages send no requests to other servers, so a picture's text replaces it. Cleaning comes last, because a
    # picture may be written to confuse this step.
    html = _IMAGE.sub(lambda image: "".join(_ALT.findall(image[0])), html)
    html = _EMPTY_LINK.sub("", html)
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_filter,
        allowed_classes=_CLASSES,
        link_rel="nofollow noopener",
    )


def _to_html(text: str, content_type: str | None) -> str:
    message = Message()
    message["Content-Type"] = content_type or "text/x-rst"
    kind = message.get_content_type()
    html = None
    # Renderers are slow to import, and most indexes need only one.
    if kind == "text/markdown":
        from readme_renderer import markdown

        html = markdown.render(text, variant=str(message.get_param("variant", "GFM")))
    elif kind == "text/x-rst":
        from readme_renderer import rst

        html = rst.render(text)
    if html is None:
        from readme_renderer import txt

        html = txt.render(text)
    return html or ""


def _filter(tag: str, attribute: str, value: str) -> str | None:
    # A relative link would point into the project's own repository, which the site does not have.
    if attribute == "href" and not value.startswith(("https://", "http://", "mailto:", "#")):
        return None
    return value
