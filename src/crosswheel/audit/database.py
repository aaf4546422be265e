"""Read OSV's database from files, one advisory at a time, in constant memory.

OSV exports a zip of JSON files. A folder of these files, an unpacked zip, works as well. So does a JSON file with one
advisory, with a list of advisories, or with one on each line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import ijson

from crosswheel.audit.advisories import Record
from crosswheel.audit.zip_stream import zip_members
from crosswheel.errors import IntegrityError, UsageError
from crosswheel.files import explained_storage_errors

LARGEST = 8 << 20
"""The size limit of one advisory in bytes; OSV's largest has less than one million."""
_DEEPEST = 100
_BLOCK = 1 << 16


def read_database(path: Path) -> Iterator[Record]:
    """Yield the advisories of a database.

    Raises:
        UsageError: ``path`` does not exist, or has no advisory.
        IntegrityError: a file is truncated or damaged, or an advisory is too large.
    """
    if not path.exists():
        raise UsageError(
            f"there is no database {path}",
            hint="fetch OSV's export of PyPI's, Rust's and Debian's advisories, and name the files with --osv.",
        )
    files = sorted(file for file in path.rglob("*") if file.suffix in _FORMS) if path.is_dir() else [path]
    if not files or any(file.suffix not in _FORMS for file in files):
        raise UsageError(
            f"{path} is no database of OSV", hint=f"it is a folder or a file of these: {', '.join(_FORMS)}."
        )
    for file in files:
        with explained_storage_errors(file), file.open("rb") as stream:
            yield from _FORMS[file.suffix](stream, str(file))


def _of_zip(stream: IO[bytes], title: str) -> Iterator[Record]:
    for name, data in zip_members(stream, title, LARGEST):
        if name.endswith(".json"):
            yield _record(data, f"{title}: {name}")


def _of_lines(stream: IO[bytes], title: str) -> Iterator[Record]:
    number = 0
    while line := stream.readline(LARGEST + 1):
        number += 1
        if len(line) > LARGEST:
            _refuse(title, f"line {number} is larger than an advisory may be")
        if line.strip():
            yield _record(line, f"{title}: line {number}")


def _of_json(stream: IO[bytes], title: str) -> Iterator[Record]:
    first = stream.read(64).lstrip()[:1]
    stream.seek(0)
    if first == b"[":
        yield from _of_list(stream, title)
        return
    data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        _refuse(title, "it is larger than an advisory may be, and no list of them")
    yield _record(data, title)


def _of_list(stream: IO[bytes], title: str) -> Iterator[Record]:
    limited = _Limited(stream, title)
    try:
        for record in _elements(limited, title):
            limited.taken = 0
            yield _checked(record, title)
    except ijson.JSONError as error:
        _refuse(title, str(error).splitlines()[0] if str(error) else "it is damaged", error)


def _elements(stream: _Limited, title: str) -> Iterator[object]:
    """Yield the elements of a list, each as soon as it is read.

    :func:`ijson.items` does the same, but builds the path of each value, which deep nesting makes too long.
    """
    builder, depth = ijson.ObjectBuilder(), 0
    for event, value in ijson.basic_parse(stream, use_float=True, buf_size=_BLOCK):
        if event.startswith("start_"):
            depth += 1
            if depth > _DEEPEST:
                _refuse(title, f"more than {_DEEPEST} things are in one another")
            if depth == 1:
                continue
        depth -= event.startswith("end_")
        if depth == 0:
            continue
        builder.event(event, value)
        if depth == 1 and event != "map_key":
            yield builder.value
            builder = ijson.ObjectBuilder()


class _Limited:
    """A stream that raises when one element of the list in it exceeds the size limit of an advisory."""

    def __init__(self, stream: IO[bytes], title: str) -> None:
        self.stream, self.title, self.taken = stream, title, 0

    def read(self, count: int = -1) -> bytes:
        data = self.stream.read(count)
        self.taken += len(data)
        if self.taken > LARGEST:
            _refuse(self.title, "an entry is larger than an advisory may be")
        return data


def _record(data: bytes, title: str) -> Record:
    try:
        return _checked(json.loads(data), title)
    except (ValueError, RecursionError) as error:
        _refuse(title, f"it is not JSON: {error}", error)


def _checked(record: Any, title: str) -> Record:
    if not isinstance(record, dict):
        _refuse(title, "an entry is not an object")
    return record


def _refuse(title: str, reason: str, cause: BaseException | None = None) -> NoReturn:
    raise IntegrityError(f"the database {title} cannot be read: {reason}", hint="fetch it again.") from cause


_FORMS = {".zip": _of_zip, ".json": _of_json, ".jsonl": _of_lines, ".ndjson": _of_lines}
