"""Packs the agent's modules for sending them over a connection, or for a bundle."""

from __future__ import annotations

import marshal
import tempfile
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from crosswheel.cached import cached_path
from crosswheel.files import new_file
from crosswheel.process import Runner, Word

_PACKAGES = ("crosswheel", "crosswheel.agent")
# A module comes after those that it imports.
_MODULES = ("manifest", "ed25519", "signed", "machine", "disk", "trust", "packages", "links", "environments")
_MAGIC_SIZE = 4
# Reads the agent from the connection, so that the robot needs no file of it.
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
# Compiles standard input for Pythons of the version that runs this.
_COMPILE = """
import importlib.util, marshal, sys
parts = [(name, compile(text, name, "exec")) for name, text in marshal.load(sys.stdin.buffer)]
with open(sys.argv[1], "wb") as sink:
    sink.write(importlib.util.MAGIC_NUMBER + marshal.dumps(parts))
"""
_BUNDLE = "import sys\nfrom crosswheel.agent.bundle import main\nsys.exit(main())\n"


@dataclass(frozen=True)
class Agent:
    """The agent as it is sent over a connection.

    Attributes:
        compiled: its bytecode, after the magic number of the Pythons that accept it. A robot with another Python
            compiles the agent itself, which takes longer than all else before the first answer.
    """

    compiled: bytes = b""

    def bootstrap(self, mark: bytes) -> str:
        """Return the program that reads :attr:`stream` from its standard input and then runs it as the agent.

        Args:
            mark: bytes that it writes first; output before them comes from a login script. The program has them in
                another form, so that a script which prints the command does not write them.
        """
        sizes = tuple(map(len, self._parts))
        return _BOOTSTRAP.format(sizes=sizes, magic=self.compiled[:_MAGIC_SIZE], mark=mark.hex())

    @property
    def stream(self) -> bytes:
        """The agent's code, which is sent first."""
        return b"".join(self._parts)

    @property
    def _parts(self) -> tuple[bytes, bytes]:
        return zlib.compress(_sources()), zlib.compress(self.compiled[_MAGIC_SIZE:])


def agent_for(python: str, cache: Path) -> Agent:
    """Return the agent for robots with a version of Python, compiled if :func:`compile_agent` has cached that."""
    kept = _compiled(python, cache)
    return Agent(kept.read_bytes()) if kept.is_file() else Agent()


def compile_agent(python: str, cache: Path, interpreter: list[Word], runner: Runner) -> None:
    """Compile the agent with a Python of the robots' version, and cache the bytecode.

    Raises:
        StorageError: the bytecode cannot be written.
    """
    with new_file(_compiled(python, cache)) as temporary, tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch) / "sources"
        sources.write_bytes(_sources())
        runner.run([*interpreter, "-I", "-c", _COMPILE, temporary], stdin=sources)


def has_compiled(python: str, cache: Path) -> bool:
    """Tell whether the cache has the agent's bytecode for a version of Python."""
    return _compiled(python, cache).is_file()


def bundle_members() -> dict[str, bytes]:
    """Return the files of the agent in a bundle: their bytes, by path in the archive."""
    folders = [name.replace(".", "/") for name in _PACKAGES]
    members = {f"{folder}/__init__.py": b"" for folder in folders}
    members.update({f"{folders[-1]}/{module}.py": _text(module).encode() for module in (*_MODULES, "bundle")})
    return {"__main__.py": _BUNDLE.encode(), **members}


def _compiled(python: str, cache: Path) -> Path:
    return cached_path(cache, "agents", {"python": python, "sources": _sources().hex()})


def _sources() -> bytes:
    parts = [(name, "") for name in _PACKAGES]
    parts += [(f"{_PACKAGES[-1]}.{module}", _text(module)) for module in (*_MODULES, "requests")]
    return marshal.dumps(parts, 2)  # Python 2.5's format: too old Pythons read it, to be refused


def _text(module: str) -> str:
    return (resources.files(_PACKAGES[-1]) / f"{module}.py").read_text()
