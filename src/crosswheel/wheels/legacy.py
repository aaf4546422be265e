"""Requirements as old tools wrote them: what pip and uv understand although PEP 508 and PEP 440 do not allow it."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

# One after the other, as uv repairs them: `>=5.1.*`, `>=1.9!=1.9.*`, `!=~1.2`, `>=1.19.`, `!=3.0*`, `>='1'`.
_REPAIRS = (
    (re.compile(r"(<=|>=|<|>|~=)\s*(\d+(?:\.\d+)*)\.\*"), r"\1\2"),
    (re.compile(r"([\d*])\s*(<=|>=|<|>|~=|==|!=)"), r"\1,\2"),
    (re.compile(r"!=~"), "!="),
    (re.compile(r"(\d)\.(?=\s*(?:[,);]|$))"), r"\1"),
    (re.compile(r"(\d)\*"), r"\1.*"),
    (re.compile(r"((?:<=|>=|<|>|~=|==|!=)\s*)['\"]([\d.*]+)['\"]"), r"\1\2"),
)


def repaired_requirement(text: str) -> str:
    """Return a requirement as PEP 508 has it, mended where it is of a known wrong kind.

    Raises:
        InvalidRequirement: it is of none.
    """
    try:
        Requirement(text)
    except InvalidRequirement:
        head, semicolon, marker = text.partition(";")
        mended = f"{_repaired(head)}{semicolon}{marker}"
        Requirement(mended)
        return mended
    return text


def repaired_specifiers(text: str) -> str:
    """Return version specifiers as PEP 440 has them, mended where they are of a known wrong kind.

    Raises:
        InvalidSpecifier: they are of none.
    """
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        mended = _repaired(text)
        SpecifierSet(mended)
        return mended
    return text


def _repaired(text: str) -> str:
    for pattern, replacement in _REPAIRS:
        text = pattern.sub(replacement, text)
    return text
