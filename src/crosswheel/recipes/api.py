"""Defines the interface that a ``build.py`` calls: the original tool's ``package_build``, with more typed keywords.

A recipe only describes a build; the engine builds it later. ``from builder import package_build`` gives each recipe
a :class:`PackageBuild` of its own, which :mod:`crosswheel.recipes.loader` creates.
"""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from crosswheel.errors import RecipeError
from crosswheel.recipes.model import (
    FolderSource,
    GithubSource,
    GitSource,
    PypiSource,
    Recipe,
    Source,
    UrlSource,
)

_Model = TypeVar("_Model", bound=BaseModel)
_HINT = "docs/recipes.md explains every keyword."


class PackageBuild:
    """Collects the description in one ``build.py``."""

    def __init__(self, file: Path, name: str, version: str | None, dist: Path) -> None:
        self._file, self._name, self._version, self._dist = file, name, version, dist
        self.recipes: list[Recipe] = []

    def build_package(
        self,
        source: Source | None = None,
        setup_py_commands: Sequence[str] | None = None,
        build_dependencies: Sequence[str] | None = None,
        *,
        fallback: Source | None = None,
        as_of: str | datetime.date | None = None,
        requirements: Sequence[str] = (),
        patches: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        config_settings: Mapping[str, str] | None = None,
        cargo_features: Sequence[str] = (),
        optimize: str | None = None,
        libraries: Sequence[str] = (),
        before_build: str | None = None,
        tests: Sequence[str] = (),
        test_requires: Sequence[str] = (),
        skip_imports: Mapping[str, str] | None = None,
        without: Mapping[str, str] | None = None,
        prefer: str | None = None,
        prefer_reason: str | None = None,
        build_number: int | None = None,
        time_limit: str | None = None,
        memory_limit: str | None = None,
    ) -> Path:
        """Describe how a package is built; the keywords are the fields of :class:`Recipe`.

        The first three arguments are the original tool's. That tool built a package without ``setup_py_commands``
        with ``setup.py bdist_wheel``; crosswheel calls the PEP 517 build backend, which does the same for a project
        that has only a ``setup.py``.

        Returns:
            The folder of ``dist/`` for the wheel.

        Raises:
            RecipeError: a keyword has a wrong value, or a patch or test is missing.
        """
        arguments = {key: value for key, value in locals().items() if key != "self" and value is not None}
        recipe = self._checked(Recipe, name=self._name, version=self._version, file=self._file, **arguments)
        for file in (*recipe.patches, *recipe.tests):
            if not (recipe.folder / file).is_file():
                raise RecipeError(f"{self._where()}: there is no file {file} beside the recipe", hint=_HINT)
        self.recipes.append(recipe)
        return self._dist / self._file.parent.name if self._version is None else self._dist

    def github_source(
        self,
        *,
        org: str,
        repo: str,
        tag: str,
        sdist_archive: str | None = None,
        name: str | None = None,
        path: str | None = None,
        sha256: str | None = None,
        git_tree: str | None = None,
        submodules: Mapping[str, str] | None = None,
    ) -> GithubSource:
        """Return a source: a tag's source archive on GitHub, or the file ``sdist_archive`` of the tag's release."""
        arguments = {key: value for key, value in locals().items() if key != "self" and value is not None}
        return self._checked(GithubSource, **arguments)

    def pypi_source(
        self, *, name: str, version: str, sha256: str | None = None, path: str | None = None
    ) -> PypiSource:
        """Return a source: the sdist of a release on the package registry."""
        return self._checked(PypiSource, name=name, version=version, sha256=sha256, path=path)

    def git_source(
        self, *, url: str, ref: str, commit: str | None = None, path: str | None = None
    ) -> GitSource:
        """Return a source: a tag, branch or commit of a git repository, and the commit that it must be."""
        return self._checked(GitSource, url=url, ref=ref, commit=commit, path=path)

    def folder_source(self, *, path: str) -> FolderSource:
        """Return a source: the folder of a project, relative to the recipe's folder."""
        return self._checked(FolderSource, path=path)

    def url_source(self, *, url: str, sha256: str, path: str | None = None) -> UrlSource:
        """Return a source: the archive at a URL, with its hash."""
        return self._checked(UrlSource, url=url, sha256=sha256, path=path)

    def _checked(self, kind: type[_Model], **arguments: object) -> _Model:
        try:
            return kind.model_validate(arguments)
        except ValidationError as error:
            faults = "\n".join(f"    {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise RecipeError(f"{self._where()} is wrong:\n{faults}", hint=_HINT) from error

    def _where(self) -> str:
        line = next((f.lineno for f in inspect.stack() if f.filename == str(self._file)), None)
        return f"{self._file}, line {line}" if line else str(self._file)
