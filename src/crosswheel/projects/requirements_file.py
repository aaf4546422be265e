"""Read requirements files in pip's format, with a library that contains pip's own code for it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name
from pip_requirements_parser import (
    OPT_BY_OPTIONS_DEST,
    InstallationError,
    InstallRequirement,
    InvalidRequirementLine,
    OptionLine,
    ParsedLine,
    ParsedRequirement,
    RequirementLine,
    RequirementsFileParser,
    build_req_from_parsedreq,
    get_line_parser,
    handle_line,
)

from crosswheel.errors import UsageError

_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")  # pip's syntax
# pip's parser takes only the first word of an editable, and passes over its marker.
_EDITABLE = re.compile(
    r"(?:-e|--editable)(?:\s+|=)(?P<address>[^\s\"'].*?)(?:(?:\s+;|;\s)\s*(?P<marker>.*))?"
)
_ALL, _NONE = ":all:", ":none:"
# Options without effect here: compatible wheels are used in any case, and the input is explicit anyway.
_NEEDLESS = frozenset({"requirements", "constraints", "prefer_binary"})
_REMEDIES = {
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
        extra_index_urls: registries that are asked for every package as well.
        no_binary, only_binary: the packages to build, and those never to build; ``:all:`` stands for all.
    """

    lines: tuple[FileLine, ...]
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    no_binary: frozenset[str] = frozenset()
    only_binary: frozenset[str] = frozenset()


def read_requirements(path: Path) -> RequirementsContent | None:
    """Read a requirements file; return ``None`` for a malformed one, whose fault a resolver reports best.

    Raises:
        UsageError: it has an unsupported option, or names a variable that is not set.
    """
    try:
        parsed = list(_parsed(path))
    except (InstallationError, OSError, ValueError, RecursionError):  # of which UnicodeError is one
        return None
    if any(isinstance(item, InvalidRequirementLine) for item in parsed):
        return None
    lines = tuple(_line(item) for item in parsed if isinstance(item, InstallRequirement))
    options = _options(item for item in parsed if isinstance(item, OptionLine))
    if options.get("require_hashes"):
        _require_hashes(lines)
    return RequirementsContent(
        lines,
        options.get("index_url"),
        tuple(dict.fromkeys(options.get("extra_index_urls", ()))),
        _names(options.get("no_binary", ())),
        _names(options.get("only_binary", ())),
    )


def _parsed(path: Path) -> Iterator[InstallRequirement | OptionLine | InvalidRequirementLine]:
    """Yield what a file and those that it includes say, line by line, but for comments."""
    parser = RequirementsFileParser(_reading_line(get_line_parser()))
    for line in parser.parse(str(path), is_constraint=False, include_nested=True):
        if isinstance(line, InvalidRequirementLine):
            _require_variables(line.requirement_line)
            yield line
        elif isinstance(line, ParsedLine):
            if not line.is_requirement and line.options.hashes:
                raise UsageError(
                    f"{_place(line.requirement_line)}: a hash belongs to no requirement",
                    hint="end the line before it with a backslash; a comment must not come between the two.",
                )
            for item in handle_line(line):
                yield build_req_from_parsedreq(item) if isinstance(item, ParsedRequirement) else item


def _reading_line(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser of lines that also replaces variables, and takes all of an editable's address as such.

    Where a variable is missing it fails, so that the line counts as invalid, before a file of such a name is opened.
    """

    def read(line: str) -> Any:
        text = _VARIABLE.sub(lambda match: os.environ[match[1]], line)
        editable = _EDITABLE.fullmatch(text)
        return parse(f"-e {shlex.quote(editable['address'])}" if editable else text)

    return read


def _require_variables(line: RequirementLine) -> None:
    missing = [name for name in _VARIABLE.findall(line.line) if name not in os.environ]
    if missing:
        raise UsageError(
            f"{_place(line)}: the variable {missing[0]} is not set",
            hint=f"set it, and run the same command again: export {missing[0]}=…",
        )


def _place(line: RequirementLine) -> str:
    return f"{line.filename}, line {line.line_number}"


def _line(item: InstallRequirement) -> FileLine:
    stated = item.requirement_line
    if item.install_options or item.global_options:
        raise UsageError(
            f"{_place(stated)}: options of a requirement are not passed to its build",
            hint="write environment or config_settings into a recipe for it, and leave them out here.",
        )
    hashes = tuple(item.hash_options or ())
    if hashes and not any(value.startswith("sha256:") for value in hashes):
        raise UsageError(
            f"{_place(stated)}: its hashes are not sha256, and registries tell that of a file alone",
            hint="add --hash=sha256:… of the same file, or leave the hashes out.",
        )
    return FileLine(
        _requirement(item),
        Path(stated.filename),
        stated.line_number,
        _marker(item),
        hashes,
        is_project=item.link is not None,
        is_constraint=bool(item.is_constraint),
    )


def _requirement(item: InstallRequirement) -> str:
    """Return a requirement without its marker: as PEP 508 has it, or a folder or an address with its extras."""
    required = item.req
    if required is not None and (item.link is None or required.url):
        return str(required).partition(" ;")[0]
    extras = {*item.extras, *(required.extras if required is not None else ())}
    suffix = f"[{','.join(sorted(extras))}]" if extras else ""
    if required is not None and item.link.egg_fragment:
        return f"{required.name}{suffix} @ {item.link.url}"
    return f"{item.link.url}{suffix}"


def _marker(item: InstallRequirement) -> str:
    """Return a requirement's marker with the semicolon before it; that of an editable is read from its line."""
    editable = _EDITABLE.fullmatch(item.requirement_line.line)
    stated = editable["marker"] if editable else str(item.marker or "")
    if not stated:
        return ""
    try:
        return f" ; {Marker(stated)}"
    except InvalidMarker as error:
        raise UsageError(
            f"{_place(item.requirement_line)}: {stated!r} is no marker",
            hint="write one such as sys_platform == 'linux' (PEP 508), or leave it out.",
        ) from error


def _options(lines: Iterable[Any]) -> dict[str, Any]:
    """Return the options of all lines together; refuse unsupported ones."""
    options: dict[str, Any] = {}
    for line in lines:
        for name, value in line.options.items():
            if name in ("no_binary", "only_binary", "extra_index_urls"):
                options[name] = [*options.get(name, ()), *value]
            elif name in ("index_url", "require_hashes"):
                options[name] = value
            elif name not in _NEEDLESS:
                raise UsageError(
                    f"{_place(line.requirement_line)}: {OPT_BY_OPTIONS_DEST[name]} cannot be honoured",
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
