"""Reads ``libraries.toml``, by which a folder of recipes adds C libraries to those that ship with crosswheel."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crosswheel.errors import RecipeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "libraries.toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9+._-]*")
_WAYS = ("configure", "cmake", "commands")
_ORIGINS = ("packages", "source", "archive")
_HINT = "docs/recipes.md tells what it may hold."


class LibrarySpec(BaseModel):
    """The description of a C library; the shipped ``libraries.toml`` explains the fields.

    Attributes:
        archive: its original source: a URL, or a file below the folder of ``libraries.toml``.
        sha256: the archive's hash.
        version: the version in the archive.
        prebuilt: Debian's packages of ``source``, whose archives spare compiling most of it.
        built: how it is built for a target that cannot use ``packages`` or ``prebuilt``, because its C library is not
            glibc.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    packages: tuple[str, ...] = ()
    source: str | None = None
    archive: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    version: Annotated[str, Field(pattern=r"^\S+$")] | None = None
    prebuilt: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    rename: Mapping[str, str] = Field(default_factory=dict)
    fortran: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    configure: tuple[str, ...] | None = None
    cmake: tuple[str, ...] | None = None
    commands: tuple[tuple[str, ...], ...] | None = None
    licences: tuple[str, ...] = ()
    licence: str | None = None
    runs: bool = False
    machines: Mapping[str, str] = Field(default_factory=dict)
    needs: tuple[str, ...] = ()
    merge: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    language: Literal["C", "C++"] = "C"
    scripts: Mapping[str, str] = Field(default_factory=dict)
    environment: Mapping[str, str] = Field(default_factory=dict)
    built: LibrarySpec | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> LibrarySpec:
        origins = [name for name in _ORIGINS if getattr(self, name)]
        if len(origins) != 1:
            raise ValueError(f"it needs one of {', '.join(_ORIGINS)}")
        ways = [name for name in _WAYS if getattr(self, name) is not None]
        if len(ways) != (0 if self.packages else 1):
            raise ValueError(f"what is built needs one of {', '.join(_WAYS)}, and what is taken none")
        if self.prebuilt and not self.source:
            raise ValueError("prebuilt is for what is built from a source of Debian's")
        if self.built and not ((self.packages or self.prebuilt) and self.built.source):
            raise ValueError(
                "built is for what is otherwise taken from packages or prebuilt, and needs a source"
            )
        if self.only and not self.packages:
            raise ValueError("only is for what is taken from packages")
        if bool(self.archive) != bool(self.sha256) or bool(self.archive) != bool(self.version):
            raise ValueError("archive, sha256 and version go together")
        return self

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The inputs of the library's digest; its archive counts by its hash, wherever it lies."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"archive", "language", "built"})


def read_libraries(folder: Path) -> Mapping[str, LibrarySpec]:
    """Return the C libraries that a folder of recipes adds, by name; none if it has no ``libraries.toml``.

    The path of an archive in the folder is made absolute.

    Raises:
        RecipeError: the file is not TOML, or has a wrong key or value, which the message names.
    """
    path = folder / FILE_NAME
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # invalid TOML and invalid UTF-8 raise ValueErrors
        raise RecipeError(f"{path}: {error}", hint=_HINT) from error
    return {name: _spec(path, name, table) for name, table in tables.items()}


def _spec(path: Path, name: str, table: object) -> LibrarySpec:
    if not _NAME.fullmatch(name):
        raise RecipeError(f"{path}: {name!r} is no name for a library", hint="use small letters and digits.")
    try:
        spec = LibrarySpec.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, (name, *first["loc"])))
        raise RecipeError(f"{path}: {key}: {first['msg']}", hint=_HINT) from error
    if spec.archive and "://" not in spec.archive:
        return spec.model_copy(update={"archive": str(_beside(path, name, spec.archive))})
    return spec


def _beside(path: Path, name: str, archive: str) -> Path:
    file = (path.parent / archive).resolve()
    if not file.is_relative_to(path.parent.resolve()) or not file.is_file():
        raise RecipeError(
            f"{path}: {name}.archive: there is no file {archive} in its folder",
            hint="put the archive there, or write its address.",
        )
    return file
