"""Prepares a source tree to be built: applies the recipe's patches, and states the version that git would tell."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from packaging.utils import canonicalize_name
from tomlkit.exceptions import TOMLKitError

from crosswheel.errors import MissingToolError, RecipeError
from crosswheel.files import write_bytes
from crosswheel.process import Runner, tail
from crosswheel.sources.git import git_environment


@dataclass(frozen=True)
class _PatchTool:
    """A program that applies patches: its words to apply one, and to only try it; ``-R`` reverts a patch."""

    command: tuple[str, ...]
    trying: str
    input: str = ""


# Both apply a hunk only where the context matches exactly.
_GIT = _PatchTool(("git", "apply", "-p1", "--whitespace=nowarn"), "--check")
_PATCH = _PatchTool(
    ("patch", "-p1", "--force", "--forward", "--fuzz=0", "--no-backup-if-mismatch"), "--dry-run", "--input="
)


def apply_patches(tree: Path, patches: Sequence[Path], runner: Runner) -> None:
    """Apply patches to a source tree with ``-p1``, in the given order: all of them or none.

    Raises:
        RecipeError: a patch does not apply, which the message names with the place. The tree is unchanged.
        MissingToolError: neither ``git`` nor ``patch`` is installed.
    """
    if not patches:
        return
    tool, environment = _patch_tool(), _patch_environment(tree)

    def start(patch: Path, *options: str) -> tuple[bool, str]:
        words = [*tool.command, *options, f"{tool.input}{patch.absolute()}"]
        result = runner.run(words, cwd=tree, env=environment, check=False)
        return result.returncode == 0, result.output

    for number, patch in enumerate(patches):
        applies, output = start(patch, tool.trying)
        if not applies:
            for earlier in reversed(patches[:number]):
                start(earlier, "-R")
            raise RecipeError(
                f"{patch.name} does not apply to the source in {tree}:\n{tail(output)}",
                hint=f"renew {patch} for this version of the source, or remove it if that has the change.",
            )
        start(patch)


def pin_version(tree: Path, version: str) -> Mapping[str, str]:
    """State the version of a source tree without version control.

    Returns the environment variables that state it to setuptools-scm (also through hatch-vcs and flit-scm), pbr, PDM,
    poetry-dynamic-versioning and uv-dynamic-versioning. versioningit reads no variable; if the project uses it,
    ``default-version`` is written into its table, unless the tree is an sdist, where it reads ``PKG-INFO``.
    versioningit uses that only outside any repository, so builds below one have to run with GIT_CEILING_DIRECTORIES.

    Raises:
        RecipeError: ``pyproject.toml`` is not valid TOML.
    """
    if not (tree / "PKG-INFO").is_file():
        for name in ("versioningit.toml", "pyproject.toml"):
            _pin_versioningit(tree / name, version)
    variables = {
        "SETUPTOOLS_SCM_PRETEND_VERSION": version,
        "PBR_VERSION": version,
        "PDM_BUILD_SCM_VERSION": version,
        "POETRY_DYNAMIC_VERSIONING_BYPASS": version,
        "UV_DYNAMIC_VERSIONING_BYPASS": version,
    }
    project = _project_name(tree)
    if project is not None:
        suffix = canonicalize_name(project).replace("-", "_").upper()
        variables[f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{suffix}"] = version
    return variables


def _patch_tool() -> _PatchTool:
    for tool in (_GIT, _PATCH):
        if shutil.which(tool.command[0]):
            return tool
    raise MissingToolError(
        "the recipe has patches, and neither git nor patch is installed",
        hint="install git with your system's package manager, and run the same command again.",
    )


def _patch_environment(tree: Path) -> Mapping[str, str]:
    return {
        **git_environment(),
        # git must not find an enclosing repository, or it would take the paths as below its top.
        "GIT_CEILING_DIRECTORIES": os.path.realpath(tree.parent),
        # The user's settings for line ends and white space must not change the result.
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C",
    }


def _pin_versioningit(file: Path, version: str) -> None:
    document = _toml(file)
    table = None if document is None else _versioningit_table(document)
    if document is not None and table is not None:
        table["default-version"] = version
        write_bytes(file, tomlkit.dumps(document).encode())


def _versioningit_table(document: Mapping[str, Any]) -> MutableMapping[str, Any] | None:
    """Return the table that versioningit reads its settings from, or ``None`` if it is not used."""
    tool = document.get("tool", {})
    hatch: MutableMapping[str, Any] = tool.get("hatch", {}).get("version", {})
    # If hatch's table has settings beside `source`, versioningit reads only that table.
    if hatch.get("source") == "versioningit" and (len(hatch) > 1 or "versioningit" not in tool):
        return hatch
    table: MutableMapping[str, Any] | None = tool.get("versioningit")
    return table


def _project_name(tree: Path) -> str | None:
    document: Mapping[str, Any] = _toml(tree / "pyproject.toml") or {}
    poetry = document.get("tool", {}).get("poetry", {})
    name = document.get("project", {}).get("name") or poetry.get("name")
    return str(name) if name else None


def _toml(file: Path) -> tomlkit.TOMLDocument | None:
    try:
        # Written as bytes: text mode would change line ends.
        return tomlkit.parse(file.read_bytes())
    except FileNotFoundError:
        return None
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{file} is not valid TOML: {error}", hint="correct it with a patch beside the recipe's build.py."
        ) from error
