"""Changes a keyword of a recipe without touching the rest of its file."""

from __future__ import annotations

import ast
import datetime
from pathlib import Path

from crosswheel.errors import RecipeError
from crosswheel.files import write_text


def change_build_number(file: Path, number: int) -> None:
    """Write a build number into a recipe's only call of ``build_package``.

    Raises:
        RecipeError: the recipe does not have exactly one such call, or the present value is not a literal.
        StorageError: the recipe cannot be written.
    """
    _change(file, "build_number", str(number), ("build number", "number"))


def change_day(file: Path, day: datetime.date) -> None:
    """Write ``as_of``, the day of a recipe's closure, into the recipe's only call of ``build_package``.

    Raises: as :func:`change_build_number`.
    """
    _change(file, "as_of", f'"{day}"', ("day", "text"))


def _change(file: Path, keyword: str, literal: str, words: tuple[str, str]) -> None:
    title, kind = words
    data = file.read_bytes()
    calls = [node for node in ast.walk(ast.parse(data)) if _is_build(node)]
    if len(calls) != 1 or not isinstance(calls[0], ast.Call):
        raise _refused(file, keyword, literal, title, f"it calls build_package {len(calls)} times")
    call = calls[0]
    current = next((item.value for item in call.keywords if item.arg == keyword), None)
    if current is None:
        end = _offset(data, call.end_lineno, call.end_col_offset) - 1
        text = _inserted(data[:end], f"{keyword}={literal}".encode()) + data[end:]
    elif isinstance(current, ast.Constant):
        begin = _offset(data, current.lineno, current.col_offset)
        end = _offset(data, current.end_lineno, current.end_col_offset)
        text = data[:begin] + literal.encode() + data[end:]
    else:
        raise _refused(file, keyword, literal, title, f"its {keyword} is no plain {kind}")
    write_text(file, text.decode())


def _is_build(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name == "build_package"


def _offset(data: bytes, line: int | None, column: int | None) -> int:
    """Return the byte offset of a parser's position, whose lines count from 1 and columns in bytes of UTF-8."""
    lines = data.splitlines(keepends=True)
    return sum(map(len, lines[: (line or 1) - 1])) + (column or 0)


def _inserted(head: bytes, keyword: bytes) -> bytes:
    """Return a call up to its closing bracket with a keyword added, on its own line if the others are on theirs."""
    stripped = head.rstrip()
    space = head[len(stripped) :]
    separator = b"" if stripped.endswith((b"(", b",")) else b","
    if b"\n" in space:
        return stripped + separator + space + b"    " + keyword + b"," + space
    return stripped + separator + (b"" if stripped.endswith(b"(") else b" ") + keyword


def _refused(file: Path, keyword: str, literal: str, title: str, reason: str) -> RecipeError:
    return RecipeError(
        f"{file} cannot be given a {title}: {reason}",
        hint=f"write {keyword}={literal} into it by hand, then run `crosswheel lock`.",
    )
