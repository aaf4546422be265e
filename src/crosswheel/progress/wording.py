"""How text, times and sizes are put for people."""

from __future__ import annotations

import re

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

_COUNTED = re.compile(r"\[\d+/\d+\]")  # as Ninja does
_SOURCES = (".c", ".cc", ".cpp", ".cxx", ".C", ".m", ".s", ".S", ".f", ".f90", ".F", ".F90", ".rs")


def is_screen(console: Console) -> bool:
    """Return whether somebody looks at the console; ``FORCE_COLOR`` makes a CI log claim so to Rich."""
    return console.is_terminal and console.file.isatty()


def can_redraw(console: Console) -> bool:
    """Return whether what is drawn on the console may be drawn over: a screen that moves, and has Unicode."""
    # Rich's ellipsis and spinners are not in other encodings.
    return is_screen(console) and console.is_interactive and not console.options.ascii_only


def printable(console: Console, text: str) -> str:
    """Return foreign text without what could disturb the console.

    Terminal escapes and control characters are dropped, tabs become spaces, and a character that the
    console's encoding lacks becomes a question mark.
    """
    plain = Text.from_ansi(text.rstrip()).plain.expandtabs()
    known = plain.encode(console.encoding, "replace").decode(console.encoding)
    return "".join(character for character in known if character == "\n" or character.isprintable())


def first_line(text: str) -> str:
    """Return the first line of a text that may have many or none."""
    return next(iter(text.strip().splitlines()), "")


def in_short(line: str) -> str:
    """Return a program's line as fits a row: of a command that compiles, the program and the source, ``cc … file.c``.

    Of another command the program is named without its folder. A command may have line breaks in it.
    """
    words = line.split()
    program = next((word for word in words if not _COUNTED.fullmatch(word)), "")
    if not program.startswith("/"):
        return " ".join(words)
    name = program.rpartition("/")[2]
    source = next((word for word in reversed(words) if word.endswith(_SOURCES)), None)
    if source is None:
        return " ".join(name if word == program else word for word in words)
    return f"{name} … {source.rpartition('/')[2] if source.startswith('/') else source}"


def duration(seconds: float) -> str:
    """Return a time span, such as ``12.3 s``, ``3 min 40 s`` or ``1 h 02 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02} min"


def clock(seconds: float) -> str:
    """Return a time span that is still growing, such as ``0:12`` or ``1:02:40``."""
    minutes, remainder = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{remainder:02}" if hours else f"{minutes}:{remainder:02}"


def size(count: int) -> str:
    """Return a number of bytes, such as ``41.2 MB``."""
    return decimal(count)


def plural(count: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 wheel`` or ``96 wheels``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
