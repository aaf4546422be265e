"""Compile the modules of a wheel; a Python of the target's version runs this file, with its standard library alone.

Prints as JSON the modules that cannot work with this Python: their syntax needs a newer one, or they import a name that
only a newer standard library has. An import that the module allows to fail is no fault: one under a condition, in a
``try`` that expects the failure, or in a function. Neither is a module that other modules import only in such a way.

The bytecode of those that compile is written to a folder, if one is named.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import marshal
import os
import platform
import sys
import types
import warnings
import zipfile

_UNCHECKED_HASH = b"\1\0\0\0"
_EXPECTED = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


class Module:
    """A module: its imports at import time, and its code or the reason why it does not compile, if there is one."""

    def __init__(self, name: str, member: str, source: bytes) -> None:
        self.name = name
        self.is_package = member.endswith("/__init__.py")
        self.imports: list[tuple[str, int, bool]] = []
        self.error: str | None = None
        self.source = source
        self.code: types.CodeType | None = None
        try:
            tree = ast.parse(source, member)
            self.code = compile(tree, member, "exec", dont_inherit=True)
        except SyntaxError as error:
            if not _is_other_language(source):
                self.error = f"line {error.lineno}: {error.msg}"
        except (ValueError, RecursionError, MemoryError):  # no source code
            pass
        else:
            self._read(tree.body, False)

    def write_bytecode(self, folder: str) -> None:
        """Write what py_compile does, with a hash that is not checked (PEP 552), to its place below a folder."""
        name = self.name.replace(".", os.sep) + (f"{os.sep}__init__" if self.is_package else "")
        path = importlib.util.cache_from_source(os.path.join(folder, f"{name}.py"))  # noqa: PTH118
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        head = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(self.source)
        with open(path, "wb") as stream:  # noqa: PTH123
            stream.write(head + marshal.dumps(self.code))

    def _read(self, body: list[ast.stmt], guarded: bool) -> None:
        for node in body:
            if isinstance(node, ast.Import):
                self.imports += [(alias.name, node.lineno, guarded) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                self.imports += [(f"{origin}.{alias.name}", node.lineno, guarded) for alias in node.names]
            else:
                self._read_below(node, guarded)
            # Statements after a condition that may end the module are under that condition too.
            guarded = guarded or (isinstance(node, ast.If) and _raises(node))

    def _read_below(self, node: ast.stmt, guarded: bool) -> None:
        allowed = not isinstance(node, ast.ClassDef)
        if isinstance(node, (ast.Try, ast.With)):
            allowed = _expects_failure(node)
        for block in ("body", "orelse"):
            self._read(getattr(node, block, []), guarded or allowed)
        self._read(getattr(node, "finalbody", []), guarded)
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            self._read(part.body, True)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        above = self.name.split(".")
        above = above[: len(above) - node.level + self.is_package]
        return ".".join([*above, *filter(None, [node.module])])


def _raises(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Raise) for part in ast.walk(node))


def _expects_failure(node: ast.AST) -> bool:
    """Return whether execution continues after a ``try`` or ``with`` in which an import fails."""
    if isinstance(node, ast.Try):
        caught = [handler.type for handler in node.handlers]
    else:
        caught = [item.context_expr for item in getattr(node, "items", ())]
    names = {getattr(n, "id", getattr(n, "attr", "")) for each in caught if each for n in ast.walk(each)}
    return None in caught or bool(_EXPECTED & names)


def _is_other_language(source: bytes) -> bool:
    """Return whether source that does not compile is not meant for Python 3: a template, or Python 2."""
    if b"{%" in source or b"<%" in source or b"\0" in source:
        return True
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lib2to3 import pygram, pytree
        from lib2to3.pgen2 import driver

        parser = driver.Driver(pygram.python_grammar, convert=pytree.convert)
        parser.parse_string(source.decode("latin-1") + "\n")
        return True
    return False


def _allowed_for(modules: dict[str, Module]) -> set[str]:
    """Return the modules that others import, but only where the import may fail."""
    users: dict[str, list[tuple[str, bool]]] = {name: [] for name in modules}
    for module in modules.values():
        for imported, _, guarded in module.imports:
            parts = imported.split(".")
            for end in range(1, len(parts) + 1):
                name = ".".join(parts[:end])
                if name in users and name != module.name:
                    users[name].append((module.name, guarded))
    allowed: set[str] = set()
    while True:
        newer = {
            name
            for name, using in users.items()
            if using and all(guarded or user in allowed for user, guarded in using)
        }
        if newer == allowed:
            return allowed
        allowed = newer


def _lacking(module: Module, newer: dict[str, str]) -> str | None:
    """Return a name that a module imports from the standard library and that this Python's lacks."""
    for imported, line, guarded in module.imports:
        parts = imported.split(".")
        names = [] if guarded else [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        for name in names:
            if name in newer and not _is_there(name):
                return f"line {line}: it imports {name}, which is new in Python {newer[name]}"
    return None


def _is_there(name: str) -> bool:
    above, _, last = name.rpartition(".")
    with contextlib.suppress(Exception):
        if above and hasattr(importlib.import_module(above), last):
            return True
        importlib.import_module(name)
        return True
    return False


def main(request: str, bytecode: str | None = None) -> None:
    """Answer a request file: the path of a wheel, its modules by member, and the names that newer Pythons added.

    Args:
        bytecode: the folder for the modules' bytecode.
    """
    with open(request) as stream:  # noqa: PTH123
        loaded = json.load(stream)
    warnings.simplefilter("ignore")
    with zipfile.ZipFile(loaded["wheel"]) as archive:
        read = [Module(name, member, archive.read(member)) for member, name in loaded["modules"].items()]
    for module in read:
        if bytecode and module.code:
            module.write_bytecode(bytecode)
    modules = {module.name: module for module in read}
    allowed = _allowed_for(modules)
    unfit = {}
    for module in read:
        reason = module.error or _lacking(module, loaded["newer"])
        if reason and module.name not in allowed:
            unfit[module.name] = reason
    print(json.dumps({"version": platform.python_version(), "compiled": len(read), "unfit": unfit}))


if __name__ == "__main__":
    main(sys.argv[1], *sys.argv[3:])
