"""The agent on its way: its modules as they go over a connection, or into a bundle."""

from __future__ import annotations

import marshal
import tempfile
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from crosswheel.files import digest_of, new_file
from crosswheel.process import Runner, Word
from crosswheel.settings import cache_path

_PACKAGES = ("crosswheel", "crosswheel.agent")
# In the order in which they need each other.
_MODULES = ("manifest", "ed25519", "signed", "machine", "disk", "trust", "packages", "links", "environments")
_MAGIC_SIZE = 4
# Reads the agent from the connection itself, so that nothing has to lie on the robot.
_BOOTSTRAP = """
import marshal, sys, types, zlib
sys.stdout.buffer.write(bytes.fromhex("{mark}"))
sys.stdout.buffer.flush()
from _frozen_importlib_external import MAGIC_NUMBER
sources, compiled = map(sys.stdin.buffer.read, {sizes})
for name, part in marshal.loads(zlib.decompress(compiled if MAGIC_NUMBER == {magic} else sources)):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    exec(compile(part, name, "exec") if isinstance(part, str) else part, module.__dict__)
from crosswheel.agent.requests import main
main()
"""
# Compiles what is on standard input, for Pythons of the version that runs it.
_COMPILE = """
import importlib.util, marshal, sys
parts = [(name, compile(text, name, "exec")) for name, text in marshal.load(sys.stdin.buffer)]
with open(sys.argv[1], "wb") as sink:
    sink.write(importlib.util.MAGIC_NUMBER + marshal.dumps(parts))
"""
_BUNDLE = "import sys\nfrom crosswheel.agent.bundle import main\nsys.exit(main())\n"


@dataclass(frozen=True)
class Agent:
    """The agent as it goes over a connection.

    Attributes:
        compiled: its bytecode, after the magic number of the Pythons that take it; a robot with another Python
            compiles it itself, which takes it longer than all else that happens before the first answer.
    """

    compiled: bytes = b""

    def bootstrap(self, mark: bytes) -> str:
        """Return the program that reads :attr:`stream` from its standard input, and is the agent then.

        Args:
            mark: bytes that it writes first: what comes before them on its standard output is somebody else's. They
                are not in the program as they are, so nobody who prints the program writes them.
        """
        sizes = tuple(map(len, self._parts))
        return _BOOTSTRAP.format(sizes=sizes, magic=self.compiled[:_MAGIC_SIZE], mark=mark.hex())

    @property
    def stream(self) -> bytes:
        """What is sent to it first."""
        return b"".join(self._parts)

    @property
    def _parts(self) -> tuple[bytes, bytes]:
        return zlib.compress(_sources()), zlib.compress(self.compiled[_MAGIC_SIZE:])


def agent_for(python: str, cache: Path) -> Agent:
    """Return the agent for robots with a version of Python; compiled, where :func:`compile_agent` was here before."""
    kept = _compiled(python, cache)
    return Agent(kept.read_bytes()) if kept.is_file() else Agent()


def compile_agent(python: str, cache: Path, interpreter: list[Word], runner: Runner) -> None:
    """Keep the agent compiled, by a Python of the robots' version.

    Raises:
        StorageError: it cannot be written.
    """
    with new_file(_compiled(python, cache)) as temporary, tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch) / "sources"
        sources.write_bytes(_sources())
        runner.run([*interpreter, "-I", "-c", _COMPILE, temporary], stdin=sources)


def has_compiled(python: str, cache: Path) -> bool:
    """Return whether the agent is kept compiled for a version of Python."""
    return _compiled(python, cache).is_file()


def bundle_members() -> dict[str, bytes]:
    """Return the agent as it lies in a bundle, which is called by hand: paths in the archive, and bytes."""
    folders = [name.replace(".", "/") for name in _PACKAGES]
    members = {f"{folder}/__init__.py": b"" for folder in folders}
    members.update({f"{folders[-1]}/{module}.py": _text(module).encode() for module in (*_MODULES, "bundle")})
    return {"__main__.py": _BUNDLE.encode(), **members}


def _compiled(python: str, cache: Path) -> Path:
    return cache_path(cache, "agents") / digest_of(python=python, sources=_sources().hex())


def _sources() -> bytes:
    parts = [(name, "") for name in _PACKAGES]
    parts += [(f"{_PACKAGES[-1]}.{module}", _text(module)) for module in (*_MODULES, "requests")]
    return marshal.dumps(parts, 2)  # of 2.5: an older Python has to come as far as to be refused


def _text(module: str) -> str:
    return (resources.files(_PACKAGES[-1]) / f"{module}.py").read_text()
