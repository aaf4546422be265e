"""Repairs requirements that old tools wrote and that PEP 508 and PEP 440 forbid, as pip and uv do."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

# In uv's order; the examples are: `>=5.1.*`, `>=1.9!=1.9.*`, `!=~1.2`, `>=1.19.`, `!=3.0*`, `>='1'`.
_REPAIRS = (
    (re.compile(r"(<=|>=|<|>|~=)\s*(\d+(?:\.\d+)*)\.\*"), r"\1\2"),
    (re.compile(r"([\d*])\s*(<=|>=|<|>|~=|==|!=)"), r"\1,\2"),
    (re.compile(r"!=~"), "!="),
    (re.compile(r"(\d)\.(?=\s*(?:[,);]|$))"), r"\1"),
    (re.compile(r"(\d)\*"), r"\1.*"),
    (re.compile(r"((?:<=|>=|<|>|~=|==|!=)\s*)['\"]([\d.*]+)['\"]"), r"\1\2"),
)


def repaired_requirement(text: str) -> str:
    """Return a valid requirement (PEP 508): the text itself, or a repair of a known mistake in it.

    Raises:
        InvalidRequirement: the mistake is not a known one.
    """
    try:
        Requirement(text)
    except InvalidRequirement:
        head, semicolon, marker = text.partition(";")
        text = f"{_repaired(head)}{semicolon}{marker}"
        Requirement(text)
    return text


def repaired_specifiers(text: str) -> str:
    """Return valid version specifiers (PEP 440): the text itself, or a repair of a known mistake in it.

    Raises:
        InvalidSpecifier: the mistake is not a known one.
    """
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        text = _repaired(text)
        SpecifierSet(text)
    return text


def _repaired(text: str) -> str:
    for pattern, replacement in _REPAIRS:
        text = pattern.sub(replacement, text)
    return text
