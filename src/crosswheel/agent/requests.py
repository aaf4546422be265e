"""Answers requests over standard streams; each message is a length, then compressed JSON."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import json
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from crosswheel.agent.disk import existing, replace_text, sha256_of, write_shared
from crosswheel.agent.environments import Environments
from crosswheel.agent.machine import about_this_machine, image_packages, require_target
from crosswheel.agent.manifest import Refused
from crosswheel.agent.trust import accepted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from queue import Queue

    from crosswheel.agent.manifest import Entry, Manifest
    from crosswheel.agent.packages import Arrival
    from crosswheel.agent.signed import Envelope
    from crosswheel.agent.trust import Signed

_LENGTH = struct.Struct("!I")
INSTALLER = "installer.pyz"
_PIECE = 1 << 18
_PIECES_AHEAD = 8


class Server:
    """Answers the requests of one connection."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._store: Environments | None = None
        self._release: Manifest = {}
        self._signed: Signed | None = None
        self._is_accepted = False
        self._folder = Path()
        self._arrival: Arrival | None = None
        self._held = contextlib.ExitStack()

    def run(self) -> None:
        """Answer until the connection ends."""
        with self._held:
            while True:
                message = self._read()
                if not message:
                    return
                self._write(self._answer(json.loads(zlib.decompress(message))))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do: Callable[..., dict[str, Any]] = getattr(self, "do_" + request.pop("do"))
        try:
            return do(**request)
        except Refused as refusal:
            return {"error": refusal.kind, "message": str(refusal)}
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                return {"error": "permission", "message": _refused(error)}
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                return {"error": "system", "message": f"{error.strerror}: {error.filename}"}
            if self._store:
                self._store.sweep()
            return {"error": "no-space", "message": "the disk became full; what was sent was removed again"}
        except Exception:
            import traceback

            return {"error": "defect", "message": traceback.format_exc()}

    @property
    def _opened(self) -> Environments:
        assert self._store is not None
        return self._store

    def do_open(self, store: str, programs: str) -> dict[str, Any]:
        """Choose the store for the requests that follow; return this machine's properties."""
        self._store = Environments(Path(store), Path(programs))
        disk = os.statvfs(existing(Path(store)))
        return {**about_this_machine(), "free": disk.f_bavail * disk.f_frsize}

    def do_hold(self) -> dict[str, Any]:
        """Lock the store against other connections until this one ends."""
        self._held.enter_context(self._opened.exclusive())
        return {}

    def do_offer(
        self,
        release: Manifest | None = None,
        envelope: Envelope | None = None,
        rotations: list[Envelope] | None = None,
        rehearsal: bool = False,
    ) -> dict[str, Any]:
        """Take the description of a release, signed or not; return the digests of the packages that are missing.

        It also returns the packages of the machine's own Python, and its programs, that the release has as well.
        """
        self._is_accepted = not rehearsal
        if rehearsal:
            assert release is not None
        else:
            release, self._signed = accepted(self._opened.root, release, envelope, rotations or ())
        require_target(release["target"])
        self._opened.require_programs(release)
        self._release = release
        lacking = [p["digest"] for p in self._opened.packages.lacking(release)]
        shadowing = self._opened.shadowing(release)
        return {"packages": lacking, "image": image_packages(), "shadowing": shadowing}

    def do_plan(self, files: dict[str, list[Entry]]) -> dict[str, Any]:
        """Take the file lists of the missing packages; return the numbers of the files to send, by digest."""
        self._arrival = self._opened.expect(self._release, files)
        return {"lacking": self._arrival.lacking, "need": self._opened.require_space(self._arrival)}

    def do_receive(self) -> dict[str, Any]:
        """Receive the files as compressed streams in blocks; an empty block ends them."""
        stream = _Stream(self._read)
        assert self._arrival is not None
        try:
            self._require_accepted()
            self._arrival.receive(lambda _, size: stream.read(size))
        finally:
            stream.finish()  # or the rest of the stream would be read as requests
        return {}

    def do_build(self) -> dict[str, Any]:
        """Assemble the release."""
        self._require_accepted()
        self._folder = self._opened.build(self._release)
        return {}

    def do_test(self) -> dict[str, Any]:
        """Run the release's test."""
        return {"output": self._opened.test(self._folder)}

    def do_activate(self, keep: int = 1) -> dict[str, Any]:
        """Switch to the release; return the services that run another version, and the key that this pins, if any."""
        previous = self._opened.active(self._release["name"])
        pinned = self._signed.remember(self._folder) if self._signed else None
        generation = self._opened.activate(self._folder, keep)
        services = [] if generation == previous else self._opened.services(self._release["programs"])
        installer = self._opened.root / INSTALLER
        known = sha256_of(str(installer)) if self._signed and installer.exists() else None
        return {"generation": generation, "services": services, "pinned": pinned, "installer": known}

    def do_keep_installer(self, data: str) -> dict[str, Any]:
        """Store the program that installs bundles, so that no bundle brings its own verifier."""
        program = base64.b64decode(data)
        temporary = self._opened.root / f".{INSTALLER}.new"
        temporary.unlink(missing_ok=True)
        write_shared(str(temporary), hashlib.sha256(program).hexdigest(), True, [program])
        temporary.replace(self._opened.root / INSTALLER)
        return {}

    def do_list(self) -> dict[str, Any]:
        """Return a row for each generation of each environment."""
        return {"environments": self._opened.listing()}

    def do_rollback(self, name: str) -> dict[str, Any]:
        """Go back to the version before; return the services that still run the other one."""
        release = self._opened.rollback(name)
        return {"version": release["version"], "services": self._opened.services(release["programs"])}

    def do_remove(self, name: str) -> dict[str, Any]:
        """Remove an environment."""
        self._opened.remove(name)
        return {}

    def do_verify(self, name: str) -> dict[str, Any]:
        """Compare an environment's files with their hashes; return the faults."""
        return {"faults": self._opened.verify(name)}

    def do_sbom(self, name: str) -> dict[str, Any]:
        """Return the SBOM of an environment."""
        return {"sbom": self._opened.sbom(name)}

    def do_write(self, path: str, text: str, mode: int = 0o644) -> dict[str, Any]:
        """Write a small file atomically."""
        replace_text(Path(path), text, mode)
        return {}

    def do_delete(self, path: str) -> dict[str, Any]:
        """Remove a small file, if it exists."""
        Path(path).unlink(missing_ok=True)
        return {}

    def do_run(self, words: list[str]) -> dict[str, Any]:
        """Run a program to its end; return its exit code and output."""
        import subprocess

        process = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return {"returncode": process.returncode, "output": process.stdout.decode(errors="replace")}

    def _require_accepted(self) -> None:
        if not self._is_accepted:
            raise Refused("signature", "it was offered for a rehearsal, in which nothing is installed")

    def _read(self) -> bytes:
        head = self._source.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise SystemExit  # the connection is closed: nobody reads an answer
        (length,) = _LENGTH.unpack(head)
        body = self._source.read(length)
        if len(body) < length:
            raise SystemExit
        return body

    def _write(self, answer: dict[str, Any]) -> None:
        body = zlib.compress(json.dumps(answer, separators=(",", ":")).encode())
        self._sink.write(_LENGTH.pack(len(body)) + body)
        self._sink.flush()


def _refused(error: OSError) -> str:
    who = "root" if os.geteuid() == 0 else f"the user who is logged in (uid {os.geteuid()})"
    return f"{who} may not write {error.filename}: {error.strerror}"


class _Stream:
    """Reads pieces of chosen sizes from consecutive compressed streams that arrive in blocks.

    A thread decompresses the next blocks while the caller writes what it has read.
    """

    def __init__(self, next_block: Callable[[], bytes]) -> None:
        from queue import Queue  # both here, as robots load them slowly
        from threading import Thread

        self._next_block = next_block
        self._pieces: Queue[bytes] = Queue(_PIECES_AHEAD)
        self._piece = memoryview(b"")
        self._ended = False
        self._failure: BaseException = Refused("damaged", "what was sent is shorter than promised")
        Thread(target=self._unpack, daemon=True).start()

    def read(self, size: int) -> Iterator[memoryview]:
        while size:
            self._piece = self._piece or memoryview(self._next())
            if not self._piece:
                raise self._failure
            part = self._piece[:size]
            self._piece = self._piece[len(part) :]
            size -= len(part)
            yield part

    def finish(self) -> None:
        while not self._ended:
            self._next()

    def _next(self) -> bytes:
        piece = self._pieces.get()
        self._ended = not piece
        return piece

    def _unpack(self) -> None:
        try:
            for piece in self._unpacked():
                self._pieces.put(piece)
        except zlib.error as error:
            self._failure = Refused("damaged", f"what was sent cannot be unpacked: {error}")
            for _ in iter(self._next_block, b""):
                pass
        except SystemExit as ended:
            self._failure = ended
        finally:
            self._pieces.put(b"")

    def _unpacked(self) -> Iterator[bytes]:
        inflate = zlib.decompressobj()
        for block in iter(self._next_block, b""):
            data, piece = block, b""
            # The decompressor may still hold output although it has consumed all its input.
            while data or len(piece) == _PIECE:
                piece = inflate.decompress(data, _PIECE)
                data = inflate.unconsumed_tail
                if inflate.eof:
                    data, inflate = inflate.unused_data, zlib.decompressobj()
                if piece:
                    yield piece


def main() -> None:
    """Answer requests on the standard streams until the connection ends."""
    os.umask(0o022)
    Server(sys.stdin.buffer, sys.stdout.buffer).run()
