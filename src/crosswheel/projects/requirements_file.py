"""Read requirements files in pip's format, with a library that contains pip's own code for it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from pip_requirements_parser import (
    InstallationError,
    InstallRequirement,
    InvalidRequirementLine,
    RequirementsFile,
)

from crosswheel.errors import UsageError

_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")  # pip's syntax
_ALL, _NONE = ":all:", ":none:"
# Options without effect here: compatible wheels are used in any case, and the input is explicit anyway.
_NEEDLESS = frozenset({"requirements", "constraints", "prefer_binary"})
_REMEDIES = {
    "extra_index_urls": "name it with --index NAME=URL, and what belongs to it with --from-index PACKAGE=NAME: where "
    "two registries are asked for every package, anyone may put one of your names on the public one.",
    "find_links": "name the files themselves, such as ./wheels/mylib-1.0.tar.gz.",
    "no_index": "leave it out.",
    "pre": "name the pre-release that is wanted, such as mylib==2.0rc1.",
    "trusted_hosts": "name certificates to trust with SSL_CERT_FILE.",
}


@dataclass(frozen=True)
class FileLine:
    """A requirement of a file.

    Attributes:
        text: the requirement (PEP 508), or its URL or folder.
        hashes: the accepted hashes, as ``sha256:…``.
        is_project: whether it names a folder or a URL.
        is_constraint: whether it only constrains other requirements of its name.
    """

    text: str
    file: Path
    number: int
    marker: str = ""
    hashes: tuple[str, ...] = ()
    is_project: bool = False
    is_constraint: bool = False


@dataclass(frozen=True)
class RequirementsContent:
    """The contents of a requirements file, with all files that it includes.

    Attributes:
        index_url: the registry that replaces the default one.
        no_binary, only_binary: the packages to build, and those never to build; ``:all:`` stands for all.
    """

    lines: tuple[FileLine, ...]
    index_url: str | None = None
    no_binary: frozenset[str] = frozenset()
    only_binary: frozenset[str] = frozenset()

    @property
    def is_plain(self) -> bool:
        """Whether it names only a registry's packages, so that a resolver can read the file itself."""
        options = self.index_url or self.no_binary or self.only_binary
        return not options and not any(line.is_project for line in self.lines)


def read_requirements(path: Path) -> RequirementsContent | None:
    """Read a requirements file; return ``None`` for a malformed one, whose fault a resolver reports best.

    Raises:
        UsageError: it has an unsupported option, or names a variable that is not set.
    """
    try:
        read = RequirementsFile.from_file(str(path), include_nested=True)
        expanded = [found for line in read.invalid_lines for found in _expanded(line)]
    except (InstallationError, OSError, UnicodeError):
        return None
    if len(expanded) != len(read.invalid_lines):
        return None
    lines = tuple(_line(item, path) for item in (*read.requirements, *expanded))
    options = _options(read.options)
    if options.get("require_hashes"):
        _require_hashes(lines)
    return RequirementsContent(
        lines,
        options.get("index_url"),
        _names(options.get("no_binary", ())),
        _names(options.get("only_binary", ())),
    )


def _expanded(invalid: InvalidRequirementLine) -> Iterator[InstallRequirement]:
    """Yield the requirement of a line that is invalid until its variables are replaced."""
    stated = invalid.requirement_line
    missing = [name for name in _VARIABLE.findall(stated.line) if name not in os.environ]
    if missing:
        raise UsageError(
            f"{stated.filename}, line {stated.line_number}: the variable {missing[0]} is not set",
            hint=f"set it, and run the same command again: export {missing[0]}=…",
        )
    text = _VARIABLE.sub(lambda match: os.environ[match[1]], stated.line)
    if text != stated.line:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "line.txt"
            file.write_text(text)
            read = RequirementsFile.from_file(str(file))
        for item in read.requirements:
            item.requirement_line = stated
            yield item


def _line(item: InstallRequirement, path: Path) -> FileLine:
    stated = item.requirement_line
    marker = f" ; {item.marker}" if item.marker else ""
    if item.install_options or item.global_options:
        raise UsageError(
            f"{stated.filename}, line {stated.line_number}: options of a requirement are not passed to its build",
            hint="write environment or config_settings into a recipe for it, and leave them out here.",
        )
    extras = f"[{','.join(sorted(item.extras))}]" if item.extras else ""
    named = str(item.req) if item.req is not None and (item.link is None or item.req.url) else None
    return FileLine(
        (named or f"{item.link.url}{extras}").partition(" ;")[0],
        Path(stated.filename or path),
        stated.line_number,
        marker,
        tuple(item.hash_options or ()),
        is_project=item.link is not None,
        is_constraint=bool(item.is_constraint),
    )


def _options(lines: Iterable[Any]) -> dict[str, Any]:
    """Return the options of all lines together; refuse unsupported ones."""
    options: dict[str, Any] = {}
    for line in lines:
        for name, value in line.options.items():
            if name in ("no_binary", "only_binary"):
                options[name] = [*options.get(name, ()), *value]
            elif name in ("index_url", "require_hashes"):
                options[name] = value
            elif name not in _NEEDLESS:
                stated, option = line.requirement_line, name.rstrip("s").replace("_", "-")
                raise UsageError(
                    f"{stated.filename}, line {stated.line_number}: --{option} cannot be honoured",
                    hint=_REMEDIES.get(name, "leave that line out."),
                )
    return options


def _names(values: Iterable[str]) -> frozenset[str]:
    """Return the names that an option lists, as pip reads it: ``:none:`` cancels the names before it."""
    names: set[str] = set()
    for value in (part.strip() for text in values for part in text.split(",")):
        if value == _NONE:
            names.clear()
        elif value:
            names.add(value if value == _ALL else canonicalize_name(value))
    return frozenset(names)


def _require_hashes(lines: Iterable[FileLine]) -> None:
    for line in lines:
        if not line.hashes and not line.is_constraint:
            raise UsageError(
                f"{line.file}, line {line.number}: {line.text} has no hash, and the file says --require-hashes",
                hint="add the hashes of its files, or leave that option out.",
            )
