"""The agent on its way: its modules as they go over a connection, or into a bundle."""

from __future__ import annotations

from importlib import resources

_PACKAGES = ("crosswheel", "crosswheel.deploy", "crosswheel.deploy.agent")
# In the order in which they need each other.
_MODULES = ("manifest", "machine", "disk", "packages", "tree", "store")
_LOADER = """
import sys, types
for name, text in {sources!r}:
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = []
    exec(compile(text, name, "exec"), module.__dict__)
from crosswheel.deploy.agent.{main} import main
main()
"""
_BUNDLE = "import sys\nfrom crosswheel.deploy.agent.bundle import main\nsys.exit(main())\n"


def program() -> bytes:
    """Return the agent as one program, which answers requests; nothing has to lie on the robot for it."""
    modules = [*_MODULES, "requests"]
    sources = [(name, "") for name in _PACKAGES]
    sources += [(f"{_PACKAGES[-1]}.{module}", _text(module)) for module in modules]
    return _LOADER.format(sources=sources, main="requests").encode()


def bundle_members() -> dict[str, bytes]:
    """Return the agent as it lies in a bundle, which is called by hand: paths in the archive, and bytes."""
    folders = [name.replace(".", "/") for name in _PACKAGES]
    members = {f"{folder}/__init__.py": b"" for folder in folders}
    members.update({f"{folders[-1]}/{module}.py": _text(module).encode() for module in (*_MODULES, "bundle")})
    return {"__main__.py": _BUNDLE.encode(), **members}


def _text(module: str) -> str:
    return (resources.files(_PACKAGES[-1]) / f"{module}.py").read_text()
