"""Query a machine over one ssh connection; it needs only a shell, and tar or Python."""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import shlex
import subprocess
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import IO

from crosswheel.closing import Closing
from crosswheel.deploy.ssh import Address, explained
from crosswheel.errors import CrosswheelError, IntegrityError, NetworkError, TargetError
from crosswheel.learning.python_facts import ASKED, PythonFacts, read_facts
from crosswheel.learning.source import DAMAGE, FileStream, Listed
from crosswheel.userlands import Readable, resolved

_LINE = re.compile(r"([-l])(\S{9})\S*\s+\d+\s+\S+\s+\S+\s+(\d+)\s+\S+\s+\S+\s+\S+\s(/.*)$")
_HASH = re.compile(r"([0-9a-f]{64})  (/.*)$")
_SCRIPT = resources.files("crosswheel.learning") / "ask.sh"
_WAIT_SECONDS = 10
_SSH_FAILED = 255


@dataclass(frozen=True)
class Mount:
    """A mounted file system of a machine: its folder, its type, whether it is writable, and its free space."""

    path: str
    kind: str
    writable: bool
    free_bytes: int = 0


@dataclass(frozen=True)
class Answers:
    """The facts that a machine reports before its files.

    Attributes:
        sections: the output by subject; ``ask.sh`` defines the names.
    """

    sections: Mapping[str, str]

    def line(self, subject: str, number: int = 0) -> str:
        """Return a line of a subject; empty if it does not exist."""
        lines = self.sections.get(subject, "").splitlines()
        return lines[number].strip() if number < len(lines) else ""

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Its file systems, in the order of mounting."""
        free = {}
        for line in self.sections.get("space", "").splitlines():
            words = line.split()
            if len(words) >= 6 and words[3].isdigit():
                free[words[5]] = int(words[3]) << 10
        mounts = (line.split() for line in self.sections.get("mounts", "").splitlines())
        return tuple(
            Mount(words[1], words[2], "rw" in words[3].split(","), free.get(words[1], 0))
            for words in mounts
            if len(words) >= 4
        )

    @property
    def page_bytes(self) -> int | None:
        """The size of a memory page, if the machine reports it."""
        text = self.line("page")
        return int(text) if text.isdigit() else None


def script(mark: str, *, whole: bool) -> str:
    """Return what a machine's shell runs: it tells of it, and then sends files.

    Args:
        mark: begins each section of its output.
        whole: whether all files are listed, and not only those that tell of the machine.
    """
    half = len(mark) // 2
    # Packed, for Dropbear ends a connection at a command above 9000 bytes.
    packed = base64.b64encode(zlib.compress(ASKED.read_bytes(), 9)).decode()
    values = {
        "one": mark[:half],  # a shell that echoes the script does not print the whole mark
        "two": mark[half:],
        "python": f"import base64, zlib\nexec(zlib.decompress(base64.b64decode('{packed}')))",
        "whole": "1" if whole else "",
    }
    return "".join(f"{name}={shlex.quote(text)}\n" for name, text in values.items()) + _SCRIPT.read_text()


class AskedMachine(Closing):
    """A connection that queries a machine; use it as a context manager, once.

    Raises:
        NetworkError: the machine cannot be reached, or the line dropped.
        MissingToolError: this machine has no OpenSSH client.
    """

    def __init__(self, address: Address, *, whole: bool) -> None:
        self._address = address
        self._mark = secrets.token_hex(16)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self._child = address.start("sh", "-c", script(self._mark, whole=whole), errors=self._errors)

    def close(self) -> None:
        """End the connection and the remote process."""
        for stream in (self._child.stdin, self._child.stdout):
            if stream:
                stream.close()
        self._end()
        self._errors.close()

    @property
    def title(self) -> str:
        """The machine's address."""
        return self._address.host

    @cached_property
    def answers(self) -> Answers:
        """The facts about the machine and the list of its files, up to the point where it waits for names.

        Raises:
            NetworkError: the line dropped.
            TargetError: it is no Linux.
        """
        assert self._child.stdout
        sections: dict[str, list[str]] = {}
        lines: list[str] = []  # text before the first mark comes from the login
        for data in self._child.stdout:
            line = data.decode(errors="surrogateescape").rstrip("\n")
            if line.startswith(self._mark):
                lines = sections.setdefault(line[len(self._mark) + 1 :], [])
                if "tar" in sections:
                    break
            else:
                lines.append(line)
        if "tar" not in sections:
            raise self._dropped()
        answers = Answers({name: "\n".join(text) for name, text in sections.items()})
        if answers.line("uname") != "Linux":
            raise TargetError(
                f"{self.title} is no Linux, but {answers.line('uname') or 'unknown'}",
                hint="crosswheel makes wheels for Linux alone.",
            )
        return answers

    @property
    def python(self) -> PythonFacts:
        """The facts from its own Python.

        Raises:
            TargetError: it has none, or it does not answer.
        """
        text = self.answers.sections.get("python", "")
        if not text.strip():
            raise TargetError(
                f"{self.title} has no python3 in the PATH of a login",
                hint="wheels are for a Python: install one in the image.",
            )
        return read_facts(text, self.title)

    def listing(self) -> Mapping[str, Listed]:
        """Return its potentially useful files and links."""
        return self._listing

    @cached_property
    def _listing(self) -> Mapping[str, Listed]:
        sections = self.answers.sections
        hashes = {
            found[2]: found[1] for found in map(_HASH.match, sections.get("hashes", "").splitlines()) if found
        }
        listed = dict(_listed(sections.get("files", ""), hashes))
        links = {path: item.link for path, item in listed.items() if item.kind == "link"}
        real = {folder for folder in set(map(_folder, listed)) if resolved(folder, links.get) == folder}
        return {path: item for path, item in listed.items() if _folder(path) in real}

    def files(self, paths: Collection[str]) -> Iterator[tuple[str, Readable]]:
        """Yield files with their content, in order of arrival.

        Raises:
            NetworkError: the connection was lost.
            IntegrityError: a file changed meanwhile.
        """
        assert self._child.stdin
        assert self._child.stdout
        # Write in a thread of its own: the machine reads no more names while its output is not consumed.
        names = "".join(f"{path}\0" for path in paths).encode(errors="surrogateescape")
        writer = threading.Thread(target=_write, args=(self._child.stdin, names), daemon=True)
        writer.start()
        if not paths:
            return
        try:
            with tarfile.open(fileobj=self._child.stdout, mode="r|", ignore_zeros=True) as archive:
                for member in archive:
                    stream = archive.extractfile(member) if member.isreg() else None
                    if stream is not None:
                        yield "/" + member.name.lstrip("/"), FileStream(stream, self._dropped)
        except DAMAGE as error:
            raise self._dropped(error) from error
        if self._end() == _SSH_FAILED:
            raise self._dropped()

    def _end(self) -> int:
        """Return ssh's exit code; end ssh if it does not exit."""
        try:
            return self._child.wait(_WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.terminate()
            return self._child.wait()

    def _dropped(self, cause: Exception | None = None) -> CrosswheelError:
        code = self._end()
        self._errors.seek(0)
        error = explained(self._address, code, self._errors.read().decode(errors="replace").strip())
        if isinstance(error, NetworkError | TargetError):
            return error
        return IntegrityError(error.message, hint=error.hint)


def _write(stream: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # the connection was lost, which the reader reports
        stream.write(data)
        stream.close()


def _listed(text: str, hashes: Mapping[str, str]) -> Iterator[tuple[str, Listed]]:
    for found in filter(None, map(_LINE.match, text.splitlines())):
        kind, mode, size, name = found.groups()
        if kind == "l":
            path, arrow, link = name.partition(" -> ")
            if arrow:
                yield path, Listed("link", link=link)
        else:
            yield name, Listed("file", int(size), "x" in mode, sha256=hashes.get(name, ""))


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "/"
