"""What a linker put into what it linked, as its map tells; imported by the compilers' driver alone.

Which archives a build offers says little: of an archive, a linker takes the members that something refers to. Its map
names each that it took. What is linked gets a build ID, a digest of its content, which whoever strips it or changes
where it looks for libraries leaves as it is: by that, a file of a wheel is found again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from typing import IO

FOLDER = "CROSSWHEEL_LINKS"
"""The variable that names the folder for records: a JSON file for each call of the linker."""
SUFFIX = ".link.json"
# LLD: address, load address, size, alignment, and at a depth of its own `archive(member):(section)`.
_LLD = re.compile(r"\s*([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+ {9}(\S.*):\([^()]*\)$")
# GNU ld: the section, unless it is so long that it has a line of its own, address, size, `archive(member)`.
_GNU = re.compile(r" (?:\S+)?\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S.*)$")
_MEMBER = re.compile(r"(.+)\(([^()]+)\)$")
_BUILD_ID = re.compile(rb"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0(.{20})", re.DOTALL)


def build_id_of(data: bytes) -> str | None:
    """Return the build ID of an object: the note that the linker was told to write (20 bytes, in hexadecimal)."""
    match = _BUILD_ID.search(data)
    return match[1].hex() if match else None


def run_linker(command: list[str], behind: str) -> int:
    """Run a call of a compiler that links, and record what it linked; return its exit code.

    Args:
        command: the whole call.
        behind: ``zig`` or ``gcc``.
    """
    words, partial = [*command, "-Wl,--build-id=sha1"], "-r" in command
    if behind == "zig":
        words.append("-Wl,--print-map")
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, errors="replace") as linker:
            assert linker.stdout is not None
            taken = _taken(linker.stdout, _LLD, partial)
        code = linker.returncode
    else:
        with tempfile.NamedTemporaryFile("r", suffix=".map", errors="replace") as linked:
            code = subprocess.call([*words, f"-Wl,-Map={linked.name}"])
            taken = _taken(linked, _GNU, partial)
    if code == 0:
        _record(_output(command), taken)
    return code


def _taken(lines: IO[str], pattern: re.Pattern[str], partial: bool) -> dict[str, set[str]]:
    """Return what a map says is in the output: members by archive; of an object, none.

    What is at no address is not loaded; but in what is to be linked once more, nothing has an address yet.
    """
    taken: dict[str, set[str]] = {}
    for line in lines:
        match = pattern.match(line.rstrip("\n"))
        if match is None or int(match[2], 16) == 0 or not (partial or int(match[1], 16)):
            continue
        inside = _MEMBER.fullmatch(match[3])
        path = os.path.abspath(inside[1] if inside else match[3])  # noqa: PTH100
        members = taken.setdefault(path, set())
        if inside:
            members.add(inside[2].rpartition("/")[2])
    return taken


def _output(command: list[str]) -> str:
    names = [after for word, after in zip(command, command[1:]) if word == "-o"]
    return os.path.abspath(names[-1] if names else "a.out")  # noqa: PTH100


def _record(output: str, taken: dict[str, set[str]]) -> None:
    with open(output, "rb") as stream:  # noqa: PTH123
        build_id = build_id_of(stream.read())
    record = {
        "output": output,
        "build_id": build_id,
        # Who links what is written in Rust is called by rustc, in the environment that cargo gives to that.
        "package": os.environ.get("CARGO_PKG_NAME"),
        "crate": os.environ.get("CARGO_CRATE_NAME"),
        "archives": {path: sorted(members) for path, members in sorted(taken.items()) if members},
        "objects": sorted(path for path, members in taken.items() if not members),
    }
    try:
        handle, _ = tempfile.mkstemp(SUFFIX, dir=os.environ[FOLDER])
    except OSError as error:
        sys.stderr.write(f"crosswheel: what is linked could not be recorded: {error}\n")
        return
    with open(handle, "w") as stream:  # noqa: PTH123
        json.dump(record, stream)
