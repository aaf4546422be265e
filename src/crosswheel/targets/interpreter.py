"""Defines a target's Python, and where one like it that runs on the build machine comes from."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache, cached_property
from importlib import resources
from typing import Any

from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crosswheel.errors import TargetError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Table(BaseModel):
    """A table in a target file."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))


class Artifact(Table):
    """One file of a Maven distribution: its classifier and the SHA-256 of its bytes."""

    classifier: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class PythonSource(Table):
    """A release of CPython that can be built from source for any target.

    Attributes:
        sha256: the hash of the source archive that its authors publish; ``archive`` is the file's extension.
        package: the Debian source package in ``suite`` that has this archive; ``None`` if none has.
        pip: the version of pip that comes with it.
    """

    version: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    archive: str
    pip: str
    package: str | None = None
    suite: str | None = None

    @property
    def file(self) -> str:
        """The name of the source archive."""
        return f"Python-{self.version}.{self.archive}"


class Python(Table):
    """The interpreter of the target.

    Under emulation runs, depending on what the target file states, the Python of its distribution (``packaged``), a
    published one (``distribution`` is a Maven coordinate ``group:artifact:version``, ``target`` the build for the
    target, ``host`` the builds for build machines, by ``os.uname().machine``), or one that is built from source. If the
    file states none of these, ``headers`` is a build for another machine, whose headers are used with the target's
    sizes; wheels are then built and audited, but not run.

    Attributes:
        built: the minor version to build from source, of which the target has its own Python.
        provided: the minor version to build from source and to send to the target, which has none.
        source: the release that is built.
        refused_tags: wheel tags that current pips accept for such a Python, and the target's pip does not.
    """

    version: str
    soabi: str
    sysconfigdata: str
    pip: str
    packaged: bool = False
    distribution: str | None = Field(default=None, pattern=r"^[^:]+:[^:]+:[^:]+$")
    target: Artifact | None = None
    headers: Artifact | None = None
    host: Mapping[str, Artifact] = Field(default_factory=dict)
    built: str | None = None
    provided: str | None = None
    source: PythonSource | None = None
    refused_tags: tuple[str, ...] = ()

    @field_validator("version")
    @classmethod
    def _full_version(cls, value: str) -> str:
        if len(Version(value).release) != 3:
            raise ValueError("expected a full version such as 3.10.8")
        return value

    @model_validator(mode="after")
    def _one_origin(self) -> Python:
        if self.built and self.provided:
            raise ValueError("expected either `built` or `provided`")
        if self.target and self.headers:
            raise ValueError("expected either `target` or `headers`")
        if not (self.target or self.headers or self.source or self.packaged):
            raise ValueError("expected `target`, `headers`, `packaged`, `built` or `provided`")
        short = self.built or self.provided
        if short and self.source and not self.source.version.startswith(f"{short}."):
            raise ValueError(f"expected a `source` of Python {short}, not of {self.source.version}")
        if (self.target or self.headers) and not (self.distribution and self.host):
            raise ValueError("`target` and `headers` want `distribution` and `host`")
        return self

    @property
    def compiled_for(self) -> str:
        """The version whose headers wheels are compiled with: that of the source, if Python is built."""
        return self.source.version if self.source and not (self.packaged or self.target) else self.version

    @property
    def short(self) -> str:
        """Major and minor version, such as ``3.10``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def numbers(self) -> tuple[int, int]:
        """Major and minor version as numbers."""
        major, minor = self.short.split(".")
        return int(major), int(minor)


@cache
def python_sources() -> Mapping[str, PythonSource]:
    """Return the releases of CPython that can be built from source, by minor version."""
    text = (resources.files("crosswheel.targets") / "pythons.toml").read_text()
    return {short: PythonSource.model_validate(said) for short, said in tomllib.loads(text).items()}


def python_source(short: str) -> PythonSource:
    """Return the release of CPython to build for a minor version.

    Raises:
        TargetError: no release of it is known.
    """
    found = python_sources().get(short)
    if found is None:
        raise TargetError(
            f"no source of Python {short} is known",
            hint=f"those that can be built: {', '.join(python_sources())}.",
        )
    return found


def with_source(table: Mapping[str, Any], multiarch: str) -> dict[str, Any]:
    """Return a ``[python]`` table with the fields that its ``built`` or ``provided`` stands for.

    A table ``source`` states a release that crosswheel does not know, such as a newer one.

    Raises:
        ValueError: no source of that version is known.
    """
    short = table.get("provided") or table.get("built")
    if not isinstance(short, str):
        return dict(table)
    source = table.get("source")
    if not isinstance(source, dict):
        try:
            source = python_source(short).model_dump()
        except TargetError as error:
            raise ValueError(f"{error}; {error.hint}") from error
    filled = {
        "version": source.get("version"),
        "soabi": f"cpython-{short.replace('.', '')}-{multiarch}",
        "sysconfigdata": f"_sysconfigdata__linux_{multiarch}",
        "pip": source.get("pip"),
        "source": source,
    }
    return {**{key: value for key, value in filled.items() if value is not None}, **table}
